//! [`Feed`]: the primary's end of the link. It never waits.
//!
//! ```text
//!   page, worker, gone, answer, operation ─► queue ─┐
//!   status: only that it changed ───────────────────┼─► pump: as much as the link takes ─► front
//!   events: dropped and counted while the queue is ─┘
//!           longer than EVENTS_WAITING
//! ```
//!
//! A new front gets a new feed: the primary tells it all pages, all live workers with copies of their pipes, the last operations
//! and the status anew. Errors mean that the front is gone or broken: drop the feed, kill the process, start another one.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use phalanx_channel::{Error, Packets, Received};
use phalanx_shared::{Slot, SlotIndex};

use super::link::{Answer, Note, Operation, OperationState, Status, ToFront, ToPrimary, Welcome, cut, cut_to};
use crate::{Event, WorkerId};

/// Most messages that wait when an event still joins them.
const EVENTS_WAITING: usize = 256;
/// Most messages that wait at all. More than pages, workers and answers of any sane cluster: then the front is broken.
const MOST_WAITING: usize = 64 * 1024;
/// Entries of a status in one message, and the longest text in one of them, in bytes: together far below 64 KiB.
const ENTRIES_A_MESSAGE: usize = 64;
/// See [`ENTRIES_A_MESSAGE`].
const TEXT_OF_AN_ENTRY: usize = 512;

/// The primary's end of the link to the front.
#[derive(Debug)]
pub(crate) struct Feed {
    link: Packets,
    waiting: VecDeque<(ToFront, Vec<OwnedFd>)>,
    status_changed: bool,
    events: u64,
    events_dropped: u64,
}

impl Feed {
    /// A feed for a new front, which has the other end of `link`.
    pub(crate) fn new(link: Packets, welcome: Welcome) -> Feed {
        let waiting = VecDeque::from([(ToFront::Welcome(welcome), Vec::new())]);
        Feed { link, waiting, status_changed: true, events: 0, events_dropped: 0 }
    }

    /// Tells of a page of the scoreboard: all when the front is new, and each that is created later.
    pub(crate) fn page(&mut self, page: SlotIndex, memory: &Slot) -> std::io::Result<()> {
        let descriptor = memory.read_only_descriptor()?;
        self.waiting.push_back((ToFront::Page(page.0), vec![descriptor]));
        Ok(())
    }

    /// Tells of a worker, with copies of the read ends of its standard output and standard error if there are any.
    pub(crate) fn worker(&mut self, worker: WorkerId, pipes: Vec<OwnedFd>) {
        self.waiting.push_back((ToFront::Worker(worker), pipes));
        self.status_changed = true;
    }

    /// Tells which line of a worker is awaited; before its pipes are given.
    pub(crate) fn await_line(&mut self, worker: WorkerId, line: &str) {
        self.waiting.push_back((ToFront::AwaitLine(worker, line.to_owned()), Vec::new()));
    }

    /// Tells that a worker has ended.
    pub(crate) fn gone(&mut self, worker: WorkerId) {
        self.waiting.push_back((ToFront::Gone(worker), Vec::new()));
        self.status_changed = true;
    }

    /// Tells of an event, unless the front is far behind.
    pub(crate) fn event(&mut self, event: &Event) {
        self.events += 1;
        self.status_changed = true;
        if self.waiting.len() < EVENTS_WAITING {
            let note = Note::of(event, self.events, unix_ms());
            self.waiting.push_back((ToFront::Event(note), Vec::new()));
        } else {
            self.events_dropped += 1;
        }
    }

    /// Tells how an operation stands.
    pub(crate) fn operation(&mut self, mut operation: Operation) {
        if let OperationState::Failed(why) = operation.state {
            operation.state = OperationState::Failed(cut(why));
        }
        self.waiting.push_back((ToFront::Operation(operation), Vec::new()));
        self.status_changed = true;
    }

    /// Answers a command.
    pub(crate) fn answer(&mut self, request: u64, answer: Answer) {
        let answer = match answer {
            Answer::Refused(why) => Answer::Refused(cut(why)),
            other => other,
        };
        self.waiting.push_back((ToFront::Answer { request, answer }, Vec::new()));
    }

    /// The status is another one than before.
    pub(crate) fn status_changed(&mut self) {
        self.status_changed = true;
    }

    /// Tells the front to open the log file anew.
    pub(crate) fn reopen_logs(&mut self) {
        self.waiting.push_back((ToFront::ReopenLogs, Vec::new()));
    }

    /// Tells the front to finish. It exits within a second.
    pub(crate) fn leave(&mut self) {
        self.waiting.push_back((ToFront::Leave, Vec::new()));
    }

    /// Sends what waits, and the status if it has changed, as far as the link takes it; the rest the next time. Call it at the end
    /// of each turn of the loop and at each tick.
    pub(crate) fn pump(&mut self, status: impl FnOnce() -> Status) -> Result<(), Error> {
        if self.status_changed && self.waiting.len() < EVENTS_WAITING {
            self.status_changed = false;
            self.waiting.extend(pieces(status()).into_iter().map(|piece| (ToFront::Status(piece), Vec::new())));
        }
        while let Some((message, descriptors)) = self.waiting.front() {
            let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(OwnedFd::as_fd).collect();
            match self.link.send(message, &borrowed) {
                Ok(()) => drop(self.waiting.pop_front()),
                Err(Error::Full) if self.waiting.len() <= MOST_WAITING => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What the front says next, and what came along, if it has said something.
    pub(crate) fn receive(&self) -> Result<Option<(ToPrimary, Vec<OwnedFd>)>, Error> {
        match self.link.receive()? {
            Received::Message(message, descriptors) => Ok(Some((message, descriptors))),
            Received::Nothing => Ok(None),
            Received::Closed => Err(Error::Closed),
        }
    }

    /// Events that were dropped since the last call.
    pub(crate) fn take_events_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.events_dropped)
    }
}

impl AsFd for Feed {
    /// Readable when the front has said something, or is gone.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }
}

/// Now, in milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// A status in messages of a size that fits; the last is complete.
fn pieces(status: Status) -> Vec<Status> {
    let Status { mut places, mut workers, mut companions, mut addresses, .. } = status;
    for place in &mut places {
        place.error = place.error.take().map(|error| cut_to(error, TEXT_OF_AN_ENTRY));
    }
    for companion in &mut companions {
        companion.ended = companion.ended.take().map(|why| cut_to(why, TEXT_OF_AN_ENTRY));
    }
    let mut pieces = Vec::new();
    loop {
        let of_places = places.split_off(places.len().min(ENTRIES_A_MESSAGE));
        let of_workers = workers.split_off(workers.len().min(ENTRIES_A_MESSAGE));
        let complete = of_places.is_empty() && of_workers.is_empty();
        // There are few of them: with the first.
        let (companions, addresses) = (std::mem::take(&mut companions), std::mem::take(&mut addresses));
        pieces.push(Status { places, workers, companions, addresses, complete });
        if complete {
            return pieces;
        }
        (places, workers) = (of_places, of_workers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Place;
    use crate::front::link::PlaceStatus;

    fn status(places: u16) -> Status {
        let place = |place| PlaceStatus {
            place: Place(place),
            state: "broken".into(),
            restarts: 1,
            failures: 5,
            next_try_ms: Some(60_000),
            error: Some("x".repeat(100_000)),
        };
        Status { places: (0..places).map(place).collect(), ..Status::default() }
    }

    fn feed() -> (Feed, Packets) {
        let (ours, theirs) = Packets::pair().unwrap();
        let welcome = Welcome {
            control: None,
            logs: None,
            listeners: Vec::new(),
            active: Vec::new(),
            program_version: String::new(),
            about: Vec::new(),
        };
        (Feed::new(ours, welcome), theirs)
    }

    fn next(link: &Packets) -> Option<ToFront> {
        match link.receive().unwrap() {
            Received::Message(message, _) => Some(message),
            _ => None,
        }
    }

    #[test]
    fn a_status_of_any_size_arrives_whole_in_messages_that_fit() {
        for places in [0, 1, 64, 65, 1000] {
            let (mut feed, front) = feed();
            let mut seen = 0;
            let mut complete = false;
            while !complete {
                feed.pump(|| status(places)).unwrap();
                while let Some(message) = next(&front) {
                    let ToFront::Status(piece) = message else { continue };
                    seen += piece.places.len();
                    complete = piece.complete;
                }
            }
            assert_eq!(seen, usize::from(places));
        }
    }

    #[test]
    fn a_front_that_does_not_read_loses_events_and_nothing_else() {
        let (mut feed, front) = feed();
        for worker in 1..=5000 {
            feed.event(&Event::Online { worker: WorkerId::new(worker) });
            if worker % 1000 == 0 {
                feed.worker(WorkerId::new(worker), Vec::new());
            }
            feed.pump(Status::default).unwrap();
        }
        let dropped = feed.take_events_dropped();
        assert!(dropped > 1000, "{dropped}");
        let (mut events, mut workers, mut last) = (0, 0, 0);
        loop {
            feed.pump(Status::default).unwrap();
            let Some(message) = next(&front) else { break };
            match message {
                ToFront::Event(note) => {
                    assert!(note.number > last);
                    (events, last) = (events + 1, note.number);
                }
                ToFront::Worker(_) => workers += 1,
                _ => {}
            }
        }
        assert_eq!((events + dropped, workers), (5000, 5));
    }

    #[test]
    fn a_front_that_is_gone_is_an_error() {
        let (mut feed, front) = feed();
        drop(front);
        assert!(matches!(feed.pump(Status::default), Err(Error::Closed)));
        assert!(matches!(feed.receive(), Err(Error::Closed)));
    }
}
