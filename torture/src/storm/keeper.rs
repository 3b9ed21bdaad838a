//! [`Keeper`]: who keeps the queue, to be killed, started again, cut off.

use std::path::{Path, PathBuf};
use std::process::Command;

use phalanx_brokers::{Kafka, PostgreSql, RabbitMq};

use crate::system;

/// Which one is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Which {
    /// The embedded queue.
    Embedded,
    /// PostgreSQL.
    Postgres,
    /// RabbitMQ, without a state store.
    Rabbitmq,
    /// Kafka, without a state store.
    Kafka,
    /// RabbitMQ with PostgreSQL beside it.
    RabbitmqPostgres,
}

/// The keeper of a run.
pub(crate) enum Keeper {
    Embedded { folder: PathBuf },
    Postgres(PostgreSql),
    Rabbitmq(RabbitMq),
    Kafka(Kafka),
    RabbitmqPostgres(RabbitMq, PostgreSql),
}

impl Keeper {
    /// Starts it; `None` if it is not installed.
    pub(crate) fn start(which: Which, folder: &Path) -> Result<Option<Keeper>, String> {
        Ok(match which {
            Which::Embedded => Some(Keeper::Embedded { folder: folder.join("queue") }),
            Which::Postgres => PostgreSql::start()?.map(Keeper::Postgres),
            Which::Rabbitmq => RabbitMq::start()?.map(Keeper::Rabbitmq),
            Which::Kafka => Kafka::start()?.map(Keeper::Kafka),
            Which::RabbitmqPostgres => match (RabbitMq::start()?, PostgreSql::start()?) {
                (Some(rabbit), Some(postgres)) => Some(Keeper::RabbitmqPostgres(rabbit, postgres)),
                _ => None,
            },
        })
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Keeper::Embedded { folder } => format!("embedded:{}", folder.display()),
            Keeper::Postgres(postgres) => postgres.url(),
            Keeper::Rabbitmq(rabbit) => rabbit.url(),
            Keeper::Kafka(kafka) => kafka.url(),
            Keeper::RabbitmqPostgres(rabbit, postgres) => format!("{}?state={}", rabbit.url(), postgres.url()),
        }
    }

    /// Whether it keeps the state of jobs: results can be asked for at the end.
    pub(crate) fn keeps_state(&self) -> bool {
        !matches!(self, Keeper::Rabbitmq(_) | Keeper::Kafka(_))
    }

    /// Whether it takes seconds to come back.
    pub(crate) fn is_slow(&self) -> bool {
        !matches!(self, Keeper::Embedded { .. })
    }

    /// Whether it is spoken to over the network.
    pub(crate) fn is_remote(&self) -> bool {
        !matches!(self, Keeper::Embedded { .. })
    }

    /// SIGKILL. A broker is started again at once; an owner is for its clients to start.
    pub(crate) fn kill(&mut self, coin: bool) -> Result<(), String> {
        match self {
            Keeper::Embedded { folder } => {
                // Between two owners there is none to kill.
                if let Some(pid) = owner(folder) {
                    system::send(pid, rustix::process::Signal::KILL);
                }
                Ok(())
            }
            Keeper::Postgres(postgres) => postgres.kill_hard().and_then(|()| postgres.restart()),
            Keeper::Rabbitmq(rabbit) => rabbit.kill_hard().and_then(|()| rabbit.restart()),
            Keeper::Kafka(kafka) => kafka.kill_hard().and_then(|()| kafka.restart()),
            Keeper::RabbitmqPostgres(rabbit, _) if coin => rabbit.kill_hard().and_then(|()| rabbit.restart()),
            Keeper::RabbitmqPostgres(_, postgres) => postgres.kill_hard().and_then(|()| postgres.restart()),
        }
    }

    /// Says nothing any more, as behind a cut network, or speaks again.
    pub(crate) fn hush(&self, silent: bool) -> Result<(), String> {
        match (self, silent) {
            (Keeper::Embedded { .. }, _) => Ok(()),
            (Keeper::Postgres(postgres) | Keeper::RabbitmqPostgres(_, postgres), true) => postgres.freeze(),
            (Keeper::Postgres(postgres) | Keeper::RabbitmqPostgres(_, postgres), false) => postgres.thaw(),
            (Keeper::Rabbitmq(rabbit), true) => rabbit.freeze(),
            (Keeper::Rabbitmq(rabbit), false) => rabbit.thaw(),
            (Keeper::Kafka(kafka), true) => kafka.freeze(),
            (Keeper::Kafka(kafka), false) => kafka.thaw(),
        }
    }
}

/// The process that holds the lock of the folder.
fn owner(folder: &Path) -> Option<u32> {
    let pid = std::fs::read_to_string(folder.join("lock")).ok()?.trim().parse().ok()?;
    system::lives(pid).then_some(pid)
}

/// The loopback device of this process's own network namespace, up or down: a cut in which packets are dropped. Only where
/// [`own_network`] said so.
pub(crate) fn loopback(up: bool) -> Result<(), String> {
    let state = if up { "up" } else { "down" };
    let told = Command::new("ip").args(["link", "set", "lo", state]).status();
    match told {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("ip link set lo {state} ended with {status}")),
        Err(error) => Err(format!("ip cannot be started: {error}")),
    }
}

/// Whether this process has a network namespace of its own: whoever started it says so, having made one.
pub(crate) fn own_network() -> bool {
    std::env::var_os(OWN_NETWORK).is_some()
}

/// Set by ourselves when we start ourselves again under `unshare --net`.
pub(crate) const OWN_NETWORK: &str = "PHALANX_STORM_OWN_NETWORK";
