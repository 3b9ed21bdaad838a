//! What travels: [`Message`] on arrival, [`Attachments`] on departure, [`Ticket`] in between.

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Weak;

use crate::wire::Wire;

/// A message that has arrived.
#[derive(Debug)]
#[non_exhaustive]
pub struct Message<In> {
    /// What the peer sent.
    pub value: In,
    /// Bytes beside the value; empty unless the peer attached some.
    pub payload: Vec<u8>,
    /// Descriptors beside the value (close-on-exec); none unless the peer attached some and this end accepts them.
    pub descriptors: Vec<OwnedFd>,
    /// The right to answer, if the peer asked for an answer: hand it to [`Channel::reply`](crate::Channel::reply).
    pub ticket: Option<Ticket>,
}

/// The right to answer one request. Dropped, it tells the peer that there will be no answer.
pub struct Ticket {
    id: u32,
    wire: Weak<Wire>,
}

impl Ticket {
    pub(crate) fn new(id: u32, wire: Weak<Wire>) -> Ticket {
        Ticket { id, wire }
    }

    pub(crate) fn is_of(&self, wire: &std::sync::Arc<Wire>) -> bool {
        std::ptr::eq(self.wire.as_ptr(), std::sync::Arc::as_ptr(wire))
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// The answer was sent: the drop says nothing any more.
    pub(crate) fn redeem(mut self) {
        self.wire = Weak::new();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(wire) = self.wire.upgrade() {
            wire.say_unanswered(self.id);
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ticket").field(&self.id).finish()
    }
}

/// What goes beside a value.
///
/// ```
/// use phalanx_channel::Attachments;
///
/// let file = std::fs::File::open("/proc/self/exe")?;
/// let beside = Attachments::payload(&[0; 1_000_000]).descriptor(file);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Attachments<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) descriptors: Vec<OwnedFd>,
}

impl<'a> Attachments<'a> {
    /// Nothing.
    pub fn none() -> Attachments<'a> {
        Attachments::default()
    }

    /// Bytes. They are neither encoded nor decoded; if there are many they cross in shared memory.
    pub fn payload(bytes: &'a [u8]) -> Attachments<'a> {
        Attachments { payload: bytes, descriptors: Vec::new() }
    }

    /// One more descriptor. The peer gets a copy; ours is closed once it is sent.
    pub fn descriptor(mut self, descriptor: impl Into<OwnedFd>) -> Attachments<'a> {
        self.descriptors.push(descriptor.into());
        self
    }
}
