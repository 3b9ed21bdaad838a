//! What is to be sent, and the one place that writes.
//!
//! ```text
//!   answers to handles ──┐ first, at the border of a message
//!   messages ── queue ───┴─► socket      (the queue stands still while a handle is not confirmed)
//! ```

use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

use super::error::system;
use super::unsent::all_is_read;
use super::{Error, Fate, Handle, Options, Parcel};

/// How often a handle is sent before it is given up: once, and three times more, as Node does it.
const HANDLE_ATTEMPTS: u32 = 4;
/// Answers that may wait for a peer that does not read; then nothing more is read from it.
const WAITING_ANSWERS: usize = 256;

/// Most bytes of messages that are written together: what Linux certainly keeps in one piece, so that a reader gets all of
/// it at once.
const BATCH_BYTES: usize = 32 * 1024;
/// Most messages that are written together.
const BATCH_MESSAGES: usize = 64;

/// Tells the sender what became of its message.
type Done = oneshot::Sender<Result<(), Error>>;

pub(super) struct Outgoing {
    state: Mutex<State>,
    /// The bytes that may wait, and those of one message.
    room: Arc<Semaphore>,
    room_bytes: usize,
    answers: Arc<Semaphore>,
    /// There is something to write that the socket did not take at once, or the end has come.
    pub(super) wake: Notify,
    drained: Notify,
    handle_deadline: Duration,
    parcels_in_flight: usize,
    pace: Pace,
}

/// When the next message may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// At once.
    Free,
    /// When the peer has read what was written before: so that each of its reads begins where a message begins, and none
    /// ends inside of a length.
    WhenRead,
}

#[derive(Default)]
struct State {
    urgent: VecDeque<Piece>,
    queue: VecDeque<Piece>,
    /// A message of which the socket has taken a part.
    begun: Option<(Piece, usize)>,
    /// Handles that the peer has not answered, in their order.
    unconfirmed: VecDeque<Unconfirmed>,
    /// Bytes that the socket has taken.
    written: u64,
    /// So many of them the peer has certainly read, if a handle was ever confirmed.
    confirmed: u64,
    /// Answers that may still come for handles that were given up.
    late_answers: u32,
    /// The task that waits for the socket will go on.
    blocked: bool,
    ended: bool,
    /// The end came before everything was written.
    lost: bool,
    /// Nobody is left who could wait for an answer: what is queued goes out without.
    abandoned: bool,
}

/// A handle on its way.
struct Unconfirmed {
    piece: Piece,
    /// When it is given up. A parcel is not: its sender still has it.
    deadline: Option<Instant>,
    /// Where it ends in the stream.
    end: u64,
}

/// What travels with a message.
enum Carried {
    Handle(Handle),
    Parcel(Parcel),
}

pub(super) struct Piece {
    bytes: Vec<u8>,
    rank: Rank,
    carried: Option<Carried>,
    attempts: u32,
    done: Option<Done>,
    _room: Option<OwnedSemaphorePermit>,
}

/// Who may go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    Answer,
    Message,
}

/// Where writing has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    /// Nothing may be written now.
    Idle,
    /// The socket takes no more.
    Blocked,
    /// Nothing will be written any more.
    Ended,
}

/// The peer's word about a handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Arrived,
    Missing,
}

impl Piece {
    pub(super) fn new(bytes: Vec<u8>, handle: Option<Handle>, room: Option<OwnedSemaphorePermit>) -> Piece {
        let carried = handle.map(Carried::Handle);
        Piece { bytes, rank: Rank::Message, carried, attempts: 0, done: None, _room: room }
    }

    /// A message with a connection that its sender keeps.
    pub(super) fn parcel(bytes: Vec<u8>, parcel: Parcel, room: OwnedSemaphorePermit) -> Piece {
        Piece { carried: Some(Carried::Parcel(parcel)), ..Piece::new(bytes, None, Some(room)) }
    }

    /// The answer to a handle.
    pub(super) fn answer(bytes: Vec<u8>, room: OwnedSemaphorePermit) -> Piece {
        Piece { rank: Rank::Answer, ..Piece::new(bytes, None, Some(room)) }
    }

    fn set_fate(&self, fate: Fate) {
        if let Some(Carried::Parcel(parcel)) = &self.carried {
            parcel.set_fate(fate);
        }
    }

    fn finish(self, result: Result<(), Error>) {
        if let Some(done) = self.done {
            let _ = done.send(result); // a sender that has stopped waiting needs no word
        }
    }
}

impl Outgoing {
    pub(super) fn new(options: &Options, pace: Pace) -> Outgoing {
        let room_bytes = options.queued_bytes.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        Outgoing {
            state: Mutex::default(),
            room: Arc::new(Semaphore::new(room_bytes)),
            room_bytes,
            answers: Arc::new(Semaphore::new(WAITING_ANSWERS)),
            wake: Notify::new(),
            drained: Notify::new(),
            handle_deadline: options.handle_deadline,
            parcels_in_flight: options.parcels_in_flight,
            pace,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn permits(&self, bytes: usize) -> u32 {
        bytes.min(self.room_bytes) as u32
    }

    /// Waits for room for a message of so many bytes.
    pub(super) async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.room).acquire_many_owned(self.permits(bytes)).await.map_err(|_| Error::Closed)
    }

    /// Room, if there is some now.
    pub(super) fn room_now(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.room).try_acquire_many_owned(self.permits(bytes)).map_err(|why| match why {
            tokio::sync::TryAcquireError::Closed => Error::Closed,
            tokio::sync::TryAcquireError::NoPermits => Error::Full,
        })
    }

    /// Waits until another answer may wait to be sent.
    pub(super) async fn room_for_answer(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.answers).acquire_owned().await.map_err(|_| Error::Closed)
    }

    /// Sends the message, or puts it into the queue. What is returned hears when the kernel has taken it, or the peer has
    /// confirmed its handle.
    pub(super) fn push(&self, socket: BorrowedFd<'_>, mut piece: Piece) -> oneshot::Receiver<Result<(), Error>> {
        let (done, outcome) = oneshot::channel();
        piece.done = Some(done);
        self.push_quietly(socket, piece);
        outcome
    }

    /// As [`push`](Outgoing::push), for what nobody waits for.
    pub(super) fn push_quietly(&self, socket: BorrowedFd<'_>, piece: Piece) {
        let mut state = self.state();
        if state.ended {
            drop(state);
            return piece.finish(Err(Error::Closed));
        }
        match piece.rank {
            Rank::Answer => state.urgent.push_back(piece),
            Rank::Message => state.queue.push_back(piece),
        }
        self.write_some(state, socket);
    }

    /// Takes back the messages whose senders have stopped waiting, if nothing of them was sent.
    pub(super) fn forget_closed(&self) {
        let mut state = self.state();
        let before = state.queue.len();
        state.queue.retain(|piece| piece.done.as_ref().is_none_or(|done| !done.is_closed()));
        if state.queue.len() != before {
            self.note_drained(&state);
        }
    }

    /// The peer has answered to the oldest handle. An error is for whoever receives: the sender of a parcel does not wait.
    pub(super) fn answered(&self, socket: BorrowedFd<'_>, answer: Answer) -> Option<Error> {
        let mut state = self.state();
        if state.late_answers > 0 {
            state.late_answers -= 1;
            return None;
        }
        // Without a handle that waits for it, an answer means nothing. (Node ends on one; we need not.)
        let Unconfirmed { piece, end, .. } = state.unconfirmed.pop_front()?;
        state.confirmed = end;
        let mut lost = None;
        match answer {
            Answer::Arrived => {
                piece.set_fate(Fate::Arrived);
                piece.finish(Ok(()));
            }
            Answer::Missing if piece.attempts < HANDLE_ATTEMPTS => state.queue.push_front(piece),
            Answer::Missing => {
                let attempts = piece.attempts;
                piece.set_fate(Fate::Kept);
                lost = matches!(piece.carried, Some(Carried::Parcel(_))).then_some(Error::HandleLost { attempts });
                piece.finish(Err(Error::HandleLost { attempts }));
            }
        }
        self.write_some(state, socket);
        lost
    }

    /// Writes what the socket takes, and leaves the rest to the task that waits for it.
    fn write_some(&self, mut state: MutexGuard<'_, State>, socket: BorrowedFd<'_>) {
        if state.blocked {
            return;
        }
        let stopped = self.write_locked(&mut state, socket);
        let waits = state.deadline().is_some();
        drop(state);
        if waits || stopped != Stopped::Idle {
            self.wake.notify_one();
        }
    }

    /// Writes as much as the socket takes. Also: until when the confirmation of a handle may take.
    pub(super) fn write(&self, socket: BorrowedFd<'_>) -> (Stopped, Option<Instant>) {
        let mut state = self.state();
        if state.abandoned || state.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
            for Unconfirmed { piece, .. } in std::mem::take(&mut state.unconfirmed) {
                state.late_answers += 1;
                piece.finish(Err(Error::NotAcknowledged { waited: self.handle_deadline }));
            }
        }
        let stopped = self.write_locked(&mut state, socket);
        let deadline = state.deadline();
        (stopped, deadline)
    }

    fn write_locked(&self, state: &mut State, socket: BorrowedFd<'_>) -> Stopped {
        state.blocked = false;
        while !state.ended {
            let (mut batch, written) = match state.begun.take() {
                Some((piece, written)) => (vec![piece], written),
                None => {
                    let batch = state.next_batch(self.parcels_in_flight);
                    if batch.is_empty() {
                        self.note_drained(state);
                        return Stopped::Idle;
                    }
                    if self.pace == Pace::WhenRead && !all_is_read(socket) {
                        state.put_back(batch);
                        state.blocked = true;
                        return Stopped::Blocked;
                    }
                    (batch, 0)
                }
            };
            match send(socket, &batch, written) {
                Ok(count) => self.account(state, batch, written + count),
                Err(Errno::INTR) => state.resume(batch, written),
                // A descriptor can meet a bound of its own: so many may be on their way (ETOOMANYREFS).
                Err(Errno::AGAIN | Errno::NOBUFS | Errno::TOOMANYREFS) => {
                    state.resume(batch, written);
                    state.blocked = true;
                    return Stopped::Blocked;
                }
                Err(source) => {
                    let gone = matches!(source, Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN);
                    let why = if gone { Error::Closed } else { system("write to the channel", source) };
                    batch.remove(0).finish(Err(why));
                    state.put_back(batch);
                    state.lost = true;
                    self.end_locked(state);
                }
            }
        }
        Stopped::Ended
    }

    /// So many bytes of the batch are with the kernel.
    fn account(&self, state: &mut State, batch: Vec<Piece>, mut written: usize) {
        let mut batch = batch.into_iter();
        while let Some(mut piece) = batch.next() {
            if written < piece.bytes.len() {
                state.put_back(batch.collect());
                return state.resume(vec![piece], written);
            }
            written -= piece.bytes.len();
            state.written += piece.bytes.len() as u64;
            piece.set_fate(Fate::Sent);
            if piece.carried.is_some() && !state.abandoned {
                piece.attempts += 1;
                let kept = matches!(piece.carried, Some(Carried::Parcel(_)));
                let deadline = (!kept).then(|| Instant::now() + self.handle_deadline);
                let end = state.written;
                state.unconfirmed.push_back(Unconfirmed { piece, deadline, end });
            } else {
                piece.finish(Ok(()));
            }
        }
    }

    fn note_drained(&self, state: &State) {
        if state.is_empty() {
            self.drained.notify_waiters();
        }
    }

    /// Waits until everything is with the kernel and every handle is confirmed.
    ///
    /// Errors: [`Error::Closed`] if that will never be.
    pub(super) async fn drained(&self) -> Result<(), Error> {
        loop {
            let drained = self.drained.notified();
            {
                let state = self.state();
                if state.ended {
                    return if state.lost { Err(Error::Closed) } else { Ok(()) };
                }
                if state.is_empty() {
                    return Ok(());
                }
            }
            drained.await;
        }
    }

    /// From now on nobody waits for confirmations.
    pub(super) fn abandon(&self) {
        self.state().abandoned = true;
        self.wake.notify_one();
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.state().abandoned
    }

    /// Nothing more is sent; who waits hears it.
    pub(super) fn end(&self) {
        self.end_locked(&mut self.state());
        self.wake.notify_one();
    }

    fn end_locked(&self, state: &mut State) {
        state.lost |= !state.ended && !state.is_empty();
        state.ended = true;
        let begun = state.begun.take().map(|(piece, _)| piece);
        let unconfirmed = std::mem::take(&mut state.unconfirmed).into_iter().map(|unconfirmed| unconfirmed.piece);
        let rest = std::mem::take(&mut state.queue);
        state.urgent.clear();
        for piece in begun.into_iter().chain(unconfirmed).chain(rest) {
            piece.finish(Err(Error::Closed));
        }
        self.room.close();
        self.answers.close();
        self.drained.notify_waiters();
    }
}

impl State {
    /// What may be written now: some messages, or one with a handle.
    fn next_batch(&mut self, parcels_in_flight: usize) -> Vec<Piece> {
        let mut batch: Vec<Piece> = Vec::new();
        let mut bytes = 0;
        while batch.len() < BATCH_MESSAGES
            && let Some(next) = self.peek(parcels_in_flight)
            && (batch.is_empty() || (next.carried.is_none() && bytes + next.bytes.len() <= BATCH_BYTES))
        {
            bytes += next.bytes.len();
            let alone = next.carried.is_some();
            batch.extend(if self.urgent.is_empty() { self.queue.pop_front() } else { self.urgent.pop_front() });
            if alone {
                break;
            }
        }
        batch
    }

    fn peek(&self, parcels_in_flight: usize) -> Option<&Piece> {
        let next = || self.queue.front().filter(|next| self.may_follow(next, parcels_in_flight));
        self.urgent.front().or_else(next)
    }

    /// Whether a message may go while handles are on their way. Node keeps one descriptor between two of its reads, so the
    /// message to which it belongs must not end in a read that brings another: which cannot be as long as what is unread
    /// fits into one read, and each message was written in one piece.
    fn may_follow(&self, next: &Piece, parcels_in_flight: usize) -> bool {
        let unread = self.written.saturating_sub(self.confirmed) as usize;
        self.unconfirmed.is_empty()
            || (parcels_in_flight > 1
                && unread + next.bytes.len() <= BATCH_BYTES
                && match next.carried {
                    None => true,
                    Some(Carried::Parcel(_)) => self.unconfirmed.len() < parcels_in_flight,
                    Some(Carried::Handle(_)) => false,
                })
    }

    /// When the first handle is given up that can be.
    fn deadline(&self) -> Option<Instant> {
        self.unconfirmed.iter().find_map(|unconfirmed| unconfirmed.deadline)
    }

    /// They were taken too early.
    fn put_back(&mut self, batch: Vec<Piece>) {
        for piece in batch.into_iter().rev() {
            match piece.rank {
                Rank::Answer => self.urgent.push_front(piece),
                Rank::Message => self.queue.push_front(piece),
            }
        }
    }

    /// The first of them goes on where it has stopped.
    fn resume(&mut self, mut batch: Vec<Piece>, written: usize) {
        if written > 0 && !batch.is_empty() {
            self.begun = Some((batch.remove(0), written));
        }
        self.put_back(batch);
    }

    fn is_empty(&self) -> bool {
        self.urgent.is_empty() && self.queue.is_empty() && self.begun.is_none() && self.unconfirmed.is_empty()
    }
}

impl AsFd for Carried {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Carried::Handle(handle) => handle.as_fd(),
            Carried::Parcel(parcel) => parcel.as_fd(),
        }
    }
}

/// One call: what is left of the first message, then the others; the handle goes with the first byte of its message.
fn send(socket: BorrowedFd<'_>, batch: &[Piece], written: usize) -> Result<usize, Errno> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let [first, rest @ ..] = batch else { return Ok(0) };
    let handle = first.carried.as_ref().filter(|_| written == 0);
    let first = &first.bytes[written..];
    if rest.is_empty() && handle.is_none() {
        return rustix::net::send(socket, first, flags);
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = handle.map(|handle| [handle.as_fd()]);
    if let Some(descriptors) = &descriptors {
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let pieces: Vec<IoSlice<'_>> =
        std::iter::once(first).chain(rest.iter().map(|piece| &*piece.bytes)).map(IoSlice::new).collect();
    rustix::net::sendmsg(socket, &pieces, &mut ancillary, flags)
}
