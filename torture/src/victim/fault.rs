//! How a worker fails at its start: the first word of the fault file, which is read anew by every worker, as new code
//! or a new configuration would be.
//!
//! `exit-0`, `exit-1`, `segv`, `hang` (never ready), `die-after-ready` (after 50 ms); with `place=N` behind it only in
//! that place. Without the file, or with another word in it, a worker is sound.

use std::time::Duration;

use phalanx_cluster::Worker;
use rustix::process::{Signal, getpid, kill_process};

use crate::AnyError;
use crate::settings::Settings;

/// From ready to death of `die-after-ready`.
const LIFE_AFTER_READY: Duration = Duration::from_millis(50);

/// A way to fail.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    ExitZero,
    ExitOne,
    Segv,
    Hang,
    DieAfterReady,
}

impl Fault {
    /// The fault that the worker in `place` shall have.
    pub(crate) fn read(settings: &Settings, place: u16) -> Option<Fault> {
        let text = std::fs::read_to_string(settings.fault_file.as_ref()?).ok()?;
        let mut words = text.split_whitespace();
        let fault = match words.next()? {
            "exit-0" => Fault::ExitZero,
            "exit-1" => Fault::ExitOne,
            "segv" => Fault::Segv,
            "hang" => Fault::Hang,
            "die-after-ready" => Fault::DieAfterReady,
            _ => return None,
        };
        let only = words.next().and_then(|word| word.strip_prefix("place=")?.parse::<u16>().ok());
        only.is_none_or(|only| only == place).then_some(fault)
    }

    pub(crate) async fn strike(self, worker: &Worker) -> Result<(), AnyError> {
        match self {
            Fault::ExitZero => std::process::exit(0),
            Fault::ExitOne => Err("told to fail at start".into()),
            // Rust's handler takes the first one for a stack overflow elsewhere and resets itself.
            Fault::Segv => loop {
                let _ = kill_process(getpid(), Signal::SEGV);
            },
            Fault::Hang => std::future::pending().await,
            Fault::DieAfterReady => {
                worker.ready();
                tokio::time::sleep(LIFE_AFTER_READY).await;
                std::process::abort()
            }
        }
    }
}
