//! A health check beside the load: on its own connection, at a fixed rate, as an orchestrator would.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Outcome, Request, Reuse, Tally, exchange};

const PER_SECOND: u32 = 50;

/// Asks for `/livez` 50 times a second for `duration`. A late answer makes those that were due meanwhile late too, and
/// each counts from the moment at which it was due.
pub(crate) async fn run(address: SocketAddr, duration: Duration) -> Tally {
    let request = Request::get("/livez", Reuse::KeepAlive);
    let gap = Duration::from_secs(1) / PER_SECOND;
    let started = Instant::now();
    let mut due = started;
    let mut kept = None;
    let mut tally = Tally::new();
    while due < started + duration {
        tokio::time::sleep_until(due.into()).await;
        let result = exchange(address, &request, &mut kept).await;
        let outcome = result.map_or_else(|outcome| outcome, |answer| Outcome::of_status(answer.status));
        tally.note(outcome, due.elapsed());
        due += gap;
    }
    tally.accepted_in_time = tally.count(Outcome::Accepted);
    tally.elapsed = started.elapsed();
    tally
}
