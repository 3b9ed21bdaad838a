//! What `bench task` measures, when it is not Node's: tasks on threads and in job processes, one at a time and many, small
//! and large, and how soon a fresh process gives its first result.
//!
//! ```text
//! phalanx-bench ──▶ drive RIVAL MEASURE … ──▶ job processes: this program again, by the pool's own means
//!        ▲                    │
//!        └── {"figure":…} ────┘
//! ```
//!
//! The Node rivals take the same words (`bench/peers/node/task.js`).

#![forbid(unsafe_code)]

mod children;
mod crash;
mod crowd;
mod figures;
mod lone;
mod ours;
mod procspawn;
mod rival;
mod start;
mod tasks;
mod window;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use measuring::{During, Failure};
use phalanx_task::{init_with, tasks};

use figures::Figures;
use rival::{Measure, Rival};

#[derive(Parser)]
#[command(name = "phalanx-bench-task")]
struct CommandLine {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Measures, prints one line of JSON
    Drive {
        rival: Rival,
        measure: Measure,
        seconds: f64,
        warm_up_seconds: f64,
        own_core: usize,
        peer_core: usize,
        /// What `photo` shrinks
        photo: Option<PathBuf>,
    },
}

/// One measurement.
#[derive(Clone, Debug)]
pub(crate) struct Measurement {
    pub(crate) rival: Rival,
    pub(crate) measure: Measure,
    pub(crate) warm_up: Duration,
    pub(crate) counted: Duration,
    pub(crate) own_core: usize,
    pub(crate) peer_core: usize,
    pub(crate) photo: Option<PathBuf>,
}

fn main() -> ExitCode {
    // Job processes go no further than the one or the other.
    if let Err(error) = init_with(tasks![tasks::Echo, tasks::EchoBytes, tasks::Shrink]) {
        eprintln!("phalanx-bench-task: {error}");
        return ExitCode::FAILURE;
    }
    ::procspawn::init();
    let Role::Drive { rival, measure, seconds, warm_up_seconds, own_core, peer_core, photo } =
        CommandLine::parse().role;
    let measurement = Measurement {
        rival,
        measure,
        warm_up: Duration::from_secs_f64(warm_up_seconds),
        counted: Duration::from_secs_f64(seconds),
        own_core,
        peer_core,
        photo,
    };
    match drive(&measurement) {
        Ok(figures) => {
            figures.print();
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("phalanx-bench-task: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// From an event loop of one thread, as a worker of a cluster would.
fn drive(measurement: &Measurement) -> Result<Figures, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().during("start the event loop")?;
    runtime.block_on(async {
        match measurement.rival {
            Rival::Procspawn => procspawn::drive(measurement).await,
            _ => ours::drive(measurement).await,
        }
    })
}
