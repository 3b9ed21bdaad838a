//! [`Pretender`]: a worker that speaks Node's wire by hand, and does as the test likes.

use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use phalanx_channel::Watched;
use phalanx_channel::node::{Value, json};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};

use super::stage::within;
use crate::WorkerId;

pub(super) const ACK: &str = r#"{"cmd":"NODE_HANDLE_ACK"}"#;
pub(super) const NACK: &str = r#"{"cmd":"NODE_HANDLE_NACK"}"#;

pub(super) struct Pretender {
    pub(super) id: WorkerId,
    socket: Watched,
    unread: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
}

impl Pretender {
    pub(super) fn new(id: WorkerId, socket: UnixStream) -> Pretender {
        socket.set_nonblocking(true).unwrap();
        let socket = Watched::for_both(socket.into()).unwrap();
        Pretender { id, socket, unread: Vec::new(), descriptors: VecDeque::new() }
    }

    /// Writes a line, or anything.
    pub(super) async fn say(&self, line: &str) {
        self.write(format!("{line}\n").as_bytes(), None).await;
    }

    pub(super) async fn say_with(&self, line: &str, descriptor: impl AsFd) {
        self.write(format!("{line}\n").as_bytes(), Some(descriptor.as_fd())).await;
    }

    async fn write(&self, mut bytes: &[u8], mut descriptor: Option<std::os::fd::BorrowedFd<'_>>) {
        within(async {
            while !bytes.is_empty() {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
                let mut ancillary = SendAncillaryBuffer::new(&mut space);
                let carried = descriptor.map(|descriptor| [descriptor]);
                if let Some(carried) = &carried {
                    ancillary.push(SendAncillaryMessage::ScmRights(carried));
                }
                let pieces = [std::io::IoSlice::new(bytes)];
                match rustix::net::sendmsg(&self.socket, &pieces, &mut ancillary, SendFlags::NOSIGNAL) {
                    Ok(count) => (bytes, descriptor) = (&bytes[count..], None),
                    Err(Errno::AGAIN) => self.socket.writable().await.unwrap().clear_ready(),
                    // We have done enough for the hall to hang up.
                    Err(Errno::PIPE | Errno::CONNRESET) => return,
                    Err(why) => panic!("{why}"),
                }
            }
        })
        .await;
    }

    /// The next message, with its descriptor; nothing at the end.
    pub(super) async fn hear(&mut self) -> Option<(Value, Option<OwnedFd>)> {
        within(async {
            loop {
                if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = self.unread.drain(..=end).collect();
                    let message: Value = json::decode(&line[..end]).unwrap();
                    let has = message.get("cmd") == Some(&"NODE_HANDLE".into());
                    let descriptor = if has { self.descriptors.pop_front() } else { None };
                    return Some((message, descriptor));
                }
                let mut ready = self.socket.readable().await.unwrap();
                let mut bytes = vec![0; 64 * 1024];
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
                let mut ancillary = RecvAncillaryBuffer::new(&mut space);
                let flags = RecvFlags::CMSG_CLOEXEC;
                match rustix::net::recvmsg(&self.socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags) {
                    Ok(received) if received.bytes == 0 => return None,
                    Ok(received) => {
                        self.unread.extend_from_slice(&bytes[..received.bytes]);
                        for message in ancillary.drain() {
                            if let RecvAncillaryMessage::ScmRights(rights) = message {
                                self.descriptors.extend(rights);
                            }
                        }
                    }
                    Err(Errno::AGAIN) => ready.clear_ready(),
                    Err(Errno::CONNRESET) => return None,
                    Err(why) => panic!("{why}"),
                }
            }
        })
        .await
    }

    /// The next connection: the number of its message.
    pub(super) async fn connection(&mut self) -> (u32, OwnedFd) {
        let (message, descriptor) = self.hear().await.unwrap();
        let inner = message.get("msg").unwrap();
        assert_eq!(inner.get("act"), Some(&"newconn".into()), "{message:?}");
        (inner.get("seq").and_then(Value::as_f64).unwrap() as u32, descriptor.unwrap())
    }

    /// Listens at this port, as the hall gives connections to it from then on.
    pub(super) async fn listen(&mut self, port: u16) -> Value {
        self.say(&format!(
            r#"{{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":"127.0.0.1","port":{port},"addressType":4,"backlog":511,"seq":1}}"#
        ))
        .await;
        let (answer, _) = self.hear().await.unwrap();
        assert_eq!(answer.get("ack"), Some(&1.into()));
        answer
    }

    pub(super) async fn answer(&self, seq: u32, accepted: bool) {
        self.say(&format!(r#"{{"cmd":"NODE_CLUSTER","ack":{seq},"accepted":{accepted},"seq":9}}"#)).await;
    }
}
