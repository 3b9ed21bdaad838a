//! [`Keeper`]: one app, started, watched, and started again when it fails.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use phalanx::process::{Child, Command, ExitStatus, Signal, Stdio};
use tokio::sync::broadcast::Receiver;
use tokio::sync::mpsc::Sender;

use super::back_off::BackOff;
use super::{Standing, seconds};
use crate::run_command::OURSELVES;
use crate::run_command::notices::{Notice, Notices};
use crate::start::{EXIT_NO_RESTART, EXIT_USAGE};

/// The code of an app that a signal ended, as a shell says it.
const SIGNALLED: i32 = 128;

/// Whose turn it is to start: those up to this index.
pub(super) type Turns = tokio::sync::watch::Receiver<usize>;

/// Of one app.
pub(super) struct Keeper {
    file: PathBuf,
    name: String,
    index: usize,
    standings: Sender<(usize, Standing)>,
    /// Whether it has a log file of its own, because there is no terminal.
    in_background: bool,
    back_off: BackOff,
}

/// How an app has ended for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) code: u8,
}

/// What follows the end of a process.
enum Next {
    End(Ending),
    Retry(Duration),
}

impl Keeper {
    pub(super) fn new(file: &Path, name: &str, index: usize, standings: Sender<(usize, Standing)>) -> Keeper {
        Keeper {
            file: file.to_owned(),
            name: name.to_owned(),
            index,
            standings,
            in_background: false,
            back_off: BackOff::default(),
        }
    }

    /// The same for an app that writes into a file of its own.
    pub(super) fn in_background(self, in_background: bool) -> Keeper {
        Keeper { in_background, ..self }
    }

    /// From its turn until the app has ended for good: by itself, because it was told to, or because no restart will help.
    pub(super) async fn keep(mut self, mut signals: Receiver<Signal>, turns: Turns) -> Ending {
        if self.is_told_to_stop_before(turns, &mut signals).await {
            return Ending { code: 0 };
        }
        loop {
            let begun = Instant::now();
            let (status, stops) = self.one_life(&mut signals).await;
            self.stands(Standing::Down).await;
            let wait = match self.next(status, stops, begun.elapsed()) {
                Next::End(ending) => return ending,
                Next::Retry(wait) => wait,
            };
            if self.rest(&mut signals, wait).await {
                return Ending { code: 0 };
            }
        }
    }

    /// Waits for its turn; true if it was told to stop meanwhile.
    async fn is_told_to_stop_before(&self, mut turns: Turns, signals: &mut Receiver<Signal>) -> bool {
        loop {
            tokio::select! {
                // Nobody who gives turns any more: it is time.
                _ = turns.wait_for(|turn| *turn >= self.index) => return false,
                signal = signals.recv() => if signal.is_ok_and(is_stop) {
                    return true;
                }
            }
        }
    }

    /// One process of the app, from its start to its end; and whether it was told to stop.
    async fn one_life(&self, signals: &mut Receiver<Signal>) -> (Result<ExitStatus, String>, bool) {
        let started = async {
            let notices = Notices::open().map_err(|error| error.to_string())?;
            let child = self.command(notices.address()).spawn().await.map_err(|error| error.to_string())?;
            Ok::<(Notices, Child), String>((notices, child))
        };
        let (notices, child) = match started.await {
            Ok(started) => started,
            Err(why) => return (Err(why), false),
        };
        let mut stops = false;
        loop {
            tokio::select! {
                status = child.exited() => return (status.map_err(|error| error.to_string()), stops),
                Ok(signal) = signals.recv() => {
                    stops |= is_stop(signal);
                    if let Err(error) = child.kill(signal) {
                        tracing::error!("app {}: {error}", self.name);
                    }
                }
                notice = notices.next() => self.stands(match notice {
                    Notice::Ready => Standing::Serving,
                    Notice::Reloading => Standing::Reloading,
                }).await,
            }
        }
    }

    /// In a process group of its own, so that a terminal's ^C comes once, from us.
    fn command(&self, notify: &str) -> Command {
        Command::new(OURSELVES)
            .arg0("phalanx")
            .args(["run", if self.in_background { "--background" } else { "--labelled" }, "--config"])
            .arg(&self.file)
            .arg(&self.name)
            .env("NOTIFY_SOCKET", notify)
            .env_remove("WATCHDOG_USEC")
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::Null)
            .stdout(Stdio::Inherit)
            .stderr(Stdio::Inherit)
            .process_group()
            .die_with_parent()
    }

    fn next(&mut self, status: Result<ExitStatus, String>, stops: bool, lived: Duration) -> Next {
        let name = &self.name;
        let (code, how) = match &status {
            Ok(status) => (code_of(*status), format!("ended: {status}")),
            Err(why) => (1, format!("cannot be started: {why}")),
        };
        match code {
            _ if stops => Next::End(Ending { code }),
            0 => {
                tracing::info!("app {name} has ended");
                Next::End(Ending { code })
            }
            EXIT_USAGE | EXIT_NO_RESTART => {
                tracing::error!("app {name} {how}; no restart will help, so it is not tried again");
                Next::End(Ending { code })
            }
            _ => {
                let wait = self.back_off.after(lived);
                tracing::error!("app {name} {how}; it is tried again in {}", seconds(wait));
                Next::Retry(wait)
            }
        }
    }

    /// Waits; true if it was told to stop meanwhile. SIGHUP ends the wait.
    async fn rest(&self, signals: &mut Receiver<Signal>, wait: Duration) -> bool {
        let over = tokio::time::sleep(wait);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return false,
                signal = signals.recv() => match signal {
                    Ok(Signal::Hangup) => return false,
                    Ok(signal) if is_stop(signal) => return true,
                    _ => {}
                }
            }
        }
    }

    async fn stands(&self, standing: Standing) {
        // Whoever hears it lives as long as we do.
        let _ = self.standings.send((self.index, standing)).await;
    }
}

fn is_stop(signal: Signal) -> bool {
    matches!(signal, Signal::Terminate | Signal::Interrupt | Signal::Quit)
}

fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| SIGNALLED + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
