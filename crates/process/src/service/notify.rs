//! [`Notify`]: what we tell the service manager.

use std::ffi::OsString;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use rustix::time::ClockId;

use crate::Error;

const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";
const WATCHDOG_VARIABLE: &str = "WATCHDOG_USEC";
const WATCHDOG_PID_VARIABLE: &str = "WATCHDOG_PID";

/// Most descriptors in one message, by the kernel (`SCM_MAX_FD`).
const MAX_DESCRIPTORS: usize = 253;

/// Most bytes of a status: it is one line for people.
const MAX_STATUS: usize = 1024;

/// The service manager that started this process and wants to know how it is (`Type=notify` or `notify-reload`).
///
/// Nothing here ever waits: a manager that does not read its socket is an error, and what was to be said is lost.
///
/// ```no_run
/// use phalanx_process::service::Notify;
///
/// if let Some(manager) = Notify::from_environment()? {
///     manager.ready("serving on 127.0.0.1:3000 with 8 workers")?;
/// }
/// # Ok::<(), phalanx_process::Error>(())
/// ```
#[derive(Debug)]
pub struct Notify {
    socket: OwnedFd,
    manager: SocketAddrUnix,
}

impl Notify {
    /// The manager that `NOTIFY_SOCKET` names, a path or an abstract name (`@name`); `None` if there is none. The variable
    /// stays: the next [image](crate::upgrade) of this process needs it. (Children in a role do not get it.)
    ///
    /// Errors: an address of another kind, no more descriptors.
    pub fn from_environment() -> Result<Option<Notify>, Error> {
        std::env::var_os(SOCKET_VARIABLE).filter(|address| !address.is_empty()).map(Notify::to).transpose()
    }

    fn to(address: OsString) -> Result<Notify, Error> {
        let bad = |why: &str| Error::BadHandOver {
            variable: SOCKET_VARIABLE,
            why: format!("\"{}\" {why}", address.display()),
        };
        let manager = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name),
            [b'/', ..] => SocketAddrUnix::new(address.as_os_str()),
            _ => return Err(bad("is neither a path nor an abstract name")),
        };
        let manager =
            manager.map_err(|errno| bad(&format!("cannot be an address: {}", std::io::Error::from(errno))))?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)
            .map_err(|source| Error::system("create a socket to the service manager", source))?;
        Ok(Notify { socket, manager })
    }

    /// We serve: after the start, and after each [`reloading`](Notify::reloading), whether or not that changed anything.
    pub fn ready(&self, status: &str) -> Result<(), Error> {
        self.say(&format!("READY=1\nSTATUS={}", one_line(status)))
    }

    /// A reload begins.
    pub fn reloading(&self, status: &str) -> Result<(), Error> {
        // The manager tells by the time that this is the answer to its own order (`Type=notify-reload`).
        let now = rustix::time::clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1_000;
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS={}", one_line(status)))
    }

    /// We end.
    pub fn stopping(&self, status: &str) -> Result<(), Error> {
        self.say(&format!("STOPPING=1\nSTATUS={}", one_line(status)))
    }

    /// One line for people, which `systemctl status` shows.
    pub fn status(&self, status: &str) -> Result<(), Error> {
        self.say(&format!("STATUS={}", one_line(status)))
    }

    /// We live: at least every [`watchdog_interval`].
    pub fn watchdog(&self) -> Result<(), Error> {
        self.say("WATCHDOG=1")
    }

    /// Another process is the main one from now on.
    pub fn main_pid(&self, pid: u32) -> Result<(), Error> {
        self.say(&format!("MAINPID={pid}"))
    }

    /// Lets the manager keep copies of these descriptors under `name`: it gives them back by
    /// [`listen_fds`](super::listen_fds) when it starts us again, even after a crash (`FileDescriptorStoreMax=`).
    ///
    /// Errors: more than 253 at once, a name that is not 1 to 255 visible ASCII characters without `:`.
    pub fn store(&self, name: &str, descriptors: &[BorrowedFd<'_>]) -> Result<(), Error> {
        check_name(name)?;
        self.send(&format!("FDSTORE=1\nFDNAME={name}"), descriptors)
    }

    /// The manager drops what it keeps under `name`.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        check_name(name)?;
        self.say(&format!("FDSTOREREMOVE=1\nFDNAME={name}"))
    }

    fn say(&self, what: &str) -> Result<(), Error> {
        self.send(what, &[])
    }

    fn send(&self, what: &str, descriptors: &[BorrowedFd<'_>]) -> Result<(), Error> {
        let failed = |source: std::io::Error| {
            let first = what.lines().next().unwrap_or_default();
            Error::system(format!("tell the service manager {first}"), source)
        };
        if descriptors.len() > MAX_DESCRIPTORS {
            let why = format!("{} descriptors at once, at most {MAX_DESCRIPTORS} are possible", descriptors.len());
            return Err(failed(std::io::Error::other(why)));
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(failed(std::io::Error::other("there is no room for the descriptors")));
        }
        let text = [IoSlice::new(what.as_bytes())];
        // To the address, not over a connection: the manager may open its socket anew.
        rustix::net::sendmsg_addr(&self.socket, &self.manager, &text, &mut control, SendFlags::NOSIGNAL)
            .map(drop)
            .map_err(|errno| failed(errno.into()))
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    let is_good = (1..=255).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    if is_good {
        return Ok(());
    }
    let why = std::io::Error::other("use 1 to 255 visible ASCII characters without ':'");
    Err(Error::system(format!("store descriptors under the name {name:?}"), why))
}

/// A line break would begin another notice.
fn one_line(status: &str) -> String {
    let mut line = status.replace(['\n', '\r'], " ");
    let end = (0..=MAX_STATUS.min(line.len())).rev().find(|end| line.is_char_boundary(*end)).unwrap_or(0);
    line.truncate(end);
    line
}

/// How often to call [`Notify::watchdog`]: half of what the manager waits for. `None` if it does not watch this process.
pub fn watchdog_interval() -> Option<Duration> {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let meant = std::env::var_os(WATCHDOG_PID_VARIABLE)
        .is_none_or(|_| number(WATCHDOG_PID_VARIABLE) == Some(std::process::id().into()));
    number(WATCHDOG_VARIABLE).filter(|micros| meant && *micros > 1).map(|micros| Duration::from_micros(micros / 2))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use super::*;

    fn pair(path: &std::path::Path) -> (Notify, UnixDatagram) {
        (Notify::to(path.into()).unwrap(), UnixDatagram::bind(path).unwrap())
    }

    fn heard(manager: &UnixDatagram) -> String {
        let mut bytes = [0; 4096];
        manager.set_nonblocking(true).unwrap();
        let count = manager.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    #[test]
    fn notices_are_said_as_systemd_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let (notify, manager) = pair(&folder.path().join("notify"));
        notify.ready("serving").unwrap();
        assert_eq!(heard(&manager), "READY=1\nSTATUS=serving");
        notify.reloading("worker 1\nREADY=1").unwrap();
        let said = heard(&manager);
        let micros = said.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().split('\n').next().unwrap();
        assert!(micros.parse::<u64>().unwrap() > 0);
        assert!(said.ends_with("\nSTATUS=worker 1 READY=1"), "{said}");
        notify.stopping("told to").unwrap();
        assert_eq!(heard(&manager), "STOPPING=1\nSTATUS=told to");
        notify.watchdog().unwrap();
        assert_eq!(heard(&manager), "WATCHDOG=1");
        notify.main_pid(7).unwrap();
        assert_eq!(heard(&manager), "MAINPID=7");
        notify.status(&"ä".repeat(1000)).unwrap();
        assert_eq!(heard(&manager).len(), "STATUS=".len() + MAX_STATUS);
        notify.remove("web").unwrap();
        assert_eq!(heard(&manager), "FDSTOREREMOVE=1\nFDNAME=web");
    }

    #[test]
    fn descriptors_are_passed_with_their_name() {
        let folder = tempfile::tempdir().unwrap();
        let (notify, manager) = pair(&folder.path().join("notify"));
        let (one, two) = UnixDatagram::pair().unwrap();
        notify.store("web", &[one.as_fd(), two.as_fd()]).unwrap();
        let mut bytes = [0; 64];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = rustix::net::RecvAncillaryBuffer::new(&mut space);
        let mut text = [std::io::IoSliceMut::new(&mut bytes)];
        let received =
            rustix::net::recvmsg(&manager, &mut text, &mut control, rustix::net::RecvFlags::CMSG_CLOEXEC).unwrap();
        assert_eq!(&bytes[..received.bytes], b"FDSTORE=1\nFDNAME=web");
        let descriptors = control.drain().map(|message| match message {
            rustix::net::RecvAncillaryMessage::ScmRights(descriptors) => descriptors.count(),
            _ => 0,
        });
        assert_eq!(descriptors.sum::<usize>(), 2);
        assert!(notify.store("a:b", &[]).is_err() && notify.store("", &[]).is_err());
        assert!(notify.store("web", &[one.as_fd(); MAX_DESCRIPTORS + 1]).is_err());
    }

    #[test]
    fn a_manager_that_does_not_read_or_is_gone_is_an_error_and_never_a_wait() {
        let name = format!("phalanx-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let notify = Notify::to(format!("@{name}").into()).unwrap();
        notify.watchdog().unwrap();
        assert_eq!(heard(&manager), "WATCHDOG=1");
        let refused = (0..1_000_000).find_map(|_| notify.watchdog().err()).unwrap();
        assert!(refused.to_string().contains("tell the service manager WATCHDOG=1"), "{refused}");
        drop(manager);
        assert!(notify.watchdog().is_err());
        for address in ["vsock:2:1234", "relative", "@"] {
            let _ = Notify::to(address.into()).map(|notify| notify.watchdog().unwrap_err());
        }
    }
}
