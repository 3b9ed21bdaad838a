//! The server of one worker from its first connection to its last.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use phalanx_shared::Field;
use tokio::task::JoinSet;

use super::accept::Acceptor;
use super::connection::Terms;
use super::door::Door;
use super::drain::Drain;
use super::sweeper::Connections;
use super::web_service::WebService;
use super::{HttpServer, probe};
use crate::Error;
use crate::lifeline::Life;
use crate::worker::Inner;

/// A worker that leaves lets go of its last connections this long before its process would be ended.
const BEFORE_THE_END: Duration = Duration::from_millis(100);

/// When the connections that were there at the end of the drain deadline were told to close, their tasks get this long
/// to do so.
const LAST_TURNS: Duration = Duration::from_millis(50);

/// Serves on all listeners of the worker until it has to leave.
pub(super) async fn serve<S: WebService>(server: HttpServer, service: S) -> Result<(), Error> {
    let HttpServer { worker, limits, .. } = &server;
    let terms = Terms {
        request_timeout: limits.request_timeout,
        #[cfg(feature = "tls")]
        encryption: server.tls.as_ref().map(|tls| tls.server_config(&worker.secret)).transpose()?,
    };
    let door = Door::new(Arc::clone(worker), limits, terms, service);
    let connections = Arc::clone(door.connections());
    // What runs beside the acceptors, until the last connection is gone.
    let mut beside = JoinSet::new();
    beside.spawn({
        let connections = Arc::clone(&connections);
        async move { connections.sweep().await }
    });
    #[cfg(feature = "tls")]
    if let Some(tls) = &server.tls {
        beside.spawn(tls.clone().watch());
    }
    if let Some(probes) = worker.take_probes() {
        beside.spawn(probe::answer(door.clone(), probes));
    }
    let mut acceptors = JoinSet::new();
    for index in 0..worker.listeners.len() {
        acceptors.spawn(Acceptor::new(index, door.clone())?.run());
    }
    if let Some(passed) = worker.passed.take() {
        acceptors.spawn(door.clone().take_passed(passed));
    }
    beside.spawn(say_when_serving(Arc::clone(worker)));
    let mut life = worker.life.clone();
    tokio::select! {
        Err(error) = ends_of(&mut acceptors) => return Err(error),
        _ = life.wait_for(|life| *life != Life::Serving) => {}
    }
    worker.slot.set(Field::Accepting, 0);
    drain(worker, &connections, &mut acceptors).await
}

/// Waits until all ways in are closed.
async fn ends_of(acceptors: &mut JoinSet<Result<(), Error>>) -> Result<(), Error> {
    while let Some(ended) = acceptors.join_next().await {
        ended.map_err(|error| Error::Worker(error.into()))??;
    }
    Ok(())
}

/// A worker is ready as soon as it can serve. One that is held serves nothing but probes until it is admitted.
async fn say_when_serving(worker: Arc<Inner>) {
    let mut admitted = worker.admitted.clone();
    if *admitted.borrow() {
        worker.slot.set(Field::Accepting, 1);
        worker.listening();
        worker.ready();
        return;
    }
    worker.ready();
    if admitted.wait_for(|admitted| *admitted).await.is_ok() && *worker.life.borrow() == Life::Serving {
        worker.slot.set(Field::Accepting, 1);
        worker.listening();
    }
}

/// Lets the connections come to their end, those too that still come in, and closes those that do not.
async fn drain(
    worker: &Inner,
    connections: &Connections,
    acceptors: &mut JoinSet<Result<(), Error>>,
) -> Result<(), Error> {
    let mut life = worker.life.clone();
    let mut last = pin!(async {
        ends_of(acceptors).await?;
        connections.below(1).await;
        Ok(())
    });
    loop {
        let now = *life.borrow_and_update();
        if let Some(drain) = Drain::of(now, Instant::now()) {
            connections.drain(drain);
        }
        tokio::select! {
            ended = &mut last => return ended,
            () = tokio::time::sleep_until(end_of_drain(now).into()) => break,
            // A worker that leaves alone may hear that all leave.
            Ok(()) = life.changed() => {}
        }
    }
    connections.close();
    let _ = tokio::time::timeout(LAST_TURNS, connections.below(1)).await;
    Ok(())
}

/// When the last connection has to be gone.
fn end_of_drain(life: Life) -> Instant {
    match life {
        Life::Leaving { until, .. } => until,
        Life::Orphaned { until } => until - BEFORE_THE_END,
        Life::Serving => Instant::now(),
    }
}
