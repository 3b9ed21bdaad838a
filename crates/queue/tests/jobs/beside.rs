//! PostgreSQL beside a broker: the rows there, the ids here.

use phalanx_queue::Queue;
use phalanx_queue::conformance::jobs::{Harness, run as run_jobs};
use phalanx_queue::conformance::{Report, wait};

use crate::postgres::Postgres;

struct Beside(String);

impl Harness for Beside {
    fn connect(&self) -> Queue {
        wait(Queue::connect(&self.0)).unwrap()
    }
}

fn run_with(name: &str, url: &str, part: &str) -> Option<Report> {
    let state = Postgres::any()?;
    let harness = Beside(format!("{url}?state={}", state.url()));
    Some(run_jobs(name, &harness, part))
}

#[cfg(feature = "amqp")]
pub(crate) fn rabbitmq(part: &str) -> Option<Report> {
    if let Ok(url) = std::env::var("PHALANX_TEST_AMQP") {
        return run_with("rabbitmq+postgres", &url, part);
    }
    let broker = phalanx_brokers::RabbitMq::start().unwrap()?;
    run_with("rabbitmq+postgres", &broker.url(), part)
}

#[cfg(feature = "kafka")]
pub(crate) fn kafka(part: &str) -> Option<Report> {
    if let Ok(url) = std::env::var("PHALANX_TEST_KAFKA") {
        return run_with("kafka+postgres", &url, part);
    }
    let broker = phalanx_brokers::Kafka::start().unwrap()?;
    run_with("kafka+postgres", &broker.url(), part)
}
