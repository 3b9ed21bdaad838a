//! PostgreSQL (13 or later) as the queue itself, or as the store of state beside a broker: the whole job model, and messages.
//!
//! ```text
//!   callers ──► batches ──► pool: some connections ──► functions of the schema (sql/): claim, finish, …
//!      ▲                                                    │ one transaction each; SKIP LOCKED, tokens, counters
//!      └── bells, watching ◄── session: LISTEN ◄── NOTIFY ──┘        sweep: what time does
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `sql/` | tables and functions; each call of ours is one function, one transaction |
//! | `schema` | making them, and their version |
//! | `link`, `tls`, `pool` | connections; statements are repeated when theirs is lost |
//! | `session` | the connection that listens; its advisory lock says that the handle lives, so leases of a killed program come back within about a second |
//! | `bells`, `watching` | who waits for work, for ends, for changes |
//! | `batch` | many calls, one statement, one commit |
//! | `submit`, `run`, `sweep`, `store` | jobs |
//! | `broker`, `consumer` | messages |
//! | `announced`, `bounding` | jobs here, their ids through a broker |
//!
//! Moments are the server's: clocks of clients may be wrong. The connections keep session state (`LISTEN`, advisory locks, settings), so a
//! pooler in between has to be in session mode.
//!
//! Settings in the URL: `schema` (default `phalanx`), `connections` (default 4, besides the one that listens), `sslmode`
//! (`disable`, the default, or `require`: encrypted, with the server's certificate checked), `sslrootcert=FILE`; and what libpq
//! understands of `application_name`, `options`, `target_session_attrs`.

#[cfg(any(feature = "amqp", feature = "kafka"))]
mod announced;
mod batch;
mod bells;
#[cfg(any(feature = "amqp", feature = "kafka"))]
mod bounding;
mod broker;
mod consumer;
mod handle;
mod link;
mod pool;
mod run;
mod schema;
mod session;
mod store;
mod submit;
mod sweep;
mod tls;
mod values;
mod watching;

use std::str::FromStr;
use std::sync::Arc;

use tokio_postgres::config::SslMode;

use crate::blobs::BlobStore;
use crate::io::Io;
use crate::queue::Backend;
use crate::url::{Place, QueueUrl, without_password};
use crate::{Error, UnixMillis};

#[cfg(any(feature = "amqp", feature = "kafka"))]
pub(crate) use announced::beside;
use broker::PostgresBroker;
use handle::Handle;
use link::Address;
use pool::Pool;
use schema::Schema;
use store::Store;
use tls::Tls;

/// For messages to people.
const NAME: &str = "PostgreSQL";
/// Where the tables are, unless the URL says otherwise.
const DEFAULT_SCHEMA: &str = "phalanx";
/// Connections for statements.
const CONNECTIONS: usize = 4;
/// More bring nothing but load.
const MOST_CONNECTIONS: usize = 64;

/// Connects.
pub(crate) async fn connect(url: &QueueUrl) -> Result<Backend, Error> {
    let Place::Postgres(address) = &url.place else {
        return Err(bad(url, "it is not one of PostgreSQL"));
    };
    let settings = Settings::read(address, &url.settings).map_err(|reason| bad(url, &reason))?;
    let blobs = crate::blobs::of(url, None)?;
    settings.open(UnixMillis::now, blobs).await
}

fn bad(url: &QueueUrl, reason: &str) -> Error {
    Error::BadUrl { url: format!("{url:?}"), reason: reason.to_owned() }
}

/// What a URL says.
struct Settings {
    address: Address,
    connections: usize,
}

impl Settings {
    fn read(address: &str, settings: &[(String, String)]) -> Result<Settings, String> {
        let mut config = tokio_postgres::Config::from_str(address)
            .map_err(|error| format!("{}: {error}", without_password(address)))?;
        config.application_name("phalanx").connect_timeout(link::CONNECT_DEADLINE);
        config.keepalives_idle(std::time::Duration::from_secs(10));
        let (mut schema, mut connections) = (Schema::new(DEFAULT_SCHEMA)?, CONNECTIONS);
        let (mut encrypted, mut authority) = (false, None);
        for (name, value) in settings {
            match (name.as_str(), value.as_str()) {
                ("schema", name) => schema = Schema::new(name)?,
                ("connections", number) => {
                    let is_good = |number: &usize| (1..=MOST_CONNECTIONS).contains(number);
                    connections = number
                        .parse()
                        .ok()
                        .filter(is_good)
                        .ok_or_else(|| format!("connections is a number from 1 to {MOST_CONNECTIONS}"))?;
                }
                ("sslmode", "disable") => encrypted = false,
                ("sslmode", "require" | "verify-ca" | "verify-full") => encrypted = true,
                ("sslmode", _) => return Err("sslmode is disable or require".to_owned()),
                ("sslrootcert", file) => authority = Some(file),
                ("application_name", name) => {
                    config.application_name(name);
                }
                ("user", user) => {
                    config.user(user);
                }
                ("password", password) => {
                    config.password(password);
                }
                ("dbname", database) => {
                    config.dbname(database);
                }
                _ => return Err(format!("it has an unknown setting: {name}")),
            }
        }
        config.ssl_mode(if encrypted { SslMode::Require } else { SslMode::Disable });
        let tls = if encrypted { Some(Tls::new(authority)?) } else { None };
        Ok(Settings { address: Address { config, tls, schema }, connections })
    }

    async fn open(self, clock: fn() -> UnixMillis, blobs: Option<Arc<dyn BlobStore>>) -> Result<Backend, Error> {
        let (store, broker) = self.parts(clock).await?;
        Ok(Backend { broker: Arc::new(broker), store: Arc::new(store), blobs })
    }

    async fn parts(self, clock: fn() -> UnixMillis) -> Result<(Store, PostgresBroker), Error> {
        let io = Arc::new(Io::start("phalanx-pg")?);
        let handle = Arc::new(Handle::new(Pool::new(self.address, self.connections), clock));
        let opened = handle.clone();
        let listening = io.run(async move { session::open(&opened).await.map_err(Error::from) }).await?;
        let runtime = io.handle();
        runtime.spawn(session::keep(handle.clone(), listening));
        runtime.spawn(watching::tell_ends(handle.clone()));
        runtime.spawn(watching::tell_changes(handle.clone()));
        runtime.spawn(sweep::keep_sweeping(handle.clone()));
        Ok((Store::new(handle.clone(), io.clone()), PostgresBroker::new(handle, io)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::job::{Claim, JobStore, NewJob, Submitted, Work};
    use crate::{JobId, QueueName};

    /// An hour ahead of the server's.
    fn fast_clock() -> UnixMillis {
        UnixMillis::now().after(Duration::from_secs(3600))
    }

    #[tokio::test]
    async fn a_client_whose_clock_is_wrong_waits_and_expires_by_the_clock_of_the_server() {
        let given = std::env::var("PHALANX_TEST_POSTGRES").ok();
        let own = if given.is_none() { phalanx_brokers::PostgreSql::start().unwrap() } else { None };
        let Some(url) = given.or(own.as_ref().map(|server| server.url())) else {
            return println!("skipped without PostgreSQL");
        };
        let schema = ("schema".to_owned(), format!("test_{}", JobId::new().to_string().replace('-', "")));
        let (store, _) = Settings::read(&url, &[schema]).unwrap().parts(fast_clock).await.unwrap();
        let queue = QueueName::new("clocks").unwrap();
        let soon = NewJob {
            not_before: fast_clock().after(Duration::from_millis(200)),
            deadline: Some(fast_clock().after(Duration::from_secs(60))),
            ..NewJob::new(queue.clone(), "kind", Vec::new())
        };
        let id = soon.id;
        assert_eq!(store.submit(vec![Work::Job(soon)]).await.unwrap(), [Ok(Submitted::Taken(id))]);
        let claim = Claim {
            runner: JobId::new(),
            name: "test".to_owned(),
            queues: vec![queue],
            kinds: vec!["kind".to_owned()],
            most: 1,
            wait: Duration::from_secs(30),
        };
        let lease = store.claim(claim).await.unwrap().remove(0);
        let left = lease.deadline.unwrap().since(fast_clock());
        assert!(left > Duration::from_secs(20) && left <= Duration::from_secs(60), "{left:?}");
        store.close().await;
    }

    #[test]
    fn a_url_with_an_unknown_setting_is_refused() {
        let read = |name: &str, value: &str| Settings::read("postgres://h/d", &[(name.to_owned(), value.to_owned())]);
        assert!(read("schema", "other").is_ok() && read("connections", "8").is_ok());
        for (name, value) in [("shema", "x"), ("schema", "X;"), ("connections", "0"), ("sslmode", "prefer")] {
            assert!(read(name, value).is_err(), "{name}={value}");
        }
    }
}
