//! What `bench queue` measures: jobs and messages through a queue, with Phalanx and as one would write it by hand.
//!
//! ```text
//! phalanx-bench ──▶ drive CONTENDER … ──┬──▶ client 1: so many jobs or messages at any time     (this program, or
//!        ▲                │             ├──▶ client 2                                             bench/peers/node/queue.js)
//!        │                │             └──▶ owner: of the bare queue, if that is what is measured
//!        └─{"figure":…}───┘ adds up
//! ```
//!
//! Clients say "ready", begin together at a word, print one line of JSON (`tally.rs`), and go on to work for the others until
//! their input closes.

#![forbid(unsafe_code)]

mod bare;
mod disk;
mod drive;
mod kafka;
mod ours;
mod postgres;
mod rabbitmq;
mod room;
mod tally;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use measuring::{During, Failure};

use tally::Tally;

/// Of each job and each message.
pub(crate) const PAYLOAD_BYTES: usize = 256;
/// Messages between the beginning of `send` and the acknowledgement, at most; also the prefetch.
pub(crate) const IN_FLIGHT: usize = 256;

#[derive(Parser)]
#[command(name = "phalanx-bench-queue")]
struct CommandLine {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Starts the clients, adds up what they found, prints one line of JSON
    Drive(Drive),
    /// One process of clients
    Client(Client),
    /// The owner of the bare queue in a folder, until its standard input closes
    Owner { folder: PathBuf },
    /// Appends and `fdatasync`s in a folder, one after the other
    Disk { folder: PathBuf, seconds: f64 },
}

/// One measurement.
#[derive(Args, Clone, Debug)]
pub(crate) struct Drive {
    pub(crate) contender: Contender,
    /// Where the broker is; for the bare queue, its folder
    pub(crate) url: String,
    /// A name for the queue that nobody has used yet
    pub(crate) name: String,
    /// Processes of clients
    pub(crate) processes: usize,
    /// Jobs or sends at any time in each
    pub(crate) clients: usize,
    pub(crate) warm_up_seconds: f64,
    pub(crate) seconds: f64,
    /// Node and its script, for the contenders that are Node's
    pub(crate) node: Vec<PathBuf>,
}

/// The part of one process.
#[derive(Args, Clone, Debug)]
pub(crate) struct Client {
    pub(crate) contender: Contender,
    pub(crate) url: String,
    pub(crate) name: String,
    pub(crate) clients: usize,
    pub(crate) warm_up_seconds: f64,
    pub(crate) seconds: f64,
}

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Contender {
    /// Phalanx, jobs on the embedded queue
    PhalanxEmbedded,
    /// Phalanx, jobs on PostgreSQL
    PhalanxPostgres,
    /// Phalanx, messages on RabbitMQ
    PhalanxAmqp,
    /// Phalanx, messages on Kafka
    PhalanxKafka,
    /// An owner process with SQLite and group commit, and nothing else
    BareOwner,
    /// `SKIP LOCKED` by hand
    BarePostgres,
    /// lapin by hand
    BareLapin,
    /// rdkafka by hand
    BareRdkafka,
    /// BullMQ on Redis with an fsync for each command
    BullmqAlways,
    /// BullMQ on Redis without a file
    BullmqMemory,
    /// BullMQ on PostgreSQL
    BullmqPostgres,
    /// amqplib of Node
    Amqplib,
}

impl Contender {
    /// Its name on command lines.
    pub(crate) fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

impl Client {
    /// Begins now.
    pub(crate) fn tally(&self) -> Result<Tally, Failure> {
        Tally::begin(Duration::from_secs_f64(self.warm_up_seconds), Duration::from_secs_f64(self.seconds))
    }
}

fn main() -> ExitCode {
    if let Err(error) = ours::init() {
        eprintln!("phalanx-bench-queue: {error}");
        return ExitCode::FAILURE;
    }
    let outcome = match CommandLine::parse().role {
        Role::Drive(measurement) => drive::run(&measurement),
        Role::Client(client) => run_client(&client),
        Role::Owner { folder } => bare::owner::run(&folder),
        Role::Disk { folder, seconds } => disk::run(&folder, Duration::from_secs_f64(seconds)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("phalanx-bench-queue: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run_client(client: &Client) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .during("start the event loop")?;
    match client.contender {
        Contender::BareOwner => bare::client::run(client),
        Contender::BarePostgres => runtime.block_on(postgres::run(client)),
        Contender::BareLapin => runtime.block_on(rabbitmq::run(client)),
        Contender::BareRdkafka => runtime.block_on(kafka::run(client)),
        Contender::PhalanxEmbedded | Contender::PhalanxPostgres => runtime.block_on(ours::jobs(client)),
        Contender::PhalanxAmqp | Contender::PhalanxKafka => runtime.block_on(ours::messages(client)),
        of_node => Err(Failure::new(format!("{} is a program of Node", of_node.word()))),
    }
}
