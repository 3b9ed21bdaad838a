//! [`Keeper`]: the thread that does what takes a system call, and that looks when nobody else does.
//!
//! ```text
//!   epoll: its own ringer ─ bells of the desks ─ pidfds ─ stderr pipes ─ the alarm
//!     └─► read answers ─► tick ─► start, kill, weigh ─► reap the dead ─► sleep until the next alarm
//! ```
//!
//! It starts all processes, since their parent-death signal follows this thread, and it alone kills and reaps them. It ends when
//! the pool is closed and the last process is gone.

use std::os::fd::OwnedFd;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use phalanx_process::{Confinement, ExitStatus, Signal};
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;

use crate::desk::Hello;
use crate::pool::inner::Inner;
use crate::pool::state::{Order, Seat, Why};
use crate::pool::station::{Outfit, Station};
use crate::pool::stderr::Reading;
use crate::pool::{PoolError, PoolEvent};
use crate::{Crash, Ending, SandboxPolicy, TaskId};

/// Events that are taken at once.
const EVENTS: usize = 64;
/// The shortest sleep: what is due and cannot be done yet does not make it run in circles.
const SHORTEST_SLEEP: Duration = Duration::from_micros(500);
/// So many starts may fail before whoever builds the pool is told.
const FIRST_STARTS: u32 = 5;

/// What an event of epoll is about: the kind in the lowest bits, the seat above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Ringer,
    Bell(Seat),
    Death(Seat),
    Stderr(Seat),
}

/// Told when the first process has said hello, or none can be started.
pub(super) type First = SyncSender<Result<(), PoolError>>;

pub(super) struct Keeper {
    inner: Arc<Inner>,
    outfit: Outfit,
    epoll: OwnedFd,
    stations: Vec<Option<Station>>,
    first: Option<First>,
    serial: u64,
}

impl Keeper {
    pub(super) fn new(inner: Arc<Inner>, outfit: Outfit, seats: usize, first: First) -> Result<Keeper, Errno> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, inner.ringer(), Token::Ringer.data(), EventFlags::IN | EventFlags::ET)?;
        let stations = (0..seats).map(|_| None).collect();
        Ok(Keeper { inner, outfit, epoll, stations, first: Some(first), serial: 0 })
    }

    /// Runs until the pool is over. A mistake of ours that ends this thread ends the pool as well: then all processes get their
    /// parent-death signal, and nobody shall wait for them.
    pub(super) fn run_to_the_end(self) {
        let inner = self.inner.clone();
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.run())).is_err() {
            inner.give_up_as_keeper();
        }
    }

    fn run(mut self) {
        let mut tokens = Vec::with_capacity(EVENTS);
        while let Some(alarm) = self.turn(&tokens) {
            tokens = self.sleep(alarm);
        }
        self.wake_drainers();
    }

    /// Does all there is to do. Tells when to wake up again by itself, or that it is over.
    fn turn(&mut self, tokens: &[Token]) -> Option<Option<Instant>> {
        self.look(tokens);
        for token in tokens {
            if let Token::Stderr(seat) = token {
                self.read_stderr(*seat);
            }
        }
        for token in tokens {
            if let Token::Death(seat) = token {
                self.bury(*seat);
            }
        }
        loop {
            let mut guard = self.inner.lock();
            let floor = &mut *guard;
            let now = Instant::now();
            let is_due = floor.state.due().is_some_and(|due| due <= now);
            if is_due || std::mem::take(&mut floor.is_unheard) {
                floor.look(now);
                floor.state.dispatch(&mut floor.table, now);
            }
            if is_due {
                floor.state.tick(&mut floor.table, now);
                floor.draining.iter().for_each(|(until, _)| floor.state.note(Some(*until)));
            }
            let hellos = std::mem::take(&mut floor.hellos);
            let orders = floor.state.take_orders();
            if hellos.is_empty() && orders.is_empty() && !floor.is_unheard {
                let is_over = floor.state.is_over() && self.stations.iter().all(Option::is_none);
                floor.alarm = floor.state.due();
                floor.is_keeper_awake = is_over;
                let alarm = floor.alarm.map(|alarm| alarm.max(now + SHORTEST_SLEEP));
                self.inner.settle_as_keeper(guard);
                if is_due {
                    self.wake_drainers();
                }
                return if is_over { None } else { Some(alarm) };
            }
            self.inner.settle_as_keeper(guard);
            hellos.into_iter().for_each(|(seat, hello)| self.greet(seat, hello));
            orders.into_iter().for_each(|order| self.carry_out(order));
        }
    }

    /// Reads the first answers of those who rang; all there are, if there is another reason to be awake.
    fn look(&self, tokens: &[Token]) {
        let mut guard = self.inner.lock();
        let floor = &mut *guard;
        floor.is_keeper_awake = true;
        let now = Instant::now();
        let mut is_bell_alone = !tokens.is_empty();
        for token in tokens {
            match token {
                Token::Bell(seat) => {
                    if floor.hear_bell(*seat, now) {
                        self.inner.leave_the_rest();
                    }
                }
                _ => is_bell_alone = false,
            }
        }
        if !is_bell_alone {
            floor.look(now);
        }
        floor.state.dispatch(&mut floor.table, now);
        self.inner.settle_as_keeper(guard);
    }

    fn sleep(&self, alarm: Option<Instant>) -> Vec<Token> {
        let timeout = alarm.map(|alarm| whole_milliseconds(alarm.saturating_duration_since(Instant::now())));
        let mut events = Vec::with_capacity(EVENTS);
        // An interruption is a reason to look as any other; there is no other error with a good descriptor.
        let _ = epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timeout.as_ref());
        events.iter().map(|event| Token::of(event.data)).collect()
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Start { seat, sandbox } => self.start(seat, sandbox),
            Order::Kill { seat, why } => self.kill(seat, why),
            Order::Weigh { seat } => self.weigh(seat),
        }
    }

    fn start(&mut self, seat: Seat, sandbox: phalanx_process::Sandbox) {
        self.serial += 1;
        let started = self.outfit.start(self.serial, sandbox).and_then(|(station, desk)| {
            let watched =
                epoll::add(&self.epoll, desk.bell(), Token::Bell(seat).data(), EventFlags::IN | EventFlags::ET)
                    .and_then(|()| epoll::add(&self.epoll, &station.process, Token::Death(seat).data(), EventFlags::IN))
                    .and_then(|()| {
                        epoll::add(&self.epoll, station.stderr.pipe(), Token::Stderr(seat).data(), EventFlags::IN)
                    });
            match watched {
                Ok(()) => Ok((station, desk)),
                Err(source) => {
                    let _ = station.process.kill(Signal::Kill);
                    reap(&station);
                    Err(format!("watch a job process: {source}"))
                }
            }
        });
        match started {
            Ok((station, desk)) => {
                self.inner.lock().table.seat(seat, station.serial, desk);
                self.stations[seat.0] = Some(station);
                // It may have said hello before its bell was armed.
                self.look(&[Token::Bell(seat)]);
            }
            Err(reason) => self.could_not_start(seat, reason),
        }
    }

    fn could_not_start(&mut self, seat: Seat, reason: String) {
        let mut guard = self.inner.lock();
        let floor = &mut *guard;
        let (failures, again_in) = floor.state.start_failed(seat, reason.clone(), Instant::now());
        self.inner.settle_as_keeper(guard);
        if failures >= FIRST_STARTS {
            self.tell_builder(Err(PoolError::Start { reason: reason.clone() }));
        }
        self.inner.say(&PoolEvent::StartFailed { reason, failures, again_in });
    }

    fn tell_builder(&mut self, outcome: Result<(), PoolError>) {
        if let Some(first) = self.first.take() {
            // Who does not wait any more has given up the pool.
            let _ = first.try_send(outcome);
        }
    }

    /// A process has said hello.
    fn greet(&mut self, seat: Seat, hello: Hello) {
        let Some(station) = &mut self.stations[seat.0] else { return };
        station.is_ready = true;
        let pid = station.process.pid();
        let confinement = hello.confinement;
        if self.outfit.policy == SandboxPolicy::Require && !confinement.is_complete() {
            // Its `init` refuses that by itself; whoever says this lies.
            let _ = station.process.kill(Signal::Kill);
            return;
        }
        self.remember(&confinement);
        let mut guard = self.inner.lock();
        let floor = &mut *guard;
        floor.state.ready(seat, &mut floor.table, Instant::now());
        self.inner.settle_as_keeper(guard);
        self.tell_builder(Ok(()));
        self.inner.say(&PoolEvent::Started { pid, confinement });
    }

    /// The latest word of each level counts.
    fn remember(&self, confinement: &Confinement) {
        let mut known = self.inner.confinements.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|known| known.level != confinement.level);
        known.push(confinement.clone());
        known.sort_by_key(|known| std::cmp::Reverse(known.level));
    }

    fn kill(&mut self, seat: Seat, why: Why) {
        let Some(station) = &mut self.stations[seat.0] else { return };
        // One that has ended meanwhile is reaped all the same.
        let _ = station.process.kill(Signal::Kill);
        let pid = station.process.pid();
        let event = match &why {
            Why::Stop { kind, id, why } => {
                let task = (self.inner.names[*kind], TaskId::from(*id));
                Some(PoolEvent::Killed { pid, task, why: *why })
            }
            Why::Recycle { jobs, why } => Some(PoolEvent::Recycled { pid, jobs: *jobs, why: *why }),
            Why::Malformed | Why::Silent | Why::Closing => None,
        };
        station.why = Some(why);
        if let Some(event) = event {
            self.inner.say(&event);
        }
    }

    /// How much memory a process holds between two tasks: what is its own, for the rest is not freed by its end.
    fn weigh(&self, seat: Seat) {
        let Some(station) = &self.stations[seat.0] else { return };
        if let Ok(bytes) = phalanx_memory::anonymous_of(station.process.pid()) {
            let guard = &mut self.inner.lock();
            guard.state.weighed(seat, bytes);
        }
    }

    fn read_stderr(&mut self, seat: Seat) {
        let jobs = self.inner.lock().state.jobs_of(seat);
        let Some(station) = &mut self.stations[seat.0] else { return };
        if station.stderr.read(jobs) == Reading::Ended {
            let _ = epoll::delete(&self.epoll, station.stderr.pipe());
        }
    }

    /// A process has ended: what it has answered counts, and its last words are read.
    fn bury(&mut self, seat: Seat) {
        let Some(station) = &self.stations[seat.0] else { return };
        let Some(status) = reap(station) else { return };
        let Some(mut station) = self.stations[seat.0].take() else { return };
        let mut guard = self.inner.lock();
        let floor = &mut *guard;
        let now = Instant::now();
        floor.look_at(seat, now);
        let jobs = floor.state.jobs_of(seat);
        self.inner.settle_as_keeper(guard);
        station.stderr.read_rest(jobs);
        let Station { process, stderr, is_ready, why, .. } = station;
        let crash = Crash { ending: ending_of(status), stderr_tail: stderr.into_tail() };
        if !is_ready {
            return self.bury_unborn(seat, &crash, process.refusal(), why);
        }
        let mut guard = self.inner.lock();
        let floor = &mut *guard;
        let now = Instant::now();
        let death = floor.state.died(seat, crash, &mut floor.table, now);
        let desk = floor.table.clear(seat);
        floor.state.dispatch(&mut floor.table, now);
        self.inner.settle_as_keeper(guard);
        drop(desk);
        if let Some(death) = death.filter(|death| !death.was_wanted) {
            let task = death.task.map(|(kind, id)| (self.inner.names[kind], TaskId::from(id)));
            self.inner.say(&PoolEvent::Crashed { pid: process.pid(), task, crash: death.crash });
        }
    }

    /// A process ended before it said hello.
    fn bury_unborn(&mut self, seat: Seat, crash: &Crash, refusal: Option<String>, why: Option<Why>) {
        let desk = self.inner.lock().table.clear(seat);
        drop(desk);
        if why == Some(Why::Closing) {
            let mut guard = self.inner.lock();
            guard.state.forget_start(seat);
            return self.inner.settle_as_keeper(guard);
        }
        let reason = match (refusal, why) {
            (Some(refusal), _) => refusal,
            (None, Some(Why::Silent)) => "it said nothing for 10 s".to_owned(),
            (None, _) => match crash.stderr_tail.trim_end().lines().next_back() {
                Some(line) => format!("it ended before its first word by {}; its last words: {line}", crash.ending),
                None => format!("it ended before its first word by {}", crash.ending),
            },
        };
        self.could_not_start(seat, reason);
    }

    /// Wakes those who wait for the end of the pool, if it is over or they have waited long enough.
    fn wake_drainers(&self) {
        let mut guard = self.inner.lock();
        let floor = &mut *guard;
        let now = Instant::now();
        let is_over = floor.state.is_over();
        let all = std::mem::take(&mut floor.draining);
        let (woken, left): (Vec<_>, Vec<_>) = all.into_iter().partition(|(until, _)| is_over || *until <= now);
        floor.draining = left;
        drop(guard);
        woken.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

/// How a process ended, if it has.
fn reap(station: &Station) -> Option<ExitStatus> {
    station.process.try_wait().ok().flatten()
}

fn ending_of(status: ExitStatus) -> Ending {
    match status {
        ExitStatus::Code(code) => Ending::Exit(code),
        ExitStatus::Signal(signal) => Ending::Signal(signal),
    }
}

/// As epoll counts; rounded up, so that what is due then is due.
fn whole_milliseconds(time: Duration) -> Timespec {
    let millis = time.as_nanos().div_ceil(1_000_000).min(i64::from(i32::MAX).unsigned_abs().into());
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    Timespec { tv_sec: millis / 1000, tv_nsec: (millis % 1000) * 1_000_000 }
}

impl Token {
    fn data(self) -> EventData {
        let (kind, seat) = match self {
            Token::Ringer => (0, 0),
            Token::Bell(seat) => (1, seat.0),
            Token::Death(seat) => (2, seat.0),
            Token::Stderr(seat) => (3, seat.0),
        };
        EventData::new_u64((seat as u64) << 2 | kind)
    }

    fn of(data: EventData) -> Token {
        let data = data.u64();
        let seat = Seat((data >> 2) as usize);
        match data & 3 {
            0 => Token::Ringer,
            1 => Token::Bell(seat),
            2 => Token::Death(seat),
            _ => Token::Stderr(seat),
        }
    }
}
