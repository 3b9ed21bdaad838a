//! [`Options`] of a [`NodeChannel`](super::NodeChannel).

use std::time::Duration;

/// Which of Node's two serializations both ends use. There is no negotiation: both must be told the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Serialization {
    /// One line of JSON for each message; Node's default.
    #[default]
    Json,
    /// V8's structured clone: carries what JSON cannot (see [`Value`](super::Value)).
    Advanced,
}

impl Serialization {
    /// The value of the environment variable `NODE_CHANNEL_SERIALIZATION_MODE`.
    pub fn name(self) -> &'static str {
        match self {
            Serialization::Json => "json",
            Serialization::Advanced => "advanced",
        }
    }

    /// The serialization of this name; nothing for any other.
    pub fn from_name(name: &str) -> Option<Serialization> {
        [Serialization::Json, Serialization::Advanced].into_iter().find(|known| known.name() == name)
    }
}

/// What happens to incoming messages whose `cmd` begins with `NODE_` and that this end does not answer by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InternalMessages {
    /// They are dropped, as Node does it with those it does not know.
    #[default]
    Ignore,
    /// [`recv`](super::NodeChannel::recv) gives them out like others: for programs that speak the protocol of
    /// `node:cluster`.
    Deliver,
}

/// What is known of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PeerVersion {
    /// Nothing: it may be Node 18, which with [`Serialization::Advanced`] hears nothing any more once the length of a
    /// message was split over two of its reads. So a message is held back until the peer has read those before it (up to
    /// 32 KiB of messages that wait go together).
    #[default]
    Any,
    /// It is Node 20 or later, or no Node: messages follow each other at once.
    Node20OrLater,
}

/// How a channel behaves.
#[derive(Debug, Clone)]
pub struct Options {
    pub(super) largest_message: usize,
    pub(super) queued_bytes: usize,
    pub(super) send_deadline: Duration,
    pub(super) handle_deadline: Duration,
    pub(super) parcels_in_flight: usize,
    pub(super) internal_messages: InternalMessages,
    pub(super) peer: PeerVersion,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            largest_message: 64 * 1024 * 1024,
            queued_bytes: 1024 * 1024,
            send_deadline: Duration::from_secs(30),
            handle_deadline: Duration::from_secs(30),
            parcels_in_flight: 1,
            internal_messages: InternalMessages::Ignore,
            peer: PeerVersion::Any,
        }
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Options {
        Options::default()
    }

    /// Most bytes of a message, in both directions (default 64 MiB). The memory for an incoming one grows with what has
    /// come, never with what is announced. Node itself knows no limit.
    pub fn largest_message(mut self, bytes: usize) -> Options {
        self.largest_message = bytes;
        self
    }

    /// Most bytes that wait to be sent, and most that were received and not yet taken (default 1 MiB each). One message
    /// may always wait, whatever its size. When the first is full, [`send`](super::NodeChannel::send) waits; when the
    /// second is, this end does not read, so that the peer has to wait in its turn.
    pub fn queued_bytes(mut self, bytes: usize) -> Options {
        self.queued_bytes = bytes.max(1);
        self
    }

    /// How long a send waits for a peer that does not read (default 30 s).
    pub fn send_deadline(mut self, deadline: Duration) -> Options {
        self.send_deadline = deadline;
        self
    }

    /// How long to wait until the peer confirms a handle (default 30 s). Until then nothing else is sent, as Node has it.
    pub fn handle_deadline(mut self, deadline: Duration) -> Options {
        self.handle_deadline = deadline;
        self
    }

    /// Most [parcels](super::Parcel) that the peer has not confirmed (default 1, as Node has it). With more, messages and
    /// parcels follow each other without waiting, as far as Node certainly finds the right descriptor for each.
    pub fn parcels_in_flight(mut self, count: usize) -> Options {
        self.parcels_in_flight = count.max(1);
        self
    }

    /// What happens to messages of Node's own (default: they are dropped).
    pub fn internal_messages(mut self, internal_messages: InternalMessages) -> Options {
        self.internal_messages = internal_messages;
        self
    }

    /// What is known of the peer (default: nothing, so that messages with `advanced` are paced for Node 18).
    pub fn peer(mut self, peer: PeerVersion) -> Options {
        self.peer = peer;
        self
    }
}
