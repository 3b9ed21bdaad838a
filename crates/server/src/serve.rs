//! `phalanx serve`: the cluster around the routes.

use crate::app::App;
use crate::arguments::ServeArguments;
use crate::cluster;
use crate::config::quantity::ByteSize;
use crate::config::{Config, Settings};
use crate::jobs::work_until_stopped;
use crate::logs;
use crate::owner;
use crate::routes::router;
use crate::start::{self, Failure};
use crate::work::Work;
use phalanx::memory::profile;
use phalanx::{Event, ListenAddress, Tls, Worker};
use std::io::{IsTerminal, Write};

/// Any error of a worker or of its settings.
pub(crate) type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Serves until a signal stops the cluster. Runs in the primary and, in each worker, never returns.
pub(crate) fn run(arguments: &ServeArguments) -> Result<(), Failure> {
    // A worker takes its settings from the primary, not from a file that may have changed since.
    let cluster = match () {
        () if phalanx::is_worker() => phalanx::cluster(),
        () if phalanx::is_companion() => owner::beside(phalanx::cluster()),
        () => cluster::describe(arguments)?,
    };
    cluster.run(serve).map_err(|error| Failure::Ended(error.to_string(), error.exit_code()))
}

/// A worker, from its start to the end of its drain.
async fn serve(worker: Worker) -> Result<(), AnyError> {
    let config = Config::check(Settings::from_snapshot(worker.settings())?, start::machine())?;
    let logs = logs::start(config.log_format, config.log_level);
    let outcome = serve_with(worker, config).await;
    // The process ends right after this: the last lines have to be out.
    drop(logs);
    outcome
}

async fn serve_with(worker: Worker, config: Config) -> Result<(), AnyError> {
    if config.heap_profile {
        profile::start()?;
    }
    let work = Work::new(&config, &worker)?;
    let server = worker
        .http()
        .header_timeout(config.header_timeout)
        .idle_timeout(config.idle_timeout)
        .max_connections(config.max_connections as usize)
        .max_connections_per_ip(config.max_connections_per_ip as usize);
    let server = match &config.operation.tls {
        Some(files) => server.tls(Tls::from_files(&files.certificate, &files.key)?),
        None => server,
    };
    let app = App::new(config, &worker, work)?;
    let draining = app.clone();
    let leaving = worker.clone();
    tokio::spawn(async move {
        leaving.shutdown().await;
        draining.drain();
    });
    let jobs = tokio::spawn(work_until_stopped(app.clone()));
    server.serve(router(app)).await?;
    // What it runs ends, or is handed back, before this process does.
    jobs.await?;
    Ok(())
}

/// Tells where the server is, once the first worker is ready.
pub(crate) struct Banner {
    hint: String,
    scheme: &'static str,
    addresses: Vec<ListenAddress>,
    told: bool,
}

impl Banner {
    pub(crate) fn new(config: &Config) -> Self {
        let hint = format!(
            "{} workers with {} CPU threads each; results in {} (at most {})",
            config.workers,
            config.threads,
            config.store.display(),
            ByteSize(config.store_limit_bytes)
        );
        let scheme = if config.operation.tls.is_some() { "https://" } else { "http://" };
        Banner { hint, scheme, addresses: Vec::new(), told: false }
    }

    pub(crate) fn on_event(&mut self, event: &Event) {
        match event {
            Event::Listening { address, .. } if !self.told && !self.addresses.contains(address) => {
                self.addresses.push(address.clone());
            }
            Event::Ready { .. } if !self.told => {
                self.told = true;
                self.tell();
            }
            _ => {}
        }
    }

    /// One line for each address, for people and for scripts; on a terminal also what to do next. A closed standard
    /// output is no reason to stop.
    fn tell(&self) {
        let mut out = std::io::stdout().lock();
        for address in &self.addresses {
            let scheme = if address.tcp().is_some() { self.scheme } else { "" };
            let _ = writeln!(out, "listening on {scheme}{address}");
        }
        if out.is_terminal() {
            let _ =
                writeln!(out, "{}\nopen the address in a browser, or see `phalanx --help` for curl lines", self.hint);
        }
        let _ = out.flush();
    }
}

/// What happens to workers belongs into the log: all of it, at the level that it deserves; after a label, if there is one.
pub(crate) fn log_event(label: &str, event: &Event) {
    match event {
        Event::Exit { reason, .. } if !reason.voluntary => tracing::error!("{label}{event}"),
        Event::BackOff { .. }
        | Event::BreakerOpen { .. }
        | Event::ListenersClosed
        | Event::Killed { .. }
        | Event::OutOfMemory { .. }
        | Event::ShortOfMemory { .. }
        | Event::Leak { .. } => {
            tracing::warn!("{label}{event}");
        }
        Event::Fork { .. } | Event::Online { .. } | Event::Listening { .. } => tracing::debug!("{label}{event}"),
        _ => tracing::info!("{label}{event}"),
    }
}
