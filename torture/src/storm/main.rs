//! A storm over a queue: producers, workers and the keeper of the queue are killed, stopped and cut off at random while they work, and
//! then every confirmed job is asked for.
//!
//! ```text
//!  arbiter ── blows (seed) ──►  producers ──► queue ──► workers ──► each run leaves a line in a file
//!     ▲                            │            │                          │
//!     └── offered, confirmed, ended┘            └── state at the end       └── runs
//!                    verdict: 0 confirmed lost · each result recorded once · repeats counted
//! ```
//!
//! `cargo xtask storm --help`

#![forbid(unsafe_code)]

mod arbiter;
mod keeper;
mod ledger;
mod part;
mod producer;
#[path = "../random.rs"]
mod random;
#[path = "../system.rs"]
#[allow(dead_code)] // The clusters' torturer uses the rest.
mod system;
mod task;
mod verdict;
mod weather;
mod worker;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Parser, ValueEnum};

use keeper::Which;
use worker::Place;

/// Kills producers, workers and brokers at random, and asks for every confirmed job
#[derive(Parser)]
#[command(name = "cargo xtask storm", bin_name = "cargo xtask storm", version)]
struct CommandLine {
    /// Who keeps the queue; all of them, if none is named
    #[arg(value_enum)]
    keepers: Vec<Which>,
    /// Repeats the random choices of an earlier run
    #[arg(long)]
    seed: Option<u64>,
    /// Length of each storm, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// What a part is told by the arbiter
    #[arg(long, hide = true, value_enum)]
    role: Option<Role>,
    #[arg(long, hide = true, default_value = "")]
    url: String,
    #[arg(long, hide = true, default_value_t = 0)]
    first: u64,
    #[arg(long, hide = true)]
    runs: Option<PathBuf>,
    #[arg(long, hide = true, value_enum, default_value_t = Place::Threads)]
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    Producer,
    Worker,
}

fn main() -> ExitCode {
    if let Err(error) = phalanx_queue::init_with(phalanx_task::tasks![task::Mark]) {
        eprintln!("storm: {error}");
        return ExitCode::FAILURE;
    }
    let line = CommandLine::parse();
    let outcome = match line.role {
        Some(role) => play(role, line).map(|()| true),
        None => storms(&line),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(words) => {
            eprintln!("storm: {words}");
            ExitCode::FAILURE
        }
    }
}

fn play(role: Role, line: CommandLine) -> Result<(), String> {
    part::obey_the_arbiter();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        match role {
            Role::Producer => {
                let (url, first, runs) = (line.url, line.first, line.runs.unwrap_or_default());
                producer::produce(producer::Orders { url, first, runs, seed: line.seed.unwrap_or_default() }).await
            }
            Role::Worker => worker::work(&line.url, line.place).await,
        }
    })
}

/// Whether every promise was kept.
fn storms(line: &CommandLine) -> Result<bool, String> {
    if let Some(kept) = in_own_network()? {
        return Ok(kept);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    let seed = line.seed.unwrap_or(now % 1_000_000_000);
    println!(
        "seed {seed}; the network {}",
        if keeper::own_network() { "is our own" } else { "is not cut, brokers are frozen instead" }
    );
    let known = if cfg!(feature = "brokers") { Which::value_variants() } else { &[Which::Embedded] };
    let keepers = if line.keepers.is_empty() { known } else { &line.keepers };
    if let Some(unknown) = keepers.iter().find(|which| !known.contains(which)) {
        return Err(format!("{unknown:?} needs the feature \"brokers\" of this program; `cargo xtask storm` has it"));
    }
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    let mut all_kept = true;
    for which in keepers {
        let name = which.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
        println!("{name}, {} s", line.seconds);
        let run = arbiter::Run { which: *which, seed, storm: Duration::from_secs(line.seconds) };
        match arbiter::run(&run)? {
            Some(verdict) => {
                print!("{verdict}");
                all_kept &= verdict.is_kept();
            }
            None if in_ci => return Err(format!("{name} is not installed, and CI skips nothing")),
            None => println!("  skipped: it is not installed"),
        }
    }
    Ok(all_kept)
}

/// Runs this very command once more in a network namespace of its own, in which the loopback device can be taken down; `None` where
/// that cannot be done (it needs root) or is done already.
fn in_own_network() -> Result<Option<bool>, String> {
    if keeper::own_network() || !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let may = Command::new("unshare").args(["--net", "ip", "link", "set", "lo", "up"]).output();
    if !may.is_ok_and(|output| output.status.success()) {
        return Ok(None);
    }
    let program = std::env::current_exe().map_err(|error| format!("cannot find own file: {error}"))?;
    let told = Command::new("unshare")
        .args(["--net", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""])
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env(keeper::OWN_NETWORK, "1")
        .status()
        .map_err(|error| format!("unshare cannot be started: {error}"))?;
    Ok(Some(told.success()))
}
