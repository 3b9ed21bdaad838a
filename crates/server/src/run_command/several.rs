//! Several apps under one process: each has a primary of its own, a child of this one, which starts it again when it fails.
//!
//! ```text
//!   phalanx run ──┬── phalanx run --config FILE api    (primary, front, workers …)
//!                 └── phalanx run --config FILE mail
//! ```
//!
//! So one app can neither stop nor slow another, and `phalanx ctl` speaks with each as if it were alone. This process passes signals
//! on, and speaks for all of them to the service manager.

mod back_off;
mod keeper;
mod service_manager;

use std::path::Path;
use std::time::Duration;

use phalanx::channel::Watched;
use phalanx::process::{Signal, Signals, Strays};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::config::{LogFormat, LogLevel};
use crate::logs;
use crate::start::Failure;
use keeper::{Ending, Keeper};
use service_manager::Manager;

/// Signals that are passed on to the apps.
const PASSED_ON: &[Signal] =
    &[Signal::Terminate, Signal::Interrupt, Signal::Quit, Signal::Hangup, Signal::User1, Signal::User2];
/// Signals that an app may be behind with.
const SIGNALS_IN_LINE: usize = 16;

/// Apps start in the order of the file, so that of two that want the same port the first gets it: each when the one before serves, or
/// has failed, or has taken so long.
const LONGEST_TURN: Duration = Duration::from_secs(2);
/// From one look at children that nobody waits for to the next.
const BETWEEN_LOOKS: Duration = Duration::from_secs(5);
/// No variable has this name: what lives is left alone.
const MARK: &str = "PHALANX_NO_MARK";

/// What an app does, as the others need to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It has not served yet.
    Starting,
    Serving,
    Reloading,
    /// It failed, or has ended.
    Down,
}

/// Runs the apps of these names until all have ended.
pub(super) fn run(file: &Path, names: &[String], in_background: bool) -> Result<(), Failure> {
    let _logs_until_the_end = logs::start(LogFormat::Auto, LogLevel::Info);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(format!("cannot start a runtime: {error}")))?;
    runtime.block_on(keep_all(file, names, in_background))
}

async fn keep_all(file: &Path, names: &[String], in_background: bool) -> Result<(), Failure> {
    let signals = Signals::take(PASSED_ON).map_err(|error| Failure::Other(error.to_string()))?;
    let came = signals_of(&signals).map_err(|error| Failure::Other(format!("cannot watch signals: {error}")))?;
    let mut manager = Manager::new(names.len()).map_err(|error| Failure::Other(error.to_string()))?;
    let (pass_on, _) = broadcast::channel(SIGNALS_IN_LINE);
    let (standings, mut told) = mpsc::channel(SIGNALS_IN_LINE);
    let turn = watch::Sender::new(0);
    let mut apps = JoinSet::new();
    for (index, name) in names.iter().enumerate() {
        let keeper = Keeper::new(file, name, index, standings.clone()).in_background(in_background);
        apps.spawn(keeper.keep(pass_on.subscribe(), turn.subscribe()));
    }
    let mut next_turn = Instant::now() + LONGEST_TURN;
    // As the first process of a container it is also given what others leave behind.
    let mut strays = Strays::adopt().map_err(|error| Failure::Other(error.to_string()))?;
    let mut look = tokio::time::interval(BETWEEN_LOOKS);
    let mut worst = 0;
    loop {
        tokio::select! {
            Ok(mut ready) = came.readable() => {
                while let Some(signal) = signals.next() {
                    manager.passes_on(signal);
                    // Nobody hears it if all have ended, and then this is over.
                    let _ = pass_on.send(signal);
                }
                ready.clear_ready();
            }
            Some((index, standing)) = told.recv() => {
                manager.stands(index, standing);
                if index == *turn.borrow() {
                    next_turn = Instant::now();
                }
            }
            () = sleep_until(next_turn), if *turn.borrow() < names.len() => {
                turn.send_modify(|turn| *turn += 1);
                next_turn = Instant::now() + LONGEST_TURN;
            }
            _ = look.tick() => drop(strays.look(MARK, |_| false)),
            () = manager.wants_to_hear() => manager.hears(),
            ended = apps.join_next() => match ended {
                Some(Ok(Ending { code })) => worst = worst.max(code),
                Some(Err(error)) => return Err(Failure::Other(format!("the keeper of an app failed: {error}"))),
                None => break,
            },
        }
    }
    match worst {
        0 => Ok(()),
        code => Err(Failure::Ended("not all apps ended well; their own lines say why".into(), code)),
    }
}

fn signals_of(signals: &Signals) -> std::io::Result<Watched> {
    use std::os::fd::AsFd;
    Watched::for_reading(signals.as_fd().try_clone_to_owned()?)
}

/// For what is said in seconds.
fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}
