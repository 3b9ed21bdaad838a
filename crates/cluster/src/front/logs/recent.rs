//! [`Recent`]: the last lines, for who asks later.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::WorkerId;

/// Most bytes that are kept.
const MOST_BYTES: usize = 1 << 20;
/// What a line costs beside its text, about.
const OVERHEAD: usize = 64;

/// The last lines, as they were written, each with its worker (`None`: the primary's, or ours).
#[derive(Debug, Default)]
pub(in crate::front) struct Recent {
    lines: VecDeque<(Option<WorkerId>, Bytes)>,
    bytes: usize,
}

impl Recent {
    pub(super) fn add(&mut self, worker: Option<WorkerId>, line: Bytes) {
        self.bytes += line.len() + OVERHEAD;
        self.lines.push_back((worker, line));
        while self.bytes > MOST_BYTES {
            let Some((_, oldest)) = self.lines.pop_front() else { return };
            self.bytes -= oldest.len() + OVERHEAD;
        }
    }

    /// The last `most` lines, of one worker if one is named, oldest first.
    pub(in crate::front) fn last(&self, most: usize, worker: Option<WorkerId>) -> Vec<Bytes> {
        let wanted = self.lines.iter().rev().filter(|(its, _)| worker.is_none() || *its == worker);
        let mut last: Vec<Bytes> = wanted.take(most).map(|(_, line)| line.clone()).collect();
        last.reverse();
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_within_a_bound() {
        let mut recent = Recent::default();
        for number in 0..100_000u32 {
            recent.add(Some(WorkerId::new(number % 2)), Bytes::from(format!("line {number}\n")));
            assert!(recent.bytes <= MOST_BYTES);
        }
        assert_eq!(recent.last(2, None), ["line 99998\n", "line 99999\n"]);
        assert_eq!(recent.last(2, Some(WorkerId::new(0))), ["line 99996\n", "line 99998\n"]);
        assert!(recent.last(usize::MAX, None).len() > 10_000);
        recent.add(None, Bytes::from(vec![b'x'; 2 * MOST_BYTES]));
        assert!(recent.lines.is_empty() && recent.bytes == 0);
    }
}
