//! [`DoorCard`]: what another hall needs to go on with a door when the process of this one is killed.
//!
//! The workers know their doors by keys, and keep them; who holds the socket they do not see. So it is enough that somebody else
//! has a copy of each socket and its card. Connections that were accepted and with no worker yet are lost with the hall.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use phalanx_channel::node::{Error, json};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::door::{Door, DoorNumber, Way};
use super::hall::Hall;
use super::open;
use super::query::Target;
use super::unix_file::UnixFile;
use crate::WorkerId;

/// Longest `data` that is kept, in bytes of JSON: the keys of TLS tickets have 112.
const LONGEST_DATA: usize = 1024;

/// What happened to a door.
#[derive(Debug)]
pub(crate) enum Kept {
    /// It is open. Its socket is this one.
    Opened(DoorCard, OwnedFd),
    /// Others listen there than before.
    Changed(DoorCard),
    /// It is closed.
    Closed(DoorNumber),
}

/// A door without its socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DoorCard {
    pub(crate) number: DoorNumber,
    target: Target,
    key: String,
    /// As JSON.
    data: Option<Vec<u8>>,
    members: Vec<WorkerId>,
    /// The file of a Unix socket: its path, device and inode.
    file: Option<(PathBuf, u64, u64)>,
    accepts: Accepts,
}

/// Who accepts connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Accepts {
    Hall,
    Workers,
}

impl DoorCard {
    /// A worker has ended that nobody else sees go.
    pub(crate) fn remove(&mut self, worker: WorkerId) {
        self.members.retain(|member| *member != worker);
    }

    /// Whether nobody listens there.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    fn of(door: &Door) -> DoorCard {
        let data = door.data.as_ref().and_then(|data| json::encode(data).ok());
        DoorCard {
            number: door.number,
            target: door.target.clone(),
            key: door.key.clone(),
            data: data.filter(|data| data.len() <= LONGEST_DATA),
            members: door.members.iter().copied().collect(),
            file: door.file.as_ref().map(UnixFile::identity),
            accepts: match door.way {
                Way::Shared(_) => Accepts::Workers,
                Way::Dispatched(_) => Accepts::Hall,
            },
        }
    }
}

impl Hall {
    /// From now on this hears of all doors.
    pub(crate) fn keep_doors(&self, keeper: impl Fn(Kept) + 'static) {
        *self.keeper.borrow_mut() = Some(Box::new(keeper));
    }

    /// Goes on with a door of a hall that is gone. Its members are those of the card who take a [seat](Hall::seat) here.
    ///
    /// Errors: the socket cannot be used.
    pub(crate) fn take_over(&self, card: DoorCard, socket: OwnedFd) -> Result<(), Error> {
        let failed = |source: Errno| Error::System { attempt: "go on with a server of Node", source: source.into() };
        let DoorCard { number, target, key, data, members, file, accepts } = card;
        let way = self.way(number, socket, accepts == Accepts::Workers).map_err(failed)?;
        let file = file.map(|(path, device, inode)| UnixFile::known(path, device, inode));
        let data = data.and_then(|data| json::decode(data.trim_ascii_end()).ok());
        let door =
            Door { data, members: members.iter().copied().collect(), ..Door::new(number, target, key, way, file) };
        {
            let mut state = self.state.borrow_mut();
            // Answers to the numbers of the hall before are no answers to ours.
            state.next_seq = state.next_seq.max(SEQS_OF_A_LIFE.wrapping_mul(std::process::id()));
            state.add_door(door);
        }
        members.into_iter().for_each(|worker| self.admit(worker, number));
        Ok(())
    }

    /// A worker has come back to the doors that it knows.
    pub(super) fn admit_to_its_doors(&self, worker: WorkerId) {
        let doors: Vec<DoorNumber> = {
            let state = self.state.borrow();
            state.doors.values().filter(|door| door.members.contains(&worker)).map(|door| door.number).collect()
        };
        doors.into_iter().for_each(|number| self.admit(worker, number));
    }

    /// Tells the keeper of a door.
    pub(super) fn keep(&self, number: DoorNumber, news: News) {
        let keeper = self.keeper.borrow();
        let Some(keeper) = keeper.as_ref() else { return };
        let state = self.state.borrow();
        let kept = match (news, state.doors.get(&number)) {
            (News::Closed, _) | (_, None) => Some(Kept::Closed(number)),
            (News::Changed, Some(door)) => Some(Kept::Changed(DoorCard::of(door))),
            (News::Opened, Some(door)) => {
                let socket = match &door.way {
                    Way::Shared(socket) => socket.try_clone(),
                    Way::Dispatched(accepting) => accepting.as_fd().try_clone_to_owned(),
                };
                // Without a copy it works as well, but not beyond this process.
                socket.map_err(open::errno).ok().map(|socket| Kept::Opened(DoorCard::of(door), socket))
            }
        };
        drop(state);
        kept.into_iter().for_each(keeper);
    }
}

/// What happened to a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    Opened,
    Changed,
    Closed,
}

/// Numbers of messages that one hall may use before they are those of another one.
const SEQS_OF_A_LIFE: u32 = 65_521;
