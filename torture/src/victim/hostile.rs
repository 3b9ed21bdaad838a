//! A worker that does not keep to the rules of its control connection.
//!
//! It takes the role itself instead of leaving that to the cluster, so that it holds the bare socket. Which rule it
//! breaks is the first word of the fault file, which it removes: one worker is hostile, its replacement is sound.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

use crate::settings::Settings;

/// Name of the role and of the descriptor in it, as the primary gives them.
const WORKER_ROLE: &str = "worker";
const CONTROL: &str = "control";

/// First byte of every packet of ours.
const FORMAT: u8 = 1;
/// `Online`, the message of a worker that needs no content.
const ONLINE: [u8; 2] = [FORMAT, 0];
/// Most descriptors that the kernel lets through with one message (`SCM_MAX_FD`).
const MOST_DESCRIPTORS: usize = 253;
/// How long a flood lasts if nobody ends it.
const FLOOD: Duration = Duration::from_secs(5);
/// How long a silent peer stays if nobody ends it.
const SILENCE: Duration = Duration::from_secs(3600);

/// Plays a hostile worker and does not return, if the fault file asks for one.
pub(crate) fn perhaps(settings: &Settings) {
    let Some(file) = &settings.fault_file else { return };
    let Ok(text) = std::fs::read_to_string(file) else { return };
    let word = text.split_whitespace().next().unwrap_or_default();
    let Some(act) = act(word) else { return };
    // Whoever removes the file is the one.
    if std::fs::remove_file(file).is_err() {
        return;
    }
    let role = phalanx_process::take_role(WORKER_ROLE);
    let Some(socket) = role.and_then(|mut role| role.take(CONTROL).ok()) else { return };
    act(&socket);
    std::thread::sleep(SILENCE);
    std::process::exit(0)
}

fn act(word: &str) -> Option<fn(&OwnedFd)> {
    Some(match word {
        "hostile-flood" => flood,
        "hostile-half" => |socket| send(socket, &[FORMAT]),
        "hostile-noise" => |socket| send(socket, &[0xA5; 4096]),
        "hostile-huge" => |socket| send(socket, &vec![FORMAT; 150 * 1024]),
        "hostile-version" => |socket| send(socket, &[FORMAT + 1, 0]),
        "hostile-lying-length" => |socket| send(socket, &[FORMAT, 3, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, b'x']),
        "hostile-empty" => |socket| send(socket, &[]),
        "hostile-descriptors" => descriptors,
        "hostile-silent" => |_| {},
        "hostile-closed" => |socket| {
            let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
        },
        _ => return None,
    })
}

/// Valid messages as fast as the socket takes them.
fn flood(socket: &OwnedFd) {
    let end = Instant::now() + FLOOD;
    while Instant::now() < end {
        let _ = rustix::net::send(socket, &ONLINE, SendFlags::NOSIGNAL);
    }
}

/// A valid message with as many descriptors as fit, a thousand times.
fn descriptors(socket: &OwnedFd) {
    let copies: Vec<BorrowedFd<'_>> = vec![socket.as_fd(); MOST_DESCRIPTORS];
    for _ in 0..1000 {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&copies));
        let _ = rustix::net::sendmsg(socket, &[IoSlice::new(&ONLINE)], &mut ancillary, SendFlags::NOSIGNAL);
    }
}

fn send(socket: &OwnedFd, bytes: &[u8]) {
    let _ = rustix::net::send(socket, bytes, SendFlags::NOSIGNAL);
}
