//! Passing a connection to another worker.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::time::Instant;

use super::desk::failed;
use super::{Asked, Body, Cost, Desk, Failure, Kind, Letter, Member, SEND_DEADLINE};
use crate::Error;

/// A connection that can be passed: a TCP or Unix stream, of the standard library or of tokio, or any descriptor.
pub trait Passable: sealed::Sealed {
    #[doc(hidden)]
    fn into_descriptor(self) -> io::Result<OwnedFd>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! passable {
    ($($kind:ty: $socket:ident => $descriptor:expr;)*) => {$(
        impl sealed::Sealed for $kind {}
        impl Passable for $kind {
            fn into_descriptor(self) -> io::Result<OwnedFd> {
                let $socket = self;
                $descriptor
            }
        }
    )*};
}

passable! {
    OwnedFd: socket => Ok(socket);
    std::net::TcpStream: socket => Ok(socket.into());
    std::os::unix::net::UnixStream: socket => Ok(socket.into());
    tokio::net::TcpStream: socket => Ok(socket.into_std()?.into());
    tokio::net::UnixStream: socket => Ok(socket.into_std()?.into());
}

/// A connection that was not passed, and why. It is still ours.
#[derive(Debug)]
pub struct NotPassed {
    /// What went wrong.
    pub error: Error,
    /// The connection; nothing, if it could not even be taken out of its runtime.
    pub socket: Option<OwnedFd>,
}

impl fmt::Display for NotPassed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the connection was not passed: {}", self.error)
    }
}

impl std::error::Error for NotPassed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<NotPassed> for Error {
    fn from(not: NotPassed) -> Error {
        not.error
    }
}

/// To whom in the other worker a connection goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Taker {
    /// Its code.
    Code,
    /// Its HTTP server.
    Server,
}

/// Passes a connection, and keeps it until the other program has taken it.
pub(crate) async fn pass(
    desk: &Desk,
    socket: impl Passable,
    to: Member,
    taker: Taker,
    head: Result<Body, Error>,
) -> Result<(), NotPassed> {
    let socket = socket.into_descriptor().map_err(|source| NotPassed {
        error: Error::System { attempt: "take a connection out of its runtime", source },
        socket: None,
    })?;
    match offer(desk, &socket, to, taker, head).await {
        Ok(()) => Ok(()),
        Err(error) => Err(NotPassed { error, socket: Some(socket) }),
    }
}

async fn offer(
    desk: &Desk,
    socket: &OwnedFd,
    to: Member,
    taker: Taker,
    head: Result<Body, Error>,
) -> Result<(), Error> {
    let head = head?;
    let copy = socket.as_fd().try_clone_to_owned().map_err(Error::system("copy a connection's descriptor"))?;
    let until = Instant::now() + SEND_DEADLINE;
    desk.enter(to, Cost::Connection, until).await?;
    let (id, answer) = desk.ask(to, Asked::Connection, |id| {
        let kind = match taker {
            Taker::Code => Kind::Connection { id },
            Taker::Server => Kind::ForServer { id },
        };
        Letter { descriptor: Some(copy), ..Letter::new(to, kind, head) }
    });
    let mut answer = std::pin::pin!(answer);
    let answered = match tokio::time::timeout_at(until, answer.as_mut()).await {
        Ok(answered) => answered,
        // It must not be in two hands: whether the other has it is for the other to say, or for its end.
        Err(_) => {
            desk.post(Letter::bare(to, Kind::Withdraw { id }));
            answer.await
        }
    };
    answered.unwrap_or(Err(Failure::Replaced)).map(|_| ()).map_err(|why| failed(to, why))
}
