//! Real brokers for tests and benches: RabbitMQ, Kafka, PostgreSQL and Redis, as they are installed on this machine, each
//! on ports of its own of 127.0.0.1 and with its files in a folder of its own.
//!
//! ```text
//! your program ──▶ Running: start · wait until it answers · kill · restart
//!      │                │
//!      │ life-line      ▼
//!      ▼            rabbitmq-server │ java kafka.Kafka │ postgres │ redis-server      (one process group)
//!   guardian ─── ends the group, removes the folder: when your program is gone, however it went
//! ```
//!
//! ```no_run
//! use phalanx_brokers::RabbitMq;
//!
//! let Some(mut rabbit) = RabbitMq::start()? else {
//!     println!("skipped without RabbitMQ");
//!     return Ok(());
//! };
//! println!("{}", rabbit.url());
//! rabbit.kill_hard()?; // as a power cut would, but for the disk's cache
//! rabbit.restart()?; // on the same port, with the same data
//! # Ok::<(), String>(())
//! ```
//!
//! `start` returns when the broker answers in its own protocol; until then RabbitMQ takes 3 to 5 s, Kafka 5 to 7 s (8 s
//! with passwords; once for each target folder, Maven fetches 43 MB of jars before), PostgreSQL 1 s, Redis 50 ms, on
//! two idle cores. Never used: services that the system itself has started, their ports, their data.
//!
//! Ports lie below those that the kernel gives to outgoing connections, so that no client takes the port of a broker that is
//! about to be restarted. A frozen broker ([`RabbitMq::freeze`]) holds its connections and says nothing, as behind a
//! network that is cut.

#![forbid(unsafe_code)]

mod certificates;
mod guard;
mod jars;
mod kafka;
mod port;
mod postgres;
mod probe;
mod processes;
mod programs;
mod rabbitmq;
mod redis;
mod running;

pub use kafka::{Kafka, KafkaBuilder};
pub use postgres::{PostgreSql, PostgreSqlBuilder};
pub use rabbitmq::{RabbitMq, RabbitMqBuilder};
pub use redis::{Durability, Redis};
