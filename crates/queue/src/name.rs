//! [`QueueName`]: what a queue may be called, on every broker.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Longest name of a queue, in bytes: Kafka's topics have 249, and we append a few.
const LONGEST: usize = 200;

/// The name of a queue: 1 to 200 letters, digits, `.`, `_` and `-` (what Kafka allows); not `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QueueName(String);

impl QueueName {
    /// This name, if it can be one.
    pub fn new(name: impl Into<String>) -> Result<QueueName, Error> {
        let name = name.into();
        let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let is_one = (1..=LONGEST).contains(&name.len()) && name.chars().all(is_good) && name != "." && name != "..";
        if is_one { Ok(QueueName(name)) } else { Err(Error::BadName { name }) }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for QueueName {
    /// `default`: where jobs go that are given no other.
    fn default() -> QueueName {
        QueueName("default".to_owned())
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<QueueName> for String {
    fn from(name: QueueName) -> String {
        name.0
    }
}

impl TryFrom<String> for QueueName {
    type Error = Error;

    fn try_from(name: String) -> Result<QueueName, Error> {
        QueueName::new(name)
    }
}

impl TryFrom<&str> for QueueName {
    type Error = Error;

    fn try_from(name: &str) -> Result<QueueName, Error> {
        QueueName::new(name)
    }
}
