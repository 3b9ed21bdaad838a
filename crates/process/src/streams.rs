//! Our ends of a child's pipes, with back-pressure: who writes into a full pipe waits, on both sides.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::sync::Notify;

/// One of our ends.
#[derive(Debug)]
pub(crate) struct Pipe {
    registered: AsyncFd<OwnedFd>,
    let_go: AtomicBool,
    letting_go: Notify,
}

impl Pipe {
    /// The descriptor must be non-blocking. Inside a runtime.
    pub(crate) fn register(descriptor: OwnedFd, interest: Interest) -> io::Result<Arc<Pipe>> {
        // Nothing urgent ever comes through a pipe: waiting for that is waiting for its end, whether or not what came
        // before was read.
        let interest = interest.add(Interest::PRIORITY);
        // SAFETY: an `OwnedFd` names the same open file until it is dropped, and no method of `Pipe` lets it be replaced or
        // taken out while it is registered.
        let registered = unsafe { AsyncFd::register_with_interest(descriptor, interest) }?;
        Ok(Arc::new(Pipe { registered, let_go: AtomicBool::new(false), letting_go: Notify::new() }))
    }

    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.registered.poll_read_ready(cx))?;
            match guard.try_io(|pipe| Ok(rustix::io::read(pipe.get_ref(), buffer.initialize_unfilled())?)) {
                Ok(Ok(count)) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                // As the end: who wrote is gone, and what it left unread at its side does not matter here.
                Ok(Err(error)) if error.raw_os_error() == Some(libc::ECONNRESET) => return Poll::Ready(Ok(())),
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_not_now) => {}
            }
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.registered.poll_write_ready(cx))?;
            match guard.try_io(|pipe| Ok(rustix::io::write(pipe.get_ref(), bytes)?)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(result) => return Poll::Ready(result),
                Err(_not_now) => {}
            }
        }
    }

    fn let_go(&self) {
        self.let_go.store(true, Ordering::Release);
        self.letting_go.notify_waiters();
    }
}

/// Waits until nobody holds the other end any more, or we let go of ours.
pub(crate) async fn hung_up(pipe: &Weak<Pipe>) -> io::Result<()> {
    let Some(pipe) = pipe.upgrade() else { return Ok(()) };
    let letting_go = pipe.letting_go.notified();
    tokio::pin!(letting_go);
    letting_go.as_mut().enable();
    if pipe.let_go.load(Ordering::Acquire) {
        return Ok(());
    }
    tokio::select! {
        ready = pipe.registered.ready(Interest::PRIORITY) => ready.map(|_| ()),
        () = letting_go => Ok(()),
    }
}

macro_rules! end {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(pub(crate) Arc<Pipe>);

        impl Drop for $name {
            fn drop(&mut self) {
                self.0.let_go();
            }
        }

        impl AsFd for $name {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.0.registered.get_ref().as_fd()
            }
        }
    };
}

end! {
    /// Writes what the child reads from its standard input. Drop it to tell the child that there is no more.
    ChildStdin
}
end! {
    /// Reads what the child writes to its standard output or error.
    ///
    /// A child whose pipe is full (64 KiB) waits until it is read. Drop it, and who writes gets `EPIPE` or SIGPIPE.
    ChildOutput
}
end! {
    /// A two-way stream to the child, at one of its other descriptor numbers.
    ChildPipe
}

macro_rules! reads {
    ($name:ident) => {
        impl AsyncRead for $name {
            fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                self.0.poll_read(cx, buffer)
            }
        }
    };
}
reads!(ChildOutput);
reads!(ChildPipe);

impl AsyncWrite for ChildStdin {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, bytes)
    }

    /// Nothing is held back here: what was written is in the pipe.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// A pipe ends with its descriptor: drop it.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ChildPipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, bytes)
    }

    /// Nothing is held back here: what was written is in the socket.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The child reads the end; it can still write.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match rustix::net::shutdown(self.as_fd(), rustix::net::Shutdown::Write) {
            Ok(()) | Err(Errno::NOTCONN) => Poll::Ready(Ok(())),
            Err(source) => Poll::Ready(Err(source.into())),
        }
    }
}
