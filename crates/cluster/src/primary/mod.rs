//! The primary: one thread, one loop, one `epoll_wait`.
//!
//! It turns what the kernel reports into inputs of the [`Supervisor`] and does the actions that come out. It never
//! waits for a worker, reads no request, formats no log line of its own, and owns every child by its pidfd.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use phalanx_channel::{Packets, Received};
use phalanx_process::{Process, Role, Signal, Signals};
use phalanx_shared::{Field, Generation, Owner, Permits, Slot, SlotIndex};
use rustix::event::{Timespec, epoll};

use crate::builder::{Cluster, EventCallback};
use crate::control::{ToPrimary, ToWorker, WORKER_ROLE, descriptor};
use crate::hub::{Command, Commands, Feed};
use crate::listener::Listeners;
use crate::supervisor::{Action, Birth, Departure, Input, KillReason, Outcome, Supervisor, Vitals};
use crate::{Error, Event, Gate, Place, WorkerId};

/// From one look at the heartbeats to the next.
const TICK: Duration = Duration::from_secs(1);

/// Most packets taken from one worker before the others have their turn.
const PACKETS_A_TURN: usize = 64;

/// Most siblings told of in one message: as many as descriptors fit.
const SIBLINGS_A_MESSAGE: usize = phalanx_channel::MAX_DESCRIPTORS;

/// Runs the cluster until it is over.
pub(crate) fn run(mut cluster: Cluster, addresses: &[SocketAddr]) -> Result<(), Error> {
    let signals = Signals::take(&[Signal::Terminate, Signal::Interrupt, Signal::Quit, Signal::Hangup])?;
    let user = cluster.primary.take().map(crate::hub::start).transpose()?;
    let (commands, feed, user) = match user {
        Some((commands, feed, user)) => (Some(commands), Some(feed), Some(user)),
        None => (None, None, None),
    };
    let workers = cluster.workers;
    let mut primary = Primary::new(cluster, addresses, signals, commands, feed)?;
    let outcome = primary.supervise(workers);
    drop(primary);
    let user_result = user.map_or(Ok(()), crate::hub::User::finish);
    outcome.and(user_result)
}

struct Primary {
    supervisor: Supervisor,
    listeners: Listeners,
    gate: Gate,
    drain_deadline: Duration,
    slots: Vec<Slot>,
    permits: Permits,
    workers: HashMap<WorkerId, Running>,
    /// Environment additions of places that were forked with some.
    environments: HashMap<Place, Vec<(String, String)>>,
    /// Environment of the fork that is under way, until its worker is started.
    forking: Option<Vec<(String, String)>>,
    /// The worker that the fork under way started.
    forked: Option<WorkerId>,
    epoll: OwnedFd,
    signals: Signals,
    commands: Option<Commands>,
    feed: Option<Feed>,
    on_event: Option<EventCallback>,
    origin: Instant,
    next_tick: Instant,
    stop_requests: u32,
    inputs: VecDeque<Input>,
    outcome: Option<Outcome>,
}

/// A worker process as the primary holds it.
struct Running {
    child: Process,
    control: Packets,
    page: SlotIndex,
    started: Instant,
}

/// What an epoll event is about; it travels as one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Signals,
    Commands,
    Control(WorkerId),
    Process(WorkerId),
}

impl Source {
    fn data(self) -> epoll::EventData {
        epoll::EventData::new_u64(match self {
            Source::Signals => 0,
            Source::Commands => 1,
            Source::Control(worker) => 2 | u64::from(worker.get()) << 2,
            Source::Process(worker) => 3 | u64::from(worker.get()) << 2,
        })
    }

    fn of(data: u64) -> Source {
        let worker = WorkerId::new((data >> 2) as u32);
        match data & 3 {
            0 => Source::Signals,
            1 => Source::Commands,
            2 => Source::Control(worker),
            _ => Source::Process(worker),
        }
    }
}

impl Primary {
    fn new(
        cluster: Cluster,
        addresses: &[SocketAddr],
        signals: Signals,
        commands: Option<Commands>,
        feed: Option<Feed>,
    ) -> Result<Primary, Error> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(system("create an epoll"))?;
        let watch = |fd: &dyn AsFd, source: Source| {
            epoll::add(&epoll, fd.as_fd(), source.data(), epoll::EventFlags::IN).map_err(system("watch a descriptor"))
        };
        watch(&signals, Source::Signals)?;
        if let Some(commands) = &commands {
            watch(commands, Source::Commands)?;
        }
        let now = Instant::now();
        let seed = std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), 0);
        Ok(Primary {
            drain_deadline: cluster.policy.drain_deadline,
            supervisor: Supervisor::new(cluster.policy, seed),
            listeners: Listeners::open(addresses)?,
            gate: cluster.gate,
            slots: Vec::new(),
            permits: Permits::create(phalanx_memory::usable_cores()).map_err(Error::system("create the permits"))?,
            workers: HashMap::new(),
            environments: HashMap::new(),
            forking: None,
            forked: None,
            epoll,
            signals,
            commands,
            feed,
            on_event: cluster.on_event,
            origin: now,
            next_tick: now + TICK,
            stop_requests: 0,
            inputs: VecDeque::new(),
            outcome: None,
        })
    }

    /// **The loop.**
    fn supervise(&mut self, workers: usize) -> Result<(), Error> {
        if let Some(feed) = &self.feed {
            feed.listening(self.listeners.addresses());
        }
        self.feed_supervisor(Input::Start { workers });
        let mut events = Vec::with_capacity(64);
        while self.outcome.is_none() {
            let timeout = to_timespec(self.until_next_deadline());
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(source) => return Err(system("wait for events")(source)),
            }
            for event in events.drain(..) {
                match Source::of(event.data.u64()) {
                    Source::Signals => self.take_signals(),
                    Source::Commands => self.take_commands(),
                    Source::Control(worker) => self.take_messages(worker, PACKETS_A_TURN),
                    Source::Process(worker) => self.reap(worker),
                }
            }
            if Instant::now() >= self.next_tick {
                self.tick();
            }
            self.feed_supervisor(Input::Elapsed);
        }
        match self.outcome.take() {
            Some(Outcome::FirstStartFailed { status, error }) => Err(Error::FirstStart { status, error }),
            Some(Outcome::GivenUp { error }) => Err(Error::FirstStart { status: None, error }),
            _ => Ok(()),
        }
    }

    fn until_next_deadline(&self) -> Duration {
        let tick = self.next_tick.saturating_duration_since(Instant::now());
        let clock = self.supervisor.wakes_at().map(|at| at.saturating_sub(self.origin.elapsed()));
        // An epoll time-out is cut to whole milliseconds: a hair later is better than a turn too early.
        clock.map_or(tick, |clock| clock.min(tick)) + Duration::from_millis(1)
    }

    fn feed_supervisor(&mut self, input: Input) {
        self.inputs.push_back(input);
        while let Some(input) = self.inputs.pop_front() {
            for action in self.supervisor.step(input, self.origin.elapsed()) {
                self.perform(action);
            }
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Spawn(birth) => self.spawn(birth),
            Action::Drain(worker, departure, within) => self.drain(worker, departure, within),
            Action::Kill(worker, reason) => self.kill(worker, reason),
            Action::Probe(_) | Action::Admit(_) | Action::DumpStacks(_) | Action::Over { .. } => {}
            Action::Recycle(..) | Action::GiveUp(_) => {}
            Action::Bury(worker, reason) => {
                let page = self.workers.get(&worker).map(|running| running.page);
                if let Some(page) = page {
                    self.permits.sweep(owner(page, worker));
                }
                let memory = page.and_then(|page| self.slots.get(usize::from(page.0)));
                let connections = memory.map_or(0, |memory| memory.get(Field::Connections));
                if let Some(memory) = memory {
                    memory.vacate();
                }
                let pid = self.workers.remove(&worker).map_or(0, |running| running.child.pid());
                self.emit(Event::Exit { worker, pid, reason, connections });
            }
            Action::BackOff(place, wait) => self.emit(Event::BackOff { place, wait }),
            Action::Break(place, probe_in) => self.emit(Event::BreakerOpen { place, probe_in }),
            Action::CloseListeners => {
                self.listeners.close();
                self.emit(Event::ListenersClosed);
            }
            Action::Finish(outcome) => self.outcome = Some(outcome),
        }
    }

    fn spawn(&mut self, birth: Birth) {
        let Birth { worker, place, .. } = birth;
        if let Some(environment) = self.forking.take() {
            self.environments.insert(place, environment);
            self.forked = Some(worker);
        }
        match self.try_spawn(birth) {
            Ok(running) => {
                let pid = running.child.pid();
                self.workers.insert(worker, running);
                self.emit(Event::Fork { worker, pid, place });
            }
            Err(error) => self.inputs.push_back(Input::SpawnFailed(worker, error.to_string())),
        }
    }

    fn try_spawn(&mut self, birth: Birth) -> Result<Running, Error> {
        let Birth { worker, place, page, generation, held } = birth;
        self.listeners.reopen()?;
        let index = usize::from(page.0);
        let new_slot = index == self.slots.len();
        if new_slot {
            self.slots.push(Slot::create().map_err(Error::system("create a slot of the scoreboard"))?);
        }
        let (control, theirs) = Packets::pair()?;
        let messages = self.feed.as_ref().map(|_| Packets::pair()).transpose()?;
        let memory = self.slots[index].descriptor().map_err(Error::system("copy a slot's descriptor"))?;
        let permits = self.permits.descriptor().map_err(Error::system("copy the permits' descriptor"))?;
        let mut role = Role::new(WORKER_ROLE)
            .descriptor(descriptor::CONTROL, theirs.as_fd())
            .descriptor(descriptor::SLOT, memory.as_fd())
            .descriptor(descriptor::PERMITS, permits.as_fd());
        if let Some((_, theirs)) = &messages {
            role = role.descriptor(descriptor::MESSAGES, theirs.as_fd());
        }
        for listener in self.listeners.descriptors() {
            role = role.descriptor(descriptor::LISTENER, listener);
        }
        for (name, value) in self.environments.get(&place).into_iter().flatten() {
            role = role.env(name, value);
        }
        // Waiting in the socket before the worker exists: it never has to wait for us.
        let welcome = ToWorker::Welcome {
            worker,
            place,
            page: page.0,
            generation,
            held,
            bound_here: true,
            drain_deadline: self.drain_deadline,
            gate: self.gate,
        };
        control.send(&welcome, &[])?;
        self.tell_of_siblings(&control, (0..self.slots.len()).filter(|other| *other != index))?;
        let started = Instant::now();
        let child = role.spawn()?;
        for (source, fd) in [(Source::Control(worker), control.as_fd()), (Source::Process(worker), child.as_fd())] {
            epoll::add(&self.epoll, fd, source.data(), epoll::EventFlags::IN).map_err(system("watch a worker"))?;
        }
        if new_slot {
            for running in self.workers.values() {
                // A sibling that does not read its messages only goes without a gate for this one.
                let _ = self.tell_of_siblings(&running.control, std::iter::once(index));
            }
        }
        if let (Some(feed), Some((ours, _))) = (&self.feed, messages) {
            feed.connect(worker, child.pid(), ours);
        }
        Ok(Running { child, control, page, started })
    }

    fn tell_of_siblings(&self, control: &Packets, indices: impl Iterator<Item = usize>) -> Result<(), Error> {
        let indices: Vec<usize> = indices.collect();
        for some in indices.chunks(SIBLINGS_A_MESSAGE) {
            let descriptors = some
                .iter()
                .map(|index| self.slots[*index].read_only_descriptor())
                .collect::<Result<Vec<OwnedFd>, _>>()
                .map_err(Error::system("copy a slot's descriptor"))?;
            let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
            control.send(&ToWorker::Siblings(some.iter().map(|index| *index as u16).collect()), &borrowed)?;
        }
        Ok(())
    }

    fn drain(&mut self, worker: WorkerId, departure: Departure, within: Duration) {
        let Some(running) = self.workers.get(&worker) else { return };
        let leave = ToWorker::Leave { with_all: departure == Departure::WithAll, within };
        if running.control.send(&leave, &[]).is_err() {
            // It does not read its messages; the signal says the same, and the drain clock runs in any case.
            let _ = running.child.kill(Signal::Terminate);
        }
        self.emit(Event::Disconnect { worker });
    }

    fn kill(&mut self, worker: WorkerId, reason: KillReason) {
        if let Some(running) = self.workers.get(&worker) {
            let _ = running.child.kill(Signal::Kill);
        }
        self.emit(Event::Killed { worker, why: reason });
    }

    fn take_signals(&mut self) {
        while let Some(signal) = self.signals.next() {
            match signal {
                Signal::Terminate | Signal::Interrupt => self.request_stop(),
                Signal::Quit => self.feed_supervisor(Input::StopNow),
                // Kept for reload; a terminal that closes must not end a server half-way.
                _ => {}
            }
        }
    }

    /// The first request drains; a second one means it.
    fn request_stop(&mut self) {
        self.stop_requests += 1;
        if self.stop_requests == 1 {
            self.emit(Event::Stopping);
            self.feed_supervisor(Input::Stop);
            // Our copies are not needed any more: the port is free when the last worker has let go of it.
            self.listeners.close();
        } else {
            self.feed_supervisor(Input::StopNow);
        }
    }

    fn take_commands(&mut self) {
        let taken = self.commands.as_ref().map(Commands::take).unwrap_or_default();
        for command in taken {
            match command {
                Command::Fork { environment, reply } => {
                    self.forking = Some(environment);
                    self.feed_supervisor(Input::Fork);
                    self.forking = None;
                    let _ = reply.send(self.forked.take());
                }
                Command::Disconnect(worker) => self.feed_supervisor(Input::Disconnect(worker)),
                Command::DisconnectAll => self.feed_supervisor(Input::DisconnectAll),
                Command::Stop => self.request_stop(),
                Command::CodeEnded => self.feed_supervisor(Input::CodeEnded),
            }
        }
    }

    /// Takes what a worker said. The end of the connection says nothing new: the process's end is reported by itself.
    fn take_messages(&mut self, worker: WorkerId, most: usize) {
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

    fn heard(&mut self, worker: WorkerId, message: ToPrimary) {
        let after = self.workers.get(&worker).map_or(Duration::ZERO, |running| running.started.elapsed());
        match message {
            ToPrimary::Online => self.emit(Event::Online { worker }),
            ToPrimary::Listening(address) => {
                self.feed_supervisor(Input::Listening(worker));
                self.emit(Event::Listening { worker, address });
            }
            ToPrimary::Ready => {
                self.feed_supervisor(Input::Ready(worker));
                self.emit(Event::Ready { worker, after });
            }
            ToPrimary::Failed(error) => self.feed_supervisor(Input::Failed(worker, error)),
            ToPrimary::Probed(outcome) => self.feed_supervisor(Input::Probed(worker, outcome)),
        }
    }

    fn reap(&mut self, worker: WorkerId) {
        let Some(running) = self.workers.get(&worker) else { return };
        match running.child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => {
                // Its last words first.
                self.take_messages(worker, usize::MAX);
                self.feed_supervisor(Input::Exited(worker, status));
            }
            Err(error) => {
                // Nobody else reaps our children; if it happened all the same, the process is gone.
                self.feed_supervisor(Input::SpawnFailed(worker, error.to_string()));
            }
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        self.next_tick = now + TICK;
        let vitals = self
            .workers
            .iter()
            .filter_map(|(worker, running)| {
                let slot = self.slots.get(usize::from(running.page.0))?;
                Some(Vitals {
                    worker: *worker,
                    beat: slot.get(Field::Heartbeat),
                    requests: slot.get(Field::Requests),
                    resident_bytes: slot.get(Field::ResidentBytes),
                })
            })
            .collect();
        self.feed_supervisor(Input::Tick(vitals));
    }

    fn emit(&mut self, event: Event) {
        if let Some(observe) = &mut self.on_event {
            observe(&event);
        }
        if let Some(feed) = &self.feed {
            feed.event(event);
        }
    }
}

/// How a worker is named on the permits: its slot, and its number as the generation.
pub(crate) fn owner(slot: SlotIndex, worker: WorkerId) -> Owner {
    Owner::new(slot, Generation(worker.get()))
}

fn system(attempt: &'static str) -> impl FnOnce(rustix::io::Errno) -> Error {
    move |source| Error::System { attempt, source: source.into() }
}

fn to_timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs() as i64, tv_nsec: duration.subsec_nanos().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_epoll_reports_is_what_was_watched() {
        let worker = WorkerId::new(u32::MAX);
        for source in [Source::Signals, Source::Commands, Source::Control(worker), Source::Process(worker)] {
            assert_eq!(Source::of(source.data().u64()), source);
        }
    }
}
