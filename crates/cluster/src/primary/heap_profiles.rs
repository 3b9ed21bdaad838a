//! Profiles of the workers' heaps: the front brings a file, the worker writes into it, and the primary only passes the words on.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use super::Primary;
use crate::WorkerId;
use crate::control::{HeapFigures, HeapProfile, ToWorker};
use crate::front::link::Answer;

/// For a worker to answer: that is some MiB of symbol tables, on a machine that may be busy.
const DEADLINE: Duration = Duration::from_secs(55);

/// What workers were asked for and have not answered yet; at most one thing each. Goes with the front that asked.
#[derive(Debug, Default)]
pub(super) struct HeapProfiles {
    asked: HashMap<WorkerId, Asked>,
    last: u64,
}

#[derive(Debug)]
struct Asked {
    /// Its number between primary and worker.
    number: u64,
    /// Its number between front and primary.
    request: u64,
    until: Instant,
}

impl HeapProfiles {
    /// The number between front and primary of what this worker was asked for, which is over.
    pub(super) fn ended(&mut self, worker: WorkerId) -> Option<u64> {
        self.asked.remove(&worker).map(|asked| asked.request)
    }

    fn answered(&mut self, worker: WorkerId, number: u64) -> Option<u64> {
        self.asked.get(&worker).filter(|asked| asked.number == number)?;
        self.ended(worker)
    }
}

impl Primary {
    /// Hands a wish on; an answer that is given at once says why it cannot be.
    pub(super) fn ask_for_heap_profile(
        &mut self,
        request: u64,
        worker: WorkerId,
        wish: HeapProfile,
        files: &[OwnedFd],
    ) -> Option<Answer> {
        let Some(running) = self.workers.get(&worker) else { return Some(Answer::NoSuchWorker) };
        let profiles = self.front.as_mut()?.heap_profiles()?;
        let now = Instant::now();
        if profiles.asked.get(&worker).is_some_and(|asked| now < asked.until) {
            return Some(Answer::Refused(format!(
                "worker {worker} is at a heap profile already; try again when it is done"
            )));
        }
        profiles.last += 1;
        let number = profiles.last;
        let files: Vec<_> = files.iter().take(1).map(AsFd::as_fd).collect();
        if let Err(error) = running.control.send(&ToWorker::HeapProfile { request: number, worker, wish }, &files) {
            return Some(Answer::Refused(format!("worker {worker} takes no messages now: {error}")));
        }
        profiles.asked.insert(worker, Asked { number, request, until: now + DEADLINE });
        None
    }

    /// A worker has answered.
    pub(super) fn heap_profiled(&mut self, worker: WorkerId, number: u64, result: Result<HeapFigures, String>) {
        let Some(front) = &mut self.front else { return };
        if let Some(request) = front.heap_profiles().and_then(|profiles| profiles.answered(worker, number)) {
            front.answer(request, result.map_or_else(Answer::Refused, Answer::HeapProfiled));
        }
    }
}
