//! [`Seat`]: one worker, as the hall knows it.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use phalanx_channel::node::{Form, NodeChannel};
use tokio::time::Instant;

use super::door::{DoorNumber, Waiting};
use super::load::Load;
use super::options::Options;
use crate::Place;

/// The first pause after a refusal; it doubles up to [`LONGEST_REST`].
const FIRST_REST: Duration = Duration::from_millis(5);
/// The longest such pause. A worker does not say when it has room again.
const LONGEST_REST: Duration = Duration::from_millis(160);

pub(super) struct Seat {
    pub(super) place: Place,
    pub(super) pid: u32,
    pub(super) channel: NodeChannel,
    /// The forms of the connections through each door that it listens at.
    pub(super) forms: BTreeMap<DoorNumber, Rc<Form>>,
    /// Connections that it was handed and has not answered, in their order.
    pub(super) offers: VecDeque<Offer>,
    /// Connections that it has taken.
    pub(super) taken: u64,
    /// Doors whose connections it has refused of late.
    pub(super) rests: BTreeMap<DoorNumber, Rest>,
    pub(super) stays: Stays,
    pub(super) load: Load,
    /// How often it has misbehaved.
    pub(super) complaints: u64,
}

/// Whether a worker is to get connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stays {
    Here,
    /// It was told to go, or has said that it goes.
    Leaves,
    /// Its channel is closed.
    Gone,
}

/// A connection on its way to a worker.
#[derive(Debug)]
pub(super) struct Offer {
    /// The number of its message.
    pub(super) seq: u32,
    pub(super) door: DoorNumber,
    pub(super) waiting: Waiting,
    pub(super) since: Instant,
}

/// A pause after a worker has refused: until then it is offered nothing, and then one connection at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rest {
    pub(super) until: Instant,
    pause: Duration,
}

impl Rest {
    /// The next pause, after this one if there was one.
    pub(super) fn after(before: Option<Rest>) -> Rest {
        let pause = before.map_or(FIRST_REST, |before| (2 * before.pause).min(LONGEST_REST));
        Rest { until: Instant::now() + pause, pause }
    }
}

impl Seat {
    /// Whether it can take a connection through this door now.
    pub(super) fn has_room(&self, door: DoorNumber, options: &Options) -> bool {
        let oldest = self.offers.front().map(|oldest| oldest.since.elapsed());
        self.stays == Stays::Here
            && self.offers.len() < options.most_offers()
            && oldest.is_none_or(|owed| options.slow().is_none_or(|slow| owed < slow))
            && self
                .rests
                .get(&door)
                .is_none_or(|rest| Instant::now() >= rest.until && !self.offers.iter().any(|offer| offer.door == door))
    }

    /// Takes out the offer that is answered.
    pub(super) fn answered(&mut self, seq: u32) -> Option<Offer> {
        let at = self.offers.iter().position(|offer| offer.seq == seq)?;
        self.offers.remove(at)
    }
}
