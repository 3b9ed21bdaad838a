//! Rivals under the same torture, seen by the same clients.
//!
//! Nothing here is a promise: the rows say what happened, and do not change the exit code.

mod catalogue;
mod install;
mod running;

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::oracle::{Load, Mode, Plan};
use crate::random::Random;
use crate::report::{Comparison, Row};
use crate::system;
use catalogue::Peer;
use running::Running;

/// From one kill of a worker to the next, as in our own scenario.
const BETWEEN_KILLS: Duration = Duration::from_millis(50);
/// Load before and after something happens.
const CALM: Duration = Duration::from_millis(500);
/// What of a server is left this long after its first process was killed, stays.
const LEFT_AFTER: Duration = Duration::from_secs(3);

/// A trial: its name, and what is done to the server under which load.
struct Trial {
    name: &'static str,
    mode: Mode,
    clients: usize,
    torture: fn(&mut Running, &Settings, &mut Row) -> Result<(), String>,
}

/// How long and how often.
pub(crate) struct Settings {
    pub(crate) reloads: usize,
    pub(crate) kills_for: Duration,
    pub(crate) stops_for: Duration,
    pub(crate) seed: u64,
}

const TRIALS: [Trial; 6] = [
    Trial { name: "reload, new connections", mode: Mode::NewConnections, clients: 12, torture: reload },
    Trial { name: "reload, keep-alive", mode: Mode::KeepAlive, clients: 8, torture: reload },
    Trial {
        name: "reload, keep-alive, lazy",
        mode: Mode::Lazy(Duration::from_millis(30)),
        clients: 16,
        torture: reload,
    },
    Trial { name: "kill -9 a worker every 50 ms", mode: Mode::NewConnections, clients: 12, torture: kill_workers },
    Trial { name: "SIGSTOP a worker", mode: Mode::NewConnections, clients: 12, torture: stop_worker },
    Trial { name: "kill -9 the primary", mode: Mode::NewConnections, clients: 0, torture: kill_primary },
];

/// Every trial with every server.
pub(crate) fn run(settings: &Settings, victim: &Path, comparison: &mut Comparison) {
    for peer in catalogue::ALL {
        comparison.version(peer.name(), &peer.versions());
    }
    for trial in &TRIALS {
        println!("\n{}", trial.name);
        for peer in catalogue::ALL {
            comparison.row(trial.name, peer.name(), |row| one(settings, victim, peer, trial, row));
        }
    }
}

fn one(settings: &Settings, victim: &Path, peer: Peer, trial: &Trial, row: &mut Row) -> Result<(), String> {
    let mut running = Running::start(peer, victim)?;
    let load = (trial.clients > 0).then(|| Load::start(&Plan::new(&running.target(), trial.mode, trial.clients)));
    std::thread::sleep(CALM);
    let outcome = (trial.torture)(&mut running, settings, row);
    std::thread::sleep(CALM);
    if let Some(load) = load {
        row.tally(load.finish());
    }
    outcome
}

fn reload(running: &mut Running, settings: &Settings, row: &mut Row) -> Result<(), String> {
    let mut longest = Duration::ZERO;
    for number in 1..=settings.reloads {
        let took =
            running.reload().ok_or_else(|| format!("reload {number}: old workers answer for ever, or nobody does"))?;
        longest = longest.max(took);
    }
    row.figure(format!("×{}, longest {} ms", settings.reloads, longest.as_millis()));
    Ok(())
}

fn kill_workers(running: &mut Running, settings: &Settings, row: &mut Row) -> Result<(), String> {
    let mut random = Random::new(settings.seed, "rivals");
    let began = Instant::now();
    let (mut kills, mut silent) = (0, 0);
    while began.elapsed() < settings.kills_for {
        match running.some_worker() {
            Some(pid) => {
                system::send(pid, Signal::KILL);
                kills += 1;
            }
            None => silent += 1,
        }
        std::thread::sleep(BETWEEN_KILLS + random.duration(BETWEEN_KILLS / 10));
    }
    row.figure(format!("{kills} kills in {} s", settings.kills_for.as_secs()));
    if silent > 0 {
        row.figure(format!("{silent} times nobody answered us"));
    }
    Ok(())
}

fn stop_worker(running: &mut Running, settings: &Settings, row: &mut Row) -> Result<(), String> {
    let pid = running.some_worker().ok_or("nobody answers")?;
    system::send(pid, Signal::STOP);
    row.figure(format!("for {} s", settings.stops_for.as_secs()));
    std::thread::sleep(settings.stops_for);
    system::send(pid, Signal::CONT);
    Ok(())
}

fn kill_primary(running: &mut Running, _: &Settings, row: &mut Row) -> Result<(), String> {
    let before = running.processes().len();
    system::send(running.root(), Signal::KILL);
    let killed = Instant::now();
    let mut gone = None;
    while gone.is_none() && killed.elapsed() < LEFT_AFTER {
        std::thread::sleep(Duration::from_millis(5));
        let left = running.processes();
        gone = left.iter().all(|pid| *pid == running.root()).then(|| killed.elapsed());
    }
    match gone {
        Some(gone) => row.figure(format!("all {before} gone after {} ms", gone.as_millis())),
        None => row.figure(format!("of {before} processes {} live on", running.processes().len())),
    }
    if running.some_worker().is_some() {
        row.figure("they answer, and nobody supervises them");
    }
    Ok(())
}
