//! [`Wire`]: one end in use. Everybody who holds the channel shares it; nobody owns a side.
//!
//! Two locks, never held across a wait and never one inside the other: `outgoing` and `incoming`. Whoever waits for
//! something to come drives the reading for all; what he finds for others he hands to them (answers to those who asked,
//! messages to the inbox).

use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{Notify, oneshot};

use crate::arena::{ARENA_FROM, ArenaWriter};
use crate::error::system;
use crate::frame::{ASSEMBLED, Header, Kind};
use crate::incoming::{Answer, Arrived, Incoming, Pumped, Step};
use crate::lane::Lanes;
use crate::message::Attachments;
use crate::outgoing::Outgoing;
use crate::spin::Spin;
use crate::{Error, Options, Watched};

/// Fed messages are written when they are so many bytes.
const BATCH_BYTES: usize = 64 * 1024;
/// While so many bytes wait for the kernel, nobody appends more.
const MOST_UNSENT: usize = 256 * 1024;
/// What we ask for as the kernel's buffer, in bytes. It gives what `net.core.wmem_max` allows.
const KERNEL_BUFFER: usize = 1 << 20;
/// Looks at the socket before the other tasks of this thread get a turn.
const LOOKS_A_TURN: u32 = 8;

#[derive(Debug)]
pub(crate) struct Wire {
    socket: Watched,
    options: Options,
    outgoing: Mutex<Outgoing>,
    incoming: Mutex<Incoming>,
    lanes: Arc<Lanes>,
    /// Large contents go one after the other.
    arena: tokio::sync::Mutex<Option<ArenaWriter>>,
    /// Somebody put a message into the inbox, or found the end.
    mail: Notify,
    spin: Spin,
    ids: AtomicU32,
    /// The peer does not take what we confirm: nothing more is taken of his.
    owing: AtomicBool,
}

impl Wire {
    pub(crate) fn over(socket: OwnedFd, options: Options) -> Result<Wire, Error> {
        // A small buffer is no error: it costs speed, nothing else.
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(&socket, KERNEL_BUFFER);
        let socket = Watched::for_both(socket)
            .map_err(|source| Error::System { attempt: "watch the channel's socket", source })?;
        let lanes = Arc::<Lanes>::default();
        Ok(Wire {
            socket,
            // Who never looks before it sleeps has to be woken for each message anyway.
            outgoing: Mutex::new(match options.spin.is_zero() {
                true => Outgoing::default(),
                false => Outgoing::with_a_lane(Arc::clone(&lanes)),
            }),
            incoming: Mutex::new(Incoming::new(&options, Arc::clone(&lanes))),
            lanes,
            arena: tokio::sync::Mutex::new(None),
            mail: Notify::new(),
            spin: Spin::new(options.spin),
            ids: AtomicU32::new(0),
            owing: AtomicBool::new(false),
            options,
        })
    }

    fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn incoming(&self) -> MutexGuard<'_, Incoming> {
        self.incoming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ---- sending ----

    /// Sends one message; the kernel has it when this returns.
    pub(crate) async fn send<T: Serialize + ?Sized>(
        &self,
        header: Header,
        value: &T,
        beside: Attachments<'_>,
    ) -> Result<(), Error> {
        let end = self.append(header, value, beside).await?;
        self.sent(end).await
    }

    /// Appends one message; it is sent when enough has come together.
    pub(crate) async fn feed<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), Error> {
        let end = self.append(Header::bare(Kind::Message, 0), value, Attachments::none()).await?;
        let unsent = self.outgoing().unsent();
        if unsent < BATCH_BYTES { Ok(()) } else { self.sent(end).await }
    }

    /// Sends what was fed.
    pub(crate) async fn flush(&self) -> Result<(), Error> {
        let end = self.outgoing().end();
        self.sent(end).await
    }

    /// Sends one message if the kernel takes its beginning at once.
    pub(crate) fn try_send<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), Error> {
        let mut outgoing = self.outgoing();
        if !outgoing.write_out(self.socket.as_fd())? {
            return Err(Error::Full);
        }
        outgoing.choose_way(&[]);
        let start = outgoing.end();
        outgoing.push(Header::bare(Kind::Message, 0), value, &[], Vec::new(), self.options.largest_message)?;
        if !outgoing.write_out(self.socket.as_fd())? && outgoing.take_back(start) {
            return Err(Error::Full);
        }
        Ok(())
    }

    /// Appends a message; where it ends.
    async fn append<T: Serialize + ?Sized>(
        &self,
        header: Header,
        value: &T,
        beside: Attachments<'_>,
    ) -> Result<u64, Error> {
        let Attachments { payload, descriptors } = beside;
        loop {
            let unsent_to = {
                let mut outgoing = self.outgoing();
                if outgoing.unsent() < MOST_UNSENT {
                    if payload.len() >= ARENA_FROM {
                        break;
                    }
                    outgoing.push(header, value, payload, descriptors, self.options.largest_message)?;
                    return Ok(outgoing.end());
                }
                outgoing.end()
            };
            self.sent(unsent_to).await?;
        }
        self.append_large(header, value, payload, descriptors).await
    }

    /// As `append`, with the payload in the arena.
    async fn append_large<T: Serialize + ?Sized>(
        &self,
        mut header: Header,
        value: &T,
        payload: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> Result<u64, Error> {
        let limit = self.options.largest_message;
        if payload.len() > limit {
            return Err(Error::TooLarge { bytes: payload.len(), limit });
        }
        let mut arena = self.arena.lock().await;
        if arena.is_none() {
            let (writer, ends) =
                ArenaWriter::create().map_err(|source| Error::System { attempt: "make a shared ring", source })?;
            let count = ends.len() as u8;
            self.outgoing().push_bare(Header { descriptors: count, ..Header::bare(Kind::Arena, 0) }, ends);
            *arena = Some(writer);
        }
        let Some(arena) = arena.as_mut() else { return Err(Error::Closed) };
        let total = payload.len() as u32;
        let mut rest = payload;
        while !rest.is_empty() {
            let count = arena.write(rest)?;
            if count == 0 {
                self.await_space(arena).await?;
                continue;
            }
            let flags = if rest.len() == payload.len() { 0 } else { ASSEMBLED };
            rest = &rest[count..];
            let piece = Header { payload: total, flags, ..Header::bare(Kind::Piece, count as u32) };
            let end = {
                let mut outgoing = self.outgoing();
                outgoing.push_bare(piece, Vec::new());
                // The last piece goes with the message itself.
                if rest.is_empty() || outgoing.write_out(self.socket.as_fd())? { continue } else { outgoing.end() }
            };
            self.sent(end).await?;
        }
        (header.flags, header.payload) = (header.flags | ASSEMBLED, total);
        let mut outgoing = self.outgoing();
        outgoing.push(header, value, &[], descriptors, limit)?;
        Ok(outgoing.end())
    }

    /// Waits for space in the ring; pieces that were announced but not sent would be waited for in vain.
    async fn await_space(&self, arena: &mut ArenaWriter) -> Result<(), Error> {
        self.flush().await?;
        arena.space(self.options.send_deadline).await
    }

    /// Waits until the kernel has everything before `position`.
    async fn sent(&self, position: u64) -> Result<(), Error> {
        let attempt = || {
            let mut outgoing = self.outgoing();
            if outgoing.sent_to() < position {
                outgoing.write_out(self.socket.as_fd())?;
            }
            Ok((outgoing.sent_to() >= position).then_some(()))
        };
        if attempt()?.is_some() || self.look(attempt).await?.is_some() {
            return Ok(());
        }
        loop {
            let waited = self.options.send_deadline;
            let Ok(guard) = tokio::time::timeout(waited, self.socket.writable()).await else {
                return Err(Error::Stalled { waited });
            };
            let mut guard =
                guard.map_err(|source| Error::System { attempt: "wait for the channel's socket", source })?;
            match attempt()? {
                Some(()) => return Ok(()),
                None => guard.clear_ready(),
            }
        }
    }

    /// Tells the peer that a request of his gets no answer. Nobody waits here: if the kernel does not take it now, it
    /// goes with what is sent next.
    pub(crate) fn say_unanswered(&self, id: u32) {
        self.push_bare(Header::bare(Kind::Unanswered, id));
    }

    fn push_bare(&self, header: Header) {
        let mut outgoing = self.outgoing();
        outgoing.push_bare(header, Vec::new());
        // A peer that is gone shows where something is received or sent.
        let _ = outgoing.write_out(self.socket.as_fd());
        if outgoing.unsent() >= MOST_UNSENT {
            self.owing.store(true, Ordering::Relaxed);
        }
    }

    /// Tries to send what we confirmed. True if too much of it is still here.
    fn still_owing(&self) -> bool {
        if !self.owing.load(Ordering::Relaxed) {
            return false;
        }
        let mut outgoing = self.outgoing();
        let _ = outgoing.write_out(self.socket.as_fd());
        let owing = outgoing.unsent() >= MOST_UNSENT;
        self.owing.store(owing, Ordering::Relaxed);
        owing
    }

    /// Sends what is left and says that nothing more will come.
    pub(crate) async fn close(&self, deadline: Duration) -> Result<(), Error> {
        let flushed = tokio::time::timeout(deadline, self.flush()).await;
        self.outgoing().close();
        match rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Write) {
            Ok(()) | Err(rustix::io::Errno::NOTCONN) => {}
            Err(source) => return Err(system("close the channel", source)),
        }
        match flushed {
            Ok(result) => result,
            Err(_) => Err(Error::Stalled { waited: deadline }),
        }
    }

    // ---- receiving ----

    /// The next message, if one is there; nothing at the end.
    pub(crate) fn try_arrival<R>(&self, take: impl FnOnce(Arrived<'_>) -> R) -> Result<Step<R>, Error> {
        if self.still_owing() {
            return Ok(Step::Empty);
        }
        let step = self.incoming().step(self.socket.as_fd(), take);
        self.tell_of_lane();
        if matches!(step, Ok(Step::Ended) | Err(_)) {
            self.mail.notify_waiters();
        }
        step
    }

    /// Waits for the next message; nothing at the end.
    pub(crate) async fn arrival<R>(&self, mut take: impl FnMut(Arrived<'_>) -> R) -> Result<Option<R>, Error> {
        let mut attempt = || match self.try_arrival(&mut take)? {
            Step::Arrived(taken) => Ok(Some(Some(taken))),
            Step::Ended => Ok(Some(None)),
            Step::Empty => Ok(None),
        };
        if let Some(found) = attempt()? {
            return Ok(found);
        }
        self.before_waiting().await?;
        if let Some(found) = self.look(&mut attempt).await? {
            return Ok(found);
        }
        loop {
            let mail = self.mail.notified();
            let mut mail = pin!(mail);
            mail.as_mut().enable();
            let is_there = {
                let mut incoming = self.incoming();
                incoming.has_mail() || incoming.arm()?
            };
            if is_there && let Some(found) = attempt()? {
                return Ok(found);
            }
            let guard = match first(self.input(), mail).await {
                First::One(guard) => Some(guard?),
                First::Other(()) => None,
            };
            let found = attempt()?;
            match (found, guard) {
                (Some(found), _) => return Ok(found),
                (None, Some(mut guard)) => guard.clear_ready(),
                (None, None) => {}
            }
        }
    }

    /// Waits for the answer to `id`, which was sent by `send`.
    pub(crate) async fn ask<T: Serialize + ?Sized>(
        &self,
        kind: Kind,
        value: &T,
        beside: Attachments<'_>,
        deadline: Duration,
    ) -> Result<Answer, Error> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let answer = self.incoming().expect(id)?;
        // Whatever happens, a caller who is gone leaves no entry behind.
        let _forget = Forget { wire: self, id };
        let asking = async {
            self.send(Header::bare(kind, id), value, beside).await?;
            self.answer(answer).await
        };
        match tokio::time::timeout(deadline, asking).await {
            Ok(result) => result,
            Err(_) => Err(Error::NoAnswer { waited: deadline }),
        }
    }

    async fn answer(&self, mut answer: oneshot::Receiver<Answer>) -> Result<Answer, Error> {
        if let Some(answer) = self.look(|| self.try_answer(&mut answer).map(Asked::found)).await? {
            return Ok(answer);
        }
        let mut guard: Option<Readiness<'_>> = None;
        loop {
            match self.try_answer(&mut answer)? {
                Asked::Answered(answer) => return Ok(answer),
                // Somebody has to receive; he will then read on for us.
                Asked::InboxFull => return answer.await.map_err(|_| Error::Closed),
                Asked::NotYet => {}
            }
            if let Some(mut guard) = guard.take() {
                guard.clear_ready();
            }
            if self.incoming().arm()? {
                continue;
            }
            guard = match first(self.input(), &mut answer).await {
                First::One(guard) => Some(guard?),
                First::Other(answer) => return answer.map_err(|_| Error::Closed),
            };
        }
    }

    /// Somebody else may have read the answer for us, so first a look, then a read, then a look.
    fn try_answer(&self, answer: &mut oneshot::Receiver<Answer>) -> Result<Asked, Error> {
        let mut look = || match answer.try_recv() {
            Ok(answer) => Ok(Some(answer)),
            Err(TryRecvError::Closed) => Err(Error::Closed),
            Err(TryRecvError::Empty) => Ok(None),
        };
        if let Some(answer) = look()? {
            return Ok(Asked::Answered(answer));
        }
        let pumped = self.pump()?;
        Ok(match (look()?, pumped) {
            (Some(answer), _) => Asked::Answered(answer),
            (None, Pumped::InboxFull) => Asked::InboxFull,
            (None, _) => Asked::NotYet,
        })
    }

    /// If the peer's ring has just come: the peer uses it once it knows.
    fn tell_of_lane(&self) {
        if self.lanes.must_tell() {
            self.push_bare(Header::bare(Kind::LaneTaken, 0));
        }
    }

    fn pump(&self) -> Result<Pumped, Error> {
        let mut incoming = self.incoming();
        let had_mail = incoming.has_mail();
        let pumped = incoming.pump(self.socket.as_fd());
        if !had_mail && incoming.has_mail() {
            self.mail.notify_waiters();
        }
        drop(incoming);
        self.tell_of_lane();
        pumped
    }

    /// The peer has taken a message of ours into its program: tell it that this one is in ours.
    pub(crate) fn acknowledge(&self, id: u32) {
        self.push_bare(Header::bare(Kind::Ack, id));
    }

    /// What was fed or confirmed must not wait for ever behind a receive; and while the peer does not take our
    /// confirmations, we take no more of his messages.
    async fn before_waiting(&self) -> Result<(), Error> {
        let unsent = {
            let mut outgoing = self.outgoing();
            if outgoing.unsent() > 0 {
                let _ = outgoing.write_out(self.socket.as_fd());
            }
            outgoing.unsent()
        };
        if unsent >= MOST_UNSENT { self.flush().await } else { Ok(()) }
    }

    /// Waits until something can be read; meanwhile what is left to send is sent.
    async fn input(&self) -> Result<Readiness<'_>, Error> {
        let failed = |source: io::Error| Error::System { attempt: "wait for the channel's socket", source };
        loop {
            if self.outgoing().unsent() == 0 {
                return self.socket.readable().await.map_err(failed);
            }
            match first(self.socket.readable(), self.socket.writable()).await {
                First::One(readable) => return readable.map_err(failed),
                First::Other(writable) => {
                    if !matches!(self.outgoing().write_out(self.socket.as_fd()), Ok(true)) {
                        writable.map_err(failed)?.clear_ready();
                    }
                }
            }
        }
    }

    /// Repeats `attempt` for a while, as far as experience says that this helps.
    async fn look<R>(&self, mut attempt: impl FnMut() -> Result<Option<R>, Error>) -> Result<Option<R>, Error> {
        let Some(until) = self.spin.begin() else { return Ok(None) };
        loop {
            for _ in 0..LOOKS_A_TURN {
                if let Some(found) = attempt()? {
                    self.spin.ended(true);
                    return Ok(Some(found));
                }
                std::hint::spin_loop();
            }
            if Instant::now() >= until {
                self.spin.ended(false);
                return Ok(None);
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // What was fed and never flushed: the kernel takes it or not, nobody waits here.
        let _ = self.outgoing().write_out(self.socket.as_fd());
    }
}

type Readiness<'a> = tokio::io::unix::AsyncFdReadyGuard<'a, OwnedFd>;

/// How it stands with an answer.
enum Asked {
    Answered(Answer),
    NotYet,
    InboxFull,
}

impl Asked {
    fn found(self) -> Option<Answer> {
        match self {
            Asked::Answered(answer) => Some(answer),
            _ => None,
        }
    }
}

/// Takes an id out of the list of those that are waited for.
struct Forget<'a> {
    wire: &'a Wire,
    id: u32,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.wire.incoming().forget(self.id);
    }
}

/// Which of two futures was ready first.
enum First<A, B> {
    One(A),
    Other(B),
}

async fn first<A, B>(one: impl Future<Output = A>, other: impl Future<Output = B>) -> First<A, B> {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|context| {
        if let Poll::Ready(ready) = one.as_mut().poll(context) {
            return Poll::Ready(First::One(ready));
        }
        other.as_mut().poll(context).map(First::Other)
    })
    .await
}
