//! How far a pipeline is: [`Progress`] as it is [now](Watch::now), as events at an interval, as a bar on a terminal.
//!
//! The parts count what they move; here it is only looked at, so that a pipeline that nobody watches pays nothing. An
//! iterator of events has no thread of its own; a stream and a bar have one each, which is gone when the pipeline's run
//! has returned.

#[cfg(feature = "bar")]
mod bar;
mod course;
mod events;
mod rate;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "bar")]
pub use bar::Bar;
pub(crate) use course::Course;
use course::State;
pub use events::Events;
pub use stream::ProgressStream;

use rate::eta;

use crate::{Meter, Pipeline};

/// How far a pipeline is.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// What the source has given: bytes, or items if it gives no bytes.
    pub read: u64,
    /// What the sink has taken: bytes, or items.
    pub written: u64,
    /// What the source will give in all, if it knows: the length of a file.
    pub total: Option<u64>,
    /// Since it was run.
    pub elapsed: Duration,
    /// Bytes (or items) read in a second: smoothed over the last few seconds; at the end, and
    /// [at once](Watch::now), over the whole time.
    pub rate: f64,
    /// The time left at this rate, if the total is known.
    pub eta: Option<Duration>,
    /// Whether it still runs.
    pub state: ProgressState,
}

impl Progress {
    /// The part of the total that was read, from 0 to 1. A file may have grown meanwhile: it is never more than 1.
    pub fn fraction(&self) -> Option<f64> {
        match self.total? {
            0 => Some(1.0),
            total => Some((self.read as f64 / total as f64).min(1.0)),
        }
    }
}

/// Whether a pipeline still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProgressState {
    /// Not run yet.
    Waiting,
    /// Under way.
    Running,
    /// It has ended, and everything is written.
    Done,
    /// It has ended by an error or was given up, or was dropped before it ran.
    Failed,
}

/// Shows how far a pipeline is, while it runs and after it: made by [`Pipeline::progress`]. A clone watches the same pipeline.
#[derive(Clone, Debug)]
pub struct Watch {
    meter: Meter,
    course: Arc<State>,
}

impl Pipeline {
    /// How far it is, to be asked before it is run.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use phalanx_stream::{ProgressState, Sink, Source, pipeline};
    ///
    /// let copy = pipeline(Source::reader("a text", &b"hello"[..]).total(5)).into(Sink::file("/dev/null")?);
    /// let events = copy.progress().every(Duration::from_millis(100));
    /// let shown = std::thread::spawn(move || events.last());
    /// copy.run_blocking()?;
    /// let last = shown.join().unwrap().unwrap();
    /// assert_eq!((last.read, last.written, last.fraction()), (5, 5, Some(1.0)));
    /// assert_eq!(last.state, ProgressState::Done);
    /// # Ok::<(), phalanx_stream::Error>(())
    /// ```
    pub fn progress(&self) -> Watch {
        Watch { meter: self.meter(), course: self.course.state().clone() }
    }
}

impl Watch {
    /// As it is now.
    pub fn now(&self) -> Progress {
        let (state, elapsed) = self.course.now();
        self.at(state, elapsed)
    }

    /// An event at each interval from the start, and one more when it has ended; between them the caller waits. Events for
    /// which nobody asked in time are left out.
    pub fn every(&self, interval: Duration) -> Events {
        Events::new(self.clone(), interval)
    }

    fn at(&self, state: ProgressState, elapsed: Duration) -> Progress {
        let (read, written, total) = (self.meter.read(), self.meter.written(), self.meter.total());
        let rate = if elapsed.is_zero() { 0.0 } else { read as f64 / elapsed.as_secs_f64() };
        Progress { read, written, total, elapsed, rate: 0.0, eta: None, state }.with_rate(rate)
    }
}

impl Progress {
    fn with_rate(self, rate: f64) -> Progress {
        let left = self.total.map(|total| total.saturating_sub(self.read));
        let eta = left.filter(|_| self.state == ProgressState::Running).and_then(|left| eta(left, rate));
        Progress { rate, eta, ..self }
    }
}
