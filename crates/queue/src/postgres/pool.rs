//! [`Pool`]: a few connections for statements, and the repeating of statements whose connection was lost.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_postgres::Row;

use crate::Error;

use super::NAME;
use super::link::{Address, Failure, Link, Params};

/// How long a statement may take, with all its repetitions.
const CALL_DEADLINE: Duration = Duration::from_secs(30);
/// The first wait before a lost connection is made anew; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// The waits between attempts to connect: 50 ms, twice as long each time, at most 2 s, each shortened by a random part of a half.
#[derive(Debug, Default)]
pub(super) struct Backoff(u32);

impl Backoff {
    pub(super) async fn wait(&mut self) {
        let full = FIRST_WAIT.saturating_mul(1 << self.0.min(10)).min(LONGEST_WAIT);
        self.0 += 1;
        sleep(full.mul_f64(0.5 + 0.5 * super::values::random_part())).await;
    }
}

/// The connections. Each statement is a transaction of its own, and may be repeated: ids and tokens make that harmless.
pub(super) struct Pool {
    address: Address,
    idle: Mutex<Vec<Link>>,
    room: Semaphore,
}

impl Pool {
    pub(super) fn new(address: Address, connections: usize) -> Pool {
        Pool { address, idle: Mutex::new(Vec::new()), room: Semaphore::new(connections) }
    }

    /// Executes a statement.
    pub(super) async fn query(&self, sql: &'static str, params: &Params<'_>) -> Result<Vec<Row>, Failure> {
        self.query_or_again(sql, params, params).await
    }

    /// Executes a statement, with other parameters if it is repeated because its answer was lost.
    pub(super) async fn query_or_again(
        &self,
        sql: &'static str,
        params: &Params<'_>,
        again: &Params<'_>,
    ) -> Result<Vec<Row>, Failure> {
        let deadline = Instant::now() + CALL_DEADLINE;
        let late = |last: &str| {
            Failure::Final(Error::unavailable(NAME, format_args!("no answer within {CALL_DEADLINE:?}{last}")))
        };
        let mut backoff = Backoff::default();
        let mut params = params;
        let mut last = String::new();
        loop {
            match timeout_at(deadline, self.once(sql, params)).await {
                Err(_) => return Err(late(&last)),
                Ok(Err(Failure::Lost(why) | Failure::Again(why))) => {
                    tracing::debug!(%why, sql, "PostgreSQL: the statement is repeated");
                    last = format!(": {why}");
                    params = again;
                }
                Ok(outcome) => return outcome,
            }
            timeout_at(deadline, backoff.wait()).await.map_err(|_| late(&last))?;
        }
    }

    async fn once(&self, sql: &'static str, params: &Params<'_>) -> Result<Vec<Row>, Failure> {
        let _place = self.room.acquire().await.map_err(|_| Failure::Final(Error::Closed))?;
        let idle = self.idle().pop().filter(Link::is_open);
        let mut link = match idle {
            Some(link) => link,
            None => self.address.open(|_| {}).await?,
        };
        // Dropped in the middle, the connection is closed with its transaction.
        let outcome = link.query(sql, params).await;
        if link.is_open() && !self.room.is_closed() {
            self.idle().push(link);
        }
        outcome
    }

    /// Nothing is executed any more.
    pub(super) fn close(&self) {
        self.room.close();
        self.idle().clear();
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Link>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
