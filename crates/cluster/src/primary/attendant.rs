//! The attendant's keeper: starts it, tells it of programs, and starts another when it ends.
//!
//! The primary keeps a copy of what each seat consists of, so that the next attendant goes on where the last one ended.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use phalanx_channel::{MAX_DESCRIPTORS, Packets, Received};
use phalanx_process::{Process, Role, Signal};
use rustix::event::epoll;

use super::{Primary, Source, system};
use crate::attendant::link::{ATTENDANT_ROLE, FromAttendant, SeatCard, ToAttendant, Welcome, descriptor};
use crate::attendant::node::DoorCard;
use crate::{Distribution, Error, Place, WorkerId};

/// An attendant that lived for less than this was started in vain: the next one waits.
const SOUND_LIFE: Duration = Duration::from_secs(1);
/// The first such wait; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// The longest wait before an attendant is started.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Pings, one a second, that an attendant may leave unanswered.
const UNANSWERED: u64 = 5;
/// From one attempt to send what the link did not take to the next.
const SEND_AGAIN: Duration = Duration::from_millis(5);
/// What the attendant gets to go when the cluster has ended.
const LAST_DEEDS: Duration = Duration::from_secs(1);

/// The attendant, alive or about to be.
#[derive(Debug)]
pub(super) struct Attendant {
    welcome: Welcome,
    seats: BTreeMap<WorkerId, Seat>,
    /// Where Node programs listen, with a copy of each socket.
    doors: BTreeMap<u64, (DoorCard, OwnedFd)>,
    running: Option<Running>,
    wait: Duration,
    start_at: Option<Instant>,
}

#[derive(Debug)]
struct Running {
    child: Process,
    link: Packets,
    since: Instant,
    /// What the link has not taken yet; at most what there is to tell of all workers.
    outbox: VecDeque<(ToAttendant, Vec<OwnedFd>)>,
    pings: u64,
    answered: u64,
}

/// What a program's seat consists of.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) place: Place,
    pub(super) pid: u32,
    pub(super) since: Instant,
    pub(super) ready: bool,
    /// Whether an attendant has been told of it.
    pub(super) told: bool,
    /// The worker's end of the control connection.
    pub(super) control: OwnedFd,
    /// Its page of the scoreboard, writable.
    pub(super) page: OwnedFd,
    /// The description of the program.
    pub(super) program: OwnedFd,
    /// Where it says that it is ready.
    pub(super) notify: OwnedFd,
    /// Our end of Node's channel.
    pub(super) channel: Option<OwnedFd>,
}

impl Seat {
    fn card(&mut self, worker: WorkerId) -> Result<(ToAttendant, Vec<OwnedFd>), Error> {
        let taken_over = std::mem::replace(&mut self.told, true);
        let card = SeatCard {
            worker,
            place: self.place,
            pid: self.pid,
            age: self.since.elapsed(),
            taken_over,
            ready: self.ready,
        };
        let all = [&self.control, &self.page, &self.program, &self.notify];
        let copies = all.into_iter().map(OwnedFd::try_clone).collect::<Result<Vec<_>, _>>();
        let mut descriptors = copies.map_err(Error::system("copy the descriptors of a program"))?;
        // Kept here as well, so that the program does not see an end of it.
        let channel = self.channel.as_ref().map(OwnedFd::try_clone).transpose();
        descriptors.extend(channel.map_err(Error::system("copy the channel of a program"))?);
        Ok((ToAttendant::Seat(card), descriptors))
    }
}

impl Attendant {
    pub(super) fn new(distribution: Distribution, script: Option<PathBuf>) -> Attendant {
        let welcome = Welcome { distribution, script };
        let start_at = Some(Instant::now());
        Attendant { welcome, seats: BTreeMap::new(), doors: BTreeMap::new(), running: None, wait: FIRST_WAIT, start_at }
    }

    /// A program was started.
    pub(super) fn seat(&mut self, worker: WorkerId, mut seat: Seat) -> Result<(), Error> {
        if let Some(running) = &mut self.running {
            let (word, descriptors) = seat.card(worker)?;
            running.tell(word, descriptors);
        }
        self.seats.insert(worker, seat);
        Ok(())
    }

    /// It was found to be ready. False if that was known.
    pub(super) fn is_ready(&mut self, worker: WorkerId) -> bool {
        self.seats.get_mut(&worker).is_some_and(|seat| !std::mem::replace(&mut seat.ready, true))
    }

    /// It has ended.
    pub(super) fn unseat(&mut self, worker: WorkerId) {
        if self.seats.remove(&worker).is_some()
            && let Some(running) = &mut self.running
        {
            running.tell(ToAttendant::Gone(worker), Vec::new());
        }
        if self.running.is_none() {
            // Nobody else sees it go.
            self.doors.values_mut().for_each(|(card, _)| card.remove(worker));
            self.doors.retain(|_, (card, _)| !card.is_empty());
        }
    }

    /// When it wants to be looked after.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        let unsent = self.running.as_ref().filter(|running| !running.outbox.is_empty());
        unsent.map(|_| Instant::now() + SEND_AGAIN).into_iter().chain(self.start_at).min()
    }

    /// A second has passed. An attendant that does not answer for some is replaced.
    pub(super) fn tick(&mut self) {
        let Some(running) = &mut self.running else { return };
        if running.pings - running.answered > UNANSWERED {
            // Its end is reported like any other.
            let _ = running.child.kill(Signal::Kill);
            return;
        }
        running.pings += 1;
        running.tell(ToAttendant::Ping(running.pings), Vec::new());
    }

    fn reap(&mut self) {
        let Some(running) = &mut self.running else { return };
        let status = match running.child.try_wait() {
            Ok(None) => return,
            Ok(Some(status)) => status.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::warn!("the attendant of the programs ended ({status}); another one is started, the programs serve on");
        let lived = running.since.elapsed();
        self.running = None;
        self.start_later(if lived >= SOUND_LIFE { FIRST_WAIT } else { self.wait * 2 });
    }

    fn start_later(&mut self, wait: Duration) {
        self.wait = wait.min(LONGEST_WAIT);
        self.start_at = Some(Instant::now() + self.wait);
    }

    fn start(&mut self, listeners: Vec<OwnedFd>) -> Result<Running, Error> {
        let (ours, theirs) = Packets::pair()?;
        let mut outbox = VecDeque::from([(ToAttendant::Welcome(self.welcome.clone()), listeners)]);
        for (card, socket) in self.doors.values() {
            let socket = socket.try_clone().map_err(Error::system("copy a socket of Node programs"))?;
            outbox.push_back((ToAttendant::Door(card.clone()), vec![socket]));
        }
        for (worker, seat) in &mut self.seats {
            outbox.push_back(seat.card(*worker)?);
        }
        let child = Role::new(ATTENDANT_ROLE).descriptor(descriptor::LINK, theirs.as_fd()).spawn()?;
        let mut running = Running { child, link: ours, since: Instant::now(), outbox, pings: 0, answered: 0 };
        running.send_what_waits();
        Ok(running)
    }

    /// The cluster has ended.
    pub(super) fn finish(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        running.tell(ToAttendant::Finish, Vec::new());
        super::wait_until_readable(running.child.as_fd(), Instant::now() + LAST_DEEDS);
        if !matches!(running.child.try_wait(), Ok(Some(_))) {
            let _ = running.child.kill(Signal::Kill);
            super::wait_until_readable(running.child.as_fd(), Instant::now() + LAST_DEEDS);
            let _ = running.child.try_wait();
        }
    }
}

impl Running {
    fn tell(&mut self, word: ToAttendant, descriptors: Vec<OwnedFd>) {
        self.outbox.push_back((word, descriptors));
        self.send_what_waits();
    }

    /// Never waits: what the link does not take now goes out at a later turn. (An attendant that is gone is reaped soon.)
    fn send_what_waits(&mut self) {
        while let Some((word, descriptors)) = self.outbox.front() {
            let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
            if self.link.send(word, &borrowed).is_err() {
                return;
            }
            self.outbox.pop_front();
        }
    }
}

impl Primary {
    /// Does what is due for the attendant.
    pub(super) fn tend_attendant(&mut self) {
        let Some(attendant) = &mut self.attendant else { return };
        if let Some(running) = &mut attendant.running {
            running.send_what_waits();
            while let Ok(Received::Message(word, descriptors)) = running.link.receive() {
                match (word, descriptors.into_iter().next()) {
                    (FromAttendant::Pong(number), _) => running.answered = number,
                    (FromAttendant::DoorOpened(card), Some(socket)) => {
                        attendant.doors.insert(card.number, (card, socket));
                    }
                    (FromAttendant::DoorChanged(card), _) => {
                        if let Some((known, _)) = attendant.doors.get_mut(&card.number) {
                            *known = card;
                        }
                    }
                    (FromAttendant::DoorClosed(number), _) => drop(attendant.doors.remove(&number)),
                    (FromAttendant::DoorOpened(_), None) => {}
                }
            }
        }
        if attendant.running.is_some() || attendant.start_at.is_none_or(|at| Instant::now() < at) {
            return;
        }
        attendant.start_at = None;
        // Node programs may ask for what the others inherit.
        let inherited = self.listeners.of_place(Place(0)).take(MAX_DESCRIPTORS);
        let listeners = match self.programs.blocking_listeners {
            true => Vec::new(),
            false => inherited.filter_map(|(socket, _)| socket.try_clone_to_owned().ok()).collect(),
        };
        let started = attendant.start(listeners).and_then(|running| {
            let watched =
                [(Source::Attendant, running.link.as_fd()), (Source::AttendantProcess, running.child.as_fd())];
            for (source, descriptor) in watched {
                epoll::add(&self.epoll, descriptor, source.data(), epoll::EventFlags::IN)
                    .map_err(system("watch the attendant"))?;
            }
            Ok(running)
        });
        match started {
            Ok(running) => attendant.running = Some(running),
            Err(error) => {
                tracing::error!("the attendant of the programs cannot be started: {error}; it is tried again");
                attendant.start_later(attendant.wait * 2);
            }
        }
    }

    /// Its process has ended; its descriptors leave the epoll with it.
    pub(super) fn attendant_ended(&mut self) {
        if let Some(attendant) = &mut self.attendant {
            attendant.reap();
        }
    }
}
