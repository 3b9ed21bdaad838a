//! [`Hall`]: all Node workers of a cluster, the doors at which they listen, and who may come in.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::time::Duration;

use phalanx_channel::node::{self, InternalMessages, NodeChannel, Serialization, Value};
use tokio::sync::mpsc;

use super::door::{Door, DoorNumber};
use super::doors::Manner;
use super::inherited::Inherited;
use super::keep::Kept;
use super::load::{self, Load};
use super::options::Options;
use super::pace;
use super::query::Target;
use super::relay::Requests;
use super::said::Said;
use super::seat::{Seat, Stays};
use super::words;
use crate::{Distribution, Place, WorkerId};

/// Words of workers that nobody has heard yet. When there are more, their channels are not read.
const UNHEARD: usize = 64;
/// Largest message of a worker.
const LARGEST_MESSAGE: usize = 16 * 1024 * 1024;
/// For the channel of a process that has ended: what it wrote is read in no time, unless a child of its own holds the other end.
const LAST_WORDS_DEADLINE: Duration = Duration::from_secs(1);

/// All Node workers of a cluster. Everything happens in one thread, inside a `LocalSet`.
pub(crate) struct Hall {
    pub(super) me: Weak<Hall>,
    pub(super) options: Options,
    pub(super) state: RefCell<State>,
    pub(super) said: mpsc::Sender<(WorkerId, Said)>,
    pub(super) keeper: RefCell<Option<Keeper>>,
}

/// Who hears what happens to the doors.
pub(super) type Keeper = Box<dyn Fn(Kept)>;

#[derive(Default)]
pub(super) struct State {
    pub(super) seats: BTreeMap<WorkerId, Seat>,
    pub(super) doors: BTreeMap<DoorNumber, Door>,
    pub(super) targets: HashMap<Target, DoorNumber>,
    pub(super) inherited: Vec<Inherited>,
    pub(super) requests: Requests,
    pub(super) next_door: DoorNumber,
    /// A worker has come.
    pub(super) begun: bool,
    /// Counts what is sent to all workers.
    pub(super) next_seq: u32,
    /// Counts the connections.
    pub(super) next_order: u64,
}

/// What a worker has of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// Connections that it has taken so far.
    pub(crate) taken: u64,
    /// Connections that it was handed and has not answered.
    pub(crate) unanswered: usize,
    /// How long the oldest of those waits.
    pub(crate) oldest: Option<Duration>,
}

impl State {
    pub(super) fn seq(&mut self) -> u32 {
        let seq = self.next_seq;
        self.next_seq = seq.wrapping_add(1);
        seq
    }
}

impl Hall {
    /// An empty hall, and what its workers will say.
    pub(crate) fn new(options: Options) -> (Rc<Hall>, mpsc::Receiver<(WorkerId, Said)>) {
        let (said, heard) = mpsc::channel(UNHEARD);
        let hall = Rc::new_cyclic(|me| Hall {
            me: me.clone(),
            options,
            state: RefCell::default(),
            said,
            keeper: RefCell::default(),
        });
        pace::follow(hall.me.clone());
        (hall, heard)
    }

    /// How many connections every worker that listens has before it that it has not looked at.
    pub(super) fn work_ahead(&self) -> usize {
        let state = self.state.borrow();
        let listening = state.seats.values().filter(|seat| seat.stays == Stays::Here && !seat.forms.is_empty());
        listening.map(|seat| seat.offers.len()).min().unwrap_or(0)
    }

    /// A worker comes in: from now on its channel is read. Must be called inside a `LocalSet`.
    ///
    /// Errors: the descriptor is no channel.
    pub(crate) fn seat(
        &self,
        worker: WorkerId,
        place: Place,
        pid: u32,
        channel: OwnedFd,
        serialization: Serialization,
    ) -> Result<(), node::Error> {
        let options = node::Options::new()
            .internal_messages(InternalMessages::Deliver)
            .largest_message(LARGEST_MESSAGE)
            .parcels_in_flight(self.options.in_flight);
        let channel: NodeChannel = NodeChannel::open_with(channel, serialization, options)?;
        let seat = Seat {
            place,
            pid,
            channel: channel.clone(),
            forms: BTreeMap::new(),
            offers: Default::default(),
            taken: 0,
            rests: BTreeMap::new(),
            stays: Stays::Here,
            complaints: 0,
            load: Load::new(tokio::time::Instant::now()),
        };
        let first = {
            let mut state = self.state.borrow_mut();
            state.seats.insert(worker, seat);
            !std::mem::replace(&mut state.begun, true)
        };
        if first && self.options.distribution == Distribution::LeastLoaded {
            tokio::task::spawn_local(load::watch(self.me.clone()));
        }
        if let Some(hall) = self.me.upgrade() {
            tokio::task::spawn_local(hall.listen_to(worker, channel));
        }
        self.admit_to_its_doors(worker);
        Ok(())
    }

    /// The worker shall close its servers and leave. It gets no connection any more; those that it refuses, or has not
    /// answered when its channel ends, go to others.
    pub(crate) fn disconnect(&self, worker: WorkerId) {
        let word = {
            let mut state = self.state.borrow_mut();
            let seq = state.seq();
            let Some(seat) = state.seats.get_mut(&worker) else { return };
            if seat.stays != Stays::Here {
                return;
            }
            seat.stays = Stays::Leaves;
            (seat.channel.clone(), words::message([("act", "disconnect".into())], seq))
        };
        self.leave_all_doors(worker, Manner::Wanted);
        let (channel, message) = word;
        if let Err(node::Error::Full) = channel.try_send_internal(&message) {
            tokio::task::spawn_local(async move { channel.send_internal(&message, None).await });
        }
    }

    /// Sends a message to the worker's program.
    ///
    /// Errors: [`node::Error::Full`] if it does not read, [`node::Error::Closed`] if it is gone.
    pub(crate) fn send(&self, worker: WorkerId, message: &Value) -> Result<(), node::Error> {
        let channel = self.state.borrow().seats.get(&worker).map(|seat| seat.channel.clone());
        channel.ok_or(node::Error::Closed)?.try_send(message)
    }

    /// Sends a message to every worker's program. Who does not read goes without.
    pub(crate) fn send_to_all(&self, message: &Value) {
        let channels: Vec<NodeChannel> = self.state.borrow().seats.values().map(|seat| seat.channel.clone()).collect();
        channels.iter().for_each(|channel| drop(channel.try_send(message)));
    }

    /// The worker's process has ended. What it wrote before is still read.
    pub(crate) fn gone(&self, worker: WorkerId) {
        let channel = self.state.borrow().seats.get(&worker).map(|seat| seat.channel.clone());
        let (Some(channel), Some(hall)) = (channel, self.me.upgrade()) else {
            // It may have been a member before this hall was.
            return self.leave_all_doors(worker, Manner::Died);
        };
        tokio::task::spawn_local(async move {
            tokio::time::sleep(LAST_WORDS_DEADLINE).await;
            drop(hall);
            let _ = channel.close(Duration::ZERO).await; // it is closed all the same
        });
    }

    /// What this worker has of connections. Nothing if it is not here any more.
    pub(crate) fn connections(&self, worker: WorkerId) -> Counts {
        let state = self.state.borrow();
        let counts = |seat: &Seat| Counts {
            taken: seat.taken,
            unanswered: seat.offers.len(),
            oldest: seat.offers.front().map(|offer| offer.since.elapsed()),
        };
        state.seats.get(&worker).map(counts).unwrap_or_default()
    }

    /// Tells what a worker did, and waits for somebody to hear it.
    pub(super) async fn say(&self, worker: WorkerId, said: Said) {
        let _ = self.said.send((worker, said)).await; // nobody listens any more
    }
}
