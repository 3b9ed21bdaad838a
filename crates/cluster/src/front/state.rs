//! [`Front`]: what the front process knows, all of it told by the primary or read from the scoreboard.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use phalanx_channel::{Packets, Received, Watched};
use phalanx_shared::{ClusterPage, Slot};
use tokio::sync::{oneshot, watch};
use tokio::time::MissedTickBehavior;

use super::feed::unix_ms;
use super::json::event_line;
use super::link::{Answer, Command, Note, Operation, OperationState, Status, ToFront, ToPrimary, Welcome};
use super::logs::LogBook;
use super::outbox::{Outbox, Subscribers};
use crate::Error;

/// Operations that are remembered.
const OPERATIONS: usize = 64;
/// Events that are remembered.
const EVENTS: usize = 256;
/// For the primary's answer to a command. It answers at once; if it does not, it stands still.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);
/// For the first message of the primary, which it sends before it waits for anything.
const WELCOME_DEADLINE: Duration = Duration::from_secs(10);
/// From one word to the primary about dropped lines to the next.
const DROPS_INTERVAL: Duration = Duration::from_secs(1);

/// Why there is no answer from the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// It takes nothing, or is gone.
    Unreachable,
    /// It said nothing in time. The command may be carried out all the same.
    Silent,
}

/// Who the front hears last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The primary wants it to leave.
    Dismissed,
    /// The primary is gone.
    Orphaned,
}

/// What the front knows.
pub(super) struct Front {
    link: Packets,
    readiness: Watched,
    pub(super) cluster: ClusterPage,
    pub(super) welcome: Welcome,
    pub(super) log: Rc<LogBook>,
    pages: RefCell<HashMap<u16, Rc<Slot>>>,
    status: RefCell<Rc<Status>>,
    /// When it came.
    status_at: Cell<Instant>,
    /// Pieces of the next status.
    incoming: RefCell<Status>,
    operations: RefCell<VecDeque<Operation>>,
    events: RefCell<VecDeque<(u64, Bytes)>>,
    followers: RefCell<Subscribers<()>>,
    answers: RefCell<HashMap<u64, oneshot::Sender<Answer>>>,
    requests: Cell<u64>,
    drops_told: Cell<u64>,
    /// Whether there has been a whole status.
    complete: Cell<bool>,
    /// Grows with each news of an operation and each status.
    changes: watch::Sender<u64>,
}

impl Front {
    /// Waits for the welcome: the first message.
    pub(super) async fn new(link: Packets, cluster: ClusterPage) -> Result<Front, Error> {
        let readiness = link.as_fd().try_clone_to_owned().and_then(Watched::for_reading).map_err(link_error)?;
        let welcome = tokio::time::timeout(WELCOME_DEADLINE, welcome(&link, &readiness)).await;
        let welcome = welcome.map_err(|_| link_error(std::io::ErrorKind::TimedOut.into()))??;
        let logs = welcome.logs.clone().unwrap_or_else(super::Logs::to_stderr);
        Ok(Front {
            readiness,
            link,
            cluster,
            log: Rc::new(LogBook::begin(logs).map_err(Error::system("start the log's thread"))?),
            welcome,
            pages: RefCell::default(),
            status: RefCell::default(),
            status_at: Cell::new(Instant::now()),
            incoming: RefCell::default(),
            operations: RefCell::default(),
            events: RefCell::default(),
            followers: RefCell::default(),
            answers: RefCell::default(),
            requests: Cell::new(0),
            drops_told: Cell::new(0),
            complete: Cell::new(false),
            changes: watch::Sender::new(0),
        })
    }

    /// Hears the primary until the end.
    pub(super) async fn hear(&self) -> Result<End, Error> {
        // Also while nobody has anything to say to us: the count is in everybody's metrics.
        let mut drops = tokio::time::interval(DROPS_INTERVAL);
        drops.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut ready = tokio::select! {
                ready = self.readiness.readable() => ready.map_err(link_error)?,
                _ = drops.tick() => {
                    self.tell_drops();
                    continue;
                }
                worker = self.log.line_seen() => {
                    // A primary that takes nothing now ends this front.
                    let _ = self.link.send(&ToPrimary::LineSeen(worker), &[]);
                    continue;
                }
            };
            match self.link.receive::<ToFront>()? {
                Received::Message(ToFront::Leave, _) => return Ok(End::Dismissed),
                Received::Message(message, descriptors) => self.heard(message, descriptors),
                Received::Closed => return Ok(End::Orphaned),
                Received::Nothing => ready.clear_ready(),
            }
            drop(ready);
        }
    }

    fn heard(&self, message: ToFront, descriptors: Vec<OwnedFd>) {
        match message {
            ToFront::Page(page) => {
                for descriptor in descriptors {
                    match Slot::open(descriptor) {
                        Ok(slot) => drop(self.pages.borrow_mut().insert(page, Rc::new(slot))),
                        Err(error) => self.log.note("front", &format!("page {page} cannot be read: {error}")),
                    }
                }
            }
            ToFront::Worker(worker) => {
                for pipe in descriptors {
                    if let Err(error) = self.log.follow_worker(worker, pipe) {
                        self.log.note("front", &format!("what worker {worker} writes cannot be read: {error}"));
                    }
                }
            }
            ToFront::AwaitLine(worker, line) => self.log.await_line(worker, line),
            // What it wrote is read until its pipes end.
            ToFront::Gone(worker) => self.log.await_no_line(worker),
            ToFront::Event(note) => {
                self.log.event(&note.text);
                self.publish(&note);
            }
            ToFront::Status(piece) => self.add_status(piece),
            ToFront::Operation(operation) => self.add_operation(operation),
            ToFront::Answer { request, answer } => {
                if let Some(waiting) = self.answers.borrow_mut().remove(&request) {
                    let _ = waiting.send(answer);
                }
            }
            ToFront::ReopenLogs => self.log.reopen(),
            ToFront::Welcome(_) | ToFront::Leave => {}
        }
    }

    fn add_status(&self, piece: Status) {
        let mut incoming = self.incoming.borrow_mut();
        incoming.places.extend(piece.places);
        incoming.workers.extend(piece.workers);
        incoming.addresses.extend(piece.addresses);
        incoming.companions.extend(piece.companions);
        if piece.complete {
            self.status.replace(Rc::new(std::mem::take(&mut incoming)));
            self.status_at.set(Instant::now());
            self.complete.set(true);
            self.changes.send_modify(|count| *count += 1);
        }
    }

    fn add_operation(&self, operation: Operation) {
        let mut operations = self.operations.borrow_mut();
        operations.retain(|known| known.number != operation.number);
        operations.push_back(operation);
        if operations.len() > OPERATIONS {
            operations.pop_front();
        }
        self.changes.send_modify(|count| *count += 1);
    }

    fn publish(&self, note: &Note) {
        let line = event_line(note);
        self.followers.borrow_mut().publish(&line, |()| true);
        let mut events = self.events.borrow_mut();
        events.push_back((note.number, line));
        if events.len() > EVENTS {
            events.pop_front();
        }
    }

    /// Resolves when there is a whole picture to answer from.
    pub(super) async fn settled(&self) {
        // The sender lives as long as we do.
        let _ = self.changes.subscribe().wait_for(|_| self.complete.get()).await;
    }

    /// The cluster as the primary told it last.
    pub(super) fn status(&self) -> Rc<Status> {
        Rc::clone(&self.status.borrow())
    }

    /// How old that is.
    pub(super) fn status_age(&self) -> Duration {
        self.status_at.get().elapsed()
    }

    /// The page of this number, if we know it.
    pub(super) fn page(&self, page: u16) -> Option<Rc<Slot>> {
        self.pages.borrow().get(&page).cloned()
    }

    /// All pages.
    pub(super) fn pages(&self) -> Vec<Rc<Slot>> {
        self.pages.borrow().values().cloned().collect()
    }

    /// The operation that began last.
    pub(super) fn last_operation(&self) -> Option<Operation> {
        self.operations.borrow().iter().max_by_key(|operation| operation.number).cloned()
    }

    /// The operation of this number; waits, within the time, for its end.
    pub(super) async fn operation(&self, number: u64, within: Duration) -> Option<Operation> {
        let find = || self.operations.borrow().iter().find(|operation| operation.number == number).cloned();
        let over = |operation: &Option<Operation>| {
            operation.as_ref().is_some_and(|operation| operation.state != OperationState::Running)
        };
        let mut changes = self.changes.subscribe();
        let _ = tokio::time::timeout(within, async {
            // One that nobody knows will not begin now.
            while find().is_some() && !over(&find()) && changes.changed().await.is_ok() {}
        })
        .await;
        find()
    }

    /// Events from now on, after those that are remembered and have a number above `since`.
    pub(super) fn events(&self, since: Option<u64>) -> Outbox {
        let outbox = self.followers.borrow_mut().subscribe((), |lost| {
            let text = format!("{lost} events are missing here: this client read too slowly");
            format!("{}\n", serde_json::json!({ "kind": "lost", "lost": lost, "text": text }))
        });
        for (number, line) in self.events.borrow().iter() {
            if since.is_some_and(|since| *number > since) {
                outbox.push(line.clone());
            }
        }
        outbox
    }

    /// Writes down, and tells those who listen, what somebody asked for.
    pub(super) fn audit(&self, text: String) {
        self.log.note("control", &text);
        let number = self.events.borrow().back().map_or(0, |(number, _)| *number);
        let kind = "control".to_owned();
        self.publish(&Note { number, at_ms: unix_ms(), kind, text, worker: None, place: None, operation: None });
    }

    /// Asks the primary for something.
    pub(super) async fn command(&self, command: Command) -> Result<Answer, NoAnswer> {
        self.command_within(command, &[], ANSWER_DEADLINE).await
    }

    /// Asks it for something that takes so long, or needs these descriptors.
    pub(super) async fn command_within(
        &self,
        command: Command,
        descriptors: &[BorrowedFd<'_>],
        deadline: Duration,
    ) -> Result<Answer, NoAnswer> {
        let request = self.requests.get() + 1;
        self.requests.set(request);
        let (sender, answer) = oneshot::channel();
        self.answers.borrow_mut().insert(request, sender);
        let answer = match self.link.send(&ToPrimary::Command { request, command }, descriptors) {
            Ok(()) => match tokio::time::timeout(deadline, answer).await {
                Ok(answer) => answer.map_err(|_| NoAnswer::Unreachable),
                Err(_) => Err(NoAnswer::Silent),
            },
            Err(_) => Err(NoAnswer::Unreachable),
        };
        self.answers.borrow_mut().remove(&request);
        answer
    }

    /// Tells the primary how many more lines were dropped.
    fn tell_drops(&self) {
        let (told, dropped) = (self.drops_told.get(), self.log.dropped());
        if dropped > told && self.link.send(&ToPrimary::LinesDropped(dropped - told), &[]).is_ok() {
            self.drops_told.set(dropped);
        }
    }

    /// Path of the control socket.
    pub(super) fn control_path(&self) -> Option<&PathBuf> {
        self.welcome.control.as_ref()
    }
}

async fn welcome(link: &Packets, readiness: &Watched) -> Result<Welcome, Error> {
    loop {
        let mut ready = readiness.readable().await.map_err(link_error)?;
        match link.receive()? {
            Received::Message(ToFront::Welcome(welcome), _) => return Ok(welcome),
            Received::Nothing => ready.clear_ready(),
            _ => return Err(phalanx_channel::Error::Malformed("the first message is no welcome".into()).into()),
        }
    }
}

fn link_error(source: std::io::Error) -> Error {
    Error::system("watch the link to the primary")(source)
}
