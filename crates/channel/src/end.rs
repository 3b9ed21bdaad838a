//! [`End`]: one end of a channel before it is used.

use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::error::system;
use crate::{Channel, Error, Options};

/// One end of a channel that nobody uses yet: exactly one descriptor. It can be inherited by a child, or be sent to one
/// over another channel, so that siblings talk without their parent.
pub struct End<Out, In> {
    socket: OwnedFd,
    types: PhantomData<fn(Out) -> In>,
}

impl<Out, In> End<Out, In> {
    #[allow(clippy::type_complexity)] // two ends, and no shorter way to say which is which
    /// Two ends of a new channel. What the one sends, the other receives.
    pub fn pair() -> Result<(End<Out, In>, End<In, Out>), Error> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (a, b) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(|source| system("create a socket pair", source))?;
        Ok((End { socket: a, types: PhantomData }, End { socket: b, types: PhantomData }))
    }

    /// The end behind a descriptor that came from [`into_descriptor`](End::into_descriptor), in whatever process.
    ///
    /// Errors: the descriptor is no Unix stream socket.
    pub fn from_descriptor(socket: OwnedFd) -> Result<End<Out, In>, Error> {
        let kind = sockopt::socket_type(&socket).and_then(|kind| Ok((kind, sockopt::socket_domain(&socket)?)));
        if kind != Ok((SocketType::STREAM, AddressFamily::UNIX)) {
            return Err(Error::Malformed("the descriptor is no Unix stream socket".into()));
        }
        rustix::io::ioctl_fionbio(&socket, true).map_err(|source| system("make the socket non-blocking", source))?;
        Ok(End { socket, types: PhantomData })
    }

    /// The descriptor, to hand it to another process. It is close-on-exec.
    pub fn into_descriptor(self) -> OwnedFd {
        self.socket
    }

    /// Begins to use the end, with the default [`Options`]. Call it inside a tokio runtime with I/O and time.
    pub fn open(self) -> Result<Channel<Out, In>, Error> {
        self.open_with(Options::default())
    }

    /// Begins to use the end. Call it inside a tokio runtime with I/O and time.
    pub fn open_with(self, options: Options) -> Result<Channel<Out, In>, Error> {
        Channel::over(self.socket, options)
    }
}

impl<Out, In> AsFd for End<Out, In> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl<Out, In> fmt::Debug for End<Out, In> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("End").field(&self.socket).finish()
    }
}
