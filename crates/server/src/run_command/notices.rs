//! [`Notices`]: what an app that we started says of itself, by sd_notify(3), as if we were systemd.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;

use tokio::net::UnixDatagram;

/// Longer than any notice.
const LONGEST_NOTICE_BYTES: usize = 4096;

/// A socket for the notices of one process.
#[derive(Debug)]
pub(super) struct Notices {
    socket: UnixDatagram,
    address: String,
}

/// What matters of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// It serves.
    Ready,
    /// It replaces its workers.
    Reloading,
}

impl Notices {
    /// In the abstract namespace, under a name that nobody guesses: nothing is left behind.
    pub(super) fn open() -> io::Result<Notices> {
        let chance = getrandom::u64().map_err(io::Error::other)?;
        let name = format!("phalanx/{}/{chance:016x}", std::process::id());
        let socket = std::os::unix::net::UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        socket.set_nonblocking(true)?;
        Ok(Notices { socket: UnixDatagram::from_std(socket)?, address: format!("@{name}") })
    }

    /// For `NOTIFY_SOCKET`.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The next that matters.
    pub(super) async fn next(&self) -> Notice {
        let mut text = [0; LONGEST_NOTICE_BYTES];
        loop {
            // A socket that fails says nothing any more: whoever waits has other signs.
            let Ok(length) = self.socket.recv(&mut text).await else { return std::future::pending().await };
            if let Some(notice) = Notice::of(&text[..length]) {
                return notice;
            }
        }
    }
}

impl Notice {
    fn of(text: &[u8]) -> Option<Notice> {
        text.split(|byte| *byte == b'\n').find_map(|line| match line {
            b"READY=1" => Some(Notice::Ready),
            b"RELOADING=1" => Some(Notice::Reloading),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_an_app_says_is_heard() {
        let notices = Notices::open().unwrap();
        let name = notices.address().strip_prefix('@').unwrap();
        let app = std::os::unix::net::UnixDatagram::unbound().unwrap();
        app.connect_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap();
        for text in ["STATUS=starting", "READY=1\nSTATUS=serves", "RELOADING=1\nMONOTONIC_USEC=1"] {
            app.send(text.as_bytes()).unwrap();
        }
        assert_eq!((notices.next().await, notices.next().await), (Notice::Ready, Notice::Reloading));
    }
}
