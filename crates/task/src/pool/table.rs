//! [`Table`]: the desks of the pool's processes, by their seats; and large inputs on their way to them.

use std::sync::Arc;
use std::time::Instant;

use crate::desk::{self, Answer, Desk, DeskError, Malformed, Output, Room, Slot, Told};
use crate::pool::parcel::Parcel;
use crate::pool::state::{Desks, JobKey, Offer, Offered, Seat, Work};
use crate::{Refusal, TaskError};

/// The pool's work, as its state sees it.
pub(super) struct Jobs;

impl Work for Jobs {
    type Payload = Arc<Parcel>;
    type Output = Answered;
    type Slot = Slot;
}

/// An output, and the process that it came from.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) seat: Seat,
    pub(super) serial: u64,
    pub(super) output: Output,
}

pub(super) struct Table {
    /// Names of the tasks, by their numbers.
    names: Vec<&'static str>,
    seats: Vec<Option<Place>>,
    carried: Vec<Carried>,
}

/// A desk, and a number that no other desk of the pool ever has.
struct Place {
    serial: u64,
    desk: Desk,
}

/// A large input that is to be copied to its place.
pub(super) struct Carried {
    pub(super) seat: Seat,
    serial: u64,
    pub(super) key: JobKey,
    id: u64,
    deadline: Option<Instant>,
    parcel: Arc<Parcel>,
    room: Room,
}

impl Carried {
    pub(super) fn parcel(&self) -> Arc<Parcel> {
        self.parcel.clone()
    }

    /// Length of the input, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.parcel.input.len() as u64
    }

    /// Copies the input. Not under a lock.
    pub(super) fn fill(&self) -> Result<(), DeskError> {
        self.room.fill(&self.parcel.input)
    }
}

impl Table {
    pub(super) fn new(seats: usize, names: Vec<&'static str>) -> Table {
        Table { names, seats: (0..seats).map(|_| None).collect(), carried: Vec::new() }
    }

    /// A process sits down. Its bell is armed from now on whenever nobody looks.
    pub(super) fn seat(&mut self, seat: Seat, serial: u64, mut desk: Desk) {
        // What it has said already is heard when its bell is watched.
        let _ = desk.arm();
        self.seats[seat.0] = Some(Place { serial, desk });
    }

    /// The desk of a process that is gone; to be dropped without a lock.
    pub(super) fn clear(&mut self, seat: Seat) -> Option<Desk> {
        self.seats[seat.0].take().map(|place| place.desk)
    }

    pub(super) fn serial(&self, seat: Seat) -> Option<u64> {
        self.seats[seat.0].as_ref().map(|place| place.serial)
    }

    pub(super) fn desk(&mut self, seat: Seat) -> Option<&mut Desk> {
        self.seats[seat.0].as_mut().map(|place| &mut place.desk)
    }

    pub(super) fn take_carried(&mut self) -> Vec<Carried> {
        std::mem::take(&mut self.carried)
    }

    /// The next answer of a seat; if there is none, its bell is armed.
    pub(super) fn next_answer_or_arm(&mut self, seat: Seat) -> Result<Option<Answer>, Malformed> {
        let Some(desk) = self.desk(seat) else { return Ok(None) };
        loop {
            if let Some(answer) = desk.next_answer()? {
                return Ok(Some(answer));
            }
            if !desk.arm()? {
                return Ok(None);
            }
        }
    }

    /// Puts a job on its desk whose large input lies there, or did not get there.
    pub(super) fn set_down(
        &mut self,
        carried: Carried,
        filled: Result<(), DeskError>,
        is_wanted: bool,
    ) -> Option<Offered<Slot>> {
        let name = self.names[carried.parcel.kind];
        let place = self.seats[carried.seat.0].as_mut().filter(|place| place.serial == carried.serial)?;
        let Carried { id, deadline, parcel, room, .. } = carried;
        Some(match filled {
            Ok(()) if is_wanted => outcome(place.desk.offer_filled(&offer(id, name, deadline, &parcel), room)),
            Ok(()) => {
                place.desk.give_up(room);
                Offered::NoRoom
            }
            Err(error) => {
                place.desk.give_up(room);
                refused(error)
            }
        })
    }
}

impl Desks<Jobs> for Table {
    fn offer(&mut self, seat: Seat, offered: Offer<'_, Jobs>) -> Offered<Slot> {
        let Offer { key, id, payload, deadline } = offered;
        let name = self.names[payload.kind];
        let Some(place) = &mut self.seats[seat.0] else { return Offered::NoRoom };
        let room = match place.desk.make_room(&payload.input) {
            Ok(Some(room)) => room,
            Ok(None) => return Offered::NoRoom,
            Err(error) => return refused(error),
        };
        if room.is_to_fill() {
            let (serial, parcel) = (place.serial, payload.clone());
            self.carried.push(Carried { seat, serial, key, id, deadline, parcel, room });
            return Offered::Underway;
        }
        outcome(place.desk.offer_filled(&offer(id, name, deadline, payload), room))
    }

    fn retract(&mut self, seat: Seat, slot: Slot) -> bool {
        self.desk(seat).is_some_and(|desk| desk.retract(slot))
    }

    fn cancel(&mut self, seat: Seat, slot: Slot) {
        if let Some(desk) = self.desk(seat) {
            desk.cancel(slot);
        }
    }

    fn has_begun(&self, seat: Seat, slot: Slot) -> bool {
        self.seats[seat.0].as_ref().is_some_and(|place| place.desk.has_begun(slot))
    }
}

fn offer<'o>(id: u64, name: &'static str, deadline: Option<Instant>, parcel: &'o Parcel) -> desk::Offer<'o> {
    let attempt = &parcel.attempt;
    let told = Told { id: parcel.id.get(), attempt: attempt.number(), has_details: attempt.earlier().is_some() };
    desk::Offer { job: id, task: name, told, deadline, input: &parcel.input }
}

fn outcome(offered: Result<desk::Offered, DeskError>) -> Offered<Slot> {
    match offered {
        Ok(desk::Offered::Placed(slot)) => Offered::Placed(slot),
        Ok(desk::Offered::NoRoom) => Offered::NoRoom,
        Err(error) => refused(error),
    }
}

fn refused(error: DeskError) -> Offered<Slot> {
    match error {
        DeskError::TooBig { bytes, limit } => Offered::Refused(Refusal::TooBig { bytes, limit }),
        DeskError::UnknownTask { task } => Offered::Refused(Refusal::Unknown { task }),
        DeskError::Malformed(what) => Offered::Malformed(what.0),
        error @ DeskError::System { .. } => Offered::Refused(Refusal::NotStarted { reason: error.to_string() }),
    }
}

/// What a process answered, with where it came from.
pub(super) fn answered(seat: Seat, serial: u64, result: Result<Output, TaskError>) -> Result<Answered, TaskError> {
    result.map(|output| Answered { seat, serial, output })
}
