//! The primary's side of the dispatcher: starts it, tells it of sockets and workers, and starts another when it ends.
//!
//! The primary keeps one end of each worker's desk, so that a new dispatcher goes on where the old one ended: what that had
//! offered is claimed by the workers, and what nobody has accepted waits in the kernel.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use phalanx_channel::{Packets, Received};
use phalanx_process::{Process, Role, Signal};
use phalanx_shared::Slot;

use super::claims::Claims;
use super::link::{DISPATCHER_ROLE, DOORS_A_MESSAGE, DoorCard, FromDispatcher, ToDesk, ToDispatcher, descriptor};
use crate::listener::Listeners;
use crate::{Error, Place, WorkerId};

/// A dispatcher that lived for less than this was started in vain: the next one waits.
const SOUND_LIFE: Duration = Duration::from_secs(1);

/// The first such wait; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The longest wait before a dispatcher is started.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Pings, one a second, that a dispatcher may leave unanswered.
const UNANSWERED: u64 = 5;

/// From one attempt to send what the link did not take to the next.
const SEND_AGAIN: Duration = Duration::from_millis(5);

/// Each dispatcher counts its offers from its own number times this: 2^40 offers, at 100 000 a second, last four months.
const SERIALS_EACH: u64 = 1 << 40;

/// The primary's side of a dispatcher that may or may not live.
#[derive(Debug)]
pub(crate) struct Keeper {
    desks: BTreeMap<WorkerId, Desk>,
    running: Option<Running>,
    /// Dispatchers started so far.
    starts: u64,
    wait: Duration,
    start_at: Option<Instant>,
    ending: bool,
}

#[derive(Debug)]
struct Running {
    child: Process,
    link: Packets,
    since: Instant,
    /// What the link has not taken yet; at most what there is to tell of all workers and sockets.
    outbox: VecDeque<Word>,
    pings: u64,
    answered: u64,
}

#[derive(Debug)]
struct Word {
    word: ToDispatcher,
    descriptors: Vec<OwnedFd>,
}

/// The desk of one worker, as the primary keeps it.
#[derive(Debug)]
struct Desk {
    place: Place,
    link: Packets,
    claims: Claims,
    /// Its page of the scoreboard, for reading.
    page: OwnedFd,
}

/// A desk for a worker that is about to be started.
#[derive(Debug)]
pub(crate) struct NewDesk {
    ours: Packets,
    theirs: Packets,
    claims: Claims,
    claims_for_worker: OwnedFd,
}

impl NewDesk {
    fn new() -> Result<NewDesk, Error> {
        let (ours, theirs) = Packets::pair()?;
        let claims = Claims::create().map_err(Error::system("create the claims of a worker"))?;
        let claims_for_worker = claims.descriptor().map_err(Error::system("copy the claims of a worker"))?;
        Ok(NewDesk { ours, theirs, claims, claims_for_worker })
    }

    /// What the worker is given.
    pub(crate) fn descriptors(&self) -> [(&'static str, BorrowedFd<'_>); 2] {
        [(descriptor::DESK, self.theirs.as_fd()), (descriptor::CLAIMS, self.claims_for_worker.as_fd())]
    }
}

impl Keeper {
    /// A keeper, if anything has to be dispatched. `starts` goes on counting over images of the primary.
    pub(crate) fn new(listeners: &Listeners, starts: u64) -> Option<Keeper> {
        listeners.dispatched().next()?;
        let start_at = Some(Instant::now());
        Some(Keeper { desks: BTreeMap::new(), running: None, starts, wait: FIRST_WAIT, start_at, ending: false })
    }

    /// Dispatchers started so far.
    pub(crate) fn starts(&self) -> u64 {
        self.starts
    }

    /// A desk for a worker that is about to be started.
    pub(crate) fn new_desk(&self) -> Result<NewDesk, Error> {
        NewDesk::new()
    }

    /// The worker was started with this desk.
    pub(crate) fn seat(&mut self, worker: WorkerId, place: Place, desk: NewDesk, page: &Slot) -> Result<(), Error> {
        let page = page.read_only_descriptor().map_err(Error::system("copy a slot's descriptor"))?;
        self.keep_desk(worker, Desk { place, link: desk.ours, claims: desk.claims, page })
    }

    fn keep_desk(&mut self, worker: WorkerId, desk: Desk) -> Result<(), Error> {
        if let Some(running) = &mut self.running {
            running.tell(desk.seat(worker)?);
        }
        self.desks.insert(worker, desk);
        Ok(())
    }

    /// The worker has ended.
    pub(crate) fn unseat(&mut self, worker: WorkerId) {
        if self.desks.remove(&worker).is_some()
            && let Some(running) = &mut self.running
        {
            running.tell(Word::plain(ToDispatcher::Gone(worker)));
        }
    }

    /// The listeners are open again.
    pub(crate) fn open_doors(&mut self, listeners: &Listeners) -> Result<(), Error> {
        if let Some(running) = &mut self.running {
            doors(listeners)?.into_iter().for_each(|word| running.tell(word));
        }
        Ok(())
    }

    /// The listeners are closed.
    pub(crate) fn close_doors(&mut self) {
        if let Some(running) = &mut self.running {
            running.tell(Word::plain(ToDispatcher::CloseDoors));
        }
    }

    /// The cluster stops: what waits is handed over, and the workers learn that no more will come.
    pub(crate) fn finish(&mut self) {
        (self.ending, self.start_at) = (true, None);
        match &mut self.running {
            Some(running) => running.tell(Word::plain(ToDispatcher::Finish)),
            None => self.say_last(),
        }
    }

    fn say_last(&self) {
        self.desks.values().for_each(|desk| drop(desk.link.send(&ToDesk::Last, &[])));
    }

    /// What has to be watched for reading while there is a dispatcher: its word, and its end.
    pub(crate) fn watched(&self) -> Option<[BorrowedFd<'_>; 2]> {
        self.running.as_ref().map(|running| [running.link.as_fd(), running.child.as_fd()])
    }

    /// When [`turn`](Self::turn) has something to do.
    pub(crate) fn wakes_at(&self) -> Option<Instant> {
        let unsent = self.running.as_ref().filter(|running| !running.outbox.is_empty());
        unsent.map(|_| Instant::now() + SEND_AGAIN).into_iter().chain(self.start_at).min()
    }

    /// Does what is due. True if a dispatcher was started, which has to be watched.
    pub(crate) fn turn(&mut self, listeners: &Listeners) -> Result<Started, Error> {
        if let Some(running) = &mut self.running {
            running.send_what_waits();
            while let Ok(Received::Message(FromDispatcher::Pong(number), _)) = running.link.receive() {
                running.answered = number;
            }
        }
        if self.running.is_none() && self.start_at.is_some_and(|at| Instant::now() >= at) {
            self.start_at = None;
            if let Err(error) = self.start(listeners) {
                self.start_later();
                return Err(error);
            }
            return Ok(Started::Now);
        }
        Ok(Started::No)
    }

    /// A second has passed. A dispatcher that does not answer for some is replaced.
    pub(crate) fn tick(&mut self) {
        let Some(running) = &mut self.running else { return };
        if running.pings - running.answered > UNANSWERED {
            // Its end is reported like any other.
            let _ = running.child.kill(Signal::Kill);
            return;
        }
        running.pings += 1;
        running.tell(Word::plain(ToDispatcher::Ping(running.pings)));
    }

    /// The dispatcher's process has ended, or not: looks, and has another one started.
    pub(crate) fn reap(&mut self) {
        let Some(running) = &mut self.running else { return };
        let status = match running.child.try_wait() {
            Ok(None) => return,
            Ok(Some(status)) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let lived = running.since.elapsed();
        self.running = None;
        if self.ending {
            return self.say_last();
        }
        tracing::warn!("the dispatcher ended ({status}); another one is started, connections wait meanwhile");
        if lived >= SOUND_LIFE {
            self.wait = FIRST_WAIT;
            self.start_at = Some(Instant::now());
        } else {
            self.start_later();
        }
    }

    fn start_later(&mut self) {
        self.start_at = Some(Instant::now() + self.wait);
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
    }

    fn start(&mut self, listeners: &Listeners) -> Result<(), Error> {
        self.starts += 1;
        let (ours, theirs) = Packets::pair()?;
        let mut outbox =
            VecDeque::from([Word::plain(ToDispatcher::Welcome { first_serial: self.starts * SERIALS_EACH })]);
        for (worker, desk) in &self.desks {
            outbox.push_back(desk.seat(*worker)?);
        }
        // Last, so that the first connection finds all workers.
        outbox.extend(doors(listeners)?);
        let child = Role::new(DISPATCHER_ROLE).descriptor(descriptor::LINK, theirs.as_fd()).spawn()?;
        let mut running = Running { child, link: ours, since: Instant::now(), outbox, pings: 0, answered: 0 };
        running.send_what_waits();
        self.running = Some(running);
        Ok(())
    }

    /// The primary is about to become another image: the dispatcher accepts nothing more, and ends when everything that it
    /// has offered was claimed. If that image cannot be had, the end of the dispatcher has another one started.
    pub(crate) fn stand_down(&self) {
        if let Some(running) = &self.running {
            let _ = running.link.send(&ToDispatcher::StandDown, &[]);
        }
    }

    /// The link and the claims of a worker, to be kept for another image.
    pub(crate) fn desk(&self, worker: WorkerId) -> Option<(BorrowedFd<'_>, BorrowedFd<'_>)> {
        self.desks.get(&worker).map(|desk| (desk.link.as_fd(), desk.claims.as_fd()))
    }

    /// A desk that an earlier image of the primary kept.
    pub(crate) fn adopt(
        &mut self,
        worker: WorkerId,
        place: Place,
        (link, claims): (OwnedFd, OwnedFd),
        page: &Slot,
    ) -> Result<(), Error> {
        let link = Packets::from_descriptor(link)?;
        let claims = Claims::open(claims).map_err(Error::system("open the claims of a worker"))?;
        let page = page.read_only_descriptor().map_err(Error::system("copy a slot's descriptor"))?;
        self.keep_desk(worker, Desk { place, link, claims, page })
    }
}

/// Whether a dispatcher was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Started {
    Now,
    No,
}

impl Desk {
    fn seat(&self, worker: WorkerId) -> Result<Word, Error> {
        let descriptors = self.copies().map_err(Error::system("copy the descriptors of a desk"))?.into();
        Ok(Word { word: ToDispatcher::Seat { worker, place: self.place }, descriptors })
    }

    /// Its link, its claims and its page, in the order in which they travel.
    fn copies(&self) -> std::io::Result<[OwnedFd; 3]> {
        Ok([self.link.as_fd().try_clone_to_owned()?, self.claims.descriptor()?, self.page.try_clone()?])
    }
}

impl Word {
    fn plain(word: ToDispatcher) -> Word {
        Word { word, descriptors: Vec::new() }
    }
}

impl Running {
    fn tell(&mut self, word: Word) {
        self.outbox.push_back(word);
        self.send_what_waits();
    }

    /// Never waits: what the link does not take now goes out at a later turn. (A dispatcher that is gone is reaped soon.)
    fn send_what_waits(&mut self) {
        while let Some(Word { word, descriptors }) = self.outbox.front() {
            let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
            if self.link.send(word, &borrowed).is_err() {
                return;
            }
            self.outbox.pop_front();
        }
    }
}

fn doors(listeners: &Listeners) -> Result<Vec<Word>, Error> {
    let all: Vec<_> = listeners.dispatched().collect();
    all.chunks(DOORS_A_MESSAGE)
        .map(|some| {
            let cards =
                some.iter().map(|(_, distribution, origin)| DoorCard { distribution: *distribution, origin: *origin });
            let sockets = some.iter().map(|(socket, _, _)| socket.try_clone_to_owned());
            let descriptors = sockets.collect::<Result<_, _>>().map_err(Error::system("copy a listener"))?;
            Ok(Word { word: ToDispatcher::Doors(cards.collect()), descriptors })
        })
        .collect()
}
