//! The primary: one thread, one loop, one `epoll_wait`.
//!
//! It turns what the kernel reports into inputs of the [`Supervisor`] and does the actions that come out. It never
//! waits for a worker, reads no request, formats no log line of its own, and owns every child by its pidfd.

mod commands;
mod gates;
mod generations;
mod memory;
mod operations;
mod signals;
mod source;
mod spawn;
mod workers;

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use phalanx_process::{Signals, blocking};
use phalanx_shared::{Generation, Owner, Permits, Slot, SlotIndex};
use rustix::event::{Timespec, epoll};

use crate::builder::{Cluster, Confinement, EventCallback};
use crate::hub::{Commands, Feed};
use crate::listener::Listeners;
use crate::secret::ClusterSecret;
use crate::supervisor::{Action, Input, Outcome, Supervisor};
use crate::{Error, Event, Gate, HealthGate, Place, WorkerId};

use generations::Generations;
use operations::Operations;
pub(crate) use operations::Wish;
use source::Source;
use workers::Running;

/// From one look at the heartbeats to the next.
const TICK: Duration = Duration::from_secs(1);

/// Most packets taken from one worker before the others have their turn.
const PACKETS_A_TURN: usize = 64;

/// Runs the cluster until it is over.
pub(crate) fn run(mut cluster: Cluster) -> Result<(), Error> {
    let signals = Signals::take(signals::TAKEN)?;
    let code = cluster.primary.take();
    let user = (code.is_some() || cluster.messages).then(|| crate::hub::start(code)).transpose()?;
    let (commands, feed, user) = match user {
        Some((commands, feed, user)) => (Some(commands), Some(feed), Some(user)),
        None => (None, None, None),
    };
    let workers = cluster.workers;
    let mut primary = Primary::new(cluster, signals, commands, feed)?;
    let outcome = primary.supervise(workers);
    drop(primary);
    let user_result = user.map_or(Ok(()), crate::hub::User::finish);
    outcome.and(user_result)
}

struct Primary {
    supervisor: Supervisor,
    listeners: Listeners,
    gate: Gate,
    /// Handed to every worker; kept over upgrades.
    secret: ClusterSecret,
    drain_deadline: Duration,
    slots: Vec<Slot>,
    permits: Permits,
    workers: HashMap<WorkerId, Running>,
    generations: Generations,
    operations: Operations,
    confinement: Confinement,
    health_gate: HealthGate,
    /// Commands that judge a held worker's health.
    gate_commands: HashMap<WorkerId, blocking::Child>,
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
    /// Ticks so far.
    seconds: u64,
    /// Whether anything depends on the memory of a worker.
    memory_limited: bool,
    stop_requests: u32,
    inputs: VecDeque<Input>,
    outcome: Option<Outcome>,
}

impl Primary {
    fn new(
        cluster: Cluster,
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
        let mut generations = Generations::new(cluster.settings);
        generations.begin()?;
        let now = Instant::now();
        let seed = std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), 0);
        Ok(Primary {
            drain_deadline: cluster.policy.drain_deadline,
            listeners: Listeners::open(&cluster.listen, cluster.distribution, cluster.workers, Vec::new())?,
            gate: cluster.gate,
            secret: ClusterSecret::generate().map_err(system("get random bytes"))?,
            slots: Vec::new(),
            permits: Permits::create(phalanx_memory::usable_cores()).map_err(Error::system("create the permits"))?,
            workers: HashMap::new(),
            generations,
            operations: Operations::default(),
            confinement: cluster.confinement,
            memory_limited: cluster.policy.soft_memory.or(cluster.policy.hard_memory).is_some(),
            seconds: 0,
            health_gate: cluster.health_gate,
            gate_commands: HashMap::new(),
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
            supervisor: Supervisor::new(cluster.policy, seed),
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
                    Source::Gate(worker) => self.gate_ended(worker),
                }
            }
            if Instant::now() >= self.next_tick {
                self.tick();
            }
            self.feed_supervisor(Input::Elapsed);
            self.begin_pending();
        }
        match self.outcome.take() {
            Some(Outcome::FirstStartFailed { status, error }) => Err(Error::FirstStart { status, error }),
            Some(Outcome::GivenUp { error }) => Err(Error::GivenUp { error }),
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
            Action::Probe(worker) => self.probe(worker),
            Action::Admit(worker) => self.admit(worker),
            Action::DumpStacks(worker) => self.emit(Event::Hung { worker }),
            Action::Recycle(worker, why) => self.emit(Event::Recycle { worker, why }),
            Action::GiveUp(place) => self.emit(Event::GaveUp { place }),
            Action::Over { operation, result } => self.over(operation, result),
            Action::Bury(worker, reason) => self.bury(worker, reason),
            Action::BackOff(place, wait) => self.emit(Event::BackOff { place, wait }),
            Action::Break(place, probe_in) => self.emit(Event::BreakerOpen { place, probe_in }),
            Action::CloseListeners => {
                self.listeners.close();
                self.emit(Event::ListenersClosed);
            }
            Action::Finish(outcome) => self.outcome = Some(outcome),
        }
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
