//! Listening sockets that a parent gave to us: systemd, or anybody else who knows `LISTEN_FDS` (sd_listen_fds(3)).

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::SocketType;

use super::listen::{FIRST_GIVEN, Given, Wanted, What};
use crate::Error;

/// The sockets that were given to this process and that nobody has asked for yet.
pub(super) struct GivenSockets(Vec<Option<(String, OwnedFd)>>);

impl GivenSockets {
    /// Takes what was given, if `wanted` asks for any of it.
    pub(super) fn take(wanted: &[Wanted]) -> Result<GivenSockets, Error> {
        if !wanted.iter().any(|wanted| matches!(wanted.what, What::Given(_))) {
            return Ok(GivenSockets(Vec::new()));
        }
        Ok(GivenSockets(phalanx_process::service::listen_fds()?.into_iter().map(Some).collect()))
    }

    /// Those that `given` names. Not blocking from now on.
    pub(super) fn find(&mut self, given: &Given, text: &str) -> Result<Vec<OwnedFd>, Error> {
        let found: Vec<OwnedFd> = self
            .0
            .iter_mut()
            .enumerate()
            .filter_map(|(index, socket)| {
                let asked = match given {
                    Given::All => true,
                    Given::Named(name) => socket.as_ref().is_some_and(|(its, _)| its == name),
                    Given::Number(number) => index + FIRST_GIVEN == *number,
                };
                if asked { socket.take() } else { None }
            })
            .map(|(_, socket)| socket)
            .collect();
        if found.is_empty() {
            return Err(Error::Setting { what: self.nothing(text) });
        }
        for socket in &found {
            check(socket).map_err(|source| Error::Given { text: text.to_owned(), source })?;
        }
        Ok(found)
    }

    fn nothing(&self, text: &str) -> String {
        let all = self.0.len();
        let names: Vec<&str> = self.0.iter().flatten().map(|(name, _)| name.as_str()).collect();
        let given = match all {
            0 => "no socket was given to this process (LISTEN_FDS is not set, or LISTEN_PID is another process)".into(),
            _ => format!("{all} were given; left are: {}", names.join(", ")),
        };
        format!("nothing to listen on for \"{text}\": {given}; start the program by a socket unit")
    }
}

/// A socket that we can accept from. Makes it non-blocking, for all who hold it: that is what everybody does with it.
fn check(socket: &OwnedFd) -> io::Result<()> {
    let wrong = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
    let kind = rustix::net::sockopt::socket_type(socket).map_err(|_| wrong("it is no socket"))?;
    if kind != SocketType::STREAM {
        return Err(wrong("it is no stream socket (ListenStream=)"));
    }
    if !rustix::net::sockopt::socket_acceptconn(socket)? {
        return Err(wrong("it does not listen (Accept=no is needed)"));
    }
    super::ListenAddress::of(socket)?;
    rustix::io::ioctl_fionbio(socket, true)?;
    Ok(())
}
