//! [`Window`]: which messages of one partition are unsettled, and how often each was begun.
//!
//! ```text
//!   offsets   … settled │ 7  8  9 10 11 12 │ not taken yet …
//!                       │ ▲     ▲  ▲       │
//!              mark = 7 ┘ └ open ┘  └ open  └ end = 13        8, 11 and 12 are settled
//! ```
//!
//! Kafka keeps one number for each partition and group: the offset to go on from, and beside it a text of up to 4096 bytes
//! (`offset.metadata.max.bytes`). The number is the mark: all before it is settled. The text is the rest of the window in lengths of runs,
//! so that what was settled out of order does not come again either, and what was begun before a crash is known to be.
//!
//! Nobody waits for a commit before each message. The text also says how far its holder may go before the next one (the *reserve*): what is
//! within may be begun at once, and is *suspect* to the next holder if this one dies. Suspects, and all that was begun before, are begun
//! only when that is on record. So a message that kills its holder is counted from the second time on, whatever happens.

use std::collections::{BTreeMap, BTreeSet};

/// Longest text that we commit. Kafka's own limit is 4096 by default.
const TEXT_LIMIT: usize = 4000;
/// Kept free for the last two numbers, of at most eleven digits each.
const TAIL_LIMIT: usize = 22;
/// First letter of a text: its version.
const VERSION: char = 'a';
/// No window that we wrote is larger: a text that says so is damaged.
const MOST_OPEN: i64 = 1_000_000;
/// Digits of six bits: five of the number, lowest first, and one that says whether more follow.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The unsettled messages of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    /// Unsettled: offset, and how often it was begun.
    open: BTreeMap<i64, u32>,
    /// Of those, the ones that a former holder of the partition had, and that have not come to us yet.
    awaited: BTreeSet<i64>,
    /// All before this were taken by us or a former holder.
    end: i64,
    /// The former holder died, and may have begun anything before this.
    suspect_until: i64,
}

/// What became of a message that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It is to be worked on; it was begun so many times before.
    Open(u32),
    /// It was settled before.
    Settled,
}

/// A window in the form in which Kafka keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// The offset to go on from.
    pub(super) mark: i64,
    /// The rest.
    pub(super) text: String,
    /// What is before this offset is said completely; behind it, the text had no room.
    pub(super) covers: i64,
}

impl Window {
    /// Nothing is known but where to go on.
    pub(super) fn new(mark: i64) -> Window {
        Window { open: BTreeMap::new(), awaited: BTreeSet::new(), end: mark, suspect_until: 0 }
    }

    /// As a former holder of the partition left it. A text that is not ours says nothing.
    pub(super) fn restore(mark: i64, text: &str) -> Window {
        decode(mark, text).unwrap_or_else(|| Window::new(mark))
    }

    /// A message came: they come in the order of their offsets.
    pub(super) fn arrive(&mut self, offset: i64) -> Arrival {
        // What was awaited and is not there any more (purged, or its time was over) never comes.
        while let Some(gone) = self.awaited.first().copied().filter(|first| *first < offset) {
            self.awaited.remove(&gone);
            self.open.remove(&gone);
        }
        if offset >= self.end {
            self.end = offset + 1;
            self.open.insert(offset, 0);
            return Arrival::Open(0);
        }
        if self.awaited.remove(&offset) {
            return Arrival::Open(self.open.get(&offset).copied().unwrap_or(0));
        }
        Arrival::Settled
    }

    /// It is about to be handed out; how often it was, this time included.
    pub(super) fn begin(&mut self, offset: i64) -> u32 {
        let Some(begun) = self.open.get_mut(&offset) else { return 1 };
        *begun = begun.saturating_add(1);
        *begun
    }

    /// How often it was begun.
    pub(super) fn times(&self, offset: i64) -> u32 {
        self.open.get(&offset).copied().unwrap_or(0)
    }

    /// Whether it may have been begun though nothing says so.
    pub(super) fn is_suspect(&self, offset: i64) -> bool {
        offset < self.suspect_until
    }

    /// It was not handed out after all.
    pub(super) fn undo(&mut self, offset: i64) {
        if let Some(begun) = self.open.get_mut(&offset) {
            *begun = begun.saturating_sub(1);
        }
    }

    /// Unsettled ones that were handed out.
    pub(super) fn begun(&self) -> usize {
        self.open.values().filter(|times| **times > 0).count()
    }

    /// It is done with, whatever became of it.
    pub(super) fn settle(&mut self, offset: i64) {
        self.open.remove(&offset);
        self.awaited.remove(&offset);
    }

    /// All before this are settled.
    pub(super) fn mark(&self) -> i64 {
        self.open.first_key_value().map_or(self.end, |(first, _)| *first)
    }

    /// Unsettled ones.
    pub(super) fn unsettled(&self) -> usize {
        self.open.len()
    }

    /// All from this on were never taken.
    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// Whether it waits, or is in somebody's hands.
    pub(super) fn is_unsettled(&self, offset: i64) -> bool {
        offset >= self.end || self.open.contains_key(&offset)
    }

    /// In the form in which Kafka keeps it. The holder may begin all before `reserved` without another word; 0 when it leaves.
    pub(super) fn record(&self, reserved: i64) -> Record {
        let mark = self.mark();
        let mut text = String::new();
        if self.open.is_empty() && reserved <= self.end {
            return Record { mark, text, covers: self.end };
        }
        text.push(VERSION);
        let mut covers = mark;
        let mut is_whole = true;
        let mut run = String::new();
        let mut open = self.open.iter().peekable();
        while let Some((&first, &begun)) = open.next() {
            let mut next = first + 1;
            while open.next_if(|(offset, times)| **offset == next && **times == begun).is_some() {
                next += 1;
            }
            run.clear();
            [first - covers, next - first, i64::from(begun)].into_iter().for_each(|number| write(&mut run, number));
            if text.len() + run.len() > TEXT_LIMIT - TAIL_LIMIT {
                is_whole = false;
                break;
            }
            text.push_str(&run);
            covers = next;
        }
        let settled = if is_whole { self.end - covers } else { 0 };
        covers += settled;
        // What there was no room for is suspect too.
        let suspects = self.end.max(reserved) - covers;
        [settled, suspects].into_iter().for_each(|number| write(&mut text, number));
        Record { mark, text, covers }
    }
}

fn write(text: &mut String, number: i64) {
    let mut rest = number.max(0);
    loop {
        let low = usize::try_from(rest & 31).unwrap_or(0);
        rest >>= 5;
        let more = if rest > 0 { 32 } else { 0 };
        text.push(char::from(DIGITS[low | more]));
        if rest == 0 {
            return;
        }
    }
}

fn read(text: &mut impl Iterator<Item = u8>) -> Option<i64> {
    let (mut number, mut shift) = (0_i64, 0);
    loop {
        let letter = text.next()?;
        let digit = i64::try_from(DIGITS.iter().position(|digit| *digit == letter)?).ok()?;
        // 11 digits have 55 bits: more than any offset that we shall see, and no overflow.
        if shift > 50 {
            return None;
        }
        number |= (digit & 31) << shift;
        shift += 5;
        if digit & 32 == 0 {
            return Some(number);
        }
    }
}

fn decode(mark: i64, text: &str) -> Option<Window> {
    let mut window = Window::new(mark);
    if text.is_empty() {
        return Some(window);
    }
    let mut letters = text.strip_prefix(VERSION)?.bytes().peekable();
    let mut numbers = Vec::new();
    while letters.peek().is_some() {
        numbers.push(read(&mut letters)?);
    }
    let (runs, &[settled, suspects]) = numbers.split_last_chunk::<2>()?;
    let mut already = 0;
    for run in runs.chunks(3) {
        let &[settled, open, begun] = run else { return None };
        let (first, begun) = (window.end.checked_add(settled)?, u32::try_from(begun).ok()?);
        already += open;
        if open > MOST_OPEN || already > MOST_OPEN {
            return None;
        }
        window.end = first.checked_add(open)?;
        window.open.extend((first..window.end).map(|offset| (offset, begun)));
    }
    window.end = window.end.checked_add(settled)?;
    if suspects > 0 {
        window.suspect_until = window.end.checked_add(suspects)?;
    }
    window.awaited = window.open.keys().copied().collect();
    Some(window)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_settled_out_of_order_does_not_come_again_and_the_rest_does() {
        let mut window = Window::new(7);
        for offset in 7..13 {
            assert_eq!(window.arrive(offset), Arrival::Open(0));
            window.begin(offset);
        }
        [8, 11, 12].into_iter().for_each(|offset| window.settle(offset));
        let record = window.record(0);
        assert_eq!((record.mark, record.covers), (7, 13));
        let mut restored = Window::restore(record.mark, &record.text);
        let came: Vec<_> = (7..14).map(|offset| restored.arrive(offset)).collect();
        let (open, settled) = (Arrival::Open(1), Arrival::Settled);
        assert_eq!(came, [open, settled, open, open, settled, settled, Arrival::Open(0)]);
    }

    #[test]
    fn a_settled_window_needs_no_text() {
        let mut window = Window::new(0);
        window.arrive(0);
        window.settle(0);
        assert_eq!(window.record(0), Record { mark: 1, text: String::new(), covers: 1 });
    }

    #[test]
    fn what_a_dead_holder_may_have_begun_is_suspect_and_what_a_leaving_one_had_is_not() {
        let mut window = Window::new(0);
        for offset in 0..5 {
            window.arrive(offset);
        }
        window.settle(2);
        let left = window.record(0);
        assert!(!Window::restore(left.mark, &left.text).is_suspect(0));
        let died = window.record(100);
        let next = Window::restore(died.mark, &died.text);
        assert!(next.is_suspect(0) && next.is_suspect(99) && !next.is_suspect(100));
        assert_eq!(next.end(), 5);
        let idle = Window::new(7).record(10);
        assert!(Window::restore(idle.mark, &idle.text).is_suspect(9));
        assert_eq!(Window::restore(idle.mark, &idle.text).arrive(7), Arrival::Open(0));
    }

    #[test]
    fn what_was_purged_meanwhile_holds_the_mark_no_longer() {
        let mut window = Window::restore(0, &{
            let mut before = Window::new(0);
            for offset in 0..10 {
                before.arrive(offset);
            }
            before.record(0).text
        });
        assert_eq!(window.mark(), 0);
        assert_eq!(window.arrive(9), Arrival::Open(0));
        assert_eq!(window.mark(), 9);
    }

    #[test]
    fn a_text_of_somebody_else_says_nothing() {
        for text in ["", "hello", "a", "aA", "a!", "aAAA________________", "z"] {
            assert_eq!(Window::restore(5, text).arrive(5), Arrival::Open(0), "{text}");
        }
        assert_eq!(Window::restore(0, "aA____________").end(), 0);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Take(i64),
        Begin(usize),
        Settle(usize),
        Restart,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (1..40_i64).prop_map(Step::Take),
            4 => any::<usize>().prop_map(Step::Begin),
            6 => any::<usize>().prop_map(Step::Settle),
            1 => Just(Step::Restart),
        ];
        prop::collection::vec(step, 1..200)
    }

    proptest! {
        /// Against a plain model: nothing that was settled and covered comes again, nothing unsettled is lost, and every beginning counts.
        #[test]
        fn no_message_is_lost_and_none_that_was_recorded_comes_again(steps in steps()) {
            let mut window = Window::new(0);
            let mut begun: BTreeMap<i64, u32> = BTreeMap::new();
            let mut next = 0;
            for step in steps {
                let open: Vec<i64> = begun.keys().copied().collect();
                match step {
                    Step::Take(many) => {
                        let end = next + many;
                        for offset in next..end {
                            prop_assert_eq!(window.arrive(offset), Arrival::Open(0));
                            begun.insert(offset, 0);
                        }
                        next = end;
                    }
                    Step::Begin(which) => if let Some(offset) = open.get(which % open.len().max(1)) {
                        let times = window.begin(*offset);
                        begun.insert(*offset, times);
                    },
                    Step::Settle(which) => if let Some(offset) = open.get(which % open.len().max(1)) {
                        window.settle(*offset);
                        begun.remove(offset);
                    },
                    Step::Restart => {
                        let record = window.record(0);
                        prop_assert!(record.text.len() <= TEXT_LIMIT);
                        prop_assert_eq!(record.mark, begun.keys().next().copied().unwrap_or(next));
                        window = Window::restore(record.mark, &record.text);
                        prop_assert_eq!(window.unsettled(), begun.len());
                        for offset in record.mark..next {
                            let expected = begun.get(&offset).map_or(Arrival::Settled, |times| Arrival::Open(*times));
                            prop_assert_eq!(window.arrive(offset), expected);
                        }
                    }
                }
            }
        }

        #[test]
        fn a_window_that_is_too_large_for_its_text_says_how_far_it_goes(holes in prop::collection::btree_set(0..20_000_i64, 3000..6000)) {
            let mut window = Window::new(0);
            for offset in 0..20_000 {
                window.arrive(offset);
            }
            holes.iter().for_each(|offset| window.settle(*offset));
            let record = window.record(0);
            prop_assert!(record.text.len() <= TEXT_LIMIT);
            let mut restored = Window::restore(record.mark, &record.text);
            for offset in record.mark..20_000 {
                let came = restored.arrive(offset);
                if offset < record.covers {
                    prop_assert_eq!(came == Arrival::Settled, holes.contains(&offset));
                } else {
                    prop_assert_eq!(came, Arrival::Open(0));
                    prop_assert!(restored.is_suspect(offset));
                }
            }
        }

        #[test]
        fn any_text_is_read_without_harm(mark in 0..i64::MAX, text in "a?[A-Za-z0-9_-]{0,40}") {
            let window = Window::restore(mark, &text);
            prop_assert!(window.mark() >= mark);
        }
    }
}
