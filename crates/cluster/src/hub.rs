//! The primary's own code: a second thread with a runtime, and what connects it with the supervisor.
//!
//! ```text
//!   supervisor (main thread)                       user code (thread "primary")
//!     events ──── bounded queue ────► Hub ── one lane a worker ──► Events streams
//!     commands ◄── bounded queue + eventfd ── Primary (fork, disconnect, stop)
//!   workers ◄────── user messages (own sockets, never through the supervisor) ──────► Primary
//! ```
//!
//! A worker's events and messages reach a stream in the order in which they happened; its `Exit` comes after its last
//! message. When nobody reads, messages stay in the workers' sockets, so the workers feel it; other events are kept up
//! to [`EVENT_QUEUE`] and then dropped, which is logged.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use phalanx_channel::Packets;
use rustix::event::EventfdFlags;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};

use crate::builder::{AnyError, PrimaryCode};
use crate::event::Message;
use crate::messages::{MessagePipe, encode};
use crate::{Error, Event, ListenAddress, WorkerId};

/// Events that wait for the primary's code to look at them.
const EVENT_QUEUE: usize = 4096;

/// Events and messages that wait in one stream.
const STREAM_QUEUE: usize = 256;

/// Commands that wait for the supervisor, which takes them within one turn of its loop.
const COMMAND_QUEUE: usize = 64;

/// Longest wait for the primary's code to return after the cluster has ended.
const USER_CODE_GRACE: Duration = Duration::from_secs(1);

/// What the primary's code asks of the supervisor.
#[derive(Debug)]
pub(crate) enum Command {
    Fork {
        environment: Vec<(String, String)>,
        reply: oneshot::Sender<Option<WorkerId>>,
    },
    Disconnect(WorkerId),
    DisconnectAll,
    Stop,
    /// An operation on the whole cluster; the reply comes when it is over.
    Operate {
        wish: crate::primary::Wish,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    /// The code has returned: it will start no more workers.
    CodeEnded,
}

/// The supervisor's end of the commands.
pub(crate) struct Commands {
    queue: std::sync::mpsc::Receiver<Command>,
    bell: Arc<OwnedFd>,
}

impl Commands {
    pub(crate) fn take(&self) -> Vec<Command> {
        let _ = rustix::io::read(&*self.bell, &mut [0; 8]);
        self.queue.try_iter().collect()
    }
}

impl AsFd for Commands {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// The supervisor's end of the events.
pub(crate) struct Feed {
    sender: mpsc::Sender<FromSupervisor>,
    addresses: watch::Sender<Vec<ListenAddress>>,
}

enum FromSupervisor {
    Connected { worker: WorkerId, pid: u32, messages: Packets },
    Event(Event),
}

impl Feed {
    pub(crate) fn listening(&self, addresses: Vec<ListenAddress>) {
        self.addresses.send_replace(addresses);
    }

    pub(crate) fn connect(&self, worker: WorkerId, pid: u32, messages: Packets) {
        self.send(FromSupervisor::Connected { worker, pid, messages });
    }

    pub(crate) fn event(&self, event: Event) {
        self.send(FromSupervisor::Event(event));
    }

    fn send(&self, what: FromSupervisor) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.sender.try_send(what) {
            tracing::warn!("the primary's code does not run: {EVENT_QUEUE} events wait for it, one was dropped");
        }
    }
}

/// The thread of the primary's code.
pub(crate) struct User {
    thread: JoinHandle<()>,
    result: std::sync::mpsc::Receiver<Result<(), AnyError>>,
    _stop: oneshot::Sender<()>,
}

impl User {
    /// What the code returned. Code that is still running when the cluster has ended is given a moment and left.
    pub(crate) fn finish(self) -> Result<(), Error> {
        drop(self._stop);
        match self.result.recv_timeout(USER_CODE_GRACE) {
            Ok(result) => {
                let _ = self.thread.join();
                result.map_err(Error::Primary)
            }
            Err(_) => Ok(()),
        }
    }
}

/// Starts the thread of the primary's code.
pub(crate) fn start(code: PrimaryCode) -> Result<(Commands, Feed, User), Error> {
    let bell = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(|source| Error::System { attempt: "create an eventfd", source: source.into() })?;
    let bell = Arc::new(bell);
    let (commands, queue) = std::sync::mpsc::sync_channel(COMMAND_QUEUE);
    let (sender, events) = mpsc::channel(EVENT_QUEUE);
    let (addresses, known_addresses) = watch::channel(Vec::new());
    let (result_sender, result) = std::sync::mpsc::channel();
    let (stop, stopped) = oneshot::channel();
    let primary = Primary {
        commands: Arc::new(Bell { commands, bell: Arc::clone(&bell) }),
        hub: Arc::default(),
        addresses: known_addresses,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::system("start a runtime for the primary's code"))?;
    let thread = std::thread::Builder::new()
        .name("primary".into())
        .spawn(move || {
            let outcome = runtime.block_on(async move {
                tokio::spawn(distribute(events, Arc::clone(&primary.hub)));
                let stopper = primary.clone();
                let code = tokio::spawn(code(primary));
                tokio::select! {
                    done = code => match done {
                        Ok(Ok(())) => { let _ = stopper.command(Command::CodeEnded); None }
                        Ok(Err(error)) => { let _ = stopper.stop(); Some(error) }
                        Err(panic) => {
                            tracing::error!("the primary's code panicked: {panic}");
                            let _ = stopper.command(Command::CodeEnded);
                            None
                        }
                    },
                    _ = async { let _ = stopped.await; tokio::time::sleep(USER_CODE_GRACE / 2).await } => None,
                }
            });
            let _ = result_sender.send(outcome.map_or(Ok(()), Err));
        })
        .map_err(Error::system("start a thread for the primary's code"))?;
    Ok((Commands { queue, bell }, Feed { sender, addresses }, User { thread, result, _stop: stop }))
}

#[derive(Debug)]
struct Bell {
    commands: std::sync::mpsc::SyncSender<Command>,
    bell: Arc<OwnedFd>,
}

/// The cluster, as code in the primary sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Primary {
    commands: Arc<Bell>,
    hub: Arc<Mutex<Hub>>,
    addresses: watch::Receiver<Vec<ListenAddress>>,
}

/// A worker, as the primary knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerInfo {
    /// Its number.
    pub id: WorkerId,
    /// Its process.
    pub pid: u32,
}

impl Primary {
    /// Starts one more worker, in a new place, with additions to its environment; replacements in that place get the
    /// same.
    pub async fn fork<N, V>(&self, environment: impl IntoIterator<Item = (N, V)>) -> Result<WorkerId, Error>
    where
        N: Into<String>,
        V: Into<String>,
    {
        let environment = environment.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let (reply, answer) = oneshot::channel();
        self.command(Command::Fork { environment, reply })?;
        answer.await.ok().flatten().ok_or(Error::NoPeer)
    }

    /// The workers that live now.
    pub fn workers(&self) -> Vec<WorkerInfo> {
        let mut workers: Vec<WorkerInfo> =
            self.hub().lanes.iter().map(|(id, lane)| WorkerInfo { id: *id, pid: lane.pid }).collect();
        workers.sort_by_key(|worker| worker.id);
        workers
    }

    /// Tells a worker to stop accepting, to finish what it has and to exit; it is not replaced.
    pub fn disconnect(&self, worker: WorkerId) -> Result<(), Error> {
        self.command(Command::Disconnect(worker))
    }

    /// Tells all workers so. When the last has left, the cluster ends.
    pub fn disconnect_all(&self) -> Result<(), Error> {
        self.command(Command::DisconnectAll)
    }

    /// Stops the cluster as SIGTERM does.
    pub fn stop(&self) -> Result<(), Error> {
        self.command(Command::Stop)
    }

    /// Replaces every worker, one place at a time, new first, with newly read settings; as SIGHUP does. Resolves when it is
    /// done, or has failed and the workers that were there serve on.
    ///
    /// Errors: [`Error::Operation`] with the reason, also while another operation is under way.
    pub async fn reload(&self) -> Result<(), Error> {
        self.operate(crate::primary::Wish::Reload).await
    }

    /// Has this many places (at least 1) from now on. Resolves when the new workers are ready, or when those that are too
    /// many were told to leave.
    ///
    /// Errors: as [`reload`](Self::reload).
    pub async fn scale(&self, workers: usize) -> Result<(), Error> {
        self.operate(crate::primary::Wish::Scale(workers)).await
    }

    async fn operate(&self, wish: crate::primary::Wish) -> Result<(), Error> {
        let (reply, over) = oneshot::channel();
        self.command(Command::Operate { wish, reply })?;
        over.await.map_err(|_| Error::NoPeer)?
    }

    /// Sends `message` to a worker. Waits while the worker does not read what it was sent before.
    pub async fn send<T: Serialize>(&self, worker: WorkerId, message: &T) -> Result<(), Error> {
        let bytes = encode(message)?;
        let pipe = self.hub().lanes.get(&worker).map(|lane| Arc::clone(&lane.messages));
        pipe.ok_or(Error::NoSuchWorker { worker: worker.get() })?.send(&bytes).await
    }

    /// A stream of all events and messages from now on; the first stream begins with the first event.
    pub fn events(&self) -> Events {
        let (sender, receiver) = mpsc::channel(STREAM_QUEUE);
        let mut hub = self.hub();
        hub.streams.push(sender);
        hub.subscribed.send_replace(true);
        Events { receiver }
    }

    /// The addresses on which the cluster listens, with the ports that are really used.
    pub async fn addresses(&self) -> Vec<ListenAddress> {
        let mut addresses = self.addresses.clone();
        let known = addresses.wait_for(|addresses| !addresses.is_empty()).await;
        known.map(|addresses| addresses.clone()).unwrap_or_default()
    }

    fn command(&self, command: Command) -> Result<(), Error> {
        self.commands.commands.try_send(command).map_err(|_| Error::NoPeer)?;
        let _ = rustix::io::write(&*self.commands.bell, &1u64.to_ne_bytes());
        Ok(())
    }

    fn hub(&self) -> MutexGuard<'_, Hub> {
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream of events. Bounded: while it is not read, the workers' messages wait in their sockets.
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::Receiver<Event>,
}

impl Events {
    /// The next event; `None` when the cluster has ended.
    pub async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }
}

impl futures_core::Stream for Events {
    type Item = Event;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Event>> {
        self.receiver.poll_recv(cx)
    }
}

#[derive(Debug)]
struct Hub {
    lanes: HashMap<WorkerId, Lane>,
    streams: Vec<mpsc::Sender<Event>>,
    subscribed: watch::Sender<bool>,
}

impl Default for Hub {
    fn default() -> Hub {
        Hub { lanes: HashMap::new(), streams: Vec::new(), subscribed: watch::Sender::new(false) }
    }
}

/// One worker's way into the streams.
#[derive(Debug)]
struct Lane {
    pid: u32,
    messages: Arc<MessagePipe>,
    events: mpsc::UnboundedSender<Event>,
}

/// Hands each event of the supervisor to the lane of its worker.
async fn distribute(mut events: mpsc::Receiver<FromSupervisor>, hub: Arc<Mutex<Hub>>) {
    let lock = || hub.lock().unwrap_or_else(PoisonError::into_inner);
    let mut subscribed = lock().subscribed.subscribe();
    if subscribed.wait_for(|yes| *yes).await.is_err() {
        return;
    }
    while let Some(what) = events.recv().await {
        match what {
            FromSupervisor::Connected { worker, pid, messages } => match MessagePipe::new(messages) {
                Ok(pipe) => {
                    let pipe = Arc::new(pipe);
                    // Bounded by the few events that one worker's life has.
                    let (sender, lane_events) = mpsc::unbounded_channel();
                    lock().lanes.insert(worker, Lane { pid, messages: Arc::clone(&pipe), events: sender });
                    tokio::spawn(lane(worker, pipe, lane_events, Arc::clone(&hub)));
                }
                Err(error) => tracing::error!("no messages from worker {worker}: {error}"),
            },
            FromSupervisor::Event(event) => {
                let worker = worker_of(&event);
                let lane = worker.and_then(|worker| lock().lanes.get(&worker).map(|lane| lane.events.clone()));
                match lane {
                    Some(lane) => drop(lane.send(event)),
                    None => publish(&hub, event).await,
                }
            }
        }
    }
}

/// One worker's events and messages, in order, until its exit was told.
async fn lane(
    worker: WorkerId,
    pipe: Arc<MessagePipe>,
    mut events: mpsc::UnboundedReceiver<Event>,
    hub: Arc<Mutex<Hub>>,
) {
    // Its messages travel on a socket of their own; they are looked at once its `Online` was told.
    let (mut online, mut open) = (false, true);
    loop {
        let event = tokio::select! {
            biased;
            event = events.recv() => event,
            message = pipe.receive(), if online && open => match message {
                Ok(Some(bytes)) => Some(Event::Message { worker, message: Message::new(bytes) }),
                Ok(None) | Err(_) => { open = false; continue }
            },
        };
        let Some(event) = event else { return };
        online |= matches!(event, Event::Online { .. });
        if matches!(event, Event::Exit { .. }) {
            while let Ok(Some(bytes)) = pipe.receive().await {
                publish(&hub, Event::Message { worker, message: Message::new(bytes) }).await;
            }
            hub.lock().unwrap_or_else(PoisonError::into_inner).lanes.remove(&worker);
            return publish(&hub, event).await;
        }
        publish(&hub, event).await;
    }
}

/// Hands an event to every stream; waits for those that are full, forgets those that are dropped.
async fn publish(hub: &Mutex<Hub>, event: Event) {
    let streams = hub.lock().unwrap_or_else(PoisonError::into_inner).streams.clone();
    let mut gone = false;
    for stream in &streams {
        gone |= stream.send(event.clone()).await.is_err();
    }
    if gone {
        hub.lock().unwrap_or_else(PoisonError::into_inner).streams.retain(|stream| !stream.is_closed());
    }
}

fn worker_of(event: &Event) -> Option<WorkerId> {
    match event {
        Event::Fork { worker, .. }
        | Event::Online { worker }
        | Event::Listening { worker, .. }
        | Event::Ready { worker, .. }
        | Event::Message { worker, .. }
        | Event::Disconnect { worker }
        | Event::Killed { worker, .. }
        | Event::Exit { worker, .. } => Some(*worker),
        _ => None,
    }
}
