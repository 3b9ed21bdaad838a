//! [`Seat`]: the job process's end of a desk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use phalanx_shared::{Blob, Error, Lent, MemoryFile, RingReceiver, RingSender};

use super::Broken;
use super::outputs::{NotLaid, Outputs};
use super::voice::{Hurry, LONGEST_DEBT, PATIENCE, Voice};
use crate::desk::protocol::{
    DONE, FAILED, HELLO, NO_OUTPUT, OFFER, OfferHead, Parcel, Reader, WELCOME, Welcome, Which, read_table, write_table,
};
use crate::desk::{Board, DeskEnds, Hello, from_shared};
use crate::{Confinement, Packed, TaskError};

/// A task that ran shorter than this is followed by another one soon, or its owner looks for its answer.
const SHORT: Duration = Duration::from_micros(20);
/// Looks for a job between two looks at the clock.
const LOOKS: u32 = 16;

/// See the module.
#[derive(Debug)]
pub(super) struct Seat {
    jobs: RingReceiver,
    board: Arc<Board>,
    voice: Arc<Voice>,
    inputs: Lent,
    outputs: Outputs,
    /// The last message that came.
    message: Vec<u8>,
    /// The answer that is made.
    answer: Vec<u8>,
    /// Whether the last run of each task was short, by their numbers.
    short: Vec<bool>,
    /// Whether looking for the owner, and for its next job, is allowed.
    may_look: bool,
}

/// A job that was taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    pub(super) slot: u8,
    pub(super) number: u64,
    /// What its context says for its number.
    pub(super) id: u64,
    /// Which of our tasks.
    pub(super) task: u16,
    pub(super) attempt: u32,
    pub(super) deadline: Option<Instant>,
    /// Where its input lies, if it lies in the file.
    region: Option<u64>,
}

/// What came with a job.
pub(super) struct Taken {
    pub(super) input: Packed,
    /// What an earlier attempt has kept.
    pub(super) earlier: Option<Blob>,
}

impl Seat {
    pub(super) fn take(ends: DeskEnds) -> Result<Seat, Broken> {
        let board = Board::map(ends.board).map_err(Broken::of)?;
        let ring = RingSender::from_descriptor(ends.answers).map_err(Broken::of)?;
        let voice = Arc::new(Voice::new(ring, ends.bell));
        let returned = voice.clone();
        let inputs = Lent::map(ends.input, move |region| returned.give_back(region)).map_err(Broken::of)?;
        let mut jobs = RingReceiver::from_descriptor(ends.jobs).map_err(Broken::of)?;
        let mut message = Vec::new();
        jobs.recv(&mut message, PATIENCE).map_err(Broken::of)?;
        let welcome: Welcome = match message.split_first() {
            Some((&WELCOME, welcome)) => postcard::from_bytes(welcome).map_err(Broken::of)?,
            _ => return Err(Broken("its owner did not say welcome".into())),
        };
        let output = MemoryFile::from_descriptor(ends.output).map_err(Broken::of)?;
        Ok(Seat {
            jobs: jobs.with_spin(Duration::from_nanos(welcome.spin_ns)),
            board: Arc::new(board),
            voice,
            inputs,
            outputs: Outputs::new(output, welcome.max_output),
            message,
            answer: Vec::new(),
            short: Vec::new(),
            may_look: welcome.spin_ns > 0,
        })
    }

    pub(super) fn board(&self) -> &Arc<Board> {
        &self.board
    }

    pub(super) fn voice(&self) -> &Arc<Voice> {
        &self.voice
    }

    pub(super) fn hello(&self, tasks: &[&'static str], confinement: Confinement) -> Result<(), Broken> {
        let tasks = tasks.iter().map(ToString::to_string).collect();
        let hello = Hello { pid: std::process::id(), tasks, confinement };
        self.voice.say(&postcard::to_extend(&hello, vec![HELLO]).map_err(Broken::of)?, Hurry::Now)
    }

    /// Waits for a job, and takes it. `None` if there is nothing to do now: it was taken back, or none came.
    pub(super) fn next(&mut self) -> Result<Option<(Job, Taken)>, Broken> {
        if !self.is_there_soon()? {
            match self.jobs.recv(&mut self.message, PATIENCE) {
                Ok(_) => {}
                Err(Error::TimedOut { .. }) => return self.voice.check_owner().map(|()| None),
                Err(error) => return Err(Broken::of(error)),
            }
        }
        let mut message = Reader::new(&self.message);
        let head = match message.byte() {
            Some(OFFER) => OfferHead::read(&mut message),
            _ => None,
        };
        let head = head.ok_or_else(|| Broken("its owner sent what is no offer".into()))?;
        if !self.board.begin(head.slot.into(), head.number) {
            return Ok(None);
        }
        if !self.short.get(usize::from(head.task)).copied().unwrap_or_default() {
            self.voice.ring_if_owed()?;
        }
        self.voice.tell_later();
        let no_sense = || Broken("an input makes no sense".into());
        let mut input = self.input(&head.parcel, message.rest()).ok_or_else(no_sense)?;
        let earlier = if head.has_details { Some(input.blobs.pop().ok_or_else(no_sense)?) } else { None };
        let job = Job {
            slot: head.slot,
            number: head.number,
            id: head.id,
            task: head.task,
            attempt: head.attempt,
            deadline: from_shared(head.deadline),
            region: head.parcel.needs_region().then_some(head.parcel.region),
        };
        Ok(Some((job, Taken { input, earlier })))
    }

    /// While a bell is owed: whether the next job came in time. If not, the bell was rung.
    fn is_there_soon(&mut self) -> Result<bool, Broken> {
        if !self.voice.owes()? {
            return Ok(false);
        }
        let until = Instant::now() + LONGEST_DEBT;
        loop {
            for _ in 0..LOOKS {
                if self.jobs.try_recv(&mut self.message).map_err(Broken::of)?.is_some() {
                    return Ok(true);
                }
                std::hint::spin_loop();
            }
            if !self.voice.owes()? {
                return Ok(false);
            }
            if Instant::now() >= until {
                return self.voice.ring_if_owed().map(|()| false);
            }
        }
    }

    fn input(&self, parcel: &Parcel, inline: &[u8]) -> Option<Packed> {
        let table_bytes = parcel.table_bytes()?;
        if !parcel.needs_region() {
            return (table_bytes == 0).then(|| Packed { bytes: inline.to_vec(), blobs: Vec::new() });
        }
        let region = self.inputs.lend(parcel.region, usize::try_from(parcel.region_bytes).ok()?).ok()?;
        let body_bytes = usize::try_from(parcel.body_bytes).ok()?;
        let in_region = if parcel.body_in_region { Some(region.bytes(0..body_bytes).ok()?) } else { None };
        let body = in_region.as_ref().map_or(inline, AsRef::as_ref);
        let (table, bytes) = body.split_at_checked(table_bytes)?;
        let mut blobs = Vec::with_capacity(parcel.blobs as usize);
        for part in parcel.parts(&read_table(table))? {
            blobs.push(Blob::from_owner(region.bytes(part.start as usize..part.end as usize).ok()?));
        }
        Some(Packed { bytes: bytes.to_vec(), blobs })
    }

    /// Says what came of a job that has run for so long.
    pub(super) fn answer(&mut self, job: &Job, result: Result<Packed, TaskError>, ran: Duration) -> Result<(), Broken> {
        let laid = match &result {
            Ok(output) => self.outputs.lay(output, &self.board, &self.voice),
            Err(error) => Err(NotLaid::Refused(error.clone())),
        };
        let ran_ns = u32::try_from(ran.as_nanos()).unwrap_or(u32::MAX);
        let mut which = Which { slot: job.slot, output: NO_OUTPUT, is_returned: false, ran_ns, number: job.number };
        let mut answer = std::mem::take(&mut self.answer);
        answer.clear();
        match laid {
            Ok((parcel, number)) => {
                which.output = number;
                which.write(DONE, &mut answer);
                parcel.write(&mut answer);
                if let (Ok(output), false) = (&result, parcel.body_in_region) {
                    write_table(output, &mut answer);
                    answer.extend_from_slice(&output.bytes);
                }
            }
            Err(NotLaid::Refused(error)) => {
                which.write(FAILED, &mut answer);
                answer = postcard::to_extend(&error.shortened(), answer).map_err(Broken::of)?;
            }
            Err(NotLaid::Broken(broken)) => return Err(broken),
        }
        // What came back may be what was given in.
        drop(result);
        if self.voice.tell_now(job.region)? {
            Which::mark_returned(&mut answer);
        }
        let hurry = self.hurry(job, ran);
        let said = self.voice.say(&answer, hurry);
        self.answer = answer;
        said
    }

    fn hurry(&mut self, job: &Job, ran: Duration) -> Hurry {
        let (task, is_short) = (usize::from(job.task), ran < SHORT);
        if self.short.len() <= task {
            self.short.resize(task + 1, false);
        }
        self.short[task] = is_short;
        if is_short && self.may_look { Hurry::Soon } else { Hurry::Now }
    }
}
