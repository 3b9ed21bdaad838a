//! A day of a server in minutes: clients with every kind of request, good and bad, while its processes are killed, reloaded, upgraded
//! and scaled; and a look at the memory of each of them every second.
//!
//! ```text
//!  timetable (seed) ── blows ──► primary ─┬─ front    ◄── status ── census: each process, each second ──► record (CSV) ──► verdict
//!                                         ├─ queue                                                            │
//!  clients (seed) ──── deeds ──►          ├─ worker 0   left alone, so that it grows old                      └──► `xtask` draws it
//!     │                                   └─ worker 1   killed again and again
//!     └── tally: right · refused · excused by a kill · FAILED
//! ```
//!
//! `cargo xtask soak --help`

#![forbid(unsafe_code)]

mod blow;
mod census;
mod client;
mod course;
mod deed;
mod exchange;
mod food;
mod gate;
mod hostile;
#[path = "../oracle/outcome.rs"]
#[allow(dead_code)] // The clusters' torturer uses the rest.
mod outcome;
#[path = "../random.rs"]
mod random;
mod record;
mod server;
#[path = "../system.rs"]
#[allow(dead_code)] // The clusters' torturer uses the rest.
mod system;
mod tally;
mod timetable;
mod trend;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;

use course::Course;

/// A day of a server in minutes: every kind of request, crashes, reloads and bad inputs; fails if memory is not flat
#[derive(Parser)]
#[command(name = "cargo xtask soak", bin_name = "cargo xtask soak", version)]
struct CommandLine {
    /// How long, in minutes
    #[arg(long, default_value_t = 20.0)]
    minutes: f64,
    /// Repeats the random choices of an earlier run
    #[arg(long)]
    seed: Option<u64>,
    /// The program under test, `phalanx` [default: the one beside this program]
    #[arg(long, value_name = "PATH")]
    subject: Option<PathBuf>,
    /// Folder of photos [default: PHALANX_PHOTOS, or shared/photos beside the repository, or made pictures]
    #[arg(long, value_name = "FOLDER")]
    photos: Option<PathBuf>,
    /// Clients at a time
    #[arg(long, default_value_t = 5)]
    clients: usize,
    /// Where soak.csv and the server's log go
    #[arg(long, value_name = "FOLDER", default_value = "target/soak")]
    output: PathBuf,
}

fn main() -> ExitCode {
    match soak(&CommandLine::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(words) => {
            eprintln!("soak: {words}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all was as promised.
fn soak(line: &CommandLine) -> Result<bool, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    let seed = line.seed.unwrap_or(now % 1_000_000_000);
    let subject = match &line.subject {
        Some(subject) => subject.clone(),
        None => std::env::current_exe().map_err(|error| error.to_string())?.with_file_name("phalanx"),
    };
    if !subject.is_file() {
        return Err(format!("{} is no program; `cargo xtask soak` builds it", subject.display()));
    }
    std::fs::create_dir_all(&line.output).map_err(|error| format!("{}: {error}", line.output.display()))?;
    let lasts = Duration::from_secs_f64(line.minutes.max(0.3) * 60.0);
    println!("seed {seed}, {:.0} s", lasts.as_secs_f64());
    let course = Course {
        seed,
        lasts,
        subject,
        photos: line.photos.clone(),
        clients: line.clients.max(1),
        output: line.output.clone(),
    };
    let end = course.run()?;
    print!("{end}");
    println!("seed {seed}");
    Ok(end.is_kept())
}
