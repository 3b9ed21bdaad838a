//! What primary, dispatcher and workers say to each other.

use serde::{Deserialize, Serialize};

use super::claims::Ticket;
use crate::listener::Origin;
use crate::{Distribution, Place, WorkerId};

/// Name of the role.
pub(crate) const DISPATCHER_ROLE: &str = "dispatcher";

/// Names of the descriptors that are given away.
pub(crate) mod descriptor {
    /// To the dispatcher: its link to the primary.
    pub(crate) const LINK: &str = "link";
    /// To a worker: its desk, the link to whoever is the dispatcher.
    pub(crate) const DESK: &str = "desk";
    /// To a worker: the memory of its claims.
    pub(crate) const CLAIMS: &str = "claims";
}

/// Most listeners told of in one message; each comes with one descriptor.
pub(crate) const DOORS_A_MESSAGE: usize = phalanx_channel::MAX_DESCRIPTORS;

/// From the primary to the dispatcher.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToDispatcher {
    /// The first message: the serial number from which this dispatcher counts its offers.
    Welcome { first_serial: u64 },
    /// Accept from these sockets, which come along.
    Doors(Vec<DoorCard>),
    /// Accept from none any more.
    CloseDoors,
    /// A worker: the descriptors of its desk, its claims and its page of the scoreboard come along.
    Seat { worker: WorkerId, place: Place },
    /// The worker has ended.
    Gone(WorkerId),
    /// Do you live?
    Ping(u64),
    /// Another image takes over: accept nothing more, and end when nothing is offered any more.
    StandDown,
    /// The cluster stops: hand over what waits in the backlog, shut what is ours, and end.
    Finish,
}

/// A listening socket of which the dispatcher is told.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct DoorCard {
    pub(crate) distribution: Distribution,
    pub(crate) origin: Origin,
}

/// From the dispatcher to the primary.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromDispatcher {
    /// The answer to [`ToDispatcher::Ping`].
    Pong(u64),
}

/// From the dispatcher to a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToDesk {
    /// A new dispatcher asks: do you take connections?
    Hello,
    /// Connections, if you claim them; their sockets come along, in this order.
    Offer(Vec<Ticket>),
    /// No more will come.
    Last,
}

/// From a worker to the dispatcher.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromDesk {
    /// It takes connections from now on.
    Open,
    /// It has claimed some, or dropped some that were revoked: look at the claims.
    Looked,
    /// It has too many open files: sockets were lost on the way to it. What it has not claimed is yours.
    Lost,
    /// It takes none any more. What it has not claimed is yours.
    Shut,
}
