//! The schema: made on connect, checked for its version, under an advisory lock so that one handle makes it and the others find it.

use std::time::Duration;

use tokio_postgres::Client;

use crate::Error;
use crate::job::{Lease, PRIORITY_STEP};

use super::NAME;
use super::link::Failure;

/// The version of the tables and functions. It grows with each change; each step from the one before is in [`STEPS`].
const VERSION: i32 = 1;
/// What makes version n of version n − 1.
const STEPS: &[&[&str]] = &[&[
    include_str!("sql/tables.sql"),
    include_str!("sql/moves.sql"),
    include_str!("sql/submit.sql"),
    include_str!("sql/run.sql"),
    include_str!("sql/people.sql"),
    include_str!("sql/messages.sql"),
    include_str!("sql/sweep.sql"),
]];
/// The advisory lock under which schemas are made: "phalanx" in ASCII.
const MAKING: i64 = 0x0070_6861_6c61_6e78;
/// PostgreSQL's longest identifier is 63 bytes; the channel has a few more than the schema.
const LONGEST: usize = 48;

/// Jobs and messages that may wait in a queue that was not declared otherwise.
pub(super) const MAX_MESSAGES: i64 = 100_000;
/// Bytes that may.
const MAX_BYTES: i64 = 10 << 30;
/// Dead jobs are kept so long.
const DEAD_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// So many of a queue.
const MAX_DEAD: u32 = 10_000;
/// The id of a message is known so long after its end.
const SPENT_KEPT: Duration = Duration::from_secs(600);
/// So many may come in at the same time beside one that counts whether there is room.
const IN_FLIGHT: u32 = 20_000;
/// So many bytes.
const IN_FLIGHT_BYTES: i64 = 1 << 30;
/// A handle whose connection is gone is given up so much later, if it did not come back.
const GRACE: Duration = Duration::from_millis(300);
/// After a restart of the server, or of their own connection, handles are given so long to come back.
pub(super) const BACK_WITHIN: Duration = Duration::from_secs(5);
/// How often somebody looks, if nothing is known to be due.
pub(super) const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// What was announced by a broker, and was not claimed, is announced again: after this, for the announcement may be lost.
const ANNOUNCE_FIRST: Duration = Duration::from_secs(5);
/// Then, for there may be many that wait, after this, and each time after twice as much.
const ANNOUNCE_AGAIN: Duration = Duration::from_secs(60);
/// At the longest.
const ANNOUNCE_CAP: Duration = Duration::from_secs(3600);
/// What was announced to a runner that may not take it now (paused, limited, unknown) is announced again after this.
const BOUNCE: Duration = Duration::from_secs(1);

/// The name of a schema: 1 to 48 lower-case letters, digits and `_`, beginning with a letter.
#[derive(Debug, Clone)]
pub(super) struct Schema(String);

impl Schema {
    /// This one, if it can be one.
    pub(super) fn new(name: &str) -> Result<Schema, String> {
        let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let begins_well = name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.starts_with("pg_");
        if begins_well && name.len() <= LONGEST && name.chars().all(is_good) {
            Ok(Schema(name.to_owned()))
        } else {
            Err(format!("a schema is 1 to {LONGEST} lower-case letters, digits and '_', beginning with a letter"))
        }
    }

    /// As text: needs no quotes.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// On which handles hear of what happens.
    pub(super) fn channel(&self) -> String {
        format!("phalanx_{}", self.0)
    }

    /// `text` with what stands in braces replaced.
    fn filled(&self, text: &str) -> String {
        let millis = |time: Duration| time.as_millis().to_string();
        [
            ("{schema}", self.0.clone()),
            ("{channel}", self.channel()),
            ("{step}", millis(PRIORITY_STEP)),
            ("{lease}", millis(Lease::LASTS)),
            ("{dead_kept}", millis(DEAD_KEPT)),
            ("{max_dead}", MAX_DEAD.to_string()),
            ("{max_messages}", MAX_MESSAGES.to_string()),
            ("{max_bytes}", MAX_BYTES.to_string()),
            ("{spent_kept}", millis(SPENT_KEPT)),
            ("{in_flight}", IN_FLIGHT.to_string()),
            ("{in_flight_bytes}", IN_FLIGHT_BYTES.to_string()),
            ("{grace}", millis(GRACE)),
            ("{back_within}", millis(BACK_WITHIN)),
            ("{sweep_every}", millis(SWEEP_EVERY)),
            ("{announce_first}", millis(ANNOUNCE_FIRST)),
            ("{announce_again}", millis(ANNOUNCE_AGAIN)),
            ("{announce_cap}", millis(ANNOUNCE_CAP)),
            ("{bounce}", millis(BOUNCE)),
        ]
        .into_iter()
        .fold(text.to_owned(), |text, (name, value)| text.replace(name, &value))
    }

    /// Makes it, or brings it to this version. Errors: made by a newer program; not allowed to.
    pub(super) async fn prepare(&self, client: &Client) -> Result<(), Failure> {
        if self.version(client).await? == Some(VERSION) {
            return Ok(());
        }
        client.batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({MAKING})")).await?;
        let outcome = self.make(client).await;
        client.batch_execute(if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        outcome
    }

    async fn make(&self, client: &Client) -> Result<(), Failure> {
        let is = match self.version(client).await? {
            Some(version) => version,
            None => {
                client.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {}", self.0)).await?;
                0
            }
        };
        if is > VERSION {
            return Err(Failure::Final(Error::Refused {
                broker: NAME.to_owned(),
                reason: format!(
                    "the schema \"{}\" has version {is}, made by a newer program; this one knows versions up to {VERSION}: \
                     use the newer program, or another schema (?schema=NAME)",
                    self.0
                ),
            }));
        }
        for step in STEPS.iter().skip(usize::try_from(is).unwrap_or(usize::MAX)) {
            for part in *step {
                client.batch_execute(&self.filled(part)).await?;
            }
        }
        client.batch_execute(&format!("DELETE FROM store; INSERT INTO store (version) VALUES ({VERSION})")).await?;
        Ok(())
    }

    async fn version(&self, client: &Client) -> Result<Option<i32>, Failure> {
        // Not by `to_regclass`: what it remembers may be older than the lock that we hold.
        let sql = "SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = 'store'";
        if client.query_opt(sql, &[&self.0]).await?.is_none() {
            return Ok(None);
        }
        let table = format!("{}.store", self.0);
        let row = client.query_opt(&format!("SELECT version FROM {table}"), &[]).await?;
        Ok(row.map(|row| row.get(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_named_so_that_it_needs_no_quotes_and_nothing_stays_in_braces() {
        assert!(Schema::new("phalanx_2").is_ok());
        for bad in ["", "2x", "a-b", "A", "pg_x", "a\"b", "a;b"] {
            assert!(Schema::new(bad).is_err(), "{bad}");
        }
        let schema = Schema::new("other").unwrap();
        for part in STEPS.concat() {
            let filled = schema.filled(part);
            let left = filled.match_indices('{').find(|(at, _)| !filled[at + 1..].starts_with('}'));
            assert_eq!(left, None, "{}", left.map_or("", |(at, _)| &filled[at..at + 20]));
        }
    }
}
