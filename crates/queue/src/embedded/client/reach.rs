//! [`reach`]: to the owner of a folder, whoever that is; if nobody is, we start one.
//!
//! ```text
//!   connect ─┬─ yes ──► hello ──► Reached
//!            └─ nobody ──► the folder's lock ─┬─ ours ──► start an owner, wait for its word ─┐
//!                 ▲                           └─ another's: a moment ────────────────────────┤
//!                 └──────────────────────────────────────────────────────────────────────────┘
//! ```

use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use phalanx_process::Role;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::{CONNECT, NAME};
use crate::embedded::folder::Folder;
use crate::embedded::frames::{self, Frames};
use crate::embedded::owner::ROLE;
use crate::embedded::owner::started::{REPORT, Started};
use crate::embedded::words::{ToClient, ToOwner, VERSION};
use crate::{Error, JobId, Token};

/// The first wait for an owner that somebody else starts; it doubles up to [`LONGEST_LOOK`].
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LONGEST_LOOK: Duration = Duration::from_millis(50);
/// A client that has lost its owner leaves whoever supervises that so much time to start another: 100 ms.
const SUPERVISORS_TIME: Duration = Duration::from_millis(100);

/// A connection to an owner that has said hello.
pub(super) struct Reached {
    pub(super) stream: UnixStream,
    /// What came after the hello.
    pub(super) frames: Frames,
    /// Which of the leases are ours again.
    pub(super) kept: Vec<bool>,
}

/// When an owner is started where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// At once.
    Now,
    /// There was one a moment ago: somebody may be about to start it again.
    AfterALook,
}

/// Connects to the owner of this folder; starts one if there is none. [`Error::Unavailable`] after 10 s; every other error is for good.
pub(super) async fn reach(path: &Path, handle: JobId, holds: Vec<Token>, urgency: Urgency) -> Result<Reached, Error> {
    let mut stage = Stage::Connecting;
    let patience = tokio::time::timeout(CONNECT, within(path, handle, holds, urgency, &mut stage));
    match patience.await {
        Ok(reached) => reached,
        Err(_) => {
            let owner = Folder::open(path).ok().and_then(|folder| folder.owner());
            let owner = owner.map_or_else(|| "its owner".to_owned(), |pid| format!("its owner (process {pid})"));
            let path = path.display();
            Err(Error::unavailable(
                NAME,
                match stage {
                    Stage::Connecting => format!("{owner} does not take connections at {path}/socket"),
                    Stage::Hello => format!("{owner} has not said hello in {path} within {CONNECT:?}; is it stopped?"),
                    Stage::Starting => {
                        format!("the owner of {path} does not become ready within {CONNECT:?}; see owner.log there")
                    }
                },
            ))
        }
    }
}

/// How far we came, for the message.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Connecting,
    Hello,
    Starting,
}

async fn within(
    path: &Path,
    handle: JobId,
    holds: Vec<Token>,
    urgency: Urgency,
    stage: &mut Stage,
) -> Result<Reached, Error> {
    let mut hello = Vec::new();
    frames::append(&ToOwner::Hello { version: VERSION, client: handle, holds }, &mut hello)?;
    let begun = Instant::now();
    let mut pause = FIRST_LOOK;
    loop {
        *stage = Stage::Connecting;
        let folder = Folder::open(path)?;
        if let Some(stream) = connect(&folder).await? {
            *stage = Stage::Hello;
            if let Some(reached) = introduce(&folder, stream, &hello).await? {
                return Ok(reached);
            }
            // It ended in that moment.
        }
        let may_start = urgency == Urgency::Now || begun.elapsed() > SUPERVISORS_TIME;
        if may_start && folder.may_start() {
            // It may have come meanwhile.
            if let Some(stream) = connect(&folder).await? {
                drop(stream);
            } else {
                *stage = Stage::Starting;
                if start(&folder).await? == Start::Listens {
                    continue;
                }
            }
            folder.started();
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_LOOK);
    }
}

/// A connection to the owner; `None` if nobody is there, or has no room at the moment.
async fn connect(folder: &Folder) -> Result<Option<UnixStream>, Error> {
    let stream = match UnixStream::connect(folder.socket()).await {
        Ok(stream) => stream,
        Err(error) => {
            return match error.kind() {
                ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::WouldBlock => Ok(None),
                ErrorKind::ConnectionReset | ErrorKind::Interrupted => Ok(None),
                _ => Err(Error::Store {
                    path: folder.path().join("socket"),
                    reason: format!("cannot be connected to: {error}"),
                }),
            };
        }
    };
    let own = rustix::process::geteuid().as_raw();
    match stream.peer_cred().map(|peer| peer.uid()) {
        Ok(user) if user == own || user == 0 || user == folder.belongs_to.0 => Ok(Some(stream)),
        Ok(user) => Err(Error::Store {
            path: folder.path().join("socket"),
            reason: format!("a program of user {user} listens there, and this one runs as {own}"),
        }),
        Err(_) => Ok(None),
    }
}

/// Says hello. `None` if the owner ended meanwhile.
async fn introduce(folder: &Folder, mut stream: UnixStream, hello: &[u8]) -> Result<Option<Reached>, Error> {
    if stream.write_all(hello).await.is_err() {
        return Ok(None);
    }
    let mut frames = Frames::default();
    let nonsense = |reason: String| Error::Malformed {
        what: format!("what the owner of {} says", folder.path().display()),
        reason,
    };
    let (version, owner, kept) = loop {
        match frames.next() {
            Ok(Some(frame)) => match postcard::from_bytes(frame) {
                Ok(ToClient::Hello { version, owner, kept, .. }) => break (version, owner, kept),
                Ok(_) => return Err(nonsense("it did not begin with a hello".to_owned())),
                Err(error) => return Err(nonsense(error.to_string())),
            },
            Ok(None) => {}
            Err(too_long) => return Err(nonsense(format!("a frame of {} bytes", too_long.0))),
        }
        match stream.read(frames.room()).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(count) => frames.received(count),
        }
    };
    if version != VERSION {
        return Err(Error::Refused {
            broker: NAME.to_owned(),
            reason: format!(
                "its owner (process {owner}) speaks version {version}, and this program version {VERSION}; bring all programs that \
                 share {} to the same version",
                folder.path().display()
            ),
        });
    }
    Ok(Some(Reached { stream, frames, kept }))
}

#[derive(Debug, PartialEq, Eq)]
enum Start {
    /// It listens.
    Listens,
    /// Another one has the folder, or is about to leave it.
    NotYet,
}

/// Starts an owner, and waits for its word.
async fn start(folder: &Folder) -> Result<Start, Error> {
    let cannot = |reason: String| Error::unavailable(NAME, format_args!("an owner cannot be started: {reason}"));
    if !crate::init::may_start_owners() {
        return Err(Error::Refused {
            broker: NAME.to_owned(),
            reason: format!(
                "nobody owns {} yet, and this program cannot start an owner: call phalanx_queue::init_with(…) (or \
                 phalanx::init_with) in the first line of main",
                folder.path().display()
            ),
        });
    }
    let (ours, theirs) = UnixStream::pair().map_err(|error| cannot(error.to_string()))?;
    let theirs = theirs.into_std().map_err(|error| cannot(error.to_string()))?;
    // The child reads and writes as programs do that know nothing of us.
    theirs.set_nonblocking(false).map_err(|error| cannot(error.to_string()))?;
    let log = folder.log();
    let mut role = Role::new(ROLE)
        .arguments(["phalanx: queue".into(), folder.path().as_os_str().to_owned()])
        .descriptor(REPORT, theirs.as_fd());
    if let Some(log) = &log {
        role = role.stderr(log.as_fd());
    }
    let (user, group) = folder.belongs_to;
    if user != rustix::process::geteuid().as_raw() {
        role = role.uid(user).gid(group);
    }
    role.spawn_detached().map_err(|error| cannot(error.to_string()))?;
    drop(theirs);
    let mut said = Vec::new();
    let mut ours = ours.take(64 * 1024);
    ours.read_to_end(&mut said).await.map_err(|error| cannot(error.to_string()))?;
    match postcard::from_bytes(&said) {
        Ok(Started::Listens) => Ok(Start::Listens),
        Ok(Started::Other) => Ok(Start::NotYet),
        Ok(Started::Failed(error)) => Err(error),
        Err(_) if said.is_empty() => Ok(Start::NotYet),
        Err(error) => Err(cannot(format!("it says what cannot be understood: {error}"))),
    }
}
