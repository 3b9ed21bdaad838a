//! RabbitMQ: the one that `PHALANX_TEST_AMQP` names, or one of our own.

use phalanx_brokers::RabbitMq;
use phalanx_queue::Queue;
use phalanx_queue::conformance::messages::{self, Harness, Power};
use phalanx_queue::conformance::{Report, wait};

struct Rabbit {
    url: String,
}

impl Harness for Rabbit {
    fn connect(&self) -> Queue {
        wait(Queue::connect(&self.url)).unwrap()
    }

    fn has(&self, power: Power) -> bool {
        use Power::{CountsDeliveries, KnowsItsQueues, Mismatch, Order, Shares};
        matches!(power, Order | CountsDeliveries | Shares | KnowsItsQueues | Mismatch)
    }

    /// RabbitMQ tells its channels that a queue is full a moment after it is.
    fn most_over(&self) -> u64 {
        5
    }
}

pub(crate) fn run(part: &str) -> Option<Report> {
    let (_broker, url) = match std::env::var("PHALANX_TEST_AMQP") {
        Ok(url) => (None, url),
        Err(_) => {
            let broker = RabbitMq::start().unwrap()?;
            let url = broker.url();
            (Some(broker), url)
        }
    };
    Some(messages::run("rabbitmq", &Rabbit { url }, part))
}
