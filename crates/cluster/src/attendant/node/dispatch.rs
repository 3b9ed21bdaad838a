//! Connections: accepted when somebody can take them, handed out, and taken back from who does not take them.
//!
//! ```text
//!   kernel's backlog ──► line ──► offered ──► answered ─ accepted: our copy is closed
//!                          ▲                     └────── refused: back into the line; the worker rests
//!                          └── the worker ended before the descriptor had arrived
//! ```
//!
//! What nobody can take stays in the kernel's backlog, which has a bound. The line holds only what came back.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use phalanx_channel::Watched;
use phalanx_channel::node::{self, Fate, Parcel};
use rustix::io::Errno;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::door::{Door, DoorNumber, Waiting, Way};
use super::hall::{Hall, State};
use super::options::Unanswered;
use super::seat::{Offer, Rest, Seat, Stays};
use crate::WorkerId;
use crate::dispatcher::{Candidate, choose};

/// Pause after the system had no room for another connection.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(50);

impl Hall {
    /// Accepts what comes through a door, as long as somebody has room for it.
    pub(super) async fn accept_all(self: Rc<Hall>, number: DoorNumber, socket: Rc<Watched>, room: Rc<Notify>) {
        loop {
            if !self.has_room(number) {
                room.notified().await;
                continue;
            }
            let Ok(mut ready) = socket.readable().await else { return };
            while self.has_room(number) {
                match Parcel::accept(socket.as_fd()) {
                    Ok(Some((parcel, peer))) => self.take_in(number, parcel, peer.map(|peer| peer.ip())),
                    Ok(None) => {
                        ready.clear_ready();
                        break;
                    }
                    Err(why) if is_of_the_client(&why) => {}
                    Err(why) => {
                        tracing::warn!("no connection can be accepted for Node: {why}; trying again");
                        tokio::time::sleep(NO_ROOM_PAUSE).await;
                    }
                }
            }
        }
    }

    /// Whether a connection that is accepted now could be handed to somebody.
    fn has_room(&self, number: DoorNumber) -> bool {
        let state = self.state.borrow();
        let Some(door) = state.doors.get(&number) else { return false };
        door.line.is_empty() && self.able(&state, door).next().is_some()
    }

    /// The members of a door that can take a connection.
    fn able<'a>(&'a self, state: &'a State, door: &'a Door) -> impl Iterator<Item = (WorkerId, &'a Seat)> {
        let number = door.number;
        let seats = door.members.iter().filter_map(|worker| Some((*worker, state.seats.get(worker)?)));
        seats.filter(move |(_, seat)| seat.forms.contains_key(&number) && seat.has_room(number, &self.options))
    }

    fn take_in(&self, number: DoorNumber, parcel: Parcel, peer: Option<IpAddr>) {
        {
            let mut state = self.state.borrow_mut();
            let order = state.next_order;
            state.next_order += 1;
            if let Some(door) = state.doors.get_mut(&number) {
                door.wait(Waiting { parcel, peer, order });
            }
        }
        self.pump(number);
    }

    /// Hands out what waits, as far as somebody can take it.
    pub(super) fn pump(&self, number: DoorNumber) {
        let mut state = self.state.borrow_mut();
        while self.hand_out_one(&mut state, number).is_some() {}
        let door = state.doors.get(&number).filter(|door| door.line.is_empty());
        if let Some(Way::Dispatched(accepting)) = door.map(|door| &door.way) {
            accepting.room.notify_one();
        }
    }

    /// The same at every door.
    pub(super) fn pump_all(&self) {
        let numbers: Vec<DoorNumber> = self.state.borrow().doors.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.pump(number));
    }

    fn hand_out_one(&self, state: &mut State, number: DoorNumber) -> Option<()> {
        let door = state.doors.get(&number)?;
        let peer = door.line.front()?.peer;
        let mut able: Vec<(WorkerId, Candidate)> = self
            .able(state, door)
            .map(|(worker, seat)| {
                let connections = seat.offers.len() as u64;
                let busy = seat.load.busy(seat.taken + connections);
                (worker, Candidate { place: seat.place, connections, busy })
            })
            .collect();
        able.sort_by_key(|(worker, candidate)| (candidate.place, *worker));
        let candidates: Vec<Candidate> = able.iter().map(|(_, candidate)| *candidate).collect();
        let chosen = choose(self.options.distribution, &candidates, peer, door.last)?;
        let (worker, place) = (able[chosen].0, able[chosen].1.place);
        let seq = state.seq();
        let State { doors, seats, .. } = state;
        let (door, seat) = (doors.get_mut(&number)?, seats.get_mut(&worker)?);
        let waiting = door.line.pop_front()?;
        let form = seat.forms.get(&number)?;
        match seat.channel.post(form, seq, &waiting.parcel) {
            Ok(()) => {
                door.last = Some(place);
                seat.offers.push_back(Offer { seq, door: number, waiting, since: Instant::now() });
            }
            Err(why) => {
                door.wait(waiting);
                match why {
                    node::Error::Full => self.rest(seat, number),
                    _ => seat.stays = Stays::Gone, // the task that reads its channel does the rest
                }
            }
        }
        Some(())
    }

    /// A worker has said what it does with a connection. False if it had none with this number.
    pub(super) fn answered(&self, worker: WorkerId, seq: u32, accepted: bool) -> bool {
        let doors: Vec<DoorNumber> = {
            let mut state = self.state.borrow_mut();
            let State { doors, seats, .. } = &mut *state;
            let Some(seat) = seats.get_mut(&worker) else { return true };
            let Some(offer) = seat.answered(seq) else { return false };
            if accepted {
                seat.taken += 1;
                seat.rests.remove(&offer.door);
                // Our copy is closed here.
            } else {
                if seat.forms.contains_key(&offer.door) {
                    self.rest(seat, offer.door);
                }
                if let Some(door) = doors.get_mut(&offer.door) {
                    door.wait(offer.waiting);
                }
            }
            seat.forms.keys().copied().chain((!accepted).then_some(offer.door)).collect()
        };
        doors.into_iter().for_each(|door| self.pump(door));
        true
    }

    /// The worker gets nothing through this door for a while.
    fn rest(&self, seat: &mut Seat, number: DoorNumber) {
        let rest = Rest::after(seat.rests.get(&number).copied());
        seat.rests.insert(number, rest);
        let hall = self.me.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep_until(rest.until).await;
            if let Some(hall) = hall.upgrade() {
                hall.pump(number);
            }
        });
    }

    /// A connection did not arrive at a worker, again and again: another one gets it.
    pub(super) fn take_back_lost(&self, worker: WorkerId) {
        let number = {
            let mut state = self.state.borrow_mut();
            let State { doors, seats, .. } = &mut *state;
            let Some(seat) = seats.get_mut(&worker) else { return };
            let Some(at) = seat.offers.iter().position(|offer| offer.waiting.parcel.fate() == Fate::Kept) else {
                return;
            };
            let Some(offer) = seat.offers.remove(at) else { return };
            self.rest(seat, offer.door);
            if let Some(door) = doors.get_mut(&offer.door) {
                door.wait(offer.waiting);
            }
            offer.door
        };
        self.pump(number);
    }

    /// A worker's channel is closed: what it certainly does not have goes to others.
    pub(super) fn take_back_all(&self, worker: WorkerId) {
        let mut state = self.state.borrow_mut();
        let State { doors, seats, .. } = &mut *state;
        let Some(seat) = seats.get_mut(&worker) else { return };
        for offer in seat.offers.drain(..) {
            let untouched = offer.waiting.parcel.fate() != Fate::Arrived;
            if (untouched || self.options.unanswered == Unanswered::Redispatch)
                && let Some(door) = doors.get_mut(&offer.door)
            {
                door.wait(offer.waiting);
            }
        }
    }
}

/// Whether an error of `accept` is about one client, so that the next may be accepted at once.
fn is_of_the_client(why: &std::io::Error) -> bool {
    let about_us = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::BADF, Errno::INVAL, Errno::NOTSOCK];
    why.raw_os_error().is_some_and(|number| !about_us.iter().any(|errno| errno.raw_os_error() == number))
}
