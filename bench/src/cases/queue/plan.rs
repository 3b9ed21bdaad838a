//! What is measured, and for how long.

use std::time::Duration;

use clap::ValueEnum;

/// The parts of the report, each with brokers and a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Part {
    /// Jobs on this machine: the embedded queue, a bare one, BullMQ on Redis
    Embedded,
    /// Messages through RabbitMQ
    Rabbitmq,
    /// Messages through Kafka
    Kafka,
    /// Jobs in PostgreSQL
    Postgres,
}

impl Part {
    pub(super) const ALL: [Self; 4] = [Self::Embedded, Self::Rabbitmq, Self::Kafka, Self::Postgres];

    pub(super) fn measures(self) -> &'static [Measure] {
        match self {
            Self::Embedded | Self::Postgres => &[Measure::Crowd, Measure::Lone],
            Self::Rabbitmq | Self::Kafka => &[Measure::Messages],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Measure {
    /// Jobs, 32 at any time
    Crowd,
    /// Jobs, one after the other
    Lone,
    /// Messages, at most 256 between `send` and the acknowledgement
    Messages,
}

impl Measure {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Crowd => "jobs, 32 at a time",
            Self::Lone => "jobs, one at a time",
            Self::Messages => "messages",
        }
    }

    /// Processes, and jobs or sends at any time in each.
    pub(super) fn clients(self) -> (usize, usize) {
        match self {
            Self::Crowd => (4, 8),
            Self::Lone => (1, 1),
            Self::Messages => (1, 32),
        }
    }
}

/// How often and how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    pub(super) rounds: usize,
    pub(super) warm_up: Duration,
    pub(super) counted: Duration,
}
