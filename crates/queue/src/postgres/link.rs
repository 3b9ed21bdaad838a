//! [`Link`]: one connection to the server, with its prepared statements.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Config, Row, Statement};

use crate::Error;

use super::NAME;
use super::schema::Schema;
use super::tls::Tls;

/// How long a connection may take to be there.
pub(super) const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// What the server gives up by itself: just before we do.
const STATEMENT_DEADLINE: Duration = Duration::from_secs(25);

/// Parameters of a statement.
pub(super) type Params<'a> = [&'a (dyn ToSql + Sync)];

/// How to connect.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) tls: Option<Tls>,
    pub(super) schema: Schema,
}

/// A connection. It is closed when this is dropped.
pub(super) struct Link {
    pub(super) client: Client,
    statements: HashMap<&'static str, Statement>,
    driver: JoinHandle<()>,
}

/// Why a statement did not do its work.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection is gone, or the server is: the next one may work.
    Lost(String),
    /// Two transactions wanted the same in a different order: the same again will work.
    Again(String),
    /// The functions of the schema say no: their SQLSTATE and words.
    Said(String, String),
    /// It is no use.
    Final(Error),
}

impl Address {
    /// Connects and sets the connection up. What the server says unasked goes to `hear`: notifications.
    pub(super) async fn open(&self, hear: impl FnMut(&str) + Send + 'static) -> Result<Link, Failure> {
        let opened = tokio::time::timeout(CONNECT_DEADLINE, self.connect(hear)).await;
        opened.map_err(|_| Failure::Lost(format!("no answer within {CONNECT_DEADLINE:?}")))?
    }

    async fn connect(&self, hear: impl FnMut(&str) + Send + 'static) -> Result<Link, Failure> {
        let (client, driver) = match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                (client, tokio::spawn(drive(connection, hear)))
            }
            None => {
                let (client, connection) = self.config.connect(tokio_postgres::NoTls).await?;
                (client, tokio::spawn(drive(connection, hear)))
            }
        };
        let link = Link { client, statements: HashMap::new(), driver };
        // Plans by index always: the tables are queues, and their statistics are old whenever they are made.
        let settings = format!(
            "SET search_path = {}, pg_catalog; SET statement_timeout = {}; SET idle_in_transaction_session_timeout = {}; \
             SET jit = off; SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; \
             SET plan_cache_mode = force_generic_plan; SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; \
             SET tcp_keepalives_count = 3; SET client_min_messages = warning; SET default_transaction_isolation = 'read committed'; \
             SET synchronous_commit = on",
            self.schema.as_str(),
            STATEMENT_DEADLINE.as_millis(),
            STATEMENT_DEADLINE.as_millis(),
        );
        link.client.batch_execute(&settings).await?;
        Ok(link)
    }
}

/// Moves the bytes of a connection until it ends.
async fn drive<S, T>(mut connection: tokio_postgres::Connection<S, T>, mut hear: impl FnMut(&str))
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notification(notification) = message {
            hear(notification.payload());
        }
    }
}

impl Link {
    /// Whether it can still be used.
    pub(super) fn is_open(&self) -> bool {
        !self.client.is_closed()
    }

    /// Executes a statement, which is prepared the first time.
    pub(super) async fn query(&mut self, sql: &'static str, params: &Params<'_>) -> Result<Vec<Row>, Failure> {
        let statement = match self.statements.get(sql) {
            Some(statement) => statement,
            None => {
                let prepared = self.client.prepare(sql).await?;
                self.statements.entry(sql).or_insert(prepared)
            }
        };
        Ok(self.client.query(statement, params).await?)
    }

    /// Until the connection ends.
    pub(super) async fn ended(&mut self) {
        let _ = (&mut self.driver).await;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Failure {
        let Some(said) = error.as_db_error() else {
            let mut reason = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                reason = format!("{reason}: {cause}");
                source = cause.source();
            }
            return Failure::Lost(reason);
        };
        let (code, message) = (said.code().code(), said.message().to_owned());
        match &code[..2.min(code.len())] {
            "PX" => Failure::Said(code.to_owned(), message),
            // Serialisation, deadlock.
            "40" => Failure::Again(message),
            // Connection, resources, operator (restart, timeout), read-only (a standby that is about to be promoted).
            "08" | "53" | "57" | "25" => Failure::Lost(message),
            _ => {
                let hint = said.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
                let place = said.where_().map(|place| format!(" at {place}")).unwrap_or_default();
                Failure::Final(Error::Refused {
                    broker: NAME.to_owned(),
                    reason: format!("{message}{hint}{place} [{code}]"),
                })
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Lost(reason) | Failure::Again(reason) | Failure::Said(_, reason) => f.write_str(reason),
            Failure::Final(error) => error.fmt(f),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::Final(error) => error,
            Failure::Said(code, _) if code == "PX003" => Error::NoSuchQueue { queue: String::new() },
            other => Error::unavailable(NAME, other),
        }
    }
}
