//! [`parent`]: the child's side of a fork.

use std::time::Duration;

use phalanx_channel::node::NodeChannel;
use phalanx_channel::{Channel, DescriptorPolicy, End, Options};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fork::CHANNEL;
use crate::{Error, node_parent, role, take_role};

/// Our end of the channel to the process that forked us: a Phalanx parent ([`fork`](crate::fork)), or a Node.js parent
/// (`child_process.fork(…, {execPath})` or `spawn(…, {stdio: […, 'ipc']})`).
///
/// The same program works under both: what is common stands here, what only one can do is reached by `match`.
#[derive(Debug, Clone)]
pub enum Parent<Out, In> {
    /// It uses Phalanx too.
    Phalanx(Channel<Out, In>),
    /// It is Node.js.
    Node(NodeChannel<Out, In>),
}

/// Takes our end of the channel to the process that forked us. Once; inside a tokio runtime with I/O and time, after
/// [`init`](crate::init).
///
/// Errors: [`Error::NoParent`] if nobody forked us, or it was taken before.
pub fn parent<Out, In>() -> Result<Parent<Out, In>, Error> {
    if let Some(mut role) = role().filter(|name| name.starts_with(crate::fork::FORKED)).and_then(take_role) {
        let end = End::from_descriptor(role.take(CHANNEL)?).map_err(Error::Channel)?;
        let options = Options::default().descriptors(DescriptorPolicy::Accept);
        return Ok(Parent::Phalanx(end.open_with(options).map_err(Error::Channel)?));
    }
    match node_parent::take() {
        Some((socket, serialization)) => {
            Ok(Parent::Node(NodeChannel::open(socket, serialization).map_err(Error::NodeChannel)?))
        }
        None => Err(Error::NoParent),
    }
}

impl<Out: Serialize + 'static, In> Parent<Out, In> {
    /// Sends one message. Under Phalanx it is the kernel's when this returns; under Node it is queued, and
    /// [`close`](Parent::close) sees to what is left.
    pub async fn send(&self, value: &Out) -> Result<(), Error> {
        match self {
            Parent::Phalanx(channel) => channel.send(value).await.map_err(Error::Channel),
            Parent::Node(channel) => channel.send(value).await.map_err(Error::NodeChannel),
        }
    }
}

impl<Out, In: DeserializeOwned + 'static> Parent<Out, In> {
    /// Waits for the next message. `None` is the end: the parent closed its end or is gone. A well-behaved child then ends.
    ///
    /// What came beside the value (payload, descriptors, a handle, the wish for an answer) is dropped: a child that expects
    /// such receives from the channel itself.
    pub async fn recv(&self) -> Result<Option<In>, Error> {
        match self {
            Parent::Phalanx(channel) => Ok(channel.recv().await.map_err(Error::Channel)?.map(|message| message.value)),
            Parent::Node(channel) => Ok(channel.recv().await.map_err(Error::NodeChannel)?.map(|message| message.value)),
        }
    }
}

impl<Out, In> Parent<Out, In> {
    /// Sends what is left, for at most `deadline`, and closes our end. Call it before the program ends: what was sent then
    /// arrives.
    pub async fn close(self, deadline: Duration) -> Result<(), Error> {
        match self {
            Parent::Phalanx(channel) => channel.close(deadline).await.map_err(Error::Channel),
            Parent::Node(channel) => channel.close(deadline).await.map_err(Error::NodeChannel),
        }
    }
}
