//! `phalanx serve`: the cluster around the routes.

use crate::app::App;
use crate::arguments::ServeArguments;
use crate::config::Config;
use crate::config::quantity::ByteSize;
use crate::logs;
use crate::routes::router;
use crate::start::{self, Failure};
use crate::work::Pool;
use phalanx::{Event, ListenAddress, Worker};
use std::io::{IsTerminal, Write};

/// Serves until a signal stops the cluster. Runs in the primary and, in each worker, never returns.
pub(crate) fn run(arguments: &ServeArguments) -> Result<(), Failure> {
    let config = Config::new(arguments.settings.clone(), arguments.config.as_deref(), start::machine())?;
    let logs = logs::start(config.log_format, config.log_level);
    let mut cluster = phalanx::cluster().workers(config.workers as usize).drain_deadline(config.drain_deadline);
    for address in &config.listen {
        cluster = cluster.listen(address);
    }
    if phalanx::is_primary() {
        start::check(&config)?;
        let mut banner = Banner::new(&config);
        cluster = cluster.on_event(move |event| {
            banner.on_event(event);
            log_event(event);
        });
    }
    let outcome = cluster.run(|worker| async move {
        let outcome = work(worker, config).await;
        // The process ends right after this: the last lines have to be out.
        drop(logs);
        outcome
    });
    outcome.map_err(|error| Failure::Other(error.to_string()))
}

/// A worker, from its start to the end of its drain.
async fn work(worker: Worker, config: Config) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let pool = Pool::new(&config, &worker)?;
    let server = worker
        .http()
        .header_timeout(config.header_timeout)
        .idle_timeout(config.idle_timeout)
        .max_connections(config.max_connections as usize)
        .max_connections_per_ip(config.max_connections_per_ip as usize);
    let app = App::new(config, worker.id(), pool)?;
    let draining = app.clone();
    let leaving = worker.clone();
    tokio::spawn(async move {
        leaving.shutdown().await;
        draining.drain();
    });
    server.serve(router(app)).await?;
    Ok(())
}

/// Tells where the server is, once the first worker is ready.
struct Banner {
    hint: String,
    addresses: Vec<ListenAddress>,
    told: bool,
}

impl Banner {
    fn new(config: &Config) -> Self {
        let hint = format!(
            "{} workers with {} CPU threads each; results in {} (at most {})",
            config.workers,
            config.threads,
            config.store.display(),
            ByteSize(config.store_limit_bytes)
        );
        Banner { hint, addresses: Vec::new(), told: false }
    }

    fn on_event(&mut self, event: &Event) {
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
            let scheme = if address.tcp().is_some() { "http://" } else { "" };
            let _ = writeln!(out, "listening on {scheme}{address}");
        }
        if out.is_terminal() {
            let _ =
                writeln!(out, "{}\nopen the address in a browser, or see `phalanx --help` for curl lines", self.hint);
        }
        let _ = out.flush();
    }
}

/// What happens to workers belongs into the log: all of it, at the level that it deserves.
fn log_event(event: &Event) {
    match event {
        Event::Exit { reason, .. } if !reason.voluntary => tracing::error!("{event}"),
        Event::BackOff { .. } | Event::BreakerOpen { .. } | Event::ListenersClosed | Event::Killed { .. } => {
            tracing::warn!("{event}");
        }
        Event::Fork { .. } | Event::Online { .. } | Event::Listening { .. } => tracing::debug!("{event}"),
        _ => tracing::info!("{event}"),
    }
}
