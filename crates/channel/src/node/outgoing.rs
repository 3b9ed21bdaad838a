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
use super::{Error, Handle, Options};

/// How often a handle is sent before it is given up: once, and three times more, as Node does it.
const HANDLE_ATTEMPTS: u32 = 4;
/// Answers that may wait for a peer that does not read; then nothing more is read from it.
const WAITING_ANSWERS: usize = 256;

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
}

#[derive(Default)]
struct State {
    urgent: VecDeque<Piece>,
    queue: VecDeque<Piece>,
    /// A message of which the socket has taken a part.
    begun: Option<(Piece, usize)>,
    unconfirmed: Option<(Piece, Instant)>,
    /// Answers that may still come for handles that were given up.
    late_answers: u32,
    ended: bool,
    /// Nobody is left who could wait for an answer: what is queued goes out without.
    abandoned: bool,
}

pub(super) struct Piece {
    bytes: Vec<u8>,
    handle: Option<Handle>,
    attempts: u32,
    done: Option<Done>,
    _room: Option<OwnedSemaphorePermit>,
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
        Piece { bytes, handle, attempts: 0, done: None, _room: room }
    }

    fn finish(self, result: Result<(), Error>) {
        if let Some(done) = self.done {
            let _ = done.send(result); // a sender that has stopped waiting needs no word
        }
    }
}

impl Outgoing {
    pub(super) fn new(options: &Options) -> Outgoing {
        let room_bytes = options.queued_bytes.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        Outgoing {
            state: Mutex::default(),
            room: Arc::new(Semaphore::new(room_bytes)),
            room_bytes,
            answers: Arc::new(Semaphore::new(WAITING_ANSWERS)),
            wake: Notify::new(),
            drained: Notify::new(),
            handle_deadline: options.handle_deadline,
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
        state.queue.push_back(piece);
        self.write_some(state, socket);
    }

    /// Sends the answer to a handle before all messages that wait.
    pub(super) fn push_answer(&self, socket: BorrowedFd<'_>, piece: Piece) {
        let mut state = self.state();
        if !state.ended {
            state.urgent.push_back(piece);
            self.write_some(state, socket);
        }
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

    /// The peer has answered to the oldest handle.
    pub(super) fn answered(&self, socket: BorrowedFd<'_>, answer: Answer) {
        let mut state = self.state();
        if state.late_answers > 0 {
            state.late_answers -= 1;
            return;
        }
        // Without a handle that waits for it, an answer means nothing. (Node ends on one; we need not.)
        let Some((piece, _)) = state.unconfirmed.take() else { return };
        match answer {
            Answer::Arrived => piece.finish(Ok(())),
            Answer::Missing if piece.attempts < HANDLE_ATTEMPTS => state.queue.push_front(piece),
            Answer::Missing => {
                let attempts = piece.attempts;
                piece.finish(Err(Error::HandleLost { attempts }));
            }
        }
        self.write_some(state, socket);
    }

    /// Writes what the socket takes, and leaves the rest to the task that waits for it.
    fn write_some(&self, mut state: MutexGuard<'_, State>, socket: BorrowedFd<'_>) {
        let was_blocked = state.begun.is_some();
        let stopped = self.write_locked(&mut state, socket);
        let waits = state.unconfirmed.is_some();
        drop(state);
        if waits || (stopped == Stopped::Blocked && !was_blocked) || stopped == Stopped::Ended {
            self.wake.notify_one();
        }
    }

    /// Writes as much as the socket takes. Also: until when the confirmation of a handle may take.
    pub(super) fn write(&self, socket: BorrowedFd<'_>) -> (Stopped, Option<Instant>) {
        let mut state = self.state();
        if let Some((piece, deadline)) = state.unconfirmed.take() {
            if deadline > Instant::now() && !state.abandoned {
                state.unconfirmed = Some((piece, deadline));
            } else {
                state.late_answers += 1;
                piece.finish(Err(Error::NotAcknowledged { waited: self.handle_deadline }));
            }
        }
        let stopped = self.write_locked(&mut state, socket);
        let deadline = state.unconfirmed.as_ref().map(|(_, deadline)| *deadline);
        (stopped, deadline)
    }

    fn write_locked(&self, state: &mut State, socket: BorrowedFd<'_>) -> Stopped {
        loop {
            if state.ended {
                return Stopped::Ended;
            }
            let (mut piece, mut written) = match state.begun.take() {
                Some(begun) => begun,
                None => match state.next() {
                    Some(piece) => (piece, 0),
                    None => {
                        self.note_drained(state);
                        return Stopped::Idle;
                    }
                },
            };
            match send(socket, &piece.bytes[written..], piece.handle.as_ref().filter(|_| written == 0)) {
                Ok(count) => written += count,
                Err(Errno::INTR) => {}
                // A descriptor can meet a bound of its own: so many may be on their way (ETOOMANYREFS).
                Err(Errno::AGAIN | Errno::NOBUFS | Errno::TOOMANYREFS) => {
                    state.begun = Some((piece, written));
                    return Stopped::Blocked;
                }
                Err(source) => {
                    let gone = matches!(source, Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN);
                    piece.finish(Err(if gone { Error::Closed } else { system("write to the channel", source) }));
                    self.end_locked(state);
                    return Stopped::Ended;
                }
            }
            if written < piece.bytes.len() {
                state.begun = Some((piece, written));
            } else if piece.handle.is_some() && !state.abandoned {
                piece.attempts += 1;
                state.unconfirmed = Some((piece, Instant::now() + self.handle_deadline));
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
    pub(super) async fn drained(&self) {
        loop {
            let drained = self.drained.notified();
            {
                let state = self.state();
                if state.ended || state.is_empty() {
                    return;
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
        state.ended = true;
        let begun = state.begun.take().map(|(piece, _)| piece);
        let unconfirmed = state.unconfirmed.take().map(|(piece, _)| piece);
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
    fn next(&mut self) -> Option<Piece> {
        self.urgent.pop_front().or_else(|| if self.unconfirmed.is_none() { self.queue.pop_front() } else { None })
    }

    fn is_empty(&self) -> bool {
        self.urgent.is_empty() && self.queue.is_empty() && self.begun.is_none() && self.unconfirmed.is_none()
    }
}

/// One call: some bytes, the first of them with the descriptor.
fn send(socket: BorrowedFd<'_>, bytes: &[u8], handle: Option<&Handle>) -> Result<usize, Errno> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let Some(handle) = handle else { return rustix::net::send(socket, bytes, flags) };
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [handle.as_fd()];
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, flags)
}
