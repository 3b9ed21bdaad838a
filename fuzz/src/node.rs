//! Node's serializations without a socket, and a Node channel whose peer is hostile.

use std::os::fd::AsFd;
use std::time::Duration;

use phalanx_channel::node::{Error, NodeChannel, Serialization, Value};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::channel::{RUNTIME, let_the_others_run};
use crate::{Script, descriptors, watch};

/// Small, so that inputs reach it.
pub const LARGEST_MESSAGE: usize = 4096;

const INPUTS_A_CLOSE: usize = 16;

/// What a decoder gave, as far as it must not depend on the split.
#[derive(Debug, PartialEq)]
pub enum Taken {
    /// As text, because NaN is not equal to itself.
    Value(String),
    Refused,
    TooLarge,
}

/// How a serialization writes one value and reads it.
pub struct Codec {
    pub write: fn(&Value) -> Result<Vec<u8>, Error>,
    pub read: fn(&[u8]) -> Result<Value, Error>,
}

impl Codec {
    /// What was read can be written, and is read again as what was written. (JSON writes -0 as 0, as Node does, so the
    /// first reading is not compared.)
    fn keeps(&self, value: &Value) {
        let written =
            (self.write)(value).unwrap_or_else(|error| panic!("{value:?} was read and cannot be written: {error}"));
        let again = (self.read)(&written).unwrap_or_else(|error| panic!("{value:?} cannot be read again: {error}"));
        assert_eq!(Ok(&written), (self.write)(&again).as_ref().map_err(drop), "{value:?} came back as {again:?}");
    }
}

/// Notes what was taken; whether more may be there.
pub fn note(taken: Result<Option<Value>, Error>, codec: &Codec, into: &mut Vec<Taken>) -> bool {
    let (noted, more) = match taken {
        Ok(None) => return false,
        Ok(Some(value)) => {
            codec.keeps(&value);
            (Taken::Value(format!("{value:?}")), true)
        }
        Err(Error::TooLarge { .. }) => (Taken::TooLarge, false),
        Err(_) => (Taken::Refused, true),
    };
    into.push(noted);
    more
}

/// Receives the script through a socket, to the end.
pub fn receive_through_a_socket(script: &Script<'_>, serialization: Serialization) {
    RUNTIME.with(|runtime| runtime.block_on(receive(script, serialization)));
    watch::no_descriptor_stays_open();
}

async fn receive(script: &Script<'_>, serialization: Serialization) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .expect("a socket pair can be made");
    let channel: NodeChannel = NodeChannel::open(ours, serialization).expect("the socket becomes a channel");
    let hostile = async {
        for (piece, carried) in script.pieces() {
            if !descriptors::send(theirs.as_fd(), piece, carried) {
                break;
            }
            let_the_others_run().await;
        }
        drop(theirs);
    };
    let receiving = async { while let Ok(Some(_)) = channel.recv().await {} };
    tokio::time::timeout(watch::END_DEADLINE, async { tokio::join!(hostile, receiving) })
        .await
        .expect("the end is always reached");
    // To close may wait for the deadline: most inputs only drop the channel.
    if script.stream.len().is_multiple_of(INPUTS_A_CLOSE) {
        let _ = channel.close(Duration::from_millis(1)).await;
    }
}
