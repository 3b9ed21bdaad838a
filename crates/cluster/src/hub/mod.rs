//! The hub: a second thread of the primary, with a runtime, for the primary's own code and for messages.
//!
//! ```text
//!   supervisor (main thread)                       hub (thread "primary")
//!     events ──── bounded queue ────► one lane a worker ──► Events streams ──► the primary's code
//!     commands ◄── bounded queue + eventfd ── Primary (fork, disconnect, stop) ◄──┘   │
//!                                             Relay ◄──────── letters ────────────────┘
//!   workers ◄══════ one line each ═══════════► │     (never through the supervisor)
//! ```
//!
//! A worker's events and messages reach a stream in the order in which they happened; its `Exit` comes after its last
//! message. When nobody reads, messages stay with the workers, which feel it; other events are kept up
//! to [`EVENT_QUEUE`] and then dropped, which is logged.
//!
//! An upgrade in place ends this thread and begins it anew in the other image. Before it, the workers hold back their letters
//! until they have a line to the new hub ([`Feed::pause`]), so nothing between workers is lost; what the primary's code
//! had not taken is lost with the code's own memory, and requests to it fail with [`Error::Replaced`].
//!
//! The thread exists if there is code for it, or if messages between workers were asked for.

mod broadcast;
mod events;
mod primary;
mod relay;

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use phalanx_channel::End;
use rustix::event::EventfdFlags;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use self::events::{Counted, Life, Streams, lane};
use self::primary::Bell;
use self::relay::Relay;
use crate::builder::{AnyError, PrimaryCode};
use crate::messages::{Inbox, Letter, Line};
use crate::{Error, Event, ListenAddress, WorkerId};

pub use events::Events;
pub use primary::{Primary, WorkerInfo};

/// Events that wait for the primary's code to look at them.
const EVENT_QUEUE: usize = 4096;

/// Commands that wait for the supervisor, which takes them within one turn of its loop.
const COMMAND_QUEUE: usize = 64;

/// Longest wait for the workers before an upgrade.
const PAUSE_DEADLINE: Duration = Duration::from_millis(300);

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

/// Both ends of the line of a new worker: ours for [`Feed::connect`], and the worker's.
pub(crate) fn line() -> Result<(OwnedFd, OwnedFd), Error> {
    let (ours, theirs) = End::<Letter, Letter>::pair()?;
    Ok((ours.into_descriptor(), theirs.into_descriptor()))
}

/// The supervisor's end of the events.
pub(crate) struct Feed {
    sender: mpsc::Sender<FromSupervisor>,
    addresses: watch::Sender<Vec<ListenAddress>>,
}

/// A worker, its process, and our end of its line.
pub(crate) type NewLine = (WorkerId, u32, OwnedFd);

enum FromSupervisor {
    Connected(NewLine),
    Reconnected(Vec<NewLine>),
    Event(Event),
    Pause(std::sync::mpsc::Sender<()>),
    Resume,
}

impl Feed {
    pub(crate) fn listening(&self, addresses: Vec<ListenAddress>) {
        self.addresses.send_replace(addresses);
    }

    /// A new worker has this line.
    pub(crate) fn connect(&self, worker: WorkerId, pid: u32, line: OwnedFd) {
        self.send(FromSupervisor::Connected((worker, pid, line)));
    }

    /// Workers that an earlier image of this primary started have these lines: all of them, before any of them knows.
    pub(crate) fn reconnect(&self, lines: Vec<NewLine>) {
        self.send(FromSupervisor::Reconnected(lines));
    }

    /// Before this process becomes another image: makes the workers hold back their messages, and waits a moment until what
    /// is on its way has come to them.
    pub(crate) fn pause(&self) {
        let (quiet, is_quiet) = std::sync::mpsc::channel();
        self.send(FromSupervisor::Pause(quiet));
        // A worker that is stopped, or code that holds up the hub, may lose messages. They do not hold up the upgrade.
        let _ = is_quiet.recv_timeout(PAUSE_DEADLINE);
    }

    /// It did not become another image.
    pub(crate) fn resume(&self) {
        self.send(FromSupervisor::Resume);
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

/// The hub's thread.
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

/// Starts the hub, with the primary's code if there is some.
pub(crate) fn start(code: Option<PrimaryCode>) -> Result<(Commands, Feed, User), Error> {
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
        relay: Relay::new(code.is_some()),
        streams: Streams::new(),
        addresses: known_addresses,
        messages: Arc::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::system("start a runtime for the primary's code"))?;
    let thread = std::thread::Builder::new()
        .name("primary".into())
        .spawn(move || {
            let outcome = runtime.block_on(live(primary, code, events, stopped));
            let _ = result_sender.send(outcome.map_or(Ok(()), Err));
        })
        .map_err(Error::system("start a thread for the primary's code"))?;
    Ok((Commands { queue, bell }, Feed { sender, addresses }, User { thread, result, _stop: stop }))
}

/// Runs the code, and relays until the cluster has ended. What the code failed with.
async fn live(
    primary: Primary,
    code: Option<PrimaryCode>,
    events: mpsc::Receiver<FromSupervisor>,
    mut stopped: oneshot::Receiver<()>,
) -> Option<AnyError> {
    tokio::spawn(distribute(events, Arc::clone(&primary.relay), Arc::clone(&primary.streams)));
    let Some(code) = code else {
        primary.streams.end();
        let _ = stopped.await;
        return None;
    };
    let code = tokio::spawn(code(primary.clone()));
    let failure = tokio::select! {
        done = code => match done {
            Ok(Ok(())) => { let _ = primary.command(Command::CodeEnded); None }
            Ok(Err(error)) => { let _ = primary.stop(); Some(error) }
            Err(panic) => {
                tracing::error!("the primary's code panicked: {panic}");
                let _ = primary.command(Command::CodeEnded);
                None
            }
        },
        _ = async { let _ = (&mut stopped).await; tokio::time::sleep(USER_CODE_GRACE / 2).await } => return None,
    };
    primary.relay.code_ended();
    primary.streams.end();
    drop(primary.messages.lock().await.take());
    let _ = stopped.await;
    failure
}

/// Gives each worker its seat, and each event to the lane of its worker. Waits for nobody.
async fn distribute(mut events: mpsc::Receiver<FromSupervisor>, relay: Arc<Relay>, streams: Arc<Streams>) {
    let waiting = Arc::new(Semaphore::new(EVENT_QUEUE));
    let mut lanes: HashMap<WorkerId, mpsc::UnboundedSender<Counted>> = HashMap::new();
    // Bounded by `waiting`, as the lanes are.
    let (others, rest) = mpsc::unbounded_channel();
    tokio::spawn(publish_all(rest, Arc::clone(&streams)));
    while let Some(what) = events.recv().await {
        match what {
            FromSupervisor::Pause(quiet) => {
                let relay = Arc::clone(&relay);
                tokio::spawn(async move {
                    relay.pause().await;
                    let _ = quiet.send(());
                });
            }
            FromSupervisor::Resume => relay.resume(),
            FromSupervisor::Connected(line) => lanes.extend(sit_down(line, Life::Begins, &relay, &streams)),
            FromSupervisor::Reconnected(lines) => {
                for line in lines {
                    lanes.extend(sit_down(line, Life::GoesOn, &relay, &streams));
                }
            }
            FromSupervisor::Event(event) => {
                let worker = event.worker();
                let is_exit = matches!(event, Event::Exit { .. });
                match Arc::clone(&waiting).try_acquire_owned() {
                    Ok(counted) => {
                        let lane = worker.and_then(|worker| lanes.get(&worker)).unwrap_or(&others);
                        let _ = lane.send((event, counted));
                    }
                    Err(_) => {
                        tracing::warn!(
                            "the primary's code reads no events: {EVENT_QUEUE} wait for it, one was dropped"
                        );
                    }
                }
                if let (true, Some(worker)) = (is_exit, worker) {
                    lanes.remove(&worker);
                }
            }
        }
    }
}

/// Gives a worker its seat and its lane.
fn sit_down(
    (worker, pid, line): NewLine,
    life: Life,
    relay: &Arc<Relay>,
    streams: &Arc<Streams>,
) -> Option<(WorkerId, mpsc::UnboundedSender<Counted>)> {
    let line = match Line::open(line) {
        Ok(line) => line,
        Err(error) => {
            tracing::error!("no messages from worker {worker}: {error}");
            return None;
        }
    };
    let mail = Arc::<Inbox>::default();
    let (sender, lane_events) = mpsc::unbounded_channel();
    tokio::spawn(lane(worker, life, Arc::clone(&mail), lane_events, Arc::clone(streams)));
    relay.seat(worker, pid, line, mail);
    Some((worker, sender))
}

async fn publish_all(mut events: mpsc::UnboundedReceiver<Counted>, streams: Arc<Streams>) {
    while let Some((event, _counted)) = events.recv().await {
        streams.publish(event, None).await;
    }
}
