//! How fast the pool works off its queue: estimated cost per second of wall clock, measured.
//!
//! Each finished job adds its *estimate* to one sum and the wall time for which it occupied a thread (waiting for a
//! core included) to another. Their ratio, times the threads that there are, is the rate at which a full pool drains its queue.
//! Estimates that are wrong by a constant factor cancel out, since the queue is counted in the same estimates; and when
//! other processes take the cores, the same estimate occupies a thread for longer and the rate falls. Old measurements
//! fade with [`MEMORY`].

use std::time::Duration;

/// After a full pool has worked for this long, what was before weighs 1/e.
const MEMORY: Duration = Duration::from_secs(1);
/// Measurements are folded into the sums in portions of at least this much thread time: the exponential is not free.
const PORTION_NANOS: f64 = 2e6;
/// What a job without an estimate costs until one has finished.
const FIRST_GUESS_NANOS: f64 = 1e6;
/// Weight of one more run time in the mean that stands for jobs without an estimate.
const MEAN_WEIGHT: f64 = 1.0 / 16.0;
/// However badly things stand, the pool is taken to move: it keeps predictions finite.
const SLOWEST: f64 = 1e-3;

/// A job that left its thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finished {
    /// Its estimate in nanoseconds.
    pub(crate) cost: u64,
    /// The wall time for which it occupied the thread.
    pub(crate) occupied: Duration,
    /// The time for which it ran, if it ran to its end and nobody had estimated it.
    pub(crate) unestimated_run: Option<Duration>,
    /// Whether it ran to its end. What stopped early says nothing about speed unless it took longer than all of it
    /// should.
    pub(crate) whole: bool,
}

#[derive(Debug)]
pub(crate) struct Pace {
    /// As many as there may be.
    threads: f64,
    cost: f64,
    time: f64,
    new_cost: f64,
    new_time: f64,
    mean_run: f64,
}

impl Pace {
    /// `cores`: how many of the threads can really run at once, until measurements say more.
    pub(crate) fn new(threads: usize, cores: usize) -> Pace {
        let memory = MEMORY.as_nanos() as f64;
        Pace {
            threads: threads as f64,
            cost: memory * threads.min(cores) as f64,
            time: memory * threads as f64,
            new_cost: 0.0,
            new_time: 0.0,
            mean_run: FIRST_GUESS_NANOS,
        }
    }

    pub(crate) fn record(&mut self, finished: Finished) {
        if let Some(run) = finished.unestimated_run {
            self.mean_run += (run.as_nanos() as f64 - self.mean_run) * MEAN_WEIGHT;
        }
        let (cost, time) = (finished.cost as f64, finished.occupied.as_nanos() as f64);
        if finished.whole || time * self.efficiency() > cost {
            self.new_cost += cost;
            self.new_time += time;
        }
        if self.new_time >= PORTION_NANOS {
            self.fold();
        }
    }

    fn fold(&mut self) {
        // A portion that is long against the memory must not count for more than it lasted.
        let fading = (-self.new_time / (MEMORY.as_nanos() as f64 * self.threads)).exp();
        self.cost = self.cost * fading + self.new_cost;
        self.time = self.time * fading + self.new_time;
        self.new_cost = 0.0;
        self.new_time = 0.0;
    }

    fn efficiency(&self) -> f64 {
        self.cost / self.time
    }

    /// Estimated cost that so many threads work off per second of wall clock.
    pub(crate) fn rate(&self, threads: usize) -> f64 {
        (self.efficiency() * threads as f64).max(SLOWEST)
    }

    /// How long so many threads take for `cost` nanoseconds of estimates.
    pub(crate) fn time_for(&self, cost: u64, threads: usize) -> Duration {
        Duration::from_nanos((cost as f64 / self.rate(threads)) as u64)
    }

    /// What a job without an estimate is taken to cost, in nanoseconds.
    pub(crate) fn usual_cost(&self) -> u64 {
        self.mean_run.max(1.0) as u64
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn work(pace: &mut Pace, jobs: usize, cost_ms: u64, occupied_ms: u64) {
        for _ in 0..jobs {
            let occupied = Duration::from_millis(occupied_ms);
            pace.record(Finished { cost: cost_ms * MS, occupied, unestimated_run: None, whole: true });
        }
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 0.05 * b
    }

    #[test]
    fn it_starts_with_the_cores_or_the_threads_whichever_are_fewer() {
        assert_eq!(Pace::new(4, 2).rate(4), 2.0);
        assert_eq!(Pace::new(2, 8).rate(2), 2.0);
        assert_eq!(Pace::new(2, 8).time_for(4000 * MS, 2), Duration::from_secs(2));
    }

    #[test]
    fn estimates_that_are_wrong_by_a_factor_cancel_out() {
        // 30 ms estimated, 10 ms true: 100 queued jobs are 500 ms of work for two threads.
        let mut pace = Pace::new(2, 2);
        work(&mut pace, 2_000, 30, 10);
        assert!(close(pace.time_for(100 * 30 * MS, 2).as_secs_f64(), 0.5), "{:?}", pace.time_for(100 * 30 * MS, 2));
    }

    #[test]
    fn it_slows_down_when_others_take_the_cores_and_recovers() {
        let mut pace = Pace::new(2, 2);
        work(&mut pace, 600, 10, 20);
        assert!(close(pace.rate(2), 1.0), "{}", pace.rate(2));
        work(&mut pace, 1_000, 10, 10);
        assert!(close(pace.rate(2), 2.0), "{}", pace.rate(2));
    }

    #[test]
    fn lone_jobs_do_not_make_a_pool_of_four_look_slow() {
        let mut pace = Pace::new(4, 4);
        work(&mut pace, 2_000, 10, 10);
        assert!(close(pace.rate(4), 4.0), "{}", pace.rate(4));
    }

    #[test]
    fn a_job_that_was_stopped_early_says_nothing_and_one_that_took_too_long_does() {
        let mut pace = Pace::new(1, 1);
        let stopped = |occupied| Finished { cost: 100 * MS, occupied, unestimated_run: None, whole: false };
        (0..100).for_each(|_| pace.record(stopped(Duration::from_millis(5))));
        assert_eq!(pace.rate(1), 1.0);
        (0..100).for_each(|_| pace.record(stopped(Duration::from_millis(400))));
        assert!(close(pace.rate(1), 0.25), "{}", pace.rate(1));
    }

    #[test]
    fn jobs_without_an_estimate_cost_what_such_jobs_took() {
        let mut pace = Pace::new(1, 1);
        for _ in 0..200 {
            let run = Duration::from_millis(40);
            pace.record(Finished { cost: pace.usual_cost(), occupied: run, unestimated_run: Some(run), whole: true });
        }
        assert!(close(pace.usual_cost() as f64, 40e6));
    }

    #[test]
    fn nothing_makes_a_prediction_infinite() {
        let mut pace = Pace::new(1, 1);
        let free = Finished { cost: 0, occupied: Duration::from_secs(100), unestimated_run: None, whole: true };
        (0..100).for_each(|_| pace.record(free));
        assert!(pace.time_for(u64::MAX, 1) > Duration::from_secs(1));
        let dear = Finished { cost: u64::MAX, occupied: Duration::ZERO, unestimated_run: None, whole: true };
        (0..100).for_each(|_| pace.record(dear));
        assert!(pace.rate(1).is_finite());
    }
}
