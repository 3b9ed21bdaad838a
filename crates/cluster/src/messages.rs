//! User messages between a worker and the primary's code: bounded, in order, and the sender feels a slow receiver.

use std::os::fd::AsFd;

use phalanx_channel::{Packets, Received, Watched};
use serde::Serialize;

use crate::Error;

/// One end of the messages between a worker and the primary's code, inside a runtime.
#[derive(Debug)]
pub(crate) struct MessagePipe {
    /// For readiness only; shares the socket of `packets`.
    readiness: Watched,
    packets: Packets,
}

impl MessagePipe {
    /// Must be called inside a runtime.
    pub(crate) fn new(packets: Packets) -> Result<MessagePipe, Error> {
        let copy = packets.as_fd().try_clone_to_owned();
        let readiness = copy.and_then(Watched::for_both);
        let readiness = readiness.map_err(Error::system("watch the message socket"))?;
        Ok(MessagePipe { readiness, packets })
    }

    /// Sends an encoded message; waits while the peer does not read.
    pub(crate) async fn send(&self, bytes: &Vec<u8>) -> Result<(), Error> {
        loop {
            let mut ready = self.readiness.writable().await.map_err(Error::system("wait for the message socket"))?;
            match self.packets.send(bytes, &[]) {
                Ok(()) => return Ok(()),
                Err(phalanx_channel::Error::Full) => ready.clear_ready(),
                Err(phalanx_channel::Error::Closed) => return Err(Error::NoPeer),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next message, still encoded; `None` when the peer is gone and all it sent was received.
    pub(crate) async fn receive(&self) -> Result<Option<Vec<u8>>, Error> {
        loop {
            let mut ready = self.readiness.readable().await.map_err(Error::system("wait for the message socket"))?;
            match self.packets.receive()? {
                Received::Message(bytes, _) => return Ok(Some(bytes)),
                Received::Closed => return Ok(None),
                Received::Nothing => ready.clear_ready(),
            }
        }
    }
}

/// Encodes a user's message.
pub(crate) fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, Error> {
    postcard::to_stdvec(message).map_err(|why| Error::Message { why: why.to_string() })
}
