//! What can go wrong with a cluster.

use std::fmt;
use std::io;
use std::time::Duration;

use phalanx_process::ExitStatus;

use crate::{ListenAddress, Member};

/// An error of a cluster.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A process could not be started, or this one may not start any.
    Process(phalanx_process::Error),
    /// The connection between primary and worker failed.
    Channel(phalanx_channel::Error),
    /// An address that is none.
    Address {
        /// What was given.
        address: String,
        /// What is wrong with it.
        source: io::Error,
    },
    /// An address on which we cannot listen.
    Listen {
        /// The address.
        address: ListenAddress,
        /// What came back.
        source: io::Error,
    },
    /// A socket that was given to us and cannot be listened on.
    Given {
        /// As what it was asked for.
        text: String,
        /// What is wrong with it.
        source: io::Error,
    },
    /// A setting that makes no sense.
    Setting {
        /// Which, and why.
        what: String,
    },
    /// The file with the process id cannot be had.
    PidFile(phalanx_process::service::PidFileError),
    /// The code that reads the settings failed.
    Settings(Box<dyn std::error::Error + Send + Sync>),
    /// A reload, an upgrade or another operation was refused, or failed; the workers that were there serve on.
    Operation {
        /// What it was: `reload`, `upgrade`, `rollback`, `scale`.
        kind: &'static str,
        /// Why.
        why: String,
    },
    /// The state that another version of this program handed over cannot be used.
    State {
        /// What is wrong with it.
        why: String,
    },
    /// At the very first start no worker became ready.
    FirstStart {
        /// How the last of them ended.
        status: Option<ExitStatus>,
        /// What it said.
        error: Option<String>,
    },
    /// Every worker asked not to be started again (exit code 78).
    GivenUp {
        /// What the last of them said.
        error: Option<String>,
    },
    /// The program that runs in the workers failed.
    Worker(Box<dyn std::error::Error + Send + Sync>),
    /// The code that runs in the primary failed. The workers were stopped.
    Primary(Box<dyn std::error::Error + Send + Sync>),
    /// There is nobody to talk to: the cluster has no hub, no code in the primary, or the primary is gone.
    NoPeer,
    /// The worker is not known, or has ended.
    NoSuchWorker {
        /// Its number.
        worker: u32,
    },
    /// A member of the cluster does not take what it is sent. Messages that were sent before may still arrive; this one was
    /// not sent.
    NotReading {
        /// Who.
        member: Member,
        /// How long we waited.
        waited: Duration,
    },
    /// A member of the cluster has not answered a request in time. It may have received it.
    NoAnswer {
        /// Who.
        member: Member,
        /// How long we waited.
        waited: Duration,
    },
    /// A member of the cluster dropped a request without an answer.
    Unanswered {
        /// Who.
        member: Member,
    },
    /// A connection was passed to the HTTP server of a worker that leaves.
    NotServing {
        /// Who.
        member: Member,
    },
    /// The primary was replaced (by an upgrade) or ended while a request to it was under way.
    Replaced,
    /// A message could not be encoded or is not of the expected type.
    Message {
        /// What is wrong.
        why: String,
    },
    /// The operating system refused.
    System {
        /// What was attempted.
        attempt: &'static str,
        /// What came back.
        source: io::Error,
    },
}

/// The error of a worker that must not be started again, however often it fails: a licence that ran out, data of a later
/// version. The worker exits with 78 (which a worker in another language may do too), its place stays empty until the next
/// reload, and a cluster whose workers all say so ends with the same code.
///
/// ```
/// # fn check(version: u32) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// if version > 3 {
///     return Err(phalanx_cluster::DoNotRestart::because("the store was written by a later version").into());
/// }
/// # Ok(())
/// # }
/// # assert!(check(4).is_err());
/// ```
#[derive(Debug)]
pub struct DoNotRestart {
    why: String,
}

impl DoNotRestart {
    /// With these words.
    pub fn because(why: impl Into<String>) -> DoNotRestart {
        DoNotRestart { why: why.into() }
    }
}

impl fmt::Display for DoNotRestart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for DoNotRestart {}

impl Error {
    pub(crate) fn system(attempt: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::System { attempt, source }
    }

    /// The exit code that tells this error to a supervisor or a shell: 64 (`EX_USAGE`) for a setting or an address
    /// that cannot work however often it is tried, 78 (`EX_CONFIG`) where every worker said [`DoNotRestart`], a worker's own
    /// code if it failed at the first start, else 1. A worker whose code fails exits with the same.
    pub fn exit_code(&self) -> u8 {
        const USAGE: u8 = 64;
        const DO_NOT_RESTART: u8 = 78;
        match self {
            Error::Worker(source) if source.is::<DoNotRestart>() => DO_NOT_RESTART,
            Error::Worker(source) => source.downcast_ref::<Error>().map_or(1, Error::exit_code),
            Error::Address { .. } | Error::Given { .. } | Error::Setting { .. } | Error::Settings(_) => USAGE,
            Error::GivenUp { .. } => DO_NOT_RESTART,
            Error::FirstStart { status: Some(ExitStatus::Code(code)), .. } => u8::try_from(*code).unwrap_or(1).max(1),
            _ => 1,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Process(source) => source.fmt(f),
            Error::Channel(source) => source.fmt(f),
            Error::Address { address, source } => {
                let example = "write HOST:PORT or unix:PATH, e.g. 127.0.0.1:3000";
                write!(f, "\"{address}\" is no address to listen on ({source}); {example}")
            }
            Error::Listen { address, source } => {
                write!(f, "cannot listen on {address}: {source}")?;
                match advice(source.kind(), address) {
                    Some(advice) => write!(f, "; {advice}"),
                    None => Ok(()),
                }
            }
            Error::Given { text, source } => write!(f, "cannot listen on the socket given as \"{text}\": {source}"),
            Error::Setting { what } => f.write_str(what),
            Error::FirstStart { status, error } => {
                write!(f, "no worker became ready")?;
                match (error, status) {
                    (Some(error), _) => write!(f, ": {error}"),
                    (None, Some(status)) => write!(f, ": the last one ended with {status}; see what it wrote above"),
                    (None, None) => Ok(()),
                }
            }
            Error::GivenUp { error: Some(error) } => write!(f, "every worker asked not to be started again: {error}"),
            Error::GivenUp { error: None } => {
                write!(f, "every worker asked not to be started again (exit code 78); see what it wrote above")
            }
            Error::Worker(source) | Error::Primary(source) => source.fmt(f),
            Error::PidFile(source) => source.fmt(f),
            Error::Settings(source) => write!(f, "the settings cannot be used: {source}"),
            Error::State { why } => write!(f, "the state of the program before cannot be taken over: {why}"),
            Error::Operation { kind, why } => write!(f, "the {kind} failed: {why}"),
            Error::NoPeer => write!(
                f,
                "nobody is there to take messages: give the cluster code in the primary (`.primary(...)`), or \
                 `.messages()` for messages between workers; if it has that, the code or the primary has ended"
            ),
            Error::NotReading { member, waited } => {
                write!(f, "{member} has not taken its messages for {waited:.1?}: does it receive, or is it stuck?")
            }
            Error::NoAnswer { member, waited } => write!(f, "{member} has not answered for {waited:.1?}"),
            Error::Unanswered { member } => write!(f, "{member} dropped the request without an answer"),
            Error::NotServing { member } => {
                write!(f, "{member} takes no connections any more: it leaves")
            }
            Error::Replaced => {
                write!(f, "the primary was replaced or has ended while the request was under way: ask again")
            }
            Error::NoSuchWorker { worker } => write!(f, "there is no worker {worker}, or it has ended"),
            Error::Message { why } => write!(f, "the message does not fit: {why}; both sides must name the same type"),
            Error::System { attempt, source } => write!(f, "cannot {attempt}: {source}"),
        }
    }
}

/// What to do when we cannot listen somewhere.
fn advice(kind: io::ErrorKind, address: &ListenAddress) -> Option<&'static str> {
    use io::ErrorKind::{AddrInUse, AddrNotAvailable, AlreadyExists, NotFound, PermissionDenied};
    match (address, kind) {
        (ListenAddress::Tcp(_), AddrInUse) => Some("another program has this port: stop it or choose another"),
        (ListenAddress::Tcp(_), PermissionDenied) => Some("ports below 1024 need a privilege: choose another"),
        (ListenAddress::Tcp(_), AddrNotAvailable) => Some("this machine has no such address"),
        (_, AddrInUse) => Some("another program listens there: stop it or choose another path"),
        (_, AlreadyExists) => Some("remove it or choose another path"),
        (_, PermissionDenied) => Some("this user may not make a file there, or not give it to that group"),
        (_, NotFound) => Some("make its directory first"),
        _ => None,
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Process(source) => Some(source),
            Error::Channel(source) => Some(source),
            Error::PidFile(source) => Some(source),
            Error::Address { source, .. }
            | Error::Listen { source, .. }
            | Error::Given { source, .. }
            | Error::System { source, .. } => Some(source),
            Error::Worker(source) | Error::Primary(source) | Error::Settings(source) => Some(source.as_ref()),
            _ => None,
        }
    }
}

impl From<phalanx_process::Error> for Error {
    fn from(source: phalanx_process::Error) -> Error {
        Error::Process(source)
    }
}

impl From<phalanx_channel::Error> for Error {
    fn from(source: phalanx_channel::Error) -> Error {
        Error::Channel(source)
    }
}
