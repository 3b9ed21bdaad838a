//! When counting begins and ends, and how the figure is handed over.

use std::time::{Duration, Instant};

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// What comes before is not counted.
    pub warm_up: Duration,
    /// From then on, so long.
    pub counted: Duration,
    /// Messages between two looks at the clock.
    pub look_every: u64,
}

/// What the measuring side found.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Messages a second.
    pub figure: f64,
    /// Messages that were counted.
    pub messages: u64,
}

impl Report {
    /// Prints one line of JSON.
    pub fn print(self) {
        println!("{}", serde_json::json!({ "figure": self.figure, "messages": self.messages }));
    }
}

/// Counts messages, after a time to warm up.
pub struct Meter {
    schedule: Schedule,
    messages: u64,
    begins: Instant,
    counting: bool,
}

impl Meter {
    /// Begins to warm up now.
    pub fn start(schedule: Schedule) -> Self {
        Self { schedule, messages: 0, begins: Instant::now() + schedule.warm_up, counting: false }
    }

    /// Whether the time to warm up is over.
    pub fn is_counting(&self) -> bool {
        self.counting
    }

    /// One more message has come; the report once the time is over.
    pub fn one_more(&mut self) -> Option<Report> {
        self.messages += 1;
        if self.messages.is_multiple_of(self.schedule.look_every) { self.look(Instant::now()) } else { None }
    }

    fn look(&mut self, now: Instant) -> Option<Report> {
        if !self.counting {
            if now >= self.begins {
                (self.counting, self.begins, self.messages) = (true, now, 0);
            }
            return None;
        }
        let elapsed = now - self.begins;
        (elapsed >= self.schedule.counted)
            .then(|| Report { figure: self.messages as f64 / elapsed.as_secs_f64(), messages: self.messages })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_comes_after_the_warm_up_is_counted() {
        let schedule =
            Schedule { warm_up: Duration::from_secs(1), counted: Duration::from_secs(2), look_every: 1 << 40 };
        let mut meter = Meter::start(schedule);
        let start = meter.begins;
        meter.messages = 1_000_000;
        assert!(meter.look(start).is_none());
        for _ in 0..500 {
            assert!(meter.one_more().is_none());
        }
        assert!(meter.look(start + Duration::from_secs(1)).is_none());
        let report = meter.look(start + Duration::from_secs(2)).expect("the time is over");
        assert_eq!((report.figure, report.messages), (250.0, 500));
    }
}
