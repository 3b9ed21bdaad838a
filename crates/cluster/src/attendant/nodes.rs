//! [`Nodes`]: the programs of Node, and what their cluster says in the words of ours.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::time::Duration;

use phalanx_process::Signal;
use tokio::sync::mpsc;

use super::link::{FromAttendant, Welcome};
use super::node::{Address, Counts, DoorCard, Hall, Kept, Options, Said};
use super::outbox::Outbox;
use super::script::{Script, Told};
use super::seat::Seat;
use crate::control::ToPrimary;
use crate::program::Readiness;
use crate::{ListenAddress, WorkerId};

/// Number of the first inherited socket, as systemd has it.
const FIRST_SOCKET: i32 = 3;
/// What a program whose channel is closed gets to end by itself, before it is told to.
const CHANNEL_GRACE: Duration = Duration::from_secs(2);
/// From that word to SIGKILL.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// The programs by their numbers, as long as they are looked after.
type Seats = Rc<RefCell<HashMap<WorkerId, Weak<Seat>>>>;

/// The programs of Node.
pub(super) struct Nodes {
    hall: Rc<Hall>,
    seats: Seats,
}

/// One of them, for its seat.
pub(super) struct NodeSeat {
    hall: Rc<Hall>,
    worker: WorkerId,
}

impl Nodes {
    /// None yet. Must be called inside a `LocalSet`.
    pub(super) fn new(welcome: Welcome, listeners: Vec<OwnedFd>) -> Nodes {
        let (hall, heard) = Hall::new(Options::new(welcome.distribution));
        for (number, socket) in (FIRST_SOCKET..).zip(listeners) {
            if let Err(error) = hall.inherit(number, socket) {
                tracing::warn!("programs of Node go without an inherited socket: {error}");
            }
        }
        let seats = Seats::default();
        let script = welcome.script.map(|file| Script::start(file, &hall));
        tokio::task::spawn_local(hear(heard, Rc::clone(&seats), script));
        Nodes { hall, seats }
    }

    /// Has the primary keep every server, for the attendant after this one.
    pub(super) fn keep_doors(&self, outbox: Rc<Outbox>) {
        self.hall.keep_doors(move |kept| match kept {
            Kept::Opened(card, socket) => outbox.tell(FromAttendant::DoorOpened(card), Some(socket)),
            Kept::Changed(card) => outbox.tell(FromAttendant::DoorChanged(card), None),
            Kept::Closed(number) => outbox.tell(FromAttendant::DoorClosed(number), None),
        });
    }

    /// Goes on with a server of the attendant before this one.
    pub(super) fn take_over(&self, card: DoorCard, sockets: Vec<OwnedFd>) {
        let Some(socket) = sockets.into_iter().next() else { return };
        if let Err(error) = self.hall.take_over(card, socket) {
            tracing::error!("a server of Node programs is lost: {error}");
        }
    }

    /// A program has begun, with this end of its channel. Nothing if it is no program of Node.
    pub(super) fn seat(&self, seat: &Rc<Seat>, channel: OwnedFd) -> Option<NodeSeat> {
        let node = seat.program.node?;
        let (worker, hall) = (seat.worker(), Rc::clone(&self.hall));
        self.seats.borrow_mut().insert(worker, Rc::downgrade(seat));
        match hall.seat(worker, seat.card.place, seat.card.pid, channel, node.serialization()) {
            Ok(()) => Some(NodeSeat { hall, worker }),
            Err(error) => {
                seat.tell(&ToPrimary::Failed(format!("its channel cannot be used: {error}")));
                None
            }
        }
    }

    /// Its process has ended.
    pub(super) fn gone(&self, worker: WorkerId) {
        if self.seats.borrow_mut().remove(&worker).is_some() {
            self.hall.gone(worker);
        }
    }
}

impl NodeSeat {
    /// It shall close its servers, and go when their connections have ended.
    pub(super) fn disconnect(&self) {
        self.hall.disconnect(self.worker);
    }

    /// What it has of connections.
    pub(super) fn connections(&self) -> Counts {
        self.hall.connections(self.worker)
    }
}

async fn hear(mut heard: mpsc::Receiver<(WorkerId, Said)>, seats: Seats, script: Option<Rc<Script>>) {
    while let Some((worker, said)) = heard.recv().await {
        let seat = seats.borrow().get(&worker).and_then(Weak::upgrade);
        if let Some(seat) = seat {
            told(&seat, said, script.as_deref());
        }
    }
}

fn told(seat: &Rc<Seat>, said: Said, script: Option<&Script>) {
    match said {
        Said::Online => seat.tell(&ToPrimary::Online),
        Said::Listening(address) => {
            if let Some(address) = listen_address(&address) {
                seat.tell(&ToPrimary::Listening(address));
            }
            if seat.program.readiness() == Readiness::Listening {
                seat.is_ready();
            }
        }
        Said::Ready if seat.program.readiness() == Readiness::Message => seat.is_ready(),
        Said::Ready => {}
        Said::Message(message) => {
            let text = serde_json::to_string(&message);
            let text = text.unwrap_or_else(|error| format!("(a message that is no JSON: {error})"));
            seat.say(text);
            if let Some(script) = script
                && script.tell(seat.worker(), seat.card.place, message) == Told::No
            {
                seat.say("(the primary script does not hear this)".to_owned());
            }
        }
        Said::Leaves => seat.tell(&ToPrimary::Leaves),
        Said::Misbehaves(how) => seat.say(format!("(it breaks Node's protocol: {how})")),
        Said::Disconnected { voluntary: true } => {}
        Said::Disconnected { voluntary: false } => {
            tokio::task::spawn_local(end_without_channel(Rc::downgrade(seat)));
        }
    }
}

/// Without a channel it gets no connections: unless it ends by itself, it is told to, so that another takes its place.
async fn end_without_channel(seat: Weak<Seat>) {
    tokio::time::sleep(CHANNEL_GRACE).await;
    let Some(living) = seat.upgrade() else { return };
    if living.is_leaving() {
        return;
    }
    living.tell(&ToPrimary::Failed("it closed its channel, by which its connections come".to_owned()));
    living.tell(&ToPrimary::Signal(living.program.its_stop_signal().number()));
    drop(living);
    tokio::time::sleep(STOP_GRACE).await;
    if let Some(living) = seat.upgrade() {
        living.tell(&ToPrimary::Signal(Signal::Kill.number()));
    }
}

fn listen_address(address: &Address) -> Option<ListenAddress> {
    match address {
        Address::Tcp(address) => Some(ListenAddress::Tcp(*address)),
        Address::Unix(path) => Some(match path.strip_prefix('@') {
            Some(name) => ListenAddress::Abstract(name.into()),
            None => ListenAddress::Unix(path.into()),
        }),
        Address::Udp(_) => None,
    }
}
