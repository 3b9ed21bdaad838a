//! The cluster that is tortured: it answers who it is, and fails in every way that it is told to.
//!
//! ```text
//! settings (environment) ──▶ cluster ──▶ worker ──▶ fault (file) ? fails as it says : serves routes
//! ```
//!
//! Events go to standard output, one a line, as `event KIND key=value…`.

#![forbid(unsafe_code)]

mod events;
mod fault;
mod hostile;
mod routes;
mod settings;
mod websocket;

use std::process::ExitCode;

use fault::Fault;
use phalanx_cluster::Worker;
use settings::Settings;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    match torment() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("victim: {}", failure.words);
            ExitCode::from(failure.code)
        }
    }
}

/// Why the victim ended early, and its exit code.
struct Failure {
    words: String,
    code: u8,
}

fn torment() -> Result<(), Failure> {
    phalanx_process::init().map_err(|error| Failure { words: error.to_string(), code: 1 })?;
    let settings = Settings::from_environment().map_err(|words| Failure { words, code: settings::EXIT_USAGE })?;
    if phalanx_cluster::is_worker() {
        hostile::perhaps(&settings);
    } else {
        // Whatever ends the program that tortures us must not leave us behind.
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    }
    let cluster = settings.cluster().map_err(|words| Failure { words, code: settings::EXIT_NOT_AVAILABLE })?;
    let ended = cluster.on_event(events::tell).run(|worker| work(worker, settings));
    ended.map_err(|error| Failure { words: error.to_string(), code: error.exit_code() })
}

async fn work(worker: Worker, settings: Settings) -> Result<(), AnyError> {
    if let Some(fault) = Fault::read(&settings, worker.place().0) {
        fault.strike(&worker).await?;
    }
    Ok(worker.http().serve(routes::service(&worker)).await?)
}
