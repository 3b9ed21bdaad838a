//! [`Tally`]: what one process of clients did while it counted.

use std::io::{BufRead, Read, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use measuring::{During, Failure, Times};
use serde::{Deserialize, Serialize};

/// Counts what ends within the time that is counted; shared by all clients of a process.
pub(crate) struct Tally {
    begins: Instant,
    ends: Instant,
    counts: Mutex<Counts>,
}

struct Counts {
    cycles: u64,
    enqueue: Times,
    cycle: Times,
}

/// As it is handed over: for each time, in microseconds, how often it was seen.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Counted {
    /// Jobs whose result was received, or messages that were acknowledged.
    pub(crate) cycles: u64,
    /// In which that was.
    pub(crate) seconds: f64,
    /// Until the queue had confirmed.
    pub(crate) enqueue: Vec<(f64, u64)>,
    /// Until the result was received, or the message acknowledged.
    pub(crate) cycle: Vec<(f64, u64)>,
}

/// Returns when all processes have their figures.
pub(crate) fn wait_for_the_end() -> Result<(), Failure> {
    std::io::stdin().lock().read_to_end(&mut Vec::new()).map(drop).during("wait for the others")
}

impl Tally {
    /// Says that this process could begin, waits until it shall, and begins to warm up.
    pub(crate) fn begin(warm_up: Duration, counted: Duration) -> Result<Self, Failure> {
        let mut output = std::io::stdout().lock();
        writeln!(output, "ready").and_then(|()| output.flush()).during("say that it could begin")?;
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line).during("wait for the beginning")? == 0 {
            return Err(Failure::new("it never began"));
        }
        let begins = Instant::now() + warm_up;
        let counts = Mutex::new(Counts { cycles: 0, enqueue: Times::new()?, cycle: Times::new()? });
        Ok(Self { begins, ends: begins + counted, counts })
    }

    /// Whether there is time for another one.
    pub(crate) fn goes_on(&self) -> bool {
        Instant::now() < self.ends
    }

    /// What was begun at `start` is confirmed now.
    pub(crate) fn enqueued(&self, start: Instant) {
        self.count(start, |counts, took| counts.enqueue.add(took));
    }

    /// What was begun at `start` is done now.
    pub(crate) fn done(&self, start: Instant) {
        self.count(start, |counts, took| {
            counts.cycles += 1;
            counts.cycle.add(took);
        });
    }

    fn count(&self, start: Instant, add: impl FnOnce(&mut Counts, Duration)) {
        let now = Instant::now();
        if now >= self.begins && now < self.ends {
            add(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner), now - start);
        }
    }

    /// Prints one line of JSON.
    pub(crate) fn print(&self) {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let listed = |times: &Times| times.counted().map(|(nanos, count)| (nanos as f64 / 1e3, count)).collect();
        let counted = Counted {
            cycles: counts.cycles,
            seconds: (self.ends - self.begins).as_secs_f64(),
            enqueue: listed(&counts.enqueue),
            cycle: listed(&counts.cycle),
        };
        println!("{}", serde_json::json!(counted));
    }
}
