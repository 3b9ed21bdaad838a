//! PostgreSQL: the suite, and what it promises beyond it.

pub(crate) mod faults;
pub(crate) mod programs;

use phalanx_brokers::PostgreSql;
use phalanx_queue::conformance::jobs::{Harness, run as run_jobs};
use phalanx_queue::conformance::{Report, wait};
use phalanx_queue::{JobId, Queue};

/// Where the server is that is given to us, if one is.
const GIVEN: &str = "PHALANX_TEST_POSTGRES";

/// A server, and a schema of it that nobody else has.
pub(crate) struct Postgres {
    url: String,
    _server: Option<PostgreSql>,
}

impl Postgres {
    /// The one that is given to us, or one of our own.
    pub(crate) fn any() -> Option<Postgres> {
        let schema = format!("test_{}", JobId::new().to_string().replace('-', ""));
        if let Ok(url) = std::env::var(GIVEN) {
            return Some(Postgres { url: format!("{url}?schema={schema}"), _server: None });
        }
        let Some(server) = PostgreSql::start().unwrap() else {
            assert!(std::env::var_os("CI").is_none(), "PostgreSQL is not installed");
            return None;
        };
        Some(Postgres { url: format!("{}?schema={schema}", server.url()), _server: Some(server) })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Harness for Postgres {
    fn connect(&self) -> Queue {
        wait(Queue::connect(&self.url)).unwrap()
    }
}

pub(crate) fn run(part: &str) -> Option<Report> {
    Some(run_jobs("postgres", &Postgres::any()?, part))
}
