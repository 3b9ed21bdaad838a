//! The process: from its first message to its last.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use phalanx_channel::{Packets, Received, Watched};
use phalanx_process::{Signal, Signals, Strays, TakenRole};
use rustix::process::{Pid, PidfdFlags};
use tokio::task::AbortHandle;

use super::link::{FromAttendant, SEAT_DESCRIPTORS, SeatCard, ToAttendant, descriptor};
use super::nodes::Nodes;
use super::notify::VARIABLE as NOTIFY_VARIABLE;
use super::outbox::Outbox;
use super::seat::Seat;
use crate::slim::keep_slim;
use crate::{Error, WorkerId};

/// Signals that are for the primary: it says when the attendant has to go.
const IGNORED: &[Signal] =
    &[Signal::Terminate, Signal::Interrupt, Signal::Quit, Signal::Hangup, Signal::User1, Signal::User2];

/// For the first message of the primary, which it sends before it waits for anything.
const WELCOME_DEADLINE: Duration = Duration::from_secs(10);

/// How long programs may live on when the primary is gone. They got SIGTERM by its death.
const ORPHAN_DEADLINE: Duration = Duration::from_millis(900);

/// Plays the role of the attendant. Does not return: the process exits.
pub(crate) fn play(role: TakenRole) -> ! {
    match begin(role) {
        Ok(()) => std::process::exit(0),
        Err(error) => {
            eprintln!("phalanx | the attendant of the programs fails: {error}");
            std::process::exit(1)
        }
    }
}

fn begin(mut role: TakenRole) -> Result<(), Error> {
    let _ignored = Signals::take(IGNORED)?;
    let link = Packets::from_descriptor(role.take(descriptor::LINK)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(super::node::gather)
        .build()
        .map_err(Error::system("start the attendant's runtime"))?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        tokio::task::spawn_local(keep_slim());
        Attendant::new(link).await?.attend().await
    })
}

/// All programs.
struct Attendant {
    link: Packets,
    readiness: Watched,
    seats: RefCell<HashMap<WorkerId, Attended>>,
    nodes: Nodes,
    outbox: Rc<Outbox>,
}

/// A program that is looked after.
struct Attended {
    seat: Rc<Seat>,
    task: AbortHandle,
    /// Tells for sure whether its process still lives.
    pidfd: Option<OwnedFd>,
    pid: u32,
}

impl Drop for Attended {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Who the attendant hears last.
enum End {
    Dismissed,
    Orphaned,
}

impl Attendant {
    async fn new(link: Packets) -> Result<Attendant, Error> {
        let watch = Error::system("watch the link to the primary");
        let readiness = link.as_fd().try_clone_to_owned().and_then(Watched::for_reading).map_err(watch)?;
        let welcome = tokio::time::timeout(WELCOME_DEADLINE, next(&link, &readiness)).await;
        let welcome = welcome.map_err(|_| Error::NoPeer)??;
        let Some((ToAttendant::Welcome(welcome), listeners)) = welcome else { return Err(Error::NoPeer) };
        let nodes = Nodes::new(welcome, listeners);
        let outbox = Rc::new(Outbox::new(link.as_fd().try_clone_to_owned().map_err(Error::system("copy the link"))?)?);
        nodes.keep_doors(Rc::clone(&outbox));
        Ok(Attendant { link, readiness, seats: RefCell::default(), nodes, outbox })
    }

    async fn attend(self) -> Result<(), Error> {
        if let End::Orphaned = self.hear().await? {
            // They were sent SIGTERM by the end of the primary, and Node's channels close with us.
            tokio::time::sleep(ORPHAN_DEADLINE).await;
            let seats = self.seats.take();
            seats.values().for_each(Attended::end);
            // Daemons are in no group that we know, and whom strays are given to is gone.
            let marks: HashSet<String> = seats.values().filter_map(|attended| attended.seat.mark()).collect();
            Strays::end_everywhere(NOTIFY_VARIABLE, |value| marks.contains(value));
        }
        Ok(())
    }

    async fn hear(&self) -> Result<End, Error> {
        loop {
            match next(&self.link, &self.readiness).await? {
                Some((ToAttendant::Seat(card), descriptors)) => self.seat(card, descriptors),
                Some((ToAttendant::Door(card), socket)) => self.nodes.take_over(card, socket),
                Some((ToAttendant::Gone(worker), _)) => {
                    self.nodes.gone(worker);
                    self.seats.borrow_mut().remove(&worker);
                }
                Some((ToAttendant::Ping(number), _)) => self.outbox.tell(FromAttendant::Pong(number), None),
                Some((ToAttendant::Welcome(_), _)) => {}
                Some((ToAttendant::Finish, _)) => return Ok(End::Dismissed),
                None => return Ok(End::Orphaned),
            }
        }
    }

    fn seat(&self, card: SeatCard, descriptors: Vec<OwnedFd>) {
        debug_assert!(descriptors.len() >= SEAT_DESCRIPTORS, "the primary sends them all");
        let (seat, channel) = match Seat::take(card, descriptors) {
            Ok(taken) => taken,
            // The primary's boot deadline ends what nobody looks after.
            Err(error) => return tracing::error!("worker {} cannot be looked after: {error}", card.worker),
        };
        let worker = seat.worker();
        let node = channel.and_then(|channel| self.nodes.seat(&seat, channel));
        let task = tokio::task::spawn_local(Rc::clone(&seat).attend(node)).abort_handle();
        let pid = i32::try_from(card.pid).ok().and_then(Pid::from_raw);
        let pidfd = pid.and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok());
        self.seats.borrow_mut().insert(worker, Attended { seat, task, pidfd, pid: card.pid });
    }
}

/// The next word of the primary; `None` when it is gone.
async fn next(link: &Packets, readiness: &Watched) -> Result<Option<(ToAttendant, Vec<OwnedFd>)>, Error> {
    loop {
        let mut ready = readiness.readable().await.map_err(Error::system("wait for the primary"))?;
        match link.receive()? {
            Received::Message(message, descriptors) => return Ok(Some((message, descriptors))),
            Received::Closed => return Ok(None),
            Received::Nothing => ready.clear_ready(),
        }
    }
}

impl Attended {
    /// Ends a program that has outlived the primary, with its process group.
    fn end(&self) {
        let Some(pidfd) = &self.pidfd else { return };
        if rustix::process::pidfd_send_signal(pidfd, rustix::process::Signal::KILL).is_ok()
            && let Some(group) = i32::try_from(self.pid).ok().and_then(Pid::from_raw)
        {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}
