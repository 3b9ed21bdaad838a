//! The open loop: requests are due at random moments of a fixed mean rate, whether or not the server keeps up.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::{Outcome, Request, Tally, exchange};

/// More requests than this are never under way; a request that is due beyond it counts as unsent.
pub(crate) const MOST_IN_FLIGHT: u32 = 1024;

/// The same arrivals in every run.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Independent clients (one connection each) arrive as a Poisson process of `per_second` for `duration`. Latency runs
/// from the moment at which a request was due. Answers after `duration` count in the latencies, not in the goodput.
pub(crate) async fn run(address: SocketAddr, request: &Request, per_second: f64, duration: Duration) -> Tally {
    let request = Arc::new(request.clone());
    let in_flight = Arc::new(Semaphore::new(MOST_IN_FLIGHT as usize));
    let shared = Arc::new(Mutex::new(Tally::new()));
    let mut arrivals = Arrivals::new(per_second);
    let started = Instant::now();
    let end = started + duration;
    let mut due = started + arrivals.gap();
    while due < end {
        tokio::time::sleep_until(due.into()).await;
        match Arc::clone(&in_flight).try_acquire_owned() {
            Err(_) => note(&shared, |tally| tally.note(Outcome::Unsent, Duration::ZERO)),
            Ok(permit) => {
                let (request, shared) = (Arc::clone(&request), Arc::clone(&shared));
                tokio::spawn(async move {
                    let result = exchange(address, &request, &mut None).await;
                    let outcome = result.map_or_else(|outcome| outcome, |answer| Outcome::of_status(answer.status));
                    let now = Instant::now();
                    note(&shared, |tally| {
                        tally.note(outcome, now - due);
                        if outcome == Outcome::Accepted && now <= end {
                            tally.accepted_in_time += 1;
                        }
                    });
                    drop(permit);
                });
            }
        }
        due += arrivals.gap();
    }
    // Every exchange has a deadline, so all permits come back.
    let _ = in_flight.acquire_many(MOST_IN_FLIGHT).await;
    let mut tally = Tally::new();
    note(&shared, |ended| tally = ended.clone());
    tally.elapsed = duration;
    tally
}

fn note(shared: &Mutex<Tally>, change: impl FnOnce(&mut Tally)) {
    // A panic elsewhere leaves the counts as they are; they are still the best there is.
    change(&mut shared.lock().unwrap_or_else(PoisonError::into_inner));
}

/// Gaps between the arrivals of a Poisson process (xorshift64*, then the inverse of the exponential distribution).
struct Arrivals {
    state: u64,
    mean_gap_seconds: f64,
}

impl Arrivals {
    fn new(per_second: f64) -> Self {
        Self { state: SEED, mean_gap_seconds: 1.0 / per_second }
    }

    fn gap(&mut self) -> Duration {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let bits = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        let uniform = (bits as f64 + 0.5) / (1u64 << 53) as f64;
        Duration::from_secs_f64(-uniform.ln() * self.mean_gap_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_keep_their_mean_rate_and_vary() {
        let mut arrivals = Arrivals::new(200.0);
        let gaps: Vec<f64> = (0..20_000).map(|_| arrivals.gap().as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        assert!((0.0049..0.0051).contains(&mean), "{mean}");
        let longer_than_mean = gaps.iter().filter(|gap| **gap > 0.005).count() as f64 / gaps.len() as f64;
        assert!((0.35..0.39).contains(&longer_than_mean), "1/e of an exponential distribution: {longer_than_mean}");
    }
}
