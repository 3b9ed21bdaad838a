//! The two processes that `bench ipc` measures, when they are not Node's.
//!
//! ```text
//! phalanx-bench ──▶ pin 0 ──▶ drive CONNECTION MEASURE ──▶ pin 1 ──▶ peer CONNECTION MEASURE
//!        ▲                              │
//!        └── {"figure":…,"messages":…} ─┘
//! ```
//!
//! `pin` starts any program on one core, Node included, so that every rival is pinned in the same way.

mod connections;
mod message;
mod peer;
mod stalled;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use connections::Connection;
use measuring::{Schedule, become_pinned};

#[derive(Parser)]
#[command(name = "phalanx-bench-ipc")]
struct CommandLine {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Starts PROGRAM on one core
    Pin {
        core: usize,
        program: OsString,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Starts the peer on its core, measures, prints one line of JSON
    Drive { connection: Connection, measure: Measure, seconds: f64, warm_up_seconds: f64, peer_core: usize },
    /// The other end
    Peer {
        connection: Connection,
        measure: Measure,
        /// Where to find the driver, for a connection that is not inherited
        meeting_place: Option<String>,
    },
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// Round trips a second of a small message
    PingPong,
    /// Messages of 1 KiB a second, counted where they arrive, decoded
    OneWay,
    /// Payloads of 1 MiB a second, every byte of them read
    Payload,
    /// MiB by which the sender grows while the receiver is stopped
    Unread,
}

impl Measure {
    fn name(self) -> &'static str {
        match self {
            Self::PingPong => "ping-pong",
            Self::OneWay => "one-way",
            Self::Payload => "payload",
            Self::Unread => "unread",
        }
    }

    /// Messages between two looks at the clock.
    fn look_every(self) -> u64 {
        match self {
            Self::PingPong => 64,
            Self::OneWay => 256,
            Self::Payload | Self::Unread => 1,
        }
    }
}

fn main() -> ExitCode {
    let done = match CommandLine::parse().role {
        Role::Pin { core, program, arguments } => become_pinned(core, &program, &arguments),
        Role::Drive { connection, measure, seconds, warm_up_seconds, peer_core } => {
            let schedule = Schedule {
                warm_up: Duration::from_secs_f64(warm_up_seconds),
                counted: Duration::from_secs_f64(seconds),
                look_every: measure.look_every(),
            };
            connection.drive(measure, schedule, peer_core).map(|report| report.print())
        }
        Role::Peer { connection, measure, meeting_place } => connection.answer(measure, meeting_place),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("phalanx-bench-ipc: {failure}");
            ExitCode::FAILURE
        }
    }
}
