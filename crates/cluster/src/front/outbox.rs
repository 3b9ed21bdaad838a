//! [`Outbox`]: lines on their way to one client, bounded: who reads too slowly loses lines, and is told how many.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};

/// Most bytes that wait for a client.
const MOST_BYTES: usize = 256 * 1024;
/// Short lines are put together up to this.
const CHUNK_BYTES: usize = 16 * 1024;

/// Lines that wait for one client. Clones are the same outbox.
#[derive(Clone, Default)]
pub(super) struct Outbox(Rc<RefCell<Waiting>>);

#[derive(Default)]
struct Waiting {
    lines: VecDeque<Bytes>,
    bytes: usize,
    reader: Option<Waker>,
    closed: bool,
}

impl Outbox {
    /// Adds a line; false if it does not fit.
    pub(super) fn push(&self, line: Bytes) -> bool {
        let mut waiting = self.0.borrow_mut();
        if waiting.bytes + line.len() > MOST_BYTES {
            return false;
        }
        waiting.bytes += line.len();
        waiting.lines.push_back(line);
        if let Some(reader) = waiting.reader.take() {
            reader.wake();
        }
        true
    }

    /// The client is gone.
    pub(super) fn close(&self) {
        self.0.borrow_mut().closed = true;
    }

    fn is_closed(&self) -> bool {
        self.0.borrow().closed
    }

    /// The next lines.
    pub(super) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let mut waiting = self.0.borrow_mut();
        let Some(first) = waiting.lines.pop_front() else {
            waiting.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        waiting.bytes -= first.len();
        if waiting.lines.front().is_none_or(|next| first.len() + next.len() > CHUNK_BYTES) {
            return Poll::Ready(first);
        }
        let mut chunk = BytesMut::from(&first[..]);
        while waiting.lines.front().is_some_and(|next| chunk.len() + next.len() <= CHUNK_BYTES) {
            let Some(next) = waiting.lines.pop_front() else { break };
            waiting.bytes -= next.len();
            chunk.extend_from_slice(&next);
        }
        Poll::Ready(chunk.freeze())
    }
}

/// Clients that hear each line in which they are interested.
pub(super) struct Subscribers<I> {
    all: Vec<Subscriber<I>>,
}

struct Subscriber<I> {
    outbox: Outbox,
    interest: I,
    lost: u64,
    tell_lost: fn(u64) -> String,
}

impl<I> Default for Subscribers<I> {
    fn default() -> Self {
        Subscribers { all: Vec::new() }
    }
}

impl<I> fmt::Debug for Subscribers<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} subscribers", self.all.len())
    }
}

impl<I> Subscribers<I> {
    /// One more client; `tell_lost` makes the line that tells how many it lost.
    pub(super) fn subscribe(&mut self, interest: I, tell_lost: fn(u64) -> String) -> Outbox {
        let outbox = Outbox::default();
        self.all.push(Subscriber { outbox: outbox.clone(), interest, lost: 0, tell_lost });
        outbox
    }

    /// Gives a line to all whom it concerns.
    pub(super) fn publish(&mut self, line: &Bytes, concerns: impl Fn(&I) -> bool) {
        self.all.retain_mut(|subscriber| {
            if subscriber.outbox.is_closed() {
                return false;
            }
            if concerns(&subscriber.interest) {
                subscriber.give(line);
            }
            true
        });
    }
}

impl<I> Subscriber<I> {
    fn give(&mut self, line: &Bytes) {
        if self.lost > 0 && self.outbox.push((self.tell_lost)(self.lost).into()) {
            self.lost = 0;
        }
        if self.lost > 0 || !self.outbox.push(line.clone()) {
            self.lost += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(outbox: &Outbox) -> String {
        let mut text = String::new();
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(bytes) = outbox.poll_next(&mut cx) {
            assert!(bytes.len() <= CHUNK_BYTES);
            text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        text
    }

    #[test]
    fn who_reads_too_slowly_loses_lines_and_is_told_how_many() {
        let mut subscribers = Subscribers::default();
        let slow = subscribers.subscribe((), |lost| format!("lost {lost}\n"));
        let quick = subscribers.subscribe((), |lost| format!("lost {lost}\n"));
        let mut seen = 0;
        for number in 0..100_000u32 {
            subscribers.publish(&Bytes::from(format!("line {number}\n")), |_| true);
            seen += read(&quick).lines().count();
            assert!(slow.0.borrow().bytes <= MOST_BYTES);
        }
        assert_eq!(seen, 100_000);
        let kept = read(&slow).lines().count();
        subscribers.publish(&Bytes::from_static(b"last\n"), |_| true);
        assert_eq!(read(&slow), format!("lost {}\nlast\n", 100_000 - kept));
    }

    #[test]
    fn a_client_that_is_gone_is_forgotten_and_one_that_does_not_care_hears_nothing() {
        let mut subscribers = Subscribers::default();
        let gone = subscribers.subscribe(1, |_| String::new());
        let other = subscribers.subscribe(2, |_| String::new());
        gone.close();
        subscribers.publish(&Bytes::from_static(b"x\n"), |interest| *interest == 1);
        assert_eq!((subscribers.all.len(), read(&other)), (1, String::new()));
    }
}
