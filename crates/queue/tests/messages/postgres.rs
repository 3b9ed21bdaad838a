//! PostgreSQL.

use phalanx_brokers::PostgreSql;
use phalanx_queue::conformance::messages::{Harness, Power, run as run_messages};
use phalanx_queue::conformance::{Report, wait};
use phalanx_queue::{JobId, Queue};

struct Postgres(String);

impl Harness for Postgres {
    fn connect(&self) -> Queue {
        wait(Queue::connect(&self.0)).unwrap()
    }

    fn has(&self, _: Power) -> bool {
        true
    }
}

pub(crate) fn run(part: &str) -> Option<Report> {
    let schema = format!("test_{}", JobId::new().to_string().replace('-', ""));
    if let Ok(url) = std::env::var("PHALANX_TEST_POSTGRES") {
        return Some(run_messages("postgres", &Postgres(format!("{url}?schema={schema}")), part));
    }
    let server = PostgreSql::start().unwrap()?;
    Some(run_messages("postgres", &Postgres(format!("{}?schema={schema}", server.url())), part))
}
