//! [`Link`]: what the callers of a handle and its keeper share.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::net::Shutdown;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use super::NAME;
use super::answer::Answer;
use super::line::{self, Line};
use crate::embedded::frames;
use crate::embedded::words::{Delivered, Reply, Request, ToClient, ToOwner};
use crate::job::{Finish, Outcome, Standing};
use crate::{Error, JobId, QueueName, Token};

/// Bytes of requests that may wait for their answers; who asks for more waits before: 64 MiB, in units of [`ROOM_UNIT`].
const ROOM: usize = (64 << 20) / ROOM_UNIT;
const ROOM_UNIT: usize = 1024;

/// One handle's side of the conversation, over all its connections.
pub(super) struct Link {
    /// The same in all connections.
    pub(super) handle: JobId,
    pub(super) folder: PathBuf,
    /// How long an answer may take.
    patience: Duration,
    next: AtomicU64,
    room: Semaphore,
    state: Mutex<State>,
    /// Wakes the keeper: something waits though nothing is connected, something does not fit into the socket, or it is the end.
    pub(super) bell: Notify,
}

#[derive(Default)]
struct State {
    line: Line,
    /// Requests without an answer, by number.
    waiting: BTreeMap<u64, Waiting>,
    consumers: BTreeMap<u64, Consuming>,
    leases: HashSet<Token>,
    /// Which consumer has which delivery.
    deliveries: HashMap<Token, u64>,
    /// Why the last connect failed.
    trouble: Option<Error>,
    closed: bool,
}

/// A request without an answer.
struct Waiting {
    /// To be repeated in the next connection.
    frame: Vec<u8>,
    /// Who asked, if anybody wants to know.
    answer: Option<oneshot::Sender<Answer>>,
    until: Instant,
    /// It asks for something to come, and changes nothing: pointless when nobody waits.
    only_waits: bool,
    holds: Holds,
}

/// What the answer to a request says of what we hold.
pub(super) enum Holds {
    Nothing,
    /// Answered, these are no longer ours.
    Frees(Vec<Token>),
    /// The standing of each of these is in the answer.
    Renews(Vec<Token>),
    /// It begins this consumer.
    Consumes(u64),
    /// After it, this consumer's stream ends.
    Stops(u64),
}

struct Consuming {
    queue: QueueName,
    prefetch: u32,
    /// `None` when nothing more comes.
    deliveries: Option<mpsc::UnboundedSender<Result<Delivered, Error>>>,
    /// The owner has said yes, and nobody has said stop.
    begun: bool,
}

impl Consuming {
    /// Whether anybody is there to take it.
    fn give(&self, delivery: Result<Delivered, Error>) -> bool {
        self.deliveries.as_ref().is_some_and(|deliveries| deliveries.send(delivery).is_ok())
    }
}

impl Link {
    pub(super) fn new(handle: JobId, folder: PathBuf, patience: Duration) -> Link {
        Link {
            handle,
            folder,
            patience,
            next: AtomicU64::new(1),
            room: Semaphore::new(ROOM),
            state: Mutex::default(),
            bell: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Asks, and waits for the answer: at most the patience of the handle, and what the request itself waits.
    pub(super) async fn ask(&self, request: Request, holds: Holds) -> Result<Reply, Error> {
        let wait = wait_of(&request);
        let ask = self.number();
        let mut frame = Vec::new();
        frames::append(&ToOwner::Ask { ask, request }, &mut frame)?;
        let units = u32::try_from((frame.len() / ROOM_UNIT + 1).min(ROOM)).unwrap_or(u32::MAX);
        let _room = self.room.acquire_many(units).await.map_err(|_| Error::Closed)?;
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            frame,
            answer: Some(answer),
            until: Instant::now() + self.patience + wait.unwrap_or_default(),
            only_waits: wait.is_some(),
            holds,
        };
        self.post(self.state(), ask, waiting);
        answered.await.map_or(Err(Error::Closed), Answer::take)
    }

    /// Says something whose answer nobody needs.
    fn tell<'a>(&'a self, state: MutexGuard<'a, State>, request: Request, holds: Holds) {
        let ask = self.number();
        let mut frame = Vec::new();
        if frames::append(&ToOwner::Ask { ask, request }, &mut frame).is_ok() {
            let until = Instant::now() + self.patience;
            self.post(state, ask, Waiting { frame, answer: None, until, only_waits: false, holds });
        }
    }

    fn post<'a>(&'a self, mut state: MutexGuard<'a, State>, ask: u64, waiting: Waiting) {
        if state.closed {
            return;
        }
        state.line.push(&waiting.frame);
        state.waiting.insert(ask, waiting);
        if state.line.is_up() {
            self.write(state);
        } else {
            self.bell.notify_one();
        }
    }

    /// Writes what is unsent, unless somebody else is at it, who will see it then.
    fn write<'a>(&'a self, mut state: MutexGuard<'a, State>) {
        while let Some(batch) = state.line.batch() {
            drop(state);
            let sent = batch.write();
            state = self.state();
            if !state.line.written(batch, sent) {
                self.bell.notify_one();
                return;
            }
        }
    }

    /// Whether the keeper has to wait until the socket takes more.
    pub(super) fn is_full(&self) -> bool {
        self.state().line.full
    }

    /// The socket takes more.
    pub(super) fn goes_on(&self) {
        let mut state = self.state();
        state.line.full = false;
        self.write(state);
    }

    /// What is held, for the hello of the next connection.
    pub(super) fn holds(&self) -> Vec<Token> {
        let state = self.state();
        state.leases.iter().chain(state.deliveries.keys()).copied().collect()
    }

    /// Connected: goes on consuming, and repeats what was not answered. `lost` is no longer ours.
    pub(super) fn up(&self, socket: Arc<OwnedFd>, lost: &[Token]) {
        let mut guard = self.state();
        let state = &mut *guard;
        if state.closed {
            return;
        }
        for token in lost {
            state.leases.remove(token);
            state.deliveries.remove(token);
        }
        state.trouble = None;
        state.line.down();
        state.line.socket = Some(socket);
        let is_wanted = |waiting: &Waiting| waiting.answer.as_ref().is_none_or(|answer| !answer.is_closed());
        state.waiting.retain(|_, waiting| !waiting.only_waits || is_wanted(waiting));
        for (consumer, consuming) in state.consumers.iter().filter(|(_, consuming)| consuming.begun) {
            let (consumer, queue, prefetch) = (*consumer, consuming.queue.clone(), consuming.prefetch);
            let (ask, mut frame) = (self.number(), Vec::new());
            let request = Request::Consume { queue, consumer, prefetch };
            if frames::append(&ToOwner::Ask { ask, request }, &mut frame).is_ok() {
                let (until, holds) = (Instant::now() + self.patience, Holds::Consumes(consumer));
                state.waiting.insert(ask, Waiting { frame, answer: None, until, only_waits: false, holds });
            }
        }
        state.waiting.values().for_each(|waiting| state.line.push(&waiting.frame));
        self.write(guard);
    }

    /// The connection is gone.
    pub(super) fn down(&self) {
        self.state().line.down();
    }

    /// Whether a connection is of use to anybody.
    pub(super) fn is_needed(&self) -> bool {
        let state = self.state();
        !(state.waiting.is_empty() && state.consumers.is_empty() && state.leases.is_empty())
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// What the owner says. Who waits is woken without the lock, which it may want at once; and an answer that nobody takes asks for it
    /// too.
    pub(super) fn heard(self: &Arc<Link>, words: Vec<ToClient>) {
        let mut answers = Vec::with_capacity(words.len());
        let mut state = self.state();
        for word in words {
            match word {
                ToClient::Hello { .. } => {}
                ToClient::Answer { ask, reply } => {
                    let waiting = state.waiting.remove(&ask);
                    state.note(waiting.as_ref().map_or(&Holds::Nothing, |waiting| &waiting.holds), &reply);
                    answers
                        .push((waiting.and_then(|waiting| waiting.answer), Answer::new(reply, Arc::downgrade(self))));
                }
                ToClient::Deliver { consumer, delivery } => state.deliver(consumer, delivery),
                ToClient::Ended { consumer, why } => {
                    state.deliveries.retain(|_, by| *by != consumer);
                    if let Some(consuming) = state.consumers.remove(&consumer) {
                        consuming.give(Err(why));
                    }
                }
            }
        }
        drop(state);
        for (sender, answer) in answers {
            // What cannot be given is dropped, and so handed back.
            let _ = sender.map(|sender| sender.send(answer));
        }
    }

    /// Hands leases back, uncounted.
    pub(super) fn hand_back(&self, tokens: Vec<Token>) {
        let request = Request::Finish(returned(&tokens));
        self.tell(self.state(), request, Holds::Frees(tokens));
    }

    /// A consumer's number, and where its deliveries come out. It begins with the request that names it.
    pub(super) fn consumer(
        &self,
        queue: QueueName,
        prefetch: u32,
    ) -> (u64, mpsc::UnboundedReceiver<Result<Delivered, Error>>) {
        let consumer = self.number();
        let (deliveries, received) = mpsc::unbounded_channel();
        let mut state = self.state();
        // Of a closed handle it ends at once.
        if !state.closed {
            state.consumers.insert(consumer, Consuming { queue, prefetch, deliveries: Some(deliveries), begun: false });
        }
        (consumer, received)
    }

    /// Nothing more shall come; what is in hand stays there.
    pub(super) fn stop_consumer(&self, consumer: u64) {
        let mut state = self.state();
        if let Some(consuming) = state.consumers.get_mut(&consumer) {
            consuming.begun = false;
            self.tell(state, Request::StopConsume { consumer }, Holds::Stops(consumer));
        }
    }

    /// Nobody consumes any more: what is unsettled goes back.
    pub(super) fn end_consumer(&self, consumer: u64) {
        let mut state = self.state();
        if state.consumers.remove(&consumer).is_some() {
            state.deliveries.retain(|_, by| *by != consumer);
            if state.line.is_up() {
                self.tell(state, Request::EndConsume { consumer }, Holds::Nothing);
            }
        }
    }

    /// Whether this delivery is still ours.
    pub(super) fn has_delivery(&self, token: &Token) -> bool {
        self.state().deliveries.contains_key(token)
    }

    /// When to look for overdue requests next: before any that comes meanwhile can be.
    pub(super) fn expires(&self) -> Instant {
        let latest = Instant::now() + self.patience;
        self.state().waiting.values().map(|waiting| waiting.until).min().map_or(latest, |until| until.min(latest))
    }

    /// Ends what is overdue.
    pub(super) fn expire(&self) {
        let now = Instant::now();
        let mut guard = self.state();
        let state = &mut *guard;
        let trouble = match &state.trouble {
            Some(Error::Unavailable { reason, .. }) => reason.clone(),
            Some(other) => other.to_string(),
            None => "its owner does not answer".to_owned(),
        };
        let is_late = |waiting: &Waiting| waiting.until <= now;
        let late: Vec<u64> =
            state.waiting.iter().filter(|(_, waiting)| is_late(waiting)).map(|(ask, _)| *ask).collect();
        let ended: Vec<Waiting> = late.iter().filter_map(|ask| state.waiting.remove(ask)).collect();
        let error = Error::unavailable(NAME, format_args!("{trouble}; waited {:?}", self.patience));
        for waiting in ended.iter().filter(|waiting| matches!(waiting.holds, Holds::Stops(_))) {
            state.note(&waiting.holds, &Err(error.clone()));
        }
        drop(guard);
        ended.into_iter().for_each(|waiting| waiting.fail(&error));
    }

    /// Connecting failed, for now.
    pub(super) fn trouble(&self, error: Error) {
        self.state().trouble = Some(error);
    }

    /// Nothing can be done with this queue: everybody is told. The next call tries again.
    pub(super) fn fail(&self, error: &Error) {
        let mut state = self.state();
        let waiting = std::mem::take(&mut state.waiting);
        let consumers = std::mem::take(&mut state.consumers);
        state.leases.clear();
        state.deliveries.clear();
        drop(state);
        waiting.into_values().for_each(|waiting| waiting.fail(error));
        for consuming in consumers.into_values() {
            consuming.give(Err(error.clone()));
        }
    }

    /// Hands everything back and waits, as long as the handle is patient, until that is recorded. Then nothing more is asked.
    pub(super) async fn close(&self) {
        let (tokens, connected) = {
            let state = self.state();
            (state.leases.iter().copied().collect::<Vec<Token>>(), state.line.is_up())
        };
        if connected && !tokens.is_empty() {
            // Without an answer the end of the socket says the same, but counts.
            let _ = self.ask(Request::Finish(returned(&tokens)), Holds::Frees(tokens)).await;
        }
        self.hang_up();
    }

    /// The end: leases are handed back, without waiting; the socket is closed. Everybody who waits gets [`Error::Closed`]. Idempotent.
    pub(super) fn hang_up(&self) {
        let mut state = self.state();
        if std::mem::replace(&mut state.closed, true) {
            return;
        }
        let tokens: Vec<Token> = state.leases.drain().collect();
        let mut line = std::mem::take(&mut state.line);
        state.line.number = line.number + 1;
        let waiting = std::mem::take(&mut state.waiting);
        let consumers = std::mem::take(&mut state.consumers);
        state.deliveries.clear();
        drop(state);
        if let Some(socket) = &line.socket {
            let last = ToOwner::Ask { ask: self.number(), request: Request::Finish(returned(&tokens)) };
            // While another thread is in the middle of a frame, ours would break it: then the end of the socket has to do.
            if !line.busy && (tokens.is_empty() || frames::append(&last, &mut line.unsent).is_ok()) {
                line::write(socket, &line.unsent);
            }
            let _ = rustix::net::shutdown(socket, Shutdown::Both);
        }
        drop((waiting, consumers));
        self.room.close();
        self.bell.notify_one();
    }
}

impl State {
    fn deliver(&mut self, consumer: u64, delivery: Delivered) {
        // A consumer that was dropped has said so; the owner takes it back then.
        if let Some(consuming) = self.consumers.get(&consumer) {
            let token = delivery.token;
            if consuming.give(Ok(delivery)) {
                self.deliveries.insert(token, consumer);
            }
        }
    }

    /// What an answer says of what we hold.
    fn note(&mut self, holds: &Holds, reply: &Result<Reply, Error>) {
        match (holds, reply) {
            (_, Ok(Reply::Leases(leases))) => self.leases.extend(leases.iter().map(|lease| lease.token)),
            (_, Ok(Reply::Revoked(revoked))) => {
                for lost in revoked.iter().filter(|revoked| revoked.why == Standing::Lost) {
                    self.leases.remove(&lost.token);
                }
            }
            (Holds::Frees(tokens), Ok(_) | Err(Error::Stale)) => {
                for token in tokens {
                    self.leases.remove(token);
                    self.deliveries.remove(token);
                }
            }
            (Holds::Renews(tokens), Ok(Reply::Standings(standings))) => {
                for (token, _) in tokens.iter().zip(standings).filter(|(_, standing)| **standing == Standing::Lost) {
                    self.leases.remove(token);
                }
            }
            (Holds::Stops(consumer), _) => {
                if let Some(consuming) = self.consumers.get_mut(consumer) {
                    consuming.deliveries = None;
                }
            }
            (Holds::Consumes(consumer), Ok(_)) => {
                if let Some(consuming) = self.consumers.get_mut(consumer) {
                    consuming.begun = true;
                }
            }
            (Holds::Consumes(consumer), Err(error)) => {
                // At its beginning who asked is told; later the stream.
                if let Some(consuming) = self.consumers.remove(consumer).filter(|consuming| consuming.begun) {
                    consuming.give(Err(error.clone()));
                }
            }
            _ => {}
        }
    }
}

impl Waiting {
    fn fail(self, error: &Error) {
        if let Some(answer) = self.answer {
            // Without a link: there are no leases in an error.
            let _ = answer.send(Answer::new(Err(error.clone()), Weak::new()));
        }
    }
}

fn returned(tokens: &[Token]) -> Vec<Finish> {
    tokens.iter().map(|token| Finish { token: *token, outcome: Outcome::Returned }).collect()
}

/// How long the request itself waits, if it does.
fn wait_of(request: &Request) -> Option<Duration> {
    match request {
        Request::Claim(claim) => Some(claim.wait),
        Request::Revoked { wait, .. } | Request::Ended { wait, .. } | Request::Changed { wait, .. } => Some(*wait),
        _ => None,
    }
}
