//! A worker as the dispatcher knows it, and what was offered to it.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use phalanx_channel::{Packets, Received};
use phalanx_shared::{Field, Slot};

use super::choice::Candidate;
use super::claims::{Claims, Fate, OFFERS, Ticket};
use super::link::{FromDesk, ToDesk};
use crate::{Distribution, Place, WorkerId};

/// What a worker does not claim within this time goes to another one, if there is one. It has to be longer than an event
/// loop is held up now and then; a claim that comes too late costs nothing but the way to the other worker.
const CLAIM_DEADLINE: Duration = Duration::from_millis(200);

/// Pause after an offer that could not be sent, or could not be received for want of open files.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// A connection that the dispatcher has accepted.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) socket: OwnedFd,
    pub(super) distribution: Distribution,
    /// Address of the client; `None` on a Unix socket.
    pub(super) peer: Option<IpAddr>,
}

#[derive(Debug)]
struct Offer {
    ticket: Ticket,
    connection: Accepted,
    until: Instant,
}

/// Whether a desk's worker can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    Alive,
    /// Its process is gone.
    Dead,
}

#[derive(Debug)]
pub(super) struct Desk {
    pub(super) worker: WorkerId,
    pub(super) place: Place,
    link: Packets,
    claims: Claims,
    page: Slot,
    /// Whether the worker takes connections.
    open: bool,
    /// It did not claim in time, and has not moved since.
    silent: bool,
    /// Until then nothing is offered to it.
    pause_until: Option<Instant>,
    offers: [Option<Offer>; OFFERS],
    /// Offers that are made and not sent yet, by their index.
    unsent: Vec<usize>,
}

impl Desk {
    pub(super) fn new(worker: WorkerId, place: Place, link: Packets, claims: Claims, page: Slot) -> Desk {
        // Who is open says so again to a new dispatcher. One that does not read will be found silent.
        let _ = link.send(&ToDesk::Hello, &[]);
        let offers = std::array::from_fn(|_| None);
        let (open, silent, pause_until, unsent) = (false, false, None, Vec::new());
        Desk { worker, place, link, claims, page, open, silent, pause_until, offers, unsent }
    }

    /// Whether its worker takes connections, at this moment or a later one.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Connections that were offered and that it has not claimed.
    pub(super) fn offered(&self) -> usize {
        self.offers.iter().flatten().count()
    }

    /// As somebody who could take one more connection now; `None` if it could not.
    pub(super) fn candidate(&self) -> Option<Candidate> {
        let offered = self.offered();
        let pauses = self.pause_until.is_some_and(|until| Instant::now() < until);
        if !self.open || self.silent || pauses || offered == OFFERS || self.page.get(Field::Accepting) == 0 {
            return None;
        }
        Some(Candidate {
            place: self.place,
            connections: self.page.get(Field::Connections) + offered as u64,
            busy: self.page.get(Field::InFlight) + self.page.get(Field::BusyThreads),
        })
    }

    /// Makes an offer; it goes out with the next [`send`](Self::send). Gives the connection back if there is no room.
    pub(super) fn offer(&mut self, connection: Accepted, serial: u64, now: Instant) -> Result<(), Accepted> {
        for index in 0..OFFERS {
            if self.offers[index].is_some() {
                continue;
            }
            if let Some(ticket) = self.claims.offer(index, serial) {
                self.offers[index] = Some(Offer { ticket, connection, until: now + CLAIM_DEADLINE });
                self.unsent.push(index);
                return Ok(());
            }
        }
        Err(connection)
    }

    /// Sends the offers that were made, in one message. What cannot be sent is given back.
    pub(super) fn send(&mut self, given_back: &mut Vec<Accepted>) -> Line {
        if self.unsent.is_empty() {
            return Line::Alive;
        }
        let indices = std::mem::take(&mut self.unsent);
        let offers: Vec<&Offer> = indices.iter().filter_map(|index| self.offers[*index].as_ref()).collect();
        let sockets: Vec<BorrowedFd<'_>> = offers.iter().map(|offer| offer.connection.socket.as_fd()).collect();
        let tickets = ToDesk::Offer(offers.iter().map(|offer| offer.ticket).collect());
        match self.link.send(&tickets, &sockets) {
            Ok(()) => Line::Alive,
            Err(phalanx_channel::Error::Closed) => Line::Dead,
            // It does not read, or too many sockets are under way.
            Err(_) => {
                self.pause_until = Some(Instant::now() + EXHAUSTED_PAUSE);
                for index in indices {
                    self.take_back(index, given_back);
                }
                Line::Alive
            }
        }
    }

    /// Hears what the worker says. What it does not want any more is given back.
    pub(super) fn hear(&mut self, given_back: &mut Vec<Accepted>) -> Line {
        loop {
            match self.link.receive::<FromDesk>() {
                Ok(Received::Message(FromDesk::Open, _)) => (self.open, self.silent) = (true, false),
                Ok(Received::Message(FromDesk::Looked, _)) => self.silent = false,
                Ok(Received::Message(FromDesk::Lost, _)) => {
                    self.silent = false;
                    self.pause_until = Some(Instant::now() + EXHAUSTED_PAUSE);
                    self.take_all_back(given_back);
                }
                Ok(Received::Message(FromDesk::Shut, _)) => {
                    self.open = false;
                    self.take_all_back(given_back);
                }
                Ok(Received::Nothing) => {
                    self.let_go_of_claimed();
                    return Line::Alive;
                }
                Ok(Received::Closed) => return Line::Dead,
                // It speaks another language: nothing good can come of it.
                Err(_) => {
                    self.open = false;
                    self.take_all_back(given_back);
                    return Line::Alive;
                }
            }
        }
    }

    /// The copies of connections that the worker has would keep them from being closed.
    pub(super) fn let_go_of_claimed(&mut self) {
        for offer in &mut self.offers {
            if offer.as_ref().is_some_and(|offer| self.claims.fate(offer.ticket) != Fate::Open) {
                *offer = None;
            }
        }
    }

    /// When the first offer is overdue.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.offers.iter().flatten().map(|offer| offer.until).min()
    }

    /// Whether an offer is overdue: the worker counts as silent then, until it moves.
    pub(super) fn fell_silent(&mut self, now: Instant) -> bool {
        self.let_go_of_claimed();
        let mut overdue = false;
        for offer in self.offers.iter_mut().flatten().filter(|offer| now >= offer.until) {
            // The next look; by then there may be somebody else who could take it.
            offer.until = now + CLAIM_DEADLINE;
            overdue = true;
        }
        self.silent |= overdue;
        overdue
    }

    pub(super) fn take_all_back(&mut self, given_back: &mut Vec<Accepted>) {
        for index in 0..OFFERS {
            self.take_back(index, given_back);
        }
        self.unsent.clear();
    }

    fn take_back(&mut self, index: usize, given_back: &mut Vec<Accepted>) {
        if let Some(offer) = self.offers[index].take()
            && self.claims.revoke(offer.ticket)
        {
            given_back.push(offer.connection);
        }
    }

    /// Says that no more connections will come.
    pub(super) fn say_last(&self) {
        let _ = self.link.send(&ToDesk::Last, &[]);
    }
}

impl AsFd for Desk {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }
}
