//! The dispatcher process: one thread, one loop, one `epoll_wait`, as the primary.

use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use phalanx_channel::{Packets, Received};
use phalanx_process::{Signal, Signals, TakenRole, die_now};
use phalanx_shared::Slot;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use super::choice::{Candidate, choose};
use super::claims::Claims;
use super::desk::{Accepted, Desk, Line};
use super::doors::{Door, Source, accept};
use super::link::{DoorCard, FromDispatcher, ToDispatcher, descriptor};
use crate::listener::Listener;
use crate::{Error, Place, WorkerId};

/// Most connections accepted in one turn; what goes to one worker travels in one message. A dispatcher that is killed at the
/// worst moment loses so many.
const ACCEPTS_A_TURN: usize = 4;

/// While connections wait and no worker can take them, from one look at the workers to the next: they do not say when they
/// have room again.
const BLOCKED_LOOK: Duration = Duration::from_millis(5);

/// Pause after an accept that failed for want of a resource, such as open files.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Longest time for handing over what is there when the cluster stops.
const FINISH_DEADLINE: Duration = Duration::from_secs(5);

/// The same when the primary is gone; the workers end 900 ms after it.
const ORPHAN_DEADLINE: Duration = Duration::from_millis(800);

/// Longest time for offers that stand when another image takes over.
const STAND_DOWN_DEADLINE: Duration = Duration::from_secs(2);

/// Plays the role of the dispatcher. Does not return: the process exits.
pub(crate) fn play(role: TakenRole) -> Result<Infallible, Error> {
    Dispatcher::new(role)?.run()
}

/// How far the dispatcher is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Serving,
    /// Another image takes over.
    StandingDown {
        until: Instant,
    },
    /// The cluster ends.
    Finishing {
        until: Instant,
    },
}

struct Dispatcher {
    link: Packets,
    epoll: OwnedFd,
    doors: Vec<Door>,
    next_door: u32,
    /// Index of the door from which the last connection was taken.
    turn: usize,
    /// In the order of their places; of one place the newest worker comes last.
    desks: Vec<Desk>,
    /// Accepted, and nobody could take them: a worker that had them ended, or stands still.
    waiting: Vec<Accepted>,
    serial: u64,
    mode: Mode,
    /// Whether the doors are looked at.
    listening: bool,
    pause_until: Option<Instant>,
    _signals: Signals,
}

impl Dispatcher {
    fn new(mut role: TakenRole) -> Result<Dispatcher, Error> {
        // The end of the link says when the primary is gone, and more than the kernel's signal.
        let signals = Signals::take(&[Signal::Terminate, Signal::Interrupt, Signal::Hangup])?;
        let link = Packets::from_descriptor(role.take(descriptor::LINK)?)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(system("create an epoll"))?;
        watch(&epoll, &link, Source::Primary)?;
        Ok(Dispatcher {
            link,
            epoll,
            doors: Vec::new(),
            next_door: 0,
            turn: 0,
            desks: Vec::new(),
            waiting: Vec::new(),
            serial: 0,
            mode: Mode::Serving,
            listening: true,
            pause_until: None,
            _signals: signals,
        })
    }

    fn run(mut self) -> ! {
        let mut events = Vec::with_capacity(64);
        loop {
            let timeout = self.until_next_look().map(to_timespec);
            // An interrupted or failed wait only means a look too early.
            let _ = epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timeout.as_ref());
            for event in events.drain(..) {
                let flags = event.flags;
                match Source::of(event.data.u64()) {
                    Source::Primary => self.hear_primary(),
                    Source::Desk(worker) => self.hear_desk(worker),
                    // A Unix socket that somebody has shut would wake us for ever.
                    Source::Door(number) if flags.contains(epoll::EventFlags::HUP) => {
                        self.doors.retain(|door| door.number != number);
                    }
                    Source::Door(number) => {
                        self.doors.iter_mut().filter(|door| door.number == number).for_each(|door| door.ready = true);
                    }
                }
            }
            let now = Instant::now();
            self.take_overdue_back(now);
            self.place_waiting(now);
            self.accept(now);
            self.send_offers();
            self.look_at_doors_if_useful(now);
            if self.is_over(now) {
                self.end();
            }
        }
    }

    fn until_next_look(&self) -> Option<Duration> {
        let now = Instant::now();
        let blocked = (!self.listening || !self.waiting.is_empty()).then(|| now + BLOCKED_LOOK);
        let end = match self.mode {
            Mode::Serving => None,
            // Near the end it is a matter of milliseconds.
            Mode::StandingDown { .. } | Mode::Finishing { .. } => Some(now + BLOCKED_LOOK),
        };
        let offers = self.desks.iter().filter_map(Desk::deadline).min();
        [blocked, end, offers].into_iter().flatten().min().map(|at| at.saturating_duration_since(now))
    }

    fn hear_primary(&mut self) {
        loop {
            let (word, mut descriptors) = match self.link.receive::<ToDispatcher>() {
                Ok(Received::Message(word, descriptors)) => (word, descriptors),
                Ok(Received::Nothing) => return,
                // Descriptors were lost, or it speaks another language. Another dispatcher may do better; the sockets are
                // left as they are.
                Err(error) => {
                    tracing::error!("the primary's word to the dispatcher was lost: {error}");
                    die_now(1)
                }
                Ok(Received::Closed) => {
                    let _ = epoll::delete(&self.epoll, &self.link);
                    return self.finish(ORPHAN_DEADLINE);
                }
            };
            match word {
                ToDispatcher::Welcome { first_serial } => self.serial = first_serial,
                ToDispatcher::Doors(cards) => {
                    cards.into_iter().zip(descriptors).for_each(|(card, socket)| self.open_door(card, socket));
                }
                ToDispatcher::CloseDoors => self.doors.clear(),
                ToDispatcher::Seat { worker, place } => {
                    let page = descriptors.pop();
                    let claims = descriptors.pop();
                    let link = descriptors.pop();
                    if let (Some(link), Some(claims), Some(page)) = (link, claims, page)
                        && let Err(error) = self.seat(worker, place, link, claims, page)
                    {
                        tracing::error!("worker {worker} gets no connections from this dispatcher: {error}");
                    }
                }
                ToDispatcher::Gone(worker) => self.unseat(worker),
                ToDispatcher::Ping(number) => drop(self.link.send(&FromDispatcher::Pong(number), &[])),
                ToDispatcher::StandDown => {
                    self.doors.clear();
                    // What they say from now on is for the one that follows; the claims say enough.
                    for desk in &self.desks {
                        let _ = epoll::delete(&self.epoll, desk);
                    }
                    self.mode = Mode::StandingDown { until: Instant::now() + STAND_DOWN_DEADLINE };
                }
                ToDispatcher::Finish => self.finish(FINISH_DEADLINE),
            }
        }
    }

    fn finish(&mut self, within: Duration) {
        let until = Instant::now() + within;
        self.mode = match self.mode {
            Mode::Finishing { until: sooner } => Mode::Finishing { until: until.min(sooner) },
            Mode::StandingDown { until } => Mode::StandingDown { until },
            Mode::Serving => Mode::Finishing { until },
        };
        self.doors.iter_mut().for_each(|door| door.ready = true);
    }

    fn open_door(&mut self, card: DoorCard, socket: OwnedFd) {
        let number = self.next_door;
        self.next_door += 1;
        let opened = Listener::new(socket, card.origin).map_err(Error::system("look at a listener"));
        let opened = opened.and_then(|listener| {
            watch(&self.epoll, &listener, Source::Door(number))?;
            Ok(listener)
        });
        match opened {
            Ok(listener) => {
                // Watched from now on, like those that are there.
                self.listening = true;
                self.doors.push(Door { number, listener, distribution: card.distribution, last: None, ready: true });
            }
            Err(error) => tracing::error!("the dispatcher cannot accept: {error}"),
        }
    }

    fn seat(
        &mut self,
        worker: WorkerId,
        place: Place,
        link: OwnedFd,
        claims: OwnedFd,
        page: OwnedFd,
    ) -> Result<(), Error> {
        let link = Packets::from_descriptor(link)?;
        let claims = Claims::open(claims).map_err(Error::system("open the claims of a worker"))?;
        let page = Slot::open(page).map_err(Error::system("open the scoreboard of a worker"))?;
        watch(&self.epoll, &link, Source::Desk(worker))?;
        let at = self.desks.partition_point(|desk| (desk.place, desk.worker) < (place, worker));
        self.desks.insert(at, Desk::new(worker, place, link, claims, page));
        Ok(())
    }

    fn unseat(&mut self, worker: WorkerId) {
        if let Some(at) = self.desks.iter().position(|desk| desk.worker == worker) {
            let mut desk = self.desks.remove(at);
            // Its copies live in the primary too: the epoll would report them for ever.
            let _ = epoll::delete(&self.epoll, &desk);
            desk.take_all_back(&mut self.waiting);
        }
    }

    fn hear_desk(&mut self, worker: WorkerId) {
        let Some(desk) = self.desks.iter_mut().find(|desk| desk.worker == worker) else { return };
        if desk.hear(&mut self.waiting) == Line::Dead {
            self.unseat(worker);
        }
    }

    /// What a worker did not claim in time goes to another one, if there is one.
    fn take_overdue_back(&mut self, now: Instant) {
        for at in 0..self.desks.len() {
            if self.desks[at].deadline().is_none_or(|deadline| now < deadline) || !self.desks[at].fell_silent(now) {
                continue;
            }
            let place = self.desks[at].place;
            let others = self.desks.iter().any(|other| other.place != place && other.candidate().is_some());
            let successor = self.desks[at + 1..].iter().any(|other| other.candidate().is_some());
            if others || successor {
                self.desks[at].take_all_back(&mut self.waiting);
            }
        }
    }

    fn place_waiting(&mut self, now: Instant) {
        for connection in std::mem::take(&mut self.waiting) {
            if let Err(connection) = self.place(connection, None, now) {
                self.waiting.push(connection);
            }
        }
    }

    /// Offers a connection to the worker that is to have it. Gives it back if nobody can take it now.
    fn place(&mut self, connection: Accepted, last: Option<Place>, now: Instant) -> Result<Place, Accepted> {
        let (candidates, desks) = self.candidates();
        let Some(chosen) = choose(connection.distribution, &candidates, connection.peer, last) else {
            return Err(connection);
        };
        self.serial += 1;
        let desk = &mut self.desks[desks[chosen]];
        desk.offer(connection, self.serial, now)?;
        Ok(desk.place)
    }

    /// Who could take a connection now, one a place, and the index of each one's desk.
    fn candidates(&self) -> (Vec<Candidate>, Vec<usize>) {
        let mut candidates: Vec<Candidate> = Vec::with_capacity(self.desks.len());
        let mut desks: Vec<usize> = Vec::with_capacity(self.desks.len());
        for (index, desk) in self.desks.iter().enumerate() {
            let Some(candidate) = desk.candidate() else { continue };
            // The successor of a worker comes after it, and takes over.
            if candidates.last().is_some_and(|last| last.place == candidate.place) {
                candidates.pop();
                desks.pop();
            }
            candidates.push(candidate);
            desks.push(index);
        }
        (candidates, desks)
    }

    /// Takes what waits in the doors, as long as somebody can take it: the rest waits in the kernel.
    fn accept(&mut self, now: Instant) {
        if self.pause_until.is_some_and(|until| now < until) {
            return;
        }
        self.pause_until = None;
        for _ in 0..ACCEPTS_A_TURN {
            if !self.waiting.is_empty() || self.candidates().0.is_empty() {
                return;
            }
            // Door after door, so that a busy one does not starve the others.
            let count = self.doors.len();
            let turns = (1..=count).map(|step| (self.turn + step) % count);
            let Some(at) = turns.into_iter().find(|at| self.doors[*at].ready) else { return };
            self.turn = at;
            match accept(&self.doors[at].listener) {
                Ok((socket, peer)) => {
                    let connection = Accepted { socket, peer, distribution: self.doors[at].distribution };
                    match self.place(connection, self.doors[at].last, now) {
                        Ok(place) => self.doors[at].last = Some(place),
                        Err(connection) => self.waiting.push(connection),
                    }
                }
                Err(Errno::AGAIN) => self.doors[at].ready = false,
                Err(error @ (Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) => {
                    tracing::warn!("the dispatcher pauses for {} ms: {error}", EXHAUSTED_PAUSE.as_millis());
                    self.pause_until = Some(now + EXHAUSTED_PAUSE);
                    return;
                }
                // Somebody has shut it: the cluster ends, and we are about to hear of it.
                Err(Errno::BADF | Errno::INVAL | Errno::NOTSOCK) => drop(self.doors.remove(at)),
                // About one client that is gone already (accept(2)), not about us.
                Err(_) => {}
            }
        }
    }

    fn send_offers(&mut self) {
        let mut dead = Vec::new();
        for desk in &mut self.desks {
            if desk.send(&mut self.waiting) == Line::Dead {
                dead.push(desk.worker);
            }
        }
        dead.into_iter().for_each(|worker| self.unseat(worker));
    }

    /// A door that is looked at while nobody can take a connection would wake us without end.
    fn look_at_doors_if_useful(&mut self, now: Instant) {
        let paused = self.pause_until.is_some_and(|until| now < until);
        let useful = !paused && self.waiting.is_empty() && !self.candidates().0.is_empty();
        if useful == self.listening {
            return;
        }
        self.listening = useful;
        let flags = if useful { epoll::EventFlags::IN } else { epoll::EventFlags::empty() };
        for door in &self.doors {
            let _ = epoll::modify(&self.epoll, &door.listener, Source::Door(door.number).data(), flags);
        }
    }

    fn is_over(&mut self, now: Instant) -> bool {
        if matches!(self.mode, Mode::StandingDown { .. }) {
            self.desks.iter_mut().for_each(Desk::let_go_of_claimed);
        }
        let idle = self.waiting.is_empty() && self.desks.iter().all(|desk| desk.offered() == 0);
        match self.mode {
            Mode::Serving => false,
            Mode::StandingDown { until } => idle || now >= until,
            Mode::Finishing { until } => {
                // Nobody is left who could take anything, or nothing is left to take.
                let nothing_waits = self.doors.iter().all(|door| !door.ready);
                let nobody_is_left = !self.desks.iter().any(Desk::is_open);
                nobody_is_left || idle && nothing_waits || now >= until
            }
        }
    }

    fn end(&mut self) -> ! {
        if matches!(self.mode, Mode::Finishing { .. }) {
            // For all holders, so that a stopped one does not keep the port. What came in at this very moment is lost to
            // this: the cluster ends.
            self.doors.iter().for_each(|door| door.listener.shut());
            self.desks.iter().for_each(Desk::say_last);
        }
        die_now(0)
    }
}

fn watch(epoll: &OwnedFd, descriptor: &impl AsFd, source: Source) -> Result<(), Error> {
    epoll::add(epoll, descriptor, source.data(), epoll::EventFlags::IN).map_err(system("watch a descriptor"))
}

fn system(attempt: &'static str) -> impl FnOnce(Errno) -> Error {
    move |source| Error::System { attempt, source: source.into() }
}

/// Rounded up: a hair later is better than a turn too early.
fn to_timespec(duration: Duration) -> Timespec {
    let duration = duration + Duration::from_millis(1);
    Timespec { tv_sec: duration.as_secs() as i64, tv_nsec: duration.subsec_nanos().into() }
}
