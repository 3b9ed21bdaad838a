//! The parent that `bench spawn` measures, when it is not Node: it starts `/bin/true` again and again and waits for it.
//!
//! `phalanx-bench-spawn WAY MEASURE SECONDS RESIDENT_MEBIBYTES` prints one line of JSON: `{"figure":…,"p50":…,"p99":…}`.
//! The Node rival takes the same words (`bench/peers/node/spawn.js`).

mod awaited;
mod blocking;
mod pauses;

use std::error::Error;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};

use pauses::Pauses;

pub(crate) const PROGRAM: &str = "/bin/true";

pub(crate) type AnyError = Box<dyn Error + Send + Sync>;

#[derive(Parser)]
#[command(name = "phalanx-bench-spawn")]
struct CommandLine {
    way: Way,
    measure: Measure,
    seconds: f64,
    resident_mebibytes: usize,
}

/// What starts the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Way {
    /// `phalanx_process::Command`, awaited
    Phalanx,
    /// `phalanx_process::blocking`
    PhalanxBlocking,
    /// `std::process::Command`
    Std,
    /// `tokio::process::Command`
    Tokio,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// Programs a second, one after the other
    One,
    /// Programs a second, eight at once
    Eight,
    /// Programs a second, one after the other, and how long the event loop stands still meanwhile
    Pause,
}

impl Measure {
    pub(crate) fn at_once(self) -> usize {
        if self == Self::Eight { 8 } else { 1 }
    }
}

/// What came out.
pub(crate) struct Figures {
    pub(crate) spawned: u64,
    pub(crate) elapsed: Duration,
    pub(crate) pauses: Pauses,
}

fn main() -> Result<(), AnyError> {
    phalanx::init()?;
    let line = CommandLine::parse();
    // Written to, and so resident, for as long as this program runs.
    let resident = vec![1u8; line.resident_mebibytes << 20];
    let until = Instant::now() + Duration::from_secs_f64(line.seconds);
    let figures = match line.way {
        Way::Phalanx => awaited::run(line.measure, until, awaited::by_phalanx)?,
        Way::Tokio => awaited::run(line.measure, until, awaited::by_tokio)?,
        Way::PhalanxBlocking => blocking::run(line.measure.at_once(), until, blocking::by_phalanx)?,
        Way::Std => blocking::run(line.measure.at_once(), until, blocking::by_std)?,
    };
    std::hint::black_box(&resident);
    let per_second = figures.spawned as f64 / figures.elapsed.as_secs_f64();
    let [p50, p99] = [0.5, 0.99].map(|share| figures.pauses.microseconds_at(share));
    println!("{}", serde_json::json!({ "figure": per_second, "p50": p50, "p99": p99 }));
    Ok(())
}
