//! [`Cancellation`]: one word that ends many jobs.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use crate::pool::error::JobError;
use crate::pool::job::{Job, Queued};
use crate::sync::lock;

/// Ends many jobs at once: all that were submitted with [`cancelled_by`](crate::JobBuilder::cancelled_by) this.
///
/// Jobs that wait are dropped unrun, jobs that run see [`is_cancelled`](crate::JobContext::is_cancelled); their
/// submissions are ready with [`JobError::Cancelled`](crate::JobError::Cancelled), also detached ones and those that nobody polls. It belongs
/// to no runtime. Clones are the same cancellation; dropping it cancels nothing.
///
/// ```
/// use phalanx_thread::{Cancellation, JobError, ThreadPool};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let pool = ThreadPool::builder().threads(1).build().unwrap();
/// let client_gone = Cancellation::new();
/// let render = pool.job().cancelled_by(&client_gone).spawn(|cx| {
///     while !cx.is_cancelled() {
///         std::hint::spin_loop();
///     }
/// });
/// client_gone.cancel();
/// assert_eq!(render.await, Err(JobError::Cancelled));
/// # });
/// ```
///
/// Another library's token cancels it in one line: `token.cancelled().await; cancellation.cancel();`.
#[derive(Clone, Default)]
pub struct Cancellation {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    cancelled: AtomicBool,
    jobs: Mutex<Jobs>,
}

#[derive(Default)]
struct Jobs {
    list: Vec<Weak<dyn Queued>>,
    /// The length at which those that are gone are swept out.
    sweep_at: usize,
    listeners: Vec<Weak<dyn Fn() + Send + Sync>>,
    sweep_listeners_at: usize,
}

/// Sweeping fewer is not worth the walk.
const FEWEST_SWEPT: usize = 64;

impl Cancellation {
    /// One that has not been said.
    pub fn new() -> Cancellation {
        Cancellation::default()
    }

    /// Ends all its jobs, now and for ever: later ones are cancelled when they are submitted.
    pub fn cancel(&self) {
        let mut jobs = lock(&self.shared.jobs);
        self.shared.cancelled.store(true, Ordering::Release);
        let list = std::mem::take(&mut jobs.list);
        let listeners = std::mem::take(&mut jobs.listeners);
        drop(jobs);
        for job in list.into_iter().filter_map(|job| job.upgrade()) {
            job.stop(JobError::Cancelled);
        }
        for listener in listeners.into_iter().filter_map(|listener| listener.upgrade()) {
            listener();
        }
    }

    /// Calls this once when it is said, which may be now, for what is no job of a pool: a stream, a request. It is held
    /// weakly: dropping it ends the listening.
    pub fn tell(&self, listener: &Arc<dyn Fn() + Send + Sync>) {
        let mut jobs = lock(&self.shared.jobs);
        if self.is_cancelled() {
            drop(jobs);
            return listener();
        }
        if jobs.listeners.len() >= jobs.sweep_listeners_at {
            jobs.listeners.retain(|listener| listener.strong_count() > 0);
            jobs.sweep_listeners_at = (jobs.listeners.len() * 2).max(FEWEST_SWEPT);
        }
        jobs.listeners.push(Arc::downgrade(listener));
    }

    /// Whether it was said.
    pub fn is_cancelled(&self) -> bool {
        self.shared.cancelled.load(Ordering::Acquire)
    }

    /// Ends this job when it is said, which may be now.
    pub(crate) fn watch(&self, job: &Job) {
        let mut jobs = lock(&self.shared.jobs);
        if self.is_cancelled() {
            drop(jobs);
            job.0.clone().stop(JobError::Cancelled);
            return;
        }
        if jobs.list.len() >= jobs.sweep_at {
            jobs.list.retain(|job| job.strong_count() > 0);
            jobs.sweep_at = (jobs.list.len() * 2).max(FEWEST_SWEPT);
        }
        jobs.list.push(Arc::downgrade(&job.0));
    }
}

impl fmt::Debug for Cancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancellation").field("cancelled", &self.is_cancelled()).finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn listeners_are_called_once_and_only_while_they_live() {
        let calls = Arc::new(AtomicUsize::new(0));
        let listener = || -> Arc<dyn Fn() + Send + Sync> {
            let calls = calls.clone();
            Arc::new(move || {
                calls.fetch_add(1, Ordering::Relaxed);
            })
        };
        let cancellation = Cancellation::new();
        let (kept, dropped) = (listener(), listener());
        cancellation.tell(&kept);
        cancellation.tell(&dropped);
        drop(dropped);
        cancellation.cancel();
        cancellation.cancel();
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        cancellation.tell(&listener());
        assert_eq!(calls.load(Ordering::Relaxed), 2, "too late is now");
        let other = Cancellation::new();
        (0..10 * FEWEST_SWEPT).for_each(|_| other.tell(&listener()));
        assert!(lock(&other.shared.jobs).listeners.len() <= FEWEST_SWEPT, "what is gone is swept out");
    }
}
