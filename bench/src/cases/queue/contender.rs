//! Who is compared, and how each is started.

use std::process::Command;

use clap::ValueEnum;

use super::plan::{Measure, Part, Schedule};
use super::venue::Venue;
use crate::peers::{
    Absent, built_beside_us, crate_version, node_program, node_script_with_packages, node_version, package_version,
    phalanx_version,
};

pub(super) const PROGRAM: &str = "phalanx-bench-queue";

/// Ours or a rival's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Contender {
    /// Phalanx, jobs on the embedded queue
    PhalanxEmbedded,
    /// An owner process with SQLite and group commit, and nothing else
    BareOwner,
    /// BullMQ on Redis with an fsync for each command
    BullmqAlways,
    /// BullMQ on Redis without a file
    BullmqMemory,
    /// Phalanx, messages on RabbitMQ
    PhalanxAmqp,
    /// lapin by hand
    BareLapin,
    /// amqplib of Node
    Amqplib,
    /// Phalanx, messages on Kafka
    PhalanxKafka,
    /// rdkafka by hand
    BareRdkafka,
    /// Phalanx, jobs on PostgreSQL
    PhalanxPostgres,
    /// `SKIP LOCKED` by hand
    BarePostgres,
    /// BullMQ on PostgreSQL
    BullmqPostgres,
}

impl Contender {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::PhalanxEmbedded => "phalanx, embedded",
            Self::BareOwner => "bare owner + SQLite, group commit",
            Self::BullmqAlways => "BullMQ, Redis, appendfsync always",
            Self::BullmqMemory => "BullMQ, Redis, no file at all",
            Self::PhalanxAmqp => "phalanx, RabbitMQ",
            Self::BareLapin => "bare lapin",
            Self::Amqplib => "amqplib",
            Self::PhalanxKafka => "phalanx, Kafka",
            Self::BareRdkafka => "bare rdkafka",
            Self::PhalanxPostgres => "phalanx, PostgreSQL",
            Self::BarePostgres => "bare SKIP LOCKED",
            Self::BullmqPostgres => "BullMQ, PostgreSQL, results unread",
        }
    }

    pub(super) fn part(self) -> Part {
        match self {
            Self::PhalanxEmbedded | Self::BareOwner | Self::BullmqAlways | Self::BullmqMemory => Part::Embedded,
            Self::PhalanxAmqp | Self::BareLapin | Self::Amqplib => Part::Rabbitmq,
            Self::PhalanxKafka | Self::BareRdkafka => Part::Kafka,
            Self::PhalanxPostgres | Self::BarePostgres | Self::BullmqPostgres => Part::Postgres,
        }
    }

    /// Ours of the same part.
    pub(super) fn ours(part: Part) -> Self {
        match part {
            Part::Embedded => Self::PhalanxEmbedded,
            Part::Rabbitmq => Self::PhalanxAmqp,
            Part::Kafka => Self::PhalanxKafka,
            Part::Postgres => Self::PhalanxPostgres,
        }
    }

    /// Names and versions of what it is made of, but for the broker.
    pub(super) fn versions(self) -> String {
        let of_crate = |name: &str| format!("{name} {}", crate_version(name).unwrap_or_default());
        let of_package =
            |name: &str| format!("{}, {name} {}", node_version(), package_version(name).unwrap_or_default());
        match self {
            Self::PhalanxEmbedded => format!("{}, {}", phalanx_version(), of_crate("rusqlite")),
            Self::PhalanxAmqp => format!("{}, {}", phalanx_version(), of_crate("lapin")),
            Self::PhalanxKafka => format!("{}, {}", phalanx_version(), of_crate("rdkafka")),
            Self::PhalanxPostgres => format!("{}, {}", phalanx_version(), of_crate("tokio-postgres")),
            Self::BareOwner => of_crate("rusqlite"),
            Self::BareLapin => of_crate("lapin"),
            Self::BareRdkafka => of_crate("rdkafka"),
            Self::BarePostgres => of_crate("tokio-postgres"),
            Self::BullmqAlways | Self::BullmqMemory => of_package("bullmq"),
            Self::BullmqPostgres => {
                format!("{}, pg {}", of_package("bullmq"), package_version("pg").unwrap_or_default())
            }
            Self::Amqplib => of_package("amqplib"),
        }
    }

    /// The command that measures it once, in a queue that nobody has used yet.
    pub(super) fn command(self, measure: Measure, venue: &Venue, schedule: Schedule) -> Result<Command, Absent> {
        let mut command = Command::new(built_beside_us(PROGRAM)?);
        let (processes, clients) = measure.clients();
        command.arg("drive").arg(self.word()).arg(&venue.url).arg(&venue.queue);
        command.args([processes, clients].map(|count| count.to_string()));
        command.args([schedule.warm_up, schedule.counted].map(|time| time.as_secs_f64().to_string()));
        if self.is_of_node() {
            command.arg(node_program()?).arg(node_script_with_packages("queue.js")?);
        }
        Ok(command)
    }

    fn is_of_node(self) -> bool {
        matches!(self, Self::BullmqAlways | Self::BullmqMemory | Self::BullmqPostgres | Self::Amqplib)
    }

    /// Its name on the command lines of `phalanx-bench-queue` and `queue.js`.
    fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}
