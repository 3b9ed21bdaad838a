//! Programs that are started and awaited on an event loop of one thread.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use crate::pauses::{Pauses, Ticker};
use crate::{AnyError, Figures, Measure, PROGRAM};

/// Starts programs by `spawn_and_wait` until the time is over.
pub(crate) fn run<F>(measure: Measure, until: Instant, spawn_and_wait: fn() -> F) -> Result<Figures, AnyError>
where
    F: Future<Output = Result<(), AnyError>> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // A loop that ticks has less time to start programs: it ticks only where that is measured.
        let ticker = (measure == Measure::Pause).then(|| Arc::new(Ticker::new()));
        let ticking = ticker.clone().map(|ticker| tokio::spawn(async move { ticker.run().await }));
        let started = Instant::now();
        let tasks: Vec<_> = (0..measure.at_once())
            .map(|_| tokio::spawn(one_after_the_other(until, spawn_and_wait, ticker.clone())))
            .collect();
        let (mut spawned, mut pauses) = (0, Pauses::default());
        for task in tasks {
            let (count, seen) = task.await??;
            spawned += count;
            pauses.append(seen);
        }
        let elapsed = started.elapsed();
        if let Some(ticking) = ticking {
            ticking.abort();
        }
        Ok(Figures { spawned, elapsed, pauses })
    })
}

async fn one_after_the_other<F>(
    until: Instant,
    spawn_and_wait: fn() -> F,
    ticker: Option<Arc<Ticker>>,
) -> Result<(u64, Pauses), AnyError>
where
    F: Future<Output = Result<(), AnyError>>,
{
    let (mut count, mut pauses) = (0, Pauses::default());
    while Instant::now() < until {
        if let Some(ticker) = &ticker {
            ticker.forget();
        }
        spawn_and_wait().await?;
        if let Some(ticker) = &ticker {
            pauses.add(ticker.longest());
        }
        count += 1;
    }
    Ok((count, pauses))
}

pub(crate) async fn by_tokio() -> Result<(), AnyError> {
    let mut command = tokio::process::Command::new(PROGRAM);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?.wait().await?;
    if status.success() { Ok(()) } else { Err(format!("{PROGRAM} ended with {status}").into()) }
}

pub(crate) async fn by_phalanx() -> Result<(), AnyError> {
    use phalanx_process::{Command, Stdio};
    let command = Command::new(PROGRAM).stdin(Stdio::Null).stdout(Stdio::Null).stderr(Stdio::Null);
    let status = command.spawn().await?.exited().await?;
    if status.success() { Ok(()) } else { Err(format!("{PROGRAM} ended with {status}").into()) }
}
