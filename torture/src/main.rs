//! Tortures clusters and counts exactly what their clients saw.
//!
//! ```text
//! scenario ──▶ subject (a victim's cluster: killed, reloaded, starved) ◀── oracle (clients under load)
//!    └────────────────────────▶ report: a row of outcomes, a promise kept or broken
//! ```
//!
//! Every random choice comes from the printed seed. The exit code is 0 only if every promise is kept.

#![forbid(unsafe_code)]

mod oracle;
mod peers;
mod random;
mod report;
mod scenario;
mod subject;
mod system;
mod trouble;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;

use random::Random;
use report::{Comparison, Report};
use scenario::{Context, Pace, Scenario};

/// Kills, reloads and starves clusters under load, and counts exactly what their clients saw
#[derive(Parser)]
#[command(name = "cargo xtask torture", bin_name = "cargo xtask torture", version)]
struct CommandLine {
    /// Repeats the random choices of an earlier run
    #[arg(long)]
    seed: Option<u64>,
    /// Length of what repeats until it is told to stop, in minutes
    #[arg(long, default_value_t = 1.0, conflicts_with = "short")]
    minutes: f64,
    /// At most three minutes in all
    #[arg(long)]
    short: bool,
    /// Only scenarios whose name contains this; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Also node:cluster, PM2, gunicorn, uvicorn, granian and nginx; installs what is missing below the target folder
    #[arg(long)]
    peers: bool,
    /// Names and promises of all scenarios, and nothing else
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let line = CommandLine::parse();
    let chosen: Vec<&Scenario> = scenario::ALL.iter().filter(|scenario| line.wants(scenario.name)).collect();
    if line.list {
        chosen.iter().for_each(|scenario| println!("{:<20} {}", scenario.name, scenario.promise));
        return ExitCode::SUCCESS;
    }
    if chosen.is_empty() {
        eprintln!("torture: no scenario has {:?} in its name; --list names them", line.only);
        return ExitCode::from(64);
    }
    match torture(&line, &chosen) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(words) => {
            eprintln!("torture: {words}");
            ExitCode::FAILURE
        }
    }
}

impl CommandLine {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
    }

    fn pace(&self) -> Pace {
        if self.short { Pace::Short } else { Pace::Full(Duration::from_secs_f64(self.minutes.max(0.1) * 60.0)) }
    }
}

/// Runs the scenarios; whether every promise is kept.
fn torture(line: &CommandLine, chosen: &[&Scenario]) -> Result<bool, String> {
    let began = Instant::now();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    let seed = line.seed.unwrap_or(now % 1_000_000_000);
    println!("seed {seed}");
    let victim = beside_us("phalanx-torture-victim")?;
    let phalanx = beside_us("phalanx")?;
    let mut report = Report::default();
    for scenario in chosen {
        let random = Random::new(seed, scenario.name);
        let mut context = Context { random, pace: line.pace(), victim: victim.clone(), phalanx: phalanx.clone() };
        report.begin(scenario.name, scenario.promise);
        (scenario.run)(&mut context, &mut report);
    }
    report.print();
    if line.peers {
        // Longer than a client waits: what stands still for so long is lost.
        let (reloads, kills, stops) = if line.short { (2, 3, 3) } else { (10, 20, 12) };
        let (kills_for, stops_for) = (Duration::from_secs(kills), Duration::from_secs(stops));
        let settings = peers::Settings { reloads, kills_for, stops_for, seed };
        let mut comparison = Comparison::default();
        peers::run(&settings, &victim, &mut comparison);
        comparison.print();
    }
    println!("seed {seed}, {:.0} s", began.elapsed().as_secs_f64());
    Ok(report.all_kept())
}

/// Our programs are built into the folder in which this one stands.
fn beside_us(name: &str) -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| format!("cannot find own folder: {error}"))?;
    let program = own.with_file_name(name);
    if program.is_file() {
        Ok(program)
    } else {
        Err(format!("{} is not built; `cargo xtask torture` builds it", program.display()))
    }
}
