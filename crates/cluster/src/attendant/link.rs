//! What primary and attendant say to each other.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::node::DoorCard;
use crate::{Distribution, Place, WorkerId};

/// Name of the role.
pub(crate) const ATTENDANT_ROLE: &str = "attendant";

/// Names of the descriptors that the attendant is given.
pub(crate) mod descriptor {
    /// Its link to the primary.
    pub(crate) const LINK: &str = "link";
}

/// From the primary.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToAttendant {
    /// The first message.
    Welcome(Welcome),
    /// A worker that is a program. Its end of the control connection, its page of the scoreboard, the description of the program
    /// and the socket of its notifications come along, and with Node our end of its channel.
    Seat(SeatCard),
    /// A server of Node programs that an attendant before this one has opened; its socket comes along. Before any seat.
    Door(DoorCard),
    /// The worker has ended.
    Gone(WorkerId),
    /// Do you live?
    Ping(u64),
    /// The cluster has ended.
    Finish,
}

/// What an attendant has to know from the beginning.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Welcome {
    /// How connections of Node programs come to them.
    pub(crate) distribution: Distribution,
    /// Who hears what Node programs send to their primary.
    pub(crate) script: Option<PathBuf>,
}

/// A worker of which the attendant is told.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct SeatCard {
    pub(crate) worker: WorkerId,
    pub(crate) place: Place,
    pub(crate) pid: u32,
    /// How long it lives.
    pub(crate) age: Duration,
    /// Whether another attendant looked after it before.
    pub(crate) taken_over: bool,
    /// Whether it was found to be ready.
    pub(crate) ready: bool,
}

/// Descriptors that come with a seat.
pub(crate) const SEAT_DESCRIPTORS: usize = 4;

/// From the attendant.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromAttendant {
    /// The answer to [`ToAttendant::Ping`].
    Pong(u64),
    /// Node programs listen here; the socket comes along, to be kept.
    DoorOpened(DoorCard),
    /// Others listen there than before.
    DoorChanged(DoorCard),
    /// Nobody listens there any more.
    DoorClosed(u64),
}
