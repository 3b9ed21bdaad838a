//! [`Watched`]: a descriptor whose readiness can be awaited.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

/// A descriptor inside a tokio runtime, for what the runtime has no type for: packet sockets, timers, listeners that
/// are looked at before they are accepted from.
#[derive(Debug)]
pub struct Watched {
    registered: AsyncFd<OwnedFd>,
}

impl Watched {
    /// Watches a non-blocking descriptor for reading. Must be called inside a runtime with I/O.
    pub fn for_reading(descriptor: OwnedFd) -> io::Result<Watched> {
        Watched::register(descriptor, Interest::READABLE)
    }

    /// Watches a non-blocking descriptor for reading and writing. Must be called inside a runtime with I/O.
    pub fn for_both(descriptor: OwnedFd) -> io::Result<Watched> {
        Watched::register(descriptor, Interest::READABLE | Interest::WRITABLE)
    }

    fn register(descriptor: OwnedFd, interest: Interest) -> io::Result<Watched> {
        // SAFETY: an `OwnedFd` names the same open file until it is dropped, and no method of `Watched` lets it be
        // replaced or taken out while it is registered.
        let registered = unsafe { AsyncFd::register_with_interest(descriptor, interest) }?;
        Ok(Watched { registered })
    }

    /// Waits until something can be read, or the peer is gone. Clear the guard when a read says that nothing is there.
    pub async fn readable(&self) -> io::Result<AsyncFdReadyGuard<'_, OwnedFd>> {
        self.registered.readable().await
    }

    /// Waits until something can be written, or the peer is gone. Clear the guard when a write says that it cannot.
    pub async fn writable(&self) -> io::Result<AsyncFdReadyGuard<'_, OwnedFd>> {
        self.registered.writable().await
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.registered.get_ref().as_fd()
    }
}
