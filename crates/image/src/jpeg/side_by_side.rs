//! Restart intervals side by side: a large scan with restart markers is decoded by several hands, each a thread with a decoder of its own.
//!
//! Whoever is free takes the next job: the fewest intervals that make up whole rows of units and are worth the way. So each job owns its rows of
//! every plane, and nothing is shared while it is done. Where intervals and rows never meet, the whole scan is one job.
//!
//! ```text
//! scan:    ┌ intervals 0–3 ┬ intervals 4–7 ┬ intervals 8–11 ┬ …          cut at markers, one job at a time, under the lock
//!               │ hand 1        │ hand 2        │ whoever is free first
//! planes:  ── rows 0–3 ──── rows 4–7 ────── rows 8–11 ─── …             split, and nobody writes another's
//! ```
//!
//! The outcome is that of one hand, to the byte: jobs are handed out in the order of the file and none after a failure, so the first failure of
//! the file is always among those that were met, and it is the one that is told. Warnings are put back in order.
//!
//! Scans of progressive files are decoded by one hand: the whole run from marker to marker would need the coefficients split as well.

use std::iter::Take;
use std::num::NonZero;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use super::baseline::ScanDecoder;
use super::damage::{Faults, MOST_WARNINGS, Warning};
use super::decode::Input;
use super::intervals::{Intervals, Least};
use super::plane::Strip;
use super::segments::Frame;
use crate::Error;

/// Coded bytes that are worth a job: a third of a millisecond. Waking a thread takes a tenth of that.
const JOB_BYTES: usize = 64 * 1024;
/// Pixels of the picture that are worth a job, where they are coded in fewer bytes.
const JOB_PIXELS: u64 = 250_000;
/// Stack of a hand: its decoder takes 6 KiB, the caller's `cancelled` what it likes.
const STACK_BYTES: usize = 256 * 1024;
/// What a hand takes beside its stack: the list of the blocks of a unit, and the thread's own. Bytes.
const THREAD_BYTES: usize = 8 * 1024;

/// How many hands are worth while for a scan of so many bytes: 1 to `threads`.
pub(super) fn hands(threads: NonZero<usize>, frame: &Frame, bytes: usize) -> usize {
    let pixels = u64::from(frame.width) * u64::from(frame.height) / JOB_PIXELS;
    let jobs = (bytes / JOB_BYTES).max(usize::try_from(pixels).unwrap_or(usize::MAX));
    threads.get().min(jobs).max(1)
}

/// What the hands beside the caller's take at most for a file of so many bytes.
pub(crate) fn hand_bytes(threads: NonZero<usize>, frame: &Frame, file_bytes: usize) -> u64 {
    let others = if frame.progressive { 0 } else { hands(threads, frame, file_bytes) - 1 };
    others as u64 * (STACK_BYTES + THREAD_BYTES) as u64
}

/// Decodes the intervals of a scan into `strip` by as many hands, the caller's included.
pub(super) fn decode(
    hands: usize,
    decoder: &ScanDecoder<'_>,
    input: &Input<'_>,
    intervals: Intervals<'_>,
    strip: Strip<'_>,
    faults: &mut Faults,
) -> Result<(), Error> {
    let work = Mutex::new(Work { intervals, rest: strip, jobs: 0, warnings: Vec::new(), failure: None });
    let hand = || {
        let mut decoder = decoder.clone();
        loop {
            let Some(mut job) = lock(&work).next_job(&decoder, input.frame) else { return };
            let mut faults = faults.of_part();
            let result = decoder.intervals(input, job.intervals, &mut job.strip, &mut faults);
            lock(&work).note(job.number, faults, result);
        }
    };
    thread::scope(|scope| {
        for _ in 1..hands {
            let spawned = thread::Builder::new().name("jpeg".into()).stack_size(STACK_BYTES).spawn_scoped(scope, hand);
            if spawned.is_err() {
                // Fewer hands do it as well.
                break;
            }
        }
        hand();
    });
    let work = work.into_inner().unwrap_or_else(PoisonError::into_inner);
    faults.append(work.warnings.into_iter().map(|(_, warning)| warning));
    work.failure.map_or(Ok(()), |(_, error)| Err(error))
}

/// Some intervals and the rows that they fill.
struct Job<'a, 'p> {
    number: usize,
    intervals: Take<Intervals<'a>>,
    strip: Strip<'p>,
}

/// What is left of a scan, and what was wrong so far.
struct Work<'a, 'p> {
    intervals: Intervals<'a>,
    rest: Strip<'p>,
    /// Jobs that were handed out.
    jobs: usize,
    /// By job, never more than are listed in the end.
    warnings: Vec<(usize, Warning)>,
    /// Of the first job that failed.
    failure: Option<(usize, Error)>,
}

impl<'a, 'p> Work<'a, 'p> {
    /// The next job; `None` when there is none, or when the scan has failed already.
    fn next_job(&mut self, decoder: &ScanDecoder<'_>, frame: &Frame) -> Option<Job<'a, 'p>> {
        if self.failure.is_some() {
            return None;
        }
        let least = Least { bytes: JOB_BYTES, units: worthwhile_units(self.intervals.units(), frame) };
        let (intervals, end_row) = self.intervals.next_rows(decoder.units_across(), least)?;
        let strip = self.rest.split_off(end_row.saturating_sub(self.rest.first_row), decoder.unit_heights());
        let number = self.jobs;
        self.jobs += 1;
        Some(Job { number, intervals, strip })
    }

    /// Takes note of how a job ended.
    fn note(&mut self, number: usize, faults: Faults, result: Result<(), Error>) {
        self.warnings.extend(faults.warnings.into_iter().map(|warning| (number, warning)));
        self.warnings.sort_by_key(|&(job, _)| job);
        self.warnings.truncate(MOST_WARNINGS);
        if let Err(error) = result
            && self.failure.as_ref().is_none_or(|&(first, _)| number < first)
        {
            self.failure = Some((number, error));
        }
    }
}

/// So many of the `units` of a scan as hold [`JOB_PIXELS`].
fn worthwhile_units(units: u32, frame: &Frame) -> u32 {
    let pixels = u64::from(frame.width) * u64::from(frame.height);
    let least = u64::from(units) * JOB_PIXELS / pixels.max(1);
    u32::try_from(least).unwrap_or(u32::MAX).max(1)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A hand that panics ends the whole decode; until then the others may go on.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jpeg::Damage;
    use crate::jpeg::scan::{Scan, ScanPlace};

    /// As many faults, at `at` and behind.
    fn faults(at: usize, count: usize) -> Faults {
        let mut faults = Faults::new(Damage::Keep);
        (0..count).for_each(|i| faults.note("a fault", at + i).unwrap());
        faults
    }

    #[test]
    fn whichever_job_ends_first_the_first_faults_of_the_file_are_told() {
        let place = ScanPlace { scan: Scan::of_nothing(), header: 0, start: 0, end: 0, first_restart: None };
        let intervals = Intervals::new(&[], &place, 0, 0);
        let mut work = Work { intervals, rest: Strip::default(), jobs: 4, warnings: Vec::new(), failure: None };
        work.note(3, faults(300, MOST_WARNINGS), Err(Error::damaged("the last")));
        work.note(1, faults(100, 2), Err(Error::damaged("the first")));
        work.note(2, faults(200, 1), Err(Error::damaged("the second")));
        work.note(0, faults(0, 3), Ok(()));
        let told: Vec<u64> = work.warnings.iter().map(|(_, warning)| warning.at).collect();
        assert_eq!(told[..7], [0, 1, 2, 100, 101, 200, 300]);
        assert_eq!(told.len(), MOST_WARNINGS);
        assert_eq!(work.failure, Some((1, Error::damaged("the first"))));
    }
}
