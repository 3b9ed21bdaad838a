//! A bare socket pair: nothing is encoded, nothing is framed. No typed channel over a socket can be quicker.

use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;
use std::time::{Duration, Instant};

use measuring::{During, Failure, Meter, Report, Schedule};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::Connection;
use crate::Measure;
use crate::peer::{Peer, inherited};

const MESSAGE_BYTES: usize = 64;
/// As long as a phalanx channel looks by default.
const SPIN: Duration = Duration::from_micros(20);

/// How an end waits for the next message.
#[derive(Clone, Copy)]
enum Waiting {
    SpinThenSleep,
    Sleep,
}

impl Connection {
    fn waiting(self) -> Waiting {
        if self == Connection::Socketpair { Waiting::SpinThenSleep } else { Waiting::Sleep }
    }
}

pub(super) fn drive(
    connection: Connection,
    measure: Measure,
    schedule: Schedule,
    peer_core: usize,
) -> Result<Report, Failure> {
    if measure != Measure::PingPong {
        return Err(Failure::new("a bare socket pair is only asked for round trips"));
    }
    let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .during("create a socket pair")?;
    let _peer = Peer::start(peer_core, connection, measure, None, Stdio::from(theirs))?;
    let mut message = [7; MESSAGE_BYTES];
    let mut meter = Meter::start(schedule);
    loop {
        send(&ours, &message)?;
        if !receive(&ours, &mut message, connection.waiting())? {
            return Err(Failure::new("the peer ended early"));
        }
        if let Some(report) = meter.one_more() {
            return Ok(report);
        }
    }
}

pub(super) fn answer(connection: Connection) -> Result<(), Failure> {
    let socket = inherited()?;
    let mut message = [0; MESSAGE_BYTES];
    while receive(&socket, &mut message, connection.waiting())? {
        send(&socket, &message)?;
    }
    Ok(())
}

/// So small a message goes in one piece into the empty buffer of a ping-pong.
fn send(socket: &OwnedFd, message: &[u8; MESSAGE_BYTES]) -> Result<(), Failure> {
    let sent = rustix::net::send(socket, message, SendFlags::NOSIGNAL).during("send a message")?;
    if sent == MESSAGE_BYTES { Ok(()) } else { Err(Failure::new(format!("only {sent} bytes were sent"))) }
}

/// Fills `message`; false at the end of the connection.
fn receive(socket: &OwnedFd, message: &mut [u8; MESSAGE_BYTES], waiting: Waiting) -> Result<bool, Failure> {
    let mut filled = 0;
    while filled < MESSAGE_BYTES {
        match receive_some(socket, &mut message[filled..], waiting).during("receive a message")? {
            0 => return Ok(false),
            count => filled += count,
        }
    }
    Ok(true)
}

fn receive_some(socket: &OwnedFd, into: &mut [u8], waiting: Waiting) -> Result<usize, Errno> {
    if let Waiting::SpinThenSleep = waiting {
        let until = Instant::now() + SPIN;
        loop {
            match rustix::net::recv(socket.as_fd(), &mut *into, RecvFlags::DONTWAIT) {
                Err(Errno::AGAIN) if Instant::now() < until => std::hint::spin_loop(),
                Err(Errno::AGAIN) => break,
                received => return Ok(received?.0),
            }
        }
    }
    Ok(rustix::net::recv(socket.as_fd(), into, RecvFlags::empty())?.0)
}
