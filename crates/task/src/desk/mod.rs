//! [`Desk`]: the memory between the owner of a pool and one job process.
//!
//! ```text
//!   owner (trusts nothing that comes back)                                   job process (trusts its owner)
//!   Desk ── offer ──► jobs ring ───────────────────────────────────────────► Seat: takes the job on the board, runs it
//!     │        └ large parts ──► input file: written ─────────── mapped ───► blobs; released with the answer, or later
//!     ├─ retract, cancel, has_begun ──► board: one word a job ◄──────────────┤
//!     └─ next_answer ◄── answers ring ◄──────────────────────────────────────┤
//!              └ large parts ◄── output file: read within bounds ◄─ written ─┘   bell: an eventfd, for who has armed it
//! ```
//!
//! The owner never maps memory that the job process can write but rings and board, whose words it reads as atomics and checks,
//! and never blocks on it. Both files have their length for ever and use memory only where something lies.

mod answer;
mod board;
mod clock;
mod ends;
mod error;
#[cfg(test)]
mod hostile;
mod input;
mod output;
mod parcel;
mod regions;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use phalanx_shared::{MemoryFile, RingReceiver, RingSender};
use rustix::event::EventfdFlags;

use crate::Packed;
use board::SLOTS;
use output::OutputFile;
use parcel::{Parcel, write_table};
use regions::Regions;
use wire::{OfferHead, Welcome};

pub use answer::Answer;
pub use ends::DeskEnds;
pub use error::{DeskError, Malformed};
pub use input::Room;
pub use output::Output;
pub use wire::Hello;

pub(crate) use board::{Board, OUTPUTS};
pub(crate) use clock::from_shared;
pub(crate) use ends::ROLE;
pub(crate) mod protocol {
    //! What the job process's side reads and writes too.
    pub(crate) use super::parcel::{Parcel, read_table, write_table};
    pub(crate) use super::regions::Regions;
    pub(crate) use super::wire::{
        DONE, FAILED, HELLO, KEEPS, NO_OUTPUT, OFFER, OfferHead, PROGRESS, RETURNED, RUNS, Reader, WAITS, WELCOME,
        Welcome, Which,
    };
}

/// One bit of a word for each.
const _: () = assert!(SLOTS == u64::BITS as usize);
/// Bytes of a ring: some full messages of small tasks, so that the processor's nearest cache holds it.
const RING_BYTES: usize = 128 * 1024;
/// Room in the files for what lies between parts.
const SLACK_BYTES: u64 = 1024 * 1024;

/// How much a desk takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeskLimits {
    /// Bytes of one input.
    pub max_input: u64,
    /// Bytes of one output.
    pub max_output: u64,
    /// How long the job process looks for its next job before it sleeps; zero under a CPU quota, or on one core.
    pub spin: Duration,
}

impl Default for DeskLimits {
    /// 512 MiB each; looks for 20 µs, a wake-up and a switch, where there are cores to spare.
    fn default() -> DeskLimits {
        const BYTES: u64 = 512 * 1024 * 1024;
        const SPIN: Duration = Duration::from_micros(20);
        // Asked once: that takes some files to read, and is done for each process that is started.
        static MAY_SPIN: OnceLock<bool> = OnceLock::new();
        let may_spin =
            *MAY_SPIN.get_or_init(|| phalanx_memory::usable_cores() > 1 && phalanx_memory::cpu_quota().is_none());
        DeskLimits { max_input: BYTES, max_output: BYTES, spin: if may_spin { SPIN } else { Duration::ZERO } }
    }
}

/// The owner's end. See the [module](self).
pub struct Desk {
    number: u64,
    limits: DeskLimits,
    jobs: RingSender,
    answers: RingReceiver,
    board: Arc<Board>,
    bell: OwnedFd,
    input: Arc<MemoryFile>,
    /// What of the input file is lent, or promised.
    regions: Regions,
    output: Arc<OutputFile>,
    /// A bit for each place with a job that was offered and is neither ended nor retracted.
    occupied: u64,
    /// By place; of those that are not occupied, what was there last.
    entries: [Entry; SLOTS],
    /// The tasks that the job process knows, in order, once it has said hello.
    tasks: Option<Vec<String>>,
    /// Number of the last offer.
    last: u64,
    /// For messages.
    message: Vec<u8>,
}

/// A job on the desk.
#[derive(Debug, Clone, Copy)]
struct Entry {
    number: u64,
    job: u64,
    /// Where its input lies, if it lies in the file.
    region: Option<u64>,
}

/// A job to offer.
#[derive(Debug)]
pub struct Offer<'a> {
    /// Number of the submission: answers carry it.
    pub job: u64,
    /// Name of the task.
    pub task: &'a str,
    /// What the task is told of itself.
    pub told: Told,
    /// When it has to be done.
    pub deadline: Option<Instant>,
    /// Its input.
    pub input: &'a Packed,
}

/// What a task is told of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Its number, as its context says it.
    pub id: u64,
    /// 1 is the first.
    pub attempt: u32,
    /// Whether the last blob of the input is none of its own, but what an earlier attempt has kept.
    pub has_details: bool,
}

impl Told {
    /// Of a first attempt.
    pub fn first(id: u64) -> Told {
        Told { id, attempt: 1, has_details: false }
    }
}

/// What became of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// The job process has it, or will have it soon.
    Placed(Slot),
    /// The desk is full now. Nothing was done.
    NoRoom,
}

/// A job on a desk. Of one that has ended or was retracted, nothing is said and done any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slot {
    index: u8,
    number: u64,
}

impl Desk {
    /// A desk, and what the job process is to be given.
    pub fn create(limits: &DeskLimits) -> Result<(Desk, DeskEnds), DeskError> {
        static DESKS: AtomicU64 = AtomicU64::new(0);
        let mut jobs = RingSender::create(RING_BYTES).map_err(DeskError::of_ring)?;
        let answers = RingReceiver::create(RING_BYTES).map_err(DeskError::of_ring)?;
        let board = Arc::new(Board::create().map_err(|source| DeskError::system("create a board of claims", source))?);
        // Two inputs of full size: one that is worked on, and the next.
        let input_bytes = limits.max_input.saturating_mul(2).saturating_add(SLACK_BYTES);
        let input = MemoryFile::create("phalanx-input", input_bytes).map_err(DeskError::of_ring)?;
        let output_bytes = limits.max_output.saturating_add(SLACK_BYTES);
        let output = MemoryFile::create("phalanx-output", output_bytes).map_err(DeskError::of_ring)?;
        let bell = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|source| DeskError::system("create the bell of a desk", source))?;
        let attempt = "duplicate the descriptors of a desk";
        let ends = DeskEnds {
            jobs: jobs.descriptor().map_err(DeskError::of_ring)?,
            answers: answers.descriptor().map_err(DeskError::of_ring)?,
            board: board.descriptor().map_err(|source| DeskError::system(attempt, source))?,
            input: input.read_only_descriptor().map_err(DeskError::of_ring)?,
            output: output.descriptor().map_err(DeskError::of_ring)?,
            bell: bell.try_clone().map_err(|source| DeskError::system(attempt, source))?,
        };
        let spin_ns = u64::try_from(limits.spin.as_nanos()).unwrap_or(u64::MAX);
        let welcome = Welcome { spin_ns, max_output: limits.max_output };
        let welcome = postcard::to_extend(&welcome, vec![wire::WELCOME]).unwrap_or_default();
        jobs.try_send(&welcome).map_err(DeskError::of_ring)?;
        let desk = Desk {
            number: DESKS.fetch_add(1, Ordering::Relaxed),
            limits: *limits,
            jobs,
            answers,
            output: Arc::new(OutputFile::new(output, board.clone(), limits.max_output)),
            board,
            bell,
            input: Arc::new(input),
            regions: Regions::new(input_bytes),
            occupied: 0,
            entries: [Entry { number: 0, job: 0, region: None }; SLOTS],
            tasks: None,
            last: 0,
            message: Vec::new(),
        };
        Ok((desk, ends))
    }

    /// Offers a job. A large input is copied here; [`make_room`](Desk::make_room) is for who holds a lock.
    pub fn offer(&mut self, offer: &Offer<'_>) -> Result<Offered, DeskError> {
        let Some(room) = self.make_room(offer.input)? else { return Ok(Offered::NoRoom) };
        if let Err(error) = room.fill(offer.input) {
            self.give_up(room);
            return Err(error);
        }
        self.offer_filled(offer, room)
    }

    /// Finds a place for an input; `None` if there is none now. Quick, whatever its size.
    pub fn make_room(&mut self, input: &Packed) -> Result<Option<Room>, DeskError> {
        let bytes = input.len() as u64;
        let too_big = || DeskError::TooBig { bytes, limit: self.limits.max_input };
        let mut parcel = Parcel::plan(input).filter(|_| bytes <= self.limits.max_input).ok_or_else(too_big)?;
        if !parcel.needs_region() {
            return Ok(Some(Room { file: None, desk: self.number, parcel }));
        }
        if parcel.region_bytes > self.input.len() {
            return Err(too_big());
        }
        let Some(region) = self.regions.take(parcel.region_bytes) else { return Ok(None) };
        parcel.region = region;
        Ok(Some(Room { file: Some(self.input.clone()), desk: self.number, parcel }))
    }

    /// A room that was not used after all.
    pub fn give_up(&mut self, room: Room) {
        if room.desk == self.number && room.parcel.needs_region() {
            self.give_back(room.parcel.region);
        }
    }

    /// Offers a job whose input lies in `room` already. With [`Offered::NoRoom`], or an error, the room is given up.
    pub fn offer_filled(&mut self, offer: &Offer<'_>, room: Room) -> Result<Offered, DeskError> {
        debug_assert_eq!(room.desk, self.number, "a room of another desk");
        let placed = self.place(offer, &room.parcel);
        if !matches!(placed, Ok(Offered::Placed(_))) {
            self.give_up(room);
        }
        placed
    }

    fn place(&mut self, offer: &Offer<'_>, parcel: &Parcel) -> Result<Offered, DeskError> {
        let known = self.tasks.as_deref().unwrap_or_default();
        let task = known.binary_search_by(|name| name.as_str().cmp(offer.task)).ok();
        let task = task.and_then(|task| u16::try_from(task).ok());
        let task = task.ok_or_else(|| DeskError::UnknownTask { task: offer.task.to_owned() })?;
        let index = self.occupied.trailing_ones() as usize;
        if index >= SLOTS {
            return Ok(Offered::NoRoom);
        }
        let number = self.last + 1;
        let slot = index as u8;
        let job = offer.job;
        let Told { id, attempt, has_details } = offer.told;
        let deadline = clock::to_shared(offer.deadline);
        self.message.clear();
        let parcel = *parcel;
        OfferHead { slot, task, attempt, number, id, has_details, deadline, parcel }.write(&mut self.message);
        if !parcel.body_in_region {
            write_table(offer.input, &mut self.message);
            self.message.extend_from_slice(&offer.input.bytes);
        }
        self.board.offer(index, number);
        match self.jobs.try_send(&self.message) {
            Ok(()) => {}
            Err(phalanx_shared::Error::Full) => return Ok(Offered::NoRoom),
            Err(error) => return Err(DeskError::of_ring(error)),
        }
        self.last = number;
        self.occupied |= 1 << index;
        self.entries[index] = Entry { number, job, region: parcel.needs_region().then_some(parcel.region) };
        Ok(Offered::Placed(Slot { index: slot, number }))
    }

    /// Takes a job back: true if it will never begin; nothing of it is on the desk any more. False if it has begun, or is over.
    pub fn retract(&mut self, slot: Slot) -> bool {
        let Some(entry) = self.entry(slot) else { return false };
        if !self.board.retract(slot.index.into(), slot.number) {
            return false;
        }
        self.occupied &= !(1 << slot.index);
        // Who does not begin a job does not look at its input.
        if let Some(region) = entry.region {
            self.give_back(region);
        }
        true
    }

    /// Whether the job process has taken the job. False also if the job is over.
    pub fn has_begun(&self, slot: Slot) -> bool {
        self.entry(slot).is_some() && self.board.has_begun(slot.index.into(), slot.number)
    }

    /// Tells a job that runs to stop. False if it has not begun (then [retract](Desk::retract) it), or is over.
    pub fn cancel(&self, slot: Slot) -> bool {
        self.entry(slot).is_some() && self.board.cancel(slot.index.into(), slot.number)
    }

    /// Jobs that were offered and are neither ended nor retracted.
    pub fn len(&self) -> usize {
        self.occupied.count_ones() as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Regions of the input file that the job process holds, jobs on the desk included: what it keeps of its inputs.
    pub fn lent(&self) -> usize {
        self.regions.len()
    }

    /// Says that from now on the [bell](Desk::bell) must be rung for an answer. True if there is one already: then it was not
    /// said.
    pub fn arm(&mut self) -> Result<bool, Malformed> {
        Ok(self.answers.arm()?)
    }

    /// Takes back what [`arm`](Desk::arm) said.
    pub fn disarm(&self) {
        self.answers.disarm();
    }

    /// Readable after an answer came while it was [armed](Desk::arm). Watch it edge-triggered (`EPOLLET`) and never read it: the
    /// job process could make a read block.
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    fn entry(&self, slot: Slot) -> Option<Entry> {
        self.occupant(slot.index.into(), slot.number)
    }

    /// The job of this number at this place, which may be none of ours.
    fn occupant(&self, index: usize, number: u64) -> Option<Entry> {
        let entry = *self.entries.get(index)?;
        (self.occupied & 1 << index != 0 && entry.number == number).then_some(entry)
    }

    /// A region of the input file is free again, as we know ourselves.
    fn give_back(&mut self, region: u64) {
        if let Ok(Some(cold)) = self.regions.give_back(region) {
            // Memory that stays until the process ends is all that a refusal means.
            let _ = self.input.forget(cold.offset, cold.bytes);
        }
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("number", &self.number).field("jobs", &self.len()).finish_non_exhaustive()
    }
}

fn malformed(what: impl fmt::Display) -> Malformed {
    Malformed(what.to_string())
}
