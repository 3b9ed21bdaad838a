//! The life-line of a worker: one thread that hears the primary, and knows when there is none any more.
//!
//! It sleeps in `poll` on the control socket and the worker's signals, apart from the event loop, so that a worker
//! whose event loop stands still obeys and dies all the same.
//!
//! | what it hears | what the worker does |
//! |---|---|
//! | `Leave`, or SIGTERM from outside | stops accepting, drains within the time, exits; half a second later this thread ends the process |
//! | end of the control socket | the primary is gone: finishes the backlog, shuts the listeners, drains; after 900 ms this thread ends the process |
//! | SIGINT | nothing: a terminal sends it to the whole group, and the primary tells us |

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use phalanx_channel::{Packets, Received};
use phalanx_process::{Signal, Signals, die_now};
use phalanx_shared::Slot;
use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::sync::{mpsc, watch};

use crate::Error;
use crate::control::{ToPrimary, ToWorker};
use crate::listener::Borrowed;
use crate::siblings::Siblings;
use crate::worker::heap_profile;

/// How long a worker may live on when its primary is gone.
const ORPHAN_DEADLINE: Duration = Duration::from_millis(900);

/// What a worker gets beyond its drain deadline to exit by itself, before this thread ends it.
const EXIT_GRACE: Duration = Duration::from_millis(500);

/// Probes that wait for the HTTP server to begin.
const PROBES_AT_ONCE: usize = 4;

/// Lines for messages that wait until the one before them was seen to end.
const LINES_AT_ONCE: usize = 4;

/// How a worker stands with its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// It serves.
    Serving,
    /// It was told to leave by then; with all others (then the backlog is finished first) or alone.
    Leaving { with_all: bool, until: Instant },
    /// The primary is gone.
    Orphaned { until: Instant },
}

impl Life {
    /// Whether no worker stays: the cluster ends, or nobody is there any more to keep it.
    #[cfg(feature = "http")]
    pub(crate) fn is_end_of_all(self) -> bool {
        matches!(self, Life::Leaving { with_all: true, .. } | Life::Orphaned { .. })
    }
}

/// What the life-line tells the rest of the worker.
pub(crate) struct Word {
    /// How the worker stands with its cluster.
    pub(crate) life: watch::Receiver<Life>,
    /// Whether connections may be accepted.
    pub(crate) admitted: watch::Receiver<bool>,
    /// Paths that the primary wants probed.
    pub(crate) probes: mpsc::Receiver<String>,
    /// Sockets of other places from which this worker accepts.
    pub(crate) borrowed: Arc<Borrowed>,
    /// Further lines for messages.
    pub(crate) lines: mpsc::Receiver<OwnedFd>,
}

/// Starts the thread.
pub(crate) fn start(
    control: Arc<Packets>,
    signals: Signals,
    siblings: Arc<Siblings>,
    drain_deadline: Duration,
    admitted: bool,
) -> Result<Word, Error> {
    let (life, heard_life) = watch::channel(Life::Serving);
    let (admit, heard_admitted) = watch::channel(admitted);
    let (probes, heard_probes) = mpsc::channel(PROBES_AT_ONCE);
    let (lines, heard_lines) = mpsc::channel(LINES_AT_ONCE);
    let borrowed = Arc::<Borrowed>::default();
    let lifeline = Lifeline {
        borrowed: Arc::clone(&borrowed),
        control,
        signals,
        siblings,
        drain_deadline,
        parent: std::os::unix::process::parent_id(),
        life,
        admit,
        probes,
        lines,
        connected: true,
    };
    std::thread::Builder::new()
        .name("life-line".into())
        .stack_size(128 * 1024)
        .spawn(move || lifeline.hold())
        .map_err(Error::system("start the life-line thread"))?;
    Ok(Word { life: heard_life, admitted: heard_admitted, probes: heard_probes, borrowed, lines: heard_lines })
}

struct Lifeline {
    control: Arc<Packets>,
    signals: Signals,
    siblings: Arc<Siblings>,
    borrowed: Arc<Borrowed>,
    drain_deadline: Duration,
    /// The primary.
    parent: u32,
    life: watch::Sender<Life>,
    admit: watch::Sender<bool>,
    probes: mpsc::Sender<String>,
    lines: mpsc::Sender<OwnedFd>,
    connected: bool,
}

impl Lifeline {
    fn hold(mut self) -> ! {
        loop {
            self.wait();
            // First what the primary says: when it dies, the end of its socket comes before the kernel's SIGTERM, and
            // says more.
            self.hear();
            while let Some(signal) = self.signals.next() {
                if signal != Signal::Terminate {
                    continue;
                }
                if std::os::unix::process::parent_id() != self.parent {
                    // The kernel's, not an operator's. The end of the socket is late if the primary was killed while it
                    // started a child, which held everything open until its exec.
                    self.be_orphaned();
                } else if self.leave(false, self.drain_deadline) {
                    // Others have to take over what only we accept from. A primary that is gone does not mind.
                    let _ = self.control.send(&ToPrimary::Leaves, &[]);
                }
            }
            self.enforce();
        }
    }

    fn wait(&self) {
        let deadline = match *self.life.borrow() {
            Life::Serving => None,
            Life::Leaving { until, .. } => Some(until + EXIT_GRACE),
            Life::Orphaned { until } => Some(until),
        };
        let timeout = deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() }
        });
        let mut polled = vec![PollFd::new(&self.signals, PollFlags::IN)];
        if self.connected {
            polled.push(PollFd::new(&*self.control, PollFlags::IN));
        }
        // An interrupted or failed wait only means a look too early.
        let _ = rustix::event::poll(&mut polled, timeout.as_ref());
    }

    fn hear(&mut self) {
        while self.connected {
            match self.control.receive::<ToWorker>() {
                Ok(Received::Message(ToWorker::Leave { with_all, within }, _)) => drop(self.leave(with_all, within)),
                Ok(Received::Message(ToWorker::Siblings(indices), descriptors)) => {
                    for (index, descriptor) in indices.into_iter().zip(descriptors) {
                        match Slot::open(descriptor) {
                            Ok(slot) => self.siblings.add(index, slot),
                            Err(error) => tracing::warn!("the slot of a sibling cannot be read: {error}"),
                        }
                    }
                }
                Ok(Received::Message(ToWorker::Borrow { place, from }, sockets)) => {
                    self.borrowed.borrow(place, from, sockets);
                }
                Ok(Received::Message(ToWorker::GiveBack { place }, _)) => self.borrowed.give_back(place),
                Ok(Received::Message(ToWorker::HeapProfile { request, worker, wish }, files)) => {
                    let title = format!("worker {worker}");
                    heap_profile::answer(&self.control, request, wish, files.into_iter().next(), title);
                }
                Ok(Received::Message(ToWorker::Admit, _)) => drop(self.admit.send_replace(true)),
                Ok(Received::Message(ToWorker::Probe { path }, _)) => {
                    // The primary sends the next one after our answer, or kills us: this queue is not full.
                    let _ = self.probes.try_send(path);
                }
                Ok(Received::Message(ToWorker::Line, descriptors)) => {
                    // Too many upgrades within a moment: this worker goes without messages until the next.
                    descriptors.into_iter().for_each(|line| drop(self.lines.try_send(line)));
                }
                Ok(Received::Message(ToWorker::Welcome { .. }, _)) => {}
                Ok(Received::Nothing) => return,
                Ok(Received::Closed) => {
                    self.connected = false;
                    self.be_orphaned();
                }
                Err(error) => {
                    tracing::error!("the primary sent what this worker does not understand: {error}");
                    self.leave(false, self.drain_deadline);
                    return;
                }
            }
        }
    }

    /// There is no primary any more.
    fn be_orphaned(&self) {
        self.life.send_if_modified(|life| match life {
            Life::Orphaned { .. } => false,
            _ => {
                *life = Life::Orphaned { until: Instant::now() + ORPHAN_DEADLINE };
                true
            }
        });
    }

    /// True if that is news.
    fn leave(&self, with_all: bool, within: Duration) -> bool {
        self.life.send_if_modified(|life| match life {
            Life::Serving => {
                *life = Life::Leaving { with_all, until: Instant::now() + within };
                true
            }
            // A later word of the primary may make it sooner and may turn one departure into that of all.
            Life::Leaving { with_all: all, until } if with_all && !*all => {
                (*all, *until) = (true, (*until).min(Instant::now() + within));
                true
            }
            _ => false,
        })
    }

    /// Ends a process whose own code did not.
    fn enforce(&self) {
        match *self.life.borrow() {
            Life::Orphaned { until } if Instant::now() >= until => die_now(0),
            Life::Leaving { until, .. } if Instant::now() >= until + EXIT_GRACE => die_now(1),
            _ => {}
        }
    }
}
