//! [`Message`]: what is sent.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::JobId;

/// The id of a message, given by its sender: sending the same one again after an error is harmless where the broker keeps ids
/// (embedded, PostgreSQL).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageId(pub JobId);

/// A message: a body of raw bytes, and what a broker carries beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its id: a new one for each message.
    pub id: MessageId,
    /// The bytes, as any program sees them.
    #[serde(with = "crate::bytes")]
    pub body: Vec<u8>,
    /// Headers by name: AMQP's header table, Kafka's record headers. Values are bytes; a header that a foreign program wrote in
    /// another type comes as its text.
    pub headers: BTreeMap<String, Vec<u8>>,
    /// 0 to 9, 9 first; where the broker has [priorities](crate::Capability::Priority).
    pub priority: u8,
    /// Messages with the same key keep their order on Kafka (they go to one partition); ignored elsewhere.
    pub key: Option<Vec<u8>>,
    /// `content-type` of AMQP.
    pub content_type: Option<String>,
    /// `reply-to` of AMQP: the queue in which an answer is awaited.
    pub reply_to: Option<String>,
    /// `correlation-id` of AMQP.
    pub correlation_id: Option<String>,
}

impl Message {
    /// A message with this body, and nothing else.
    pub fn new(body: impl Into<Vec<u8>>) -> Message {
        Message {
            id: MessageId(JobId::new()),
            body: body.into(),
            headers: BTreeMap::new(),
            priority: phalanx_task::Priority::DEFAULT.level(),
            key: None,
            content_type: None,
            reply_to: None,
            correlation_id: None,
        }
    }

    /// Sets a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Message {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// Sets the priority, 0 to 9.
    pub fn priority(mut self, level: u8) -> Message {
        self.priority = level.min(phalanx_task::Priority::HIGHEST.level());
        self
    }

    /// Sets the key of its order.
    pub fn key(mut self, key: impl Into<Vec<u8>>) -> Message {
        self.key = Some(key.into());
        self
    }
}

impl From<&str> for Message {
    fn from(body: &str) -> Message {
        Message::new(body)
    }
}

impl From<Vec<u8>> for Message {
    fn from(body: Vec<u8>) -> Message {
        Message::new(body)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
