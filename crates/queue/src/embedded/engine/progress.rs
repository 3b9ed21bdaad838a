//! [`LastWords`]: how far jobs had come when they ended, or were handed back. In memory only, and only of the last ones.

use std::collections::{HashMap, VecDeque};

use phalanx_task::Progress;

use crate::JobId;

/// Jobs whose last word is kept: whoever watches a job asks at once when it has ended.
const MOST: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct LastWords {
    words: HashMap<JobId, Progress>,
    /// The one that was heard of first is forgotten first.
    order: VecDeque<JobId>,
}

impl LastWords {
    pub(super) fn keep(&mut self, job: JobId, progress: Progress) {
        if self.words.insert(job, progress).is_some() {
            return;
        }
        self.order.push_back(job);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.words.remove(&oldest);
        }
    }

    pub(super) fn of(&self, job: &JobId) -> Option<Progress> {
        self.words.get(job).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_is_kept_of_the_last_ones() {
        let mut last = LastWords::default();
        let word = |done| Progress { done, total: 0 };
        let jobs: Vec<JobId> = (0..=MOST).map(|_| JobId::new()).collect();
        last.keep(jobs[0], word(1));
        last.keep(jobs[0], word(2));
        assert_eq!(last.of(&jobs[0]), Some(word(2)));
        jobs.iter().for_each(|job| last.keep(*job, word(3)));
        assert_eq!(last.of(&jobs[0]), None);
        assert_eq!((last.of(&jobs[MOST]), last.words.len()), (Some(word(3)), MOST));
    }
}
