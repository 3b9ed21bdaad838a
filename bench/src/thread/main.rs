//! What `bench thread` measures, when it is not Node's: a pool, worker threads, ports, shared words and a ring.
//!
//! ```text
//! phalanx-bench ──▶ drive RIVAL MEASURE … ──▶ (a thread of its own, or `peer RIVAL MEASURE …`: another process)
//!        ▲                    │
//!        └── {"figure":…} ────┘
//! ```
//!
//! Each thread keeps itself on its core; Node's threads ask `pin-thread` to do it for them. The Node rivals take the same
//! words (`bench/peers/node/thread.js`).

mod cores;
mod figures;
mod peer;
mod pool;
mod port;
mod resident;
mod ring;
mod rival;
mod words;
mod worker;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use measuring::{Failure, stay_on_with};

use cores::Cores;
use figures::Figures;
use rival::{Measure, Rival};

#[derive(Parser)]
#[command(name = "phalanx-bench-thread")]
struct CommandLine {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Keeps a thread of another process on one core
    PinThread { core: usize, thread: i32 },
    /// Measures, prints one line of JSON
    Drive {
        rival: Rival,
        measure: Measure,
        seconds: f64,
        warm_up_seconds: f64,
        /// Workers that `worker-cycles` creates and ends
        cycles: u32,
        own_core: usize,
        peer_core: usize,
    },
    /// The other process
    Peer {
        rival: Rival,
        measure: Measure,
        own_core: usize,
        peer_core: usize,
        /// Where to find the driver, for a connection that is not inherited
        meeting_place: Option<String>,
    },
}

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    pub(crate) rival: Rival,
    pub(crate) measure: Measure,
    pub(crate) warm_up: Duration,
    pub(crate) counted: Duration,
    pub(crate) cycles: u32,
    pub(crate) cores: Cores,
}

fn main() -> ExitCode {
    let done = match CommandLine::parse().role {
        Role::PinThread { core, thread } => match rustix::process::Pid::from_raw(thread) {
            Some(thread) => stay_on_with(thread, core),
            None => Err(Failure::new(format!("{thread} is no thread"))),
        },
        Role::Drive { rival, measure, seconds, warm_up_seconds, cycles, own_core, peer_core } => drive(Task {
            rival,
            measure,
            warm_up: Duration::from_secs_f64(warm_up_seconds),
            counted: Duration::from_secs_f64(seconds),
            cycles,
            cores: Cores { own: own_core, peer: peer_core },
        })
        .map(|figures| figures.print()),
        Role::Peer { rival, measure, own_core, peer_core, meeting_place } => {
            answer(rival, measure, Cores { own: own_core, peer: peer_core }, meeting_place.as_deref())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("phalanx-bench-thread: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn drive(task: Task) -> Result<Figures, Failure> {
    task.cores.hide_what_nobody_uses()?;
    match task.measure {
        Measure::PoolLone | Measure::PoolCrowd => pool::drive(task),
        Measure::WorkerStart | Measure::WorkerMemory | Measure::WorkerCycles => worker::drive(task),
        Measure::PortValue | Measure::PortEight | Measure::PortMebibyte => port::drive(task),
        Measure::Add | Measure::Wait | Measure::Spin => words::drive(task),
        Measure::Ring => ring::drive(task),
    }
}

fn answer(rival: Rival, measure: Measure, cores: Cores, meeting_place: Option<&str>) -> Result<(), Failure> {
    cores.hide_what_nobody_uses()?;
    match measure {
        Measure::Add | Measure::Wait | Measure::Spin => words::answer(rival, measure, cores),
        Measure::Ring => ring::answer(rival, cores, meeting_place),
        _ => Err(Failure::new(format!("{} needs no other process", measure.word()))),
    }
}
