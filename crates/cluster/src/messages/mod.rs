//! Messages between the members of a cluster: any worker, and the code in the primary.
//!
//! ```text
//!   worker 1                           primary: hub                         worker 2
//!   Desk ── letters ── Line ═══════════ Line ─ relay ─ Line ═══════════ Line ── Inbox
//!    │ window to each other member        │ counts the same windows             │
//!    └──────────── what was taken is returned: room for more ◄──────────────────┘
//! ```
//!
//! Each worker has one line to the hub, and everything goes over it as a [`letter`]. Whoever sends has a **window** to
//! each other member: so much may be under way that the other's *program* has not taken yet. So a line is always read, a member that
//! does not take its messages holds up only those who write to it, and what waits anywhere is bounded:
//!
//! | for each sender and receiver | at most |
//! |---|---|
//! | messages that were not taken | [`WINDOW_MESSAGES`], and none more while they have [`WINDOW_BYTES`] |
//! | requests that were not answered | [`WINDOW_REQUESTS`] |
//! | connections that were not taken | [`WINDOW_CONNECTIONS`] |
//!
//! Errors: a sender waits [`SEND_DEADLINE`] for room, an asker [`ANSWER_DEADLINE`] for the answer.

mod desk;
mod inbox;
mod letter;
mod line;
mod passing;
mod post;
mod reply;

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use desk::{Asked, Cost, Desk, Posted, Receipt};
pub(crate) use inbox::{Entry, Inbox, What};
pub use inbox::{Incoming, Messages};
pub use letter::Member;
pub(crate) use letter::{Body, Failure, Kind, Letter};
pub(crate) use line::Line;
pub use passing::{NotPassed, Passable};
pub(crate) use passing::{Taker, pass};
pub(crate) use post::{BROADCASTS_AT_ONCE, Post};
pub use reply::Reply;

use crate::Error;

/// Messages of one member to another that the other has not taken.
pub(crate) const WINDOW_MESSAGES: u32 = 128;

/// While so many bytes were not taken, nothing more is sent to that member; the message that reaches it may be as large as
/// any.
pub(crate) const WINDOW_BYTES: u64 = 512 * 1024;

/// Requests of one member to another that were not answered.
pub(crate) const WINDOW_REQUESTS: u32 = 64;

/// Connections passed by one member to another that were not taken: each is a descriptor in the primary.
pub(crate) const WINDOW_CONNECTIONS: u32 = 16;

/// Largest message, encoded.
pub(crate) const LARGEST_MESSAGE: usize = 64 << 20;

/// How long a sender waits for a member that does not take its messages.
pub(crate) const SEND_DEADLINE: Duration = Duration::from_secs(5);

/// How long an asker waits for its answer.
pub(crate) const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// A message as it came, still encoded. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Message(Body);

impl Message {
    pub(crate) fn new(body: Body) -> Message {
        Message(body)
    }

    /// The message as a `T`, which must be the type that was sent.
    ///
    /// The encoding carries no types. What does not decode as a `T`, or leaves bytes over, is an
    /// [`Error::Message`]; the messages after it are not touched by that.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let wrong = |why: String| Error::Message {
            why: format!("{} bytes came that are no {}: {why}", self.0.len(), std::any::type_name::<T>()),
        };
        match postcard::take_from_bytes(&self.0) {
            Ok((value, [])) => Ok(value),
            Ok((_, left)) => Err(wrong(format!("{} bytes are left over", left.len()))),
            Err(why) => Err(wrong(why.to_string())),
        }
    }

    /// The encoded bytes (postcard).
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Encodes a user's message.
pub(crate) fn encode<T: Serialize + ?Sized>(message: &T) -> Result<Body, Error> {
    let bytes = postcard::to_stdvec(message).map_err(|why| Error::Message { why: why.to_string() })?;
    if bytes.len() > LARGEST_MESSAGE {
        let why = format!("it has {} bytes, a message may have {LARGEST_MESSAGE}", bytes.len());
        return Err(Error::Message { why });
    }
    Ok(Body::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_another_type_is_an_error_that_names_the_type() {
        let message = Message::new(encode(&vec![1u32, 2, 3]).unwrap());
        assert_eq!(message.decode::<Vec<u32>>().unwrap(), [1, 2, 3]);
        let error = message.decode::<u8>().unwrap_err().to_string();
        assert!(error.contains("no u8") && error.contains("3 bytes are left over"), "{error}");
        assert!(message.decode::<(String, String)>().is_err());
    }
}
