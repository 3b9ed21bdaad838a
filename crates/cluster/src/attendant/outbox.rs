//! [`Outbox`]: what the attendant has to say to the primary, as far as that has not taken it yet.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};

use phalanx_channel::{Error, Packets};

use super::link::FromAttendant;

/// Most words that wait: a primary that stands still for so long ends this attendant, or is gone.
const MOST_WAITING: usize = 4096;

/// Words for the primary, in their order.
pub(super) struct Outbox {
    link: Packets,
    waiting: RefCell<VecDeque<(FromAttendant, Option<OwnedFd>)>>,
}

impl Outbox {
    /// Over another descriptor of the link.
    pub(super) fn new(link: OwnedFd) -> Result<Outbox, Error> {
        Ok(Outbox { link: Packets::from_descriptor(link)?, waiting: RefCell::default() })
    }

    /// Says it now, or with a later word: there is one each second, the answer to a ping.
    pub(super) fn tell(&self, word: FromAttendant, descriptor: Option<OwnedFd>) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() < MOST_WAITING {
            waiting.push_back((word, descriptor));
        }
        while let Some((word, descriptor)) = waiting.front() {
            let descriptors: Vec<_> = descriptor.iter().map(AsFd::as_fd).collect();
            match self.link.send(word, &descriptors) {
                Err(Error::Full) => return,
                // What cannot be said at all is not tried again.
                _ => drop(waiting.pop_front()),
            }
        }
    }
}
