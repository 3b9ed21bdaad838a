//! [`Waiters`]: who waits for something, in the order in which they came.

use std::collections::VecDeque;
use std::task::Waker;

/// Those who wait. Each is called once; whoever was called and went away passes the call on.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    line: VecDeque<(u64, Waker)>,
    next_number: u64,
}

/// The place of one who waits; without a number he never stood in line.
#[derive(Debug, Default)]
pub(crate) struct Ticket(Option<u64>);

/// How somebody left the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// He never waited, or has left already.
    NeverStood,
    /// He still waited.
    Uncalled,
    /// He had been called.
    Called,
}

impl Ticket {
    pub(crate) fn is_used(&self) -> bool {
        self.0.is_some()
    }
}

impl Waiters {
    /// Stands in line. Whoever was called and came too late goes to the front again.
    pub(crate) fn enroll(&mut self, ticket: &mut Ticket, waker: &Waker) {
        match ticket.0 {
            None => {
                ticket.0 = Some(self.next_number);
                self.line.push_back((self.next_number, waker.clone()));
                self.next_number += 1;
            }
            Some(number) => match self.place_of(number) {
                Some(place) => self.line[place].1.clone_from(waker),
                None => self.line.push_front((number, waker.clone())),
            },
        }
    }

    pub(crate) fn leave(&mut self, ticket: &mut Ticket) -> Left {
        let Some(number) = ticket.0.take() else { return Left::NeverStood };
        match self.place_of(number) {
            Some(place) => {
                self.line.remove(place);
                Left::Uncalled
            }
            None => Left::Called,
        }
    }

    /// The first in line leaves it. Wake him when no lock is held.
    pub(crate) fn call_one(&mut self) -> Option<Waker> {
        self.line.pop_front().map(|(_, waker)| waker)
    }

    pub(crate) fn call_all(&mut self) -> Vec<Waker> {
        self.line.drain(..).map(|(_, waker)| waker).collect()
    }

    fn place_of(&self, number: u64) -> Option<usize> {
        self.line.iter().position(|(of, _)| *of == number)
    }
}

pub(crate) fn wake(called: impl IntoIterator<Item = Waker>) {
    called.into_iter().for_each(Waker::wake);
}
