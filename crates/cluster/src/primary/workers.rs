//! The workers that live: what they say, what they are told, and their end.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use phalanx_channel::{Packets, Received};
use phalanx_process::{Process, Signal};
use phalanx_shared::Field;
use rustix::event::epoll;

use super::front::Pipes;
use super::hard_limit::Bound;
use super::memory::Statm;
use super::{Primary, TICK, owner};
use crate::control::{ToPrimary, ToWorker};
use crate::event::ExitReason;
use crate::supervisor::{Birth, Departure, Holder, Input, KillReason, Vitals};
use crate::{Event, ListenAddress, WorkerId, slim};

/// Most addresses that are remembered of one program.
const MOST_ADDRESSES: usize = 32;

/// A worker process as the primary holds it.
pub(super) struct Running {
    /// What it was started as.
    pub(super) birth: Birth,
    pub(super) child: Process,
    pub(super) control: Packets,
    /// Where the stacks of its threads can be read.
    pub(super) stacks: Option<OwnedFd>,
    /// What it writes, if somebody reads it.
    pub(super) pipes: Option<Pipes>,
    pub(super) started: Instant,
    pub(super) statm: Statm,
    /// The control group that holds it below the hard limit of memory.
    pub(super) bound: Option<Bound>,
    pub(super) program: OfProgram,
}

/// What is remembered of a worker that is a program; nothing of others.
#[derive(Debug, Default)]
pub(super) struct OfProgram {
    /// It is ready when it writes a line with this text.
    pub(super) awaited_line: Option<String>,
    /// Where it listens by itself.
    pub(super) listens: Vec<ListenAddress>,
}

/// What the primary remembers of a place, whoever is in it.
#[derive(Debug, Clone, Default)]
pub(super) struct PlaceRecord {
    /// Additions to the environment of its workers.
    pub(super) environment: Vec<(String, String)>,
    /// Workers started in it.
    pub(super) starts: u64,
    /// What its last failed worker said.
    pub(super) error: Option<String>,
}

impl Primary {
    /// A held worker may accept connections.
    pub(super) fn admit(&mut self, worker: WorkerId) {
        self.tell(worker, &ToWorker::Admit);
        if let Some(front) = &mut self.front {
            front.status_changed();
        }
        self.worker_accepts(worker);
    }

    /// What a worker has to know. One that does not read what it was told before does not live: its clocks deal with it.
    pub(super) fn tell(&self, worker: WorkerId, word: &ToWorker) -> bool {
        self.workers.get(&worker).is_some_and(|running| running.control.send(word, &[]).is_ok())
    }

    /// The process is gone: what it held is free again.
    pub(super) fn bury(&mut self, worker: WorkerId, reason: ExitReason) {
        let buried = self.workers.remove(&worker);
        // A gate's command that still runs for it is killed by this.
        self.gate_commands.remove(&worker);
        let mut connections = 0;
        if let Some(Running { birth, .. }) = &buried {
            self.permits.sweep(owner(birth.page, worker));
            if let Some(page) = self.slots.get(usize::from(birth.page.0)) {
                connections = page.get(Field::Connections);
                self.cluster.bury(page);
            }
            if reason.error.is_some()
                && let Some(record) = self.places.get_mut(&birth.place)
            {
                record.error.clone_from(&reason.error);
            }
        }
        self.worker_left(worker);
        if let Some(dispatch) = &mut self.dispatch {
            dispatch.unseat(worker);
        }
        if let Some(attendant) = &mut self.attendant {
            attendant.unseat(worker);
        }
        let pid = buried.as_ref().map_or(0, |running| running.child.pid());
        if let Some(bound) = buried.and_then(|running| running.bound) {
            self.hard_limit.release(bound);
        }
        self.emit(Event::Exit { worker, pid, reason, connections });
        if let Some(front) = &mut self.front {
            front.gone(worker);
        }
    }

    pub(super) fn drain(&mut self, worker: WorkerId, departure: Departure, within: Duration) {
        let Some(running) = self.workers.get(&worker) else { return };
        let leave = ToWorker::Leave { with_all: departure == Departure::WithAll, within };
        if running.control.send(&leave, &[]).is_err() {
            // It does not read its messages; the signal says the same, and the drain clock runs in any case.
            let _ = running.child.kill(Signal::Terminate);
        }
        self.worker_left(worker);
        self.emit(Event::Disconnect { worker });
    }

    pub(super) fn kill(&mut self, worker: WorkerId, reason: KillReason) {
        if let Some(running) = self.workers.get(&worker) {
            let _ = running.child.kill(Signal::Kill);
        }
        self.emit(Event::Killed { worker, why: reason });
    }

    /// Takes what a worker said. The end of the connection says nothing new: the process's end is reported by itself.
    pub(super) fn take_messages(&mut self, worker: WorkerId, most: usize) {
        for _ in 0..most {
            let Some(running) = self.workers.get(&worker) else { return };
            match running.control.receive::<ToPrimary>() {
                Ok(Received::Message(message, _)) => self.heard(worker, message),
                Ok(Received::Nothing) => return,
                Ok(Received::Closed) => {
                    let _ = epoll::delete(&self.epoll, &running.control);
                    return;
                }
                Err(error) => {
                    // It speaks another language: no worker of ours, or broken. It will not get better.
                    let _ = epoll::delete(&self.epoll, &running.control);
                    let _ = running.child.kill(Signal::Kill);
                    self.feed_supervisor(Input::Failed(worker, error.to_string()));
                    return;
                }
            }
        }
    }

    pub(super) fn heard(&mut self, worker: WorkerId, message: ToPrimary) {
        let after = self.workers.get(&worker).map_or(Duration::ZERO, |running| running.started.elapsed());
        match message {
            ToPrimary::Online => self.emit(Event::Online { worker }),
            ToPrimary::Listening(address) => {
                if self.programs.are_workers
                    && let Some(running) = self.workers.get_mut(&worker)
                    && running.program.listens.len() < MOST_ADDRESSES
                    && !running.program.listens.contains(&address)
                {
                    running.program.listens.push(address.clone());
                }
                self.emit(Event::Listening { worker, address });
                self.feed_supervisor(Input::Listening(worker));
            }
            ToPrimary::Ready => {
                if self.workers.get(&worker).is_some_and(|running| !running.birth.held) {
                    self.worker_accepts(worker);
                }
                if let Some(attendant) = &mut self.attendant
                    && !attendant.is_ready(worker)
                {
                    return;
                }
                if let Some(running) = self.workers.get_mut(&worker) {
                    running.program.awaited_line = None;
                }
                if self.programs.are_workers && !self.programs.finish {
                    // Whatever it exits with, it is started again.
                    self.feed_supervisor(Input::Listening(worker));
                }
                // What follows from it comes after it.
                self.emit(Event::Ready { worker, after });
                self.feed_supervisor(Input::Ready(worker));
            }
            ToPrimary::Failed(error) => self.feed_supervisor(Input::Failed(worker, error)),
            #[cfg(feature = "program")]
            ToPrimary::Signal(number) => self.signal_program(worker, number),
            #[cfg(not(feature = "program"))]
            ToPrimary::Signal(_) => {}
            ToPrimary::Said(text) => self.emit(Event::Said { worker, text }),
            ToPrimary::Leaves => self.worker_left(worker),
            ToPrimary::Leaks(leak) => {
                let resource = leak.resource;
                self.emit(Event::Leak { worker, leak });
                self.feed_supervisor(Input::Leaks(worker, resource));
            }
            ToPrimary::HeapProfiled { request, result } => self.heap_profiled(worker, request, result),
            ToPrimary::Probed(outcome) => self.feed_supervisor(Input::Probed(worker, outcome)),
        }
    }

    pub(super) fn reap(&mut self, worker: WorkerId) {
        let Some(running) = self.workers.get(&worker) else { return };
        if self.attendant.is_some() {
            // Nobody has its number yet: what it started in its group and left behind ends with it.
            let _ = running.child.kill_group(Signal::Kill);
        }
        match running.child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => {
                // Its last words first.
                if let Some(refused) = running.child.refusal() {
                    self.feed_supervisor(Input::Failed(worker, refused));
                }
                self.take_messages(worker, usize::MAX);
                self.explain_end(worker, status);
                self.feed_supervisor(Input::Exited(worker, status));
            }
            Err(error) => {
                // Nobody else reaps our children; if it happened all the same, the process is gone.
                self.feed_supervisor(Input::SpawnFailed(worker, error.to_string()));
            }
        }
    }

    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        self.next_tick = now + TICK;
        if slim::is_due(self.seconds) {
            slim::slim();
        }
        self.sample_memory();
        self.look_at_groups();
        self.reap_leftovers();
        if let Some(dispatch) = &mut self.dispatch {
            dispatch.tick();
        }
        if let Some(attendant) = &mut self.attendant {
            attendant.tick();
        }
        #[cfg(feature = "program")]
        self.look_after_strays();
        self.expire_dumps();
        let vitals = self
            .workers
            .iter()
            .filter_map(|(worker, running)| {
                let slot = self.slots.get(usize::from(running.birth.page.0))?;
                Some(Vitals {
                    worker: *worker,
                    beat: slot.get(Field::Heartbeat),
                    requests: slot.get(Field::Requests),
                    resident_bytes: slot.get(Field::ResidentBytes),
                    holder: if running.bound.is_some() { Holder::Kernel } else { Holder::Primary },
                })
            })
            .collect();
        self.feed_supervisor(Input::Tick(vitals));
    }
}
