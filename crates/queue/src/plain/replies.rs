//! [`Replies`]: how our own jobs ended, as whoever ran them tells.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::{JobEnd, JobId};

/// Ends that are kept for whoever asks again.
const MOST_ENDS: usize = 10_000;
/// Bytes of them.
const MOST_BYTES: usize = 64 << 20;

/// Of this handle's jobs.
#[derive(Default)]
pub(super) struct Replies {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    jobs: HashMap<JobId, Job>,
    /// Those that have ended, the earliest first.
    ended: VecDeque<JobId>,
    bytes: usize,
}

struct Job {
    /// When nobody can expect an answer any more.
    forget: Instant,
    end: Option<JobEnd>,
    waiting: Vec<oneshot::Sender<JobEnd>>,
}

/// What is known of a job.
pub(super) enum Known {
    Ended(JobEnd),
    /// It will be said here.
    Waiting(oneshot::Receiver<JobEnd>),
    /// It is not ours, does not reply, or its time is over.
    No,
}

impl Replies {
    /// A job of ours will reply.
    pub(super) fn expect(&self, job: JobId, keep: Duration) {
        let forget = Instant::now() + keep;
        self.lock().jobs.entry(job).or_insert(Job { forget, end: None, waiting: Vec::new() });
    }

    /// It was not taken after all.
    pub(super) fn forget(&self, job: JobId) {
        self.lock().jobs.remove(&job);
    }

    /// It has ended so. The first reply counts.
    pub(super) fn ended(&self, id: JobId, end: JobEnd) {
        let mut state = self.lock();
        let Some(job) = state.jobs.get_mut(&id).filter(|job| job.end.is_none()) else { return };
        for waiter in job.waiting.drain(..) {
            let _ = waiter.send(end.clone());
        }
        let bytes = bytes_of(&end);
        job.end = Some(end);
        state.bytes += bytes;
        state.ended.push_back(id);
        while state.ended.len() > MOST_ENDS || (state.bytes > MOST_BYTES && state.ended.len() > 1) {
            let Some(oldest) = state.ended.pop_front() else { break };
            let end = state.jobs.remove(&oldest).and_then(|job| job.end);
            state.bytes -= end.as_ref().map_or(0, bytes_of);
        }
    }

    pub(super) fn look(&self, id: JobId) -> Known {
        match self.lock().jobs.get_mut(&id) {
            None => Known::No,
            Some(Job { end: Some(end), .. }) => Known::Ended(end.clone()),
            Some(job) => {
                let (tell, told) = oneshot::channel();
                job.waiting.retain(|waiter| !waiter.is_closed());
                job.waiting.push(tell);
                Known::Waiting(told)
            }
        }
    }

    /// Forgets the jobs whose time is over.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        // Those that have ended go when there are too many of them.
        self.lock().jobs.retain(|_, job| job.end.is_some() || job.forget > now);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes_of(end: &JobEnd) -> usize {
    match end {
        JobEnd::Done(bytes) | JobEnd::Dead(bytes) => bytes.len(),
        JobEnd::Cancelled => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reply_counts_and_old_ones_make_room() {
        let replies = Replies::default();
        let ids: Vec<JobId> = (0..=MOST_ENDS).map(|_| JobId::new()).collect();
        for id in &ids {
            replies.expect(*id, Duration::from_secs(60));
            replies.ended(*id, JobEnd::Done(vec![1]));
            replies.ended(*id, JobEnd::Cancelled);
        }
        assert!(matches!(replies.look(ids[MOST_ENDS]), Known::Ended(JobEnd::Done(_))));
        assert!(matches!(replies.look(ids[0]), Known::No));
        assert_eq!(replies.lock().bytes, MOST_ENDS);
    }

    #[test]
    fn what_nobody_answers_is_forgotten_in_time() {
        let replies = Replies::default();
        let (soon, later) = (JobId::new(), JobId::new());
        replies.expect(soon, Duration::ZERO);
        replies.expect(later, Duration::from_secs(60));
        replies.sweep();
        assert!(matches!(replies.look(soon), Known::No));
        assert!(matches!(replies.look(later), Known::Waiting(_)));
        replies.ended(soon, JobEnd::Cancelled);
        assert!(matches!(replies.look(soon), Known::No));
    }
}
