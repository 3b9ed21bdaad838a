//! The primary: one thread, one loop, one `epoll_wait`.
//!
//! It turns what the kernel reports into inputs of the [`Supervisor`] and does the actions that come out. It never
//! waits for a worker, reads no request, formats no log line of its own, and owns every child by its pidfd.
//!
//! | file | one idea |
//! |---|---|
//! | `begin.rs` | the start: anew, or with what an earlier image of this process handed over |
//! | `spawn.rs`, `workers.rs`, `memory.rs`, `hard_limit.rs` | the life of a worker |
//! | `gates.rs`, `stacks.rs` | what a worker has to prove; where a hung one stands |
//! | `operations.rs`, `generations.rs`, `upgrade/` | what somebody asks of the whole cluster |
//! | `companions.rs` | the processes beside the workers |
//! | `attendant.rs`, `programs.rs` | workers that are any program, and who speaks for them |
//! | `signals.rs`, `commands.rs`, `front.rs` | who asks |
//! | `cluster_page.rs`, `service.rs` | what the world outside is told |

#[cfg(feature = "program")]
mod attendant;
#[cfg(not(feature = "program"))]
#[path = "no_attendant.rs"]
mod attendant;
mod begin;
mod cluster_page;
mod commands;
mod companions;
mod entrance;
#[cfg(feature = "control")]
mod front;
#[cfg(not(feature = "control"))]
#[path = "no_front.rs"]
mod front;
mod gates;
mod generations;
mod hard_limit;
#[cfg(feature = "control")]
mod heap_profiles;
mod memory;
mod operations;
#[cfg(feature = "program")]
mod programs;
mod service;
mod signals;
mod source;
mod spawn;
mod stacks;
#[cfg(feature = "control")]
mod status;
mod upgrade;
mod workers;

use std::collections::{HashMap, VecDeque};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use phalanx_process::{Process, Signal, Signals, Strays, blocking};
use phalanx_shared::{ClusterPage, Generation, Owner, Permits, Slot, SlotIndex};
use rustix::event::{Timespec, epoll};

use crate::builder::{Confinement, EventCallback, Programs};
use crate::dispatcher::Keeper;
use crate::hub::{Commands, Feed};
use crate::listener::{Listeners, Loans};
use crate::secret::ClusterSecret;
use crate::supervisor::{Action, Input, Outcome, Supervisor};
use crate::{Error, Event, Gate, HealthGate, Place, WorkerId};

use attendant::Attendant;
pub(crate) use begin::run;
use companions::Companions;
use front::Front;
pub(crate) use front::FrontSettings;
use generations::Generations;
use hard_limit::HardLimit;
use memory::Surroundings;
use operations::Operations;
pub(crate) use operations::Wish;
#[cfg(feature = "program")]
pub(crate) use programs::MARK;
use service::Service;
use source::Source;
use stacks::Dumper;
pub(crate) use upgrade::{CHECK_ROLE, play_check};
use upgrade::{Check, Images};
use workers::{PlaceRecord, Running};

/// From one look at the heartbeats to the next.
const TICK: Duration = Duration::from_secs(1);

/// Most packets taken from one worker before the others have their turn.
const PACKETS_A_TURN: usize = 64;

struct Primary {
    supervisor: Supervisor,
    listeners: Listeners,
    loans: Loans,
    dispatch: Option<Keeper>,
    gate: Gate,
    /// Handed to every worker; kept over upgrades.
    secret: ClusterSecret,
    drain_deadline: Duration,
    confinement: Confinement,
    hard_limit: HardLimit,
    slots: Vec<Slot>,
    cluster: ClusterPage,
    permits: Permits,
    workers: HashMap<WorkerId, Running>,
    places: HashMap<Place, PlaceRecord>,
    /// Children that are no workers and are about to end.
    leftovers: Vec<Process>,
    generations: Generations,
    operations: Operations,
    /// The operation that another image of this process began, and that this one has to bring to its end.
    resumed_operation: Option<u64>,
    images: Images,
    /// The check of an upgrade.
    check: Option<Check>,
    health_gate: HealthGate,
    /// Commands that judge a held worker's health.
    gate_commands: HashMap<WorkerId, blocking::Child>,
    front: Option<Front>,
    companions: Companions,
    /// Speaks for the workers, if they are programs.
    attendant: Option<Attendant>,
    #[cfg_attr(not(feature = "program"), allow(dead_code, reason = "only that feature looks at it"))]
    programs: Programs,
    /// What programs leave behind.
    #[cfg_attr(not(feature = "program"), allow(dead_code, reason = "only that feature looks at it"))]
    strays: Option<Strays>,
    service: Service,
    /// Processes that write down where hung workers stand.
    dumpers: HashMap<WorkerId, Dumper>,
    hung_grace: Duration,
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
    surroundings: Surroundings,
    stop_requests: u32,
    inputs: VecDeque<Input>,
    outcome: Option<Outcome>,
}

impl Primary {
    /// **The loop.**
    fn supervise(&mut self) -> Result<(), Error> {
        let mut events = Vec::with_capacity(64);
        while self.outcome.is_none() {
            self.begin_pending();
            self.start_front();
            self.start_companions();
            self.update_gauges();
            self.pump_front();
            // Who asked for the upgrade has been answered: this may be the end of this image.
            self.look_at_check();
            self.tend_dispatcher();
            self.tend_attendant();
            self.announce();
            self.feed_watchdog();
            let timeout = to_timespec(self.until_next_deadline());
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(source) => return Err(system("wait for events")(source)),
            }
            for event in events.drain(..) {
                self.attend(Source::of(event.data.u64()));
            }
            if Instant::now() >= self.next_tick {
                self.tick();
            }
            self.feed_supervisor(Input::Elapsed);
        }
        match self.outcome.take() {
            Some(Outcome::FirstStartFailed { status, error }) => Err(Error::FirstStart { status, error }),
            Some(Outcome::GivenUp { error }) => Err(Error::GivenUp { error }),
            _ => Ok(()),
        }
    }

    /// Somebody has something for us.
    fn attend(&mut self, source: Source) {
        match source {
            Source::Signals => self.take_signals(),
            Source::Commands => self.take_commands(),
            Source::Control(worker) => self.take_messages(worker, PACKETS_A_TURN),
            Source::Process(worker) => self.reap(worker),
            Source::Gate(worker) => self.gate_ended(worker),
            Source::FrontLink => self.take_front(),
            Source::FrontProcess => self.reap_front(),
            // Looked at in each turn.
            Source::Check => {}
            Source::Dumper(worker) => self.dump_ended(worker),
            Source::Leftover => self.reap_leftovers(),
            // It is looked after in each turn.
            Source::Dispatcher => {}
            Source::DispatcherProcess => self.dispatcher_ended(),
            // As the dispatcher.
            Source::Attendant => {}
            Source::AttendantProcess => self.attendant_ended(),
            Source::Companion(index) => self.reap_companion(index),
        }
    }

    fn until_next_deadline(&self) -> Duration {
        let now = Instant::now();
        let clock = self.supervisor.wakes_at().map(|at| self.origin + at);
        let front = self.front.as_ref().and_then(Front::wakes_at);
        let dispatcher = self.dispatch.as_ref().and_then(Keeper::wakes_at);
        let check = self.check.as_ref().map(Check::until);
        let attendant = self.attendant.as_ref().and_then(Attendant::wakes_at);
        let others = [check, front, dispatcher, attendant, self.companions.wakes_at(), self.service.wakes_at(), clock];
        let next = others.into_iter().flatten().fold(self.next_tick, Instant::min);
        // An epoll time-out is cut to whole milliseconds: a hair later is better than a turn too early.
        next.saturating_duration_since(now) + Duration::from_millis(1)
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
            Action::Probe(worker) => self.probe(worker),
            Action::Admit(worker) => self.admit(worker),
            Action::Drain(worker, departure, within) => self.drain(worker, departure, within),
            Action::DumpStacks(worker) => self.dump_stacks(worker),
            Action::Kill(worker, reason) => self.kill(worker, reason),
            Action::Bury(worker, reason) => self.bury(worker, reason),
            Action::Recycle(worker, why) => self.emit(Event::Recycle { worker, why }),
            Action::BackOff(place, wait) => self.emit(Event::BackOff { place, wait }),
            Action::Break(place, probe_in) => self.emit(Event::BreakerOpen { place, probe_in }),
            Action::GiveUp(place) => self.emit(Event::GaveUp { place }),
            Action::ShortOfMemory { worker, needed, free } => self.emit(Event::ShortOfMemory { worker, needed, free }),
            Action::Over { operation, result } => self.over(operation, result),
            Action::CloseListeners => {
                self.close_listeners();
                self.emit(Event::ListenersClosed);
            }
            Action::Finish(outcome) => self.outcome = Some(outcome),
        }
    }

    /// Children that were on their way out.
    fn reap_leftovers(&mut self) {
        self.leftovers.retain(|child| matches!(child.try_wait(), Ok(None)));
    }

    fn emit(&mut self, event: Event) {
        // Before the count: who sees the one sees the other.
        self.update_gauges();
        self.count(&event);
        self.tell_manager(&event);
        if let Some(observe) = &mut self.on_event {
            observe(&event);
        }
        if let Some(front) = &mut self.front {
            front.event(&event);
        }
        if let Some(feed) = &self.feed {
            feed.event(event);
        }
    }
}

impl Drop for Primary {
    /// All is over: what still runs for us ends too.
    fn drop(&mut self) {
        self.companions.finish();
        if let Some(mut attendant) = self.attendant.take() {
            attendant.finish();
        }
        #[cfg(feature = "program")]
        if let Some(mut strays) = self.strays.take() {
            strays.end_all(MARK);
        }
        if let Some(front) = self.front.take() {
            front.finish();
        }
        for child in &self.leftovers {
            let _ = child.kill(Signal::Kill);
        }
    }
}

/// How a worker is named on the permits: its slot, and its number as the generation.
pub(crate) fn owner(slot: SlotIndex, worker: WorkerId) -> Owner {
    Owner::new(slot, Generation(worker.get()))
}

/// Waits for a descriptor, at most until then.
fn wait_until_readable(fd: BorrowedFd<'_>, deadline: Instant) {
    let timeout = to_timespec(deadline.saturating_duration_since(Instant::now()));
    let mut polled = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
    let _ = rustix::event::poll(&mut polled, Some(&timeout));
}

fn system(attempt: &'static str) -> impl FnOnce(rustix::io::Errno) -> Error {
    move |source| Error::System { attempt, source: source.into() }
}

fn to_timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs() as i64, tv_nsec: duration.subsec_nanos().into() }
}
