//! The closed loop: each client sends its next request when it has the answer to the last.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Outcome, Request, Reuse, Tally, exchange};

/// A client that was refused or failed waits this long, or the refusals would take the server's time.
const PAUSE_AFTER_TROUBLE: Duration = Duration::from_millis(10);

/// Who sends, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clients {
    pub(crate) count: usize,
    pub(crate) reuse: Reuse,
}

/// Keeps the clients busy for `duration`, then waits for what is under way; all of it counts.
pub(crate) async fn run(address: SocketAddr, request: &Request, clients: Clients, duration: Duration) -> Tally {
    run_in_turn(address, std::slice::from_ref(request), clients, duration).await
}

/// The same with several requests: each client sends all of them in turn and begins with another one.
pub(crate) async fn run_in_turn(
    address: SocketAddr,
    requests: &[Request],
    clients: Clients,
    duration: Duration,
) -> Tally {
    let started = Instant::now();
    let tasks: Vec<_> = (0..clients.count)
        .map(|first| {
            let mut requests = requests.to_vec();
            let first = first % requests.len().max(1);
            requests.rotate_left(first);
            tokio::spawn(client(address, requests, clients.reuse, started + duration))
        })
        .collect();
    let mut total = Tally::new();
    for task in tasks {
        if let Ok(tally) = task.await {
            total.add(&tally);
        }
    }
    total.accepted_in_time = total.count(Outcome::Accepted);
    total.elapsed = started.elapsed();
    total
}

async fn client(address: SocketAddr, requests: Vec<Request>, reuse: Reuse, end: Instant) -> Tally {
    let mut tally = Tally::new();
    let mut kept = None;
    for request in requests.iter().cycle() {
        let sent = Instant::now();
        if sent >= end {
            break;
        }
        let result = exchange(address, request, &mut kept).await;
        if reuse == Reuse::OnePerRequest {
            kept = None;
        }
        let outcome = match &result {
            Ok(answer) => Outcome::of_status(answer.status),
            Err(outcome) => *outcome,
        };
        tally.note(outcome, sent.elapsed());
        if outcome != Outcome::Accepted {
            tokio::time::sleep(PAUSE_AFTER_TROUBLE).await;
        } else if let Some(timing) = result.ok().and_then(|answer| answer.server_timing) {
            tally.note_phases(&timing);
        }
    }
    tally
}
