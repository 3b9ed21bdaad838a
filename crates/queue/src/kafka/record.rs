//! A [`Message`] as a record of Kafka: the body is the value, the key the key, all else are headers.
//!
//! | header | of |
//! |---|---|
//! | `phalanx-id`, `phalanx-priority` | [`Message::id`], [`Message::priority`] (if it is not the default) |
//! | `content-type`, `reply-to`, `correlation-id` | as AMQP calls them |
//! | `phalanx-due` | milliseconds since 1970: not before this moment |
//! | `phalanx-attempts` | how often it was begun before it was put where it is |
//!
//! A record of somebody else has none of these; its id is made of where it stands, so that it is the same each time.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rdkafka::Message as _;
use rdkafka::Timestamp;
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};

use crate::{JobId, Message, MessageId, UnixMillis};

const ID: &str = "phalanx-id";
const PRIORITY: &str = "phalanx-priority";
const CONTENT_TYPE: &str = "content-type";
const REPLY_TO: &str = "reply-to";
const CORRELATION_ID: &str = "correlation-id";
const DUE: &str = "phalanx-due";
const ATTEMPTS: &str = "phalanx-attempts";

/// What a record says beside its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Carried {
    /// Not before this moment.
    pub(super) due: Option<UnixMillis>,
    /// How often it was begun before.
    pub(super) attempts: u32,
}

/// The headers of a record.
pub(super) fn headers(message: &Message, carried: Carried) -> OwnedHeaders {
    let mut headers = Some(OwnedHeaders::new_with_capacity(message.headers.len() + 4));
    let mut insert = |key: &str, value: &[u8]| {
        headers = headers.take().map(|headers| headers.insert(Header { key, value: Some(value) }));
    };
    insert(ID, message.id.to_string().as_bytes());
    if message.priority != phalanx_task::Priority::DEFAULT.level() {
        insert(PRIORITY, message.priority.to_string().as_bytes());
    }
    let texts = [
        (CONTENT_TYPE, &message.content_type),
        (REPLY_TO, &message.reply_to),
        (CORRELATION_ID, &message.correlation_id),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            insert(key, text.as_bytes());
        }
    }
    if let Some(due) = carried.due {
        insert(DUE, due.to_string().as_bytes());
    }
    if carried.attempts > 0 {
        insert(ATTEMPTS, carried.attempts.to_string().as_bytes());
    }
    // The name of a header is a C string for librdkafka.
    for (key, value) in message.headers.iter().filter(|(key, _)| !key.contains('\0')) {
        insert(key, value);
    }
    headers.unwrap_or_default()
}

/// A record as a message.
pub(super) fn message(record: &BorrowedMessage<'_>) -> (Message, Carried) {
    let mut message = Message::new(record.payload().unwrap_or_default());
    message.id = place(record.partition(), record.offset(), record.timestamp());
    message.key = record.key().map(<[u8]>::to_vec);
    let mut carried = Carried::default();
    let Some(headers) = record.headers() else { return (message, carried) };
    for index in 0..headers.count() {
        // The binding panics over a name that is no UTF-8; that header is left out.
        let Ok(Some(header)) = catch_unwind(AssertUnwindSafe(|| headers.try_get(index))) else { continue };
        let value = header.value.unwrap_or_default();
        let text = || std::str::from_utf8(value).ok();
        match header.key {
            ID => drop(text().and_then(|id| id.parse().ok()).map(|id| message.id = MessageId(id))),
            PRIORITY => drop(text().and_then(|level| level.parse().ok()).map(|level| message.priority = level)),
            CONTENT_TYPE => message.content_type = text().map(str::to_owned),
            REPLY_TO => message.reply_to = text().map(str::to_owned),
            CORRELATION_ID => message.correlation_id = text().map(str::to_owned),
            DUE => carried.due = text().and_then(|due| due.parse().ok()).map(UnixMillis),
            ATTEMPTS => carried.attempts = text().and_then(|times| times.parse().ok()).unwrap_or(0),
            name => drop(message.headers.insert(name.to_owned(), value.to_vec())),
        }
    }
    (message, carried)
}

/// The id of a record that has none: the layout of UUID version 7, as all ids.
fn place(partition: i32, offset: i64, timestamp: Timestamp) -> MessageId {
    let [_, _, millis @ ..] = timestamp.to_millis().unwrap_or(0).to_be_bytes();
    let mut bytes = [0_u8; 16];
    bytes[..6].copy_from_slice(&millis);
    // Twelve bits of the partition, and all of the offset that a topic will ever have.
    let [_, _, high, low] = partition.to_be_bytes();
    bytes[6..8].copy_from_slice(&[0x70 | high & 0x0f, low]);
    let [top, offset @ ..] = offset.to_be_bytes();
    bytes[8] = 0x80 | top & 0x3f;
    bytes[9..].copy_from_slice(&offset);
    MessageId(JobId::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_record_has_the_same_id_each_time_and_no_two_have_the_same() {
        let at = Timestamp::CreateTime(1_700_000_000_000);
        assert_eq!(place(3, 77, at), place(3, 77, at));
        assert_ne!(place(3, 77, at), place(3, 78, at));
        assert_ne!(place(3, 77, at), place(2, 77, at));
        assert_eq!(place(3, 77, at).to_string().as_bytes()[14], b'7');
    }
}
