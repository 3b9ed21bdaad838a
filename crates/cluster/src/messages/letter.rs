//! [`Letter`]: what travels on the line between a worker and the hub.
//!
//! On its way to the hub a letter names whom it is for, on its way from the hub whom it comes from. The body is opaque
//! to the hub. Workers of an older image hear the hub of a newer one after an upgrade: kinds are only added, at the end.

use std::fmt;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::WorkerId;

/// Somebody in the cluster who can be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Member {
    /// The code in the primary.
    Primary,
    /// A worker.
    Worker(WorkerId),
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Member::Primary => write!(f, "the primary's code"),
            Member::Worker(worker) => write!(f, "worker {worker}"),
        }
    }
}

/// What a letter is for. Ids are the asker's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Is this member there? Before the first letter to it.
    Knock,
    /// It is.
    Open,
    /// It is not, or not any more.
    Gone,
    /// A message.
    Message,
    /// A message to all other workers; answered with the number that it reached.
    Broadcast { id: u64 },
    /// A message that was sent to all.
    News,
    /// So many messages and bytes were taken.
    Taken { messages: u32, bytes: u64 },
    /// The same of news: between a worker and the hub only.
    NewsTaken { messages: u32, bytes: u64 },
    /// A message that wants an answer.
    Request { id: u64 },
    /// The answer.
    Answer { id: u64 },
    /// There will be none.
    Failed { id: u64, why: Failure },
    /// A connection, as descriptor; the body is its head.
    Connection { id: u64 },
    /// The connection is in the other's hands now.
    Accepted { id: u64 },
    /// The sender wants the connection back.
    Withdraw { id: u64 },
    /// Nobody here has it: it was never taken.
    Withdrawn { id: u64 },
    /// Which workers are there? Answered with their numbers.
    Who { id: u64 },
    /// Write nothing more on this line: another one comes.
    Pause,
    /// Nothing more will come on this line.
    Paused,
    /// No other line comes: go on with this one.
    Resume,
    /// A connection, as descriptor, for the member's HTTP server.
    ForServer { id: u64 },
}

/// Why a request has no answer, a connection no taker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Failure {
    /// The member is not there (any more).
    Gone,
    /// It dropped the request.
    Unanswered,
    /// More waits for the asker than may wait.
    TooMuch,
    /// The primary was replaced meanwhile.
    Replaced,
    /// The connection was taken back.
    Withdrawn,
    /// The member serves nothing.
    NoServer,
}

/// One letter.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Letter {
    pub(crate) member: Member,
    pub(crate) kind: Kind,
    pub(crate) body: Body,
    #[serde(skip)]
    pub(crate) descriptor: Option<OwnedFd>,
}

impl Letter {
    pub(crate) fn bare(member: Member, kind: Kind) -> Letter {
        Letter::new(member, kind, Body::default())
    }

    pub(crate) fn new(member: Member, kind: Kind, body: Body) -> Letter {
        Letter { member, kind, body, descriptor: None }
    }
}

/// Encoded bytes, shared by all who are to get them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Body(Arc<Vec<u8>>);

impl Body {
    pub(crate) fn new(bytes: Vec<u8>) -> Body {
        Body(Arc::new(bytes))
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self)
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Body, D::Error> {
        struct Bytes;
        impl serde::de::Visitor<'_> for Bytes {
            type Value = Body;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Body, E> {
                Ok(Body::new(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_comes_back_as_it_was() {
        let kind = Kind::Failed { id: u64::MAX, why: Failure::Unanswered };
        let letter = Letter::new(Member::Worker(WorkerId::new(7)), kind, Body::new(vec![0, 255, 3]));
        let bytes = postcard::to_stdvec(&letter).unwrap();
        let (back, rest) = postcard::take_from_bytes::<Letter>(&bytes).unwrap();
        assert!(rest.is_empty());
        assert_eq!((back.member, back.kind, &*back.body), (letter.member, kind, &[0, 255, 3][..]));
        assert!(postcard::from_bytes::<Letter>(&bytes[..bytes.len() - 1]).is_err());
    }
}
