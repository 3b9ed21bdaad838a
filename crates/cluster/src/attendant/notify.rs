//! [`Notifications`]: what a program says of itself on `NOTIFY_SOCKET` (sd_notify(3)).

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use phalanx_channel::Watched;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketAddrUnix, SocketFlags, SocketType,
    sockopt,
};
use rustix::rand::GetRandomFlags;

/// Longest notification, in bytes; systemd reads as much.
const LONGEST: usize = 4096;

/// Where a program finds the name of its socket.
pub(crate) const VARIABLE: &str = "NOTIFY_SOCKET";

/// What a program says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// `READY=1`
    Ready,
    /// `STOPPING=1`
    Stopping,
    /// `WATCHDOG=1`
    Alive,
    /// `STATUS=…`
    Status(String),
}

/// A socket for the notifications of one program, and its name as `NOTIFY_SOCKET` holds it. It has no file: the name is abstract.
/// It is random, because what a program leaves behind is known by it: the kernel's own choices come again in other network
/// namespaces and at other times.
pub(crate) fn socket() -> io::Result<(OwnedFd, String)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    sockopt::set_socket_passcred(&socket, true)?;
    let mut random = [0; 16];
    rustix::rand::getrandom(&mut random, GetRandomFlags::empty())?;
    let chosen = format!("phalanx-notify-{:032x}", u128::from_ne_bytes(random));
    rustix::net::bind(&socket, &SocketAddrUnix::new_abstract_name(chosen.as_bytes())?)?;
    let name = name(&socket)?;
    Ok((socket, name))
}

fn name(socket: &impl AsFd) -> io::Result<String> {
    let address = SocketAddrUnix::try_from(rustix::net::getsockname(socket)?)?;
    let name = address.abstract_name().and_then(|name| std::str::from_utf8(name).ok());
    Ok(format!("@{}", name.ok_or_else(|| io::Error::other("the socket has no name"))?))
}

/// The attendant's side of such a socket.
#[derive(Debug)]
pub(super) struct Notifications(Watched);

impl Notifications {
    pub(super) fn open(socket: OwnedFd) -> io::Result<Notifications> {
        Ok(Notifications(Watched::for_reading(socket)?))
    }

    /// The value of `NOTIFY_SOCKET` for its program: nobody else has it as long as this lives.
    pub(super) fn name(&self) -> io::Result<String> {
        name(&self.0)
    }

    /// The next notification of somebody who may speak for the program: root, or the user that it or we run as.
    pub(super) async fn next(&self, program_user: Option<u32>) -> io::Result<Vec<Said>> {
        loop {
            let mut ready = self.0.readable().await?;
            match self.receive() {
                Ok((text, user)) => {
                    let own = rustix::process::geteuid().as_raw();
                    if user.is_some_and(|user| user == 0 || user == own || Some(user) == program_user) {
                        return Ok(parse(&text));
                    }
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn receive(&self) -> rustix::io::Result<(Vec<u8>, Option<u32>)> {
        let mut bytes = vec![0; LONGEST];
        // A program may store descriptors with its service manager; here they are closed.
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1), ScmRights(8))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received = rustix::net::recvmsg(self.0.as_fd(), &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags)?;
        let user = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmCredentials(credentials) => Some(credentials.uid.as_raw()),
            _ => None,
        });
        bytes.truncate(received.bytes);
        Ok((bytes, user))
    }
}

fn parse(text: &[u8]) -> Vec<Said> {
    let lines = text.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| match line {
            b"READY=1" => Some(Said::Ready),
            b"STOPPING=1" => Some(Said::Stopping),
            b"WATCHDOG=1" => Some(Said::Alive),
            _ => line.strip_prefix(b"STATUS=").map(|status| Said::Status(String::from_utf8_lossy(status).into_owned())),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_names_are_alike_not_even_after_each_other() {
        let name = || socket().unwrap().1;
        assert_ne!(name(), name());
    }

    #[tokio::test]
    async fn what_is_sent_to_the_name_is_heard() {
        let (socket, name) = socket().unwrap();
        let heard = Notifications::open(socket).unwrap();
        let sender = std::os::unix::net::UnixDatagram::unbound().unwrap();
        let address =
            <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(&name[1..])
                .unwrap();
        sender.send_to_addr(b"STATUS=up\nREADY=1\nX_OTHER=3\n", &address).unwrap();
        assert_eq!(heard.next(None).await.unwrap(), [Said::Status("up".into()), Said::Ready]);
    }
}
