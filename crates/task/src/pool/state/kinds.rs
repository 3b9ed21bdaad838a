//! [`Kinds`]: what is known of each task of the registry: its sandbox level, and how long it runs.

use std::time::Duration;

/// A task that runs shorter than this on average is worth to be queued ahead: the way to an idle process takes about as long.
const SHORT: Duration = Duration::from_micros(200);
/// What it takes until an idle process on another core works, and its answer is heard.
const WAKE_UP: Duration = Duration::from_micros(40);
/// Weight of one more run in the mean.
const MEAN_WEIGHT: f64 = 1.0 / 8.0;

#[derive(Debug)]
pub(super) struct Kinds {
    kinds: Vec<Kind>,
}

#[derive(Debug)]
struct Kind {
    level: usize,
    /// In nanoseconds; nothing before the first run.
    mean_run: Option<f64>,
}

impl Kinds {
    pub(super) fn new(levels: impl Iterator<Item = usize>) -> Kinds {
        Kinds { kinds: levels.map(|level| Kind { level, mean_run: None }).collect() }
    }

    pub(super) fn level(&self, kind: usize) -> usize {
        self.kinds[kind].level
    }

    pub(super) fn record(&mut self, kind: usize, ran: Duration) {
        let ran = ran.as_nanos() as f64;
        let mean = &mut self.kinds[kind].mean_run;
        *mean = Some(mean.map_or(ran, |mean| mean + (ran - mean) * MEAN_WEIGHT));
    }

    /// How many such tasks a busy process does in the time that it takes to wake an idle one; none if they are not known.
    pub(super) fn per_wake_up(&self, kind: usize) -> usize {
        self.kinds[kind].mean_run.map_or(0, |mean| (WAKE_UP.as_nanos() as f64 / mean.max(1.0)) as usize)
    }

    /// Whether such tasks are known to be short.
    pub(super) fn is_short(&self, kind: usize) -> bool {
        self.kinds[kind].mean_run.is_some_and(|mean| mean < SHORT.as_nanos() as f64)
    }
}
