//! [`Load`]: how busy a worker is, as far as the kernel can tell: for the distribution by load.
//!
//! Node does not say when a connection ends, so what is open is not known. Its CPU time is; between two looks at it, each
//! connection that was handed out counts as much as those before it have cost, or all of them would go to the same worker.

use std::rc::Weak;
use std::time::Duration;

use tokio::time::Instant;

use super::hall::Hall;

/// From one look to the next.
const LOOK: Duration = Duration::from_millis(250);
/// The part of the newest look in the average.
const NEWEST: f64 = 0.5;

/// How busy one worker is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    at: Instant,
    /// CPU time so far.
    used: Duration,
    /// Connections so far.
    taken: u64,
    /// Cores in use, on average.
    cores: f64,
    /// Core-seconds in a connection, on average.
    cost: f64,
}

impl Load {
    /// A worker that has done nothing yet.
    pub(super) fn new(now: Instant) -> Load {
        Load { at: now, used: Duration::ZERO, taken: 0, cores: 0.0, cost: 0.0 }
    }

    /// Another look.
    fn note(&mut self, now: Instant, used: Duration, taken: u64) {
        let seconds = now.duration_since(self.at).as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        let spent = used.saturating_sub(self.used).as_secs_f64();
        self.cores += NEWEST * (spent / seconds - self.cores);
        let connections = taken.saturating_sub(self.taken);
        if connections > 0 {
            self.cost += NEWEST * (spent / connections as f64 - self.cost);
        }
        (self.at, self.used, self.taken) = (now, used, taken);
    }

    /// Thousandths of a core that it will probably use, if it has taken so many connections by now.
    pub(super) fn busy(&self, taken: u64) -> u64 {
        let since = taken.saturating_sub(self.taken) as f64 * self.cost / LOOK.as_secs_f64();
        ((self.cores + since) * 1000.0) as u64
    }
}

/// Looks at all workers, again and again, as long as there is a hall.
pub(super) async fn watch(hall: Weak<Hall>) {
    let tick = rustix::param::clock_ticks_per_second().max(1);
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(hall) = hall.upgrade() else { return };
        let mut state = hall.state.borrow_mut();
        for seat in state.seats.values_mut() {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", seat.pid)).unwrap_or_default();
            if let Some(ticks) = ticks_in(&stat) {
                let taken = seat.taken + seat.offers.len() as u64;
                seat.load.note(Instant::now(), Duration::from_secs_f64(ticks as f64 / tick as f64), taken);
            }
        }
    }
}

/// User and system time in `/proc/PID/stat` (proc(5)). The name of the program may hold anything, also brackets.
fn ticks_in(stat: &str) -> Option<u64> {
    /// Fields between the name and `utime`: state to cmajflt.
    const BEFORE: usize = 11;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(BEFORE);
    let user: u64 = fields.next()?.parse().ok()?;
    Some(user + fields.next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_found_behind_any_name() {
        let stat = "42 (a) 1 (b) S 1 42 42 0 -1 4194560 1 2 3 4 17 25 0 0 20 0 11 0 7 8 9";
        assert_eq!(ticks_in(stat), Some(42));
        assert_eq!(ticks_in(""), None);
        assert!(ticks_in(&std::fs::read_to_string("/proc/self/stat").unwrap()).is_some());
    }

    #[test]
    fn connections_since_the_last_look_count_as_much_as_those_before() {
        let begin = Instant::now();
        let mut load = Load::new(begin);
        assert_eq!(load.busy(100), 0);
        load.note(begin + LOOK, LOOK / 2, 100); // half a core with 100 connections
        let before = load.busy(100);
        assert!((200..=300).contains(&before), "{before}");
        assert!(load.busy(150) > before && load.busy(200) > load.busy(150));
        load.note(begin + 2 * LOOK, LOOK / 2, 200); // idle since
        assert!(load.busy(200) < before);
    }
}
