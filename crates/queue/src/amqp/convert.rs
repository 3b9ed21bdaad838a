//! A [`Message`] as AMQP has it, and back.

use std::collections::BTreeMap;

use lapin::BasicProperties;
use lapin::message::Delivery as Arrived;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use crate::{Error, JobId, Message, MessageId};

/// It survives a restart of the broker.
const PERSISTENT: u8 = 2;
/// Deliveries before this life of the message: RabbitMQ counts anew when we send it again.
pub(super) const DELIVERIES: &str = "phalanx-deliveries";
/// How often a quorum queue has taken it back.
const TAKEN_BACK: &str = "x-delivery-count";
/// What RabbitMQ writes when it moves a message to another queue. It must not be sent back: it would look like a circle.
const DEATHS: [&str; 3] = ["x-death", "x-first-death-", "x-last-death-"];
/// All of a message but its body must fit into one frame (128 KiB by default).
const LARGEST_HEAD: usize = 64 * 1024;

/// What goes out beside the body.
pub(super) fn properties(
    message: &Message,
    deliveries: u32,
    typed: Option<&FieldTable>,
) -> Result<BasicProperties, Error> {
    let size = message.headers.iter().map(|(name, value)| name.len() + value.len() + 8).sum::<usize>();
    if size > LARGEST_HEAD {
        return Err(Error::TooBig { bytes: size as u64, limit: LARGEST_HEAD as u64 });
    }
    let mut properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_message_id(message.id.to_string().into())
        .with_priority(message.priority);
    if let Some(text) = &message.content_type {
        properties = properties.with_content_type(short("content type", text)?);
    }
    if let Some(text) = &message.reply_to {
        properties = properties.with_reply_to(short("reply-to", text)?);
    }
    if let Some(text) = &message.correlation_id {
        properties = properties.with_correlation_id(short("correlation id", text)?);
    }
    let mut table = BTreeMap::new();
    for (name, value) in &message.headers {
        if is_of_the_broker(name) {
            continue;
        }
        // A header that nobody changed keeps the type that its writer gave it.
        let as_it_came =
            typed.and_then(|typed| typed.inner().get(name.as_str())).filter(|typed| text_of(typed) == *value);
        let value = as_it_came.cloned().unwrap_or_else(|| AMQPValue::LongString(value.clone().into()));
        table.insert(short("name of a header", name)?, value);
    }
    if deliveries > 0 {
        table.insert(DELIVERIES.into(), AMQPValue::LongLongInt(deliveries.into()));
    }
    Ok(if table.is_empty() { properties } else { properties.with_headers(table.into()) })
}

fn short(what: &str, text: &str) -> Result<ShortString, Error> {
    ShortString::try_new(text).map_err(|_| Error::Malformed {
        what: format!("the {what} of a message"),
        reason: format!("AMQP takes 255 bytes, and it has {}", text.len()),
    })
}

fn is_of_the_broker(header: &str) -> bool {
    header == TAKEN_BACK || DEATHS.iter().any(|death| header.starts_with(death))
}

/// A message as it came in.
pub(super) struct Incoming {
    pub(super) message: Message,
    /// Deliveries so far, this one included.
    pub(super) attempt: u32,
    /// Its headers, if some are no texts.
    pub(super) typed: Option<FieldTable>,
}

impl Incoming {
    /// What came out of this queue.
    pub(super) fn of(arrived: &mut Arrived, queue: &str) -> Incoming {
        let properties = &arrived.properties;
        let text = |text: &Option<ShortString>| text.as_ref().map(ToString::to_string);
        let id = properties.message_id().as_ref().and_then(|id| id.as_str().parse().ok());
        let mut message = Message {
            id: MessageId(id.unwrap_or_else(JobId::new)),
            body: std::mem::take(&mut arrived.data),
            headers: BTreeMap::new(),
            priority: properties.priority().unwrap_or_else(|| phalanx_task::Priority::DEFAULT.level()),
            key: None,
            content_type: text(properties.content_type()),
            reply_to: text(properties.reply_to()),
            correlation_id: text(properties.correlation_id()),
        };
        let Some(table) = properties.headers() else {
            return Incoming { message, attempt: 1 + u32::from(arrived.redelivered), typed: None };
        };
        let number = |name: &str| table.inner().get(name).and_then(number_of).unwrap_or_default();
        let attempt = number(DELIVERIES).saturating_add(taken_back(table, arrived.redelivered)).saturating_add(1);
        let waited_here = is_delayed(table, queue);
        let mut is_typed = false;
        for (name, value) in table.inner() {
            let name = name.as_str();
            let ours = name == DELIVERIES || name == TAKEN_BACK || (waited_here && is_of_the_broker(name));
            if !ours {
                is_typed |= !matches!(value, AMQPValue::LongString(_));
                message.headers.insert(name.to_owned(), text_of(value));
            }
        }
        Incoming { message, attempt, typed: is_typed.then(|| table.clone()) }
    }
}

/// How often the queue got it back unsettled. A classic queue says only whether.
fn taken_back(table: &FieldTable, redelivered: bool) -> u32 {
    table.inner().get(TAKEN_BACK).and_then(number_of).unwrap_or_else(|| redelivered.into())
}

/// Whether all that happened to it is that it waited in one of our rungs.
fn is_delayed(table: &FieldTable, queue: &str) -> bool {
    let first = table.inner().get("x-first-death-queue").map(text_of).unwrap_or_default();
    let first = String::from_utf8_lossy(&first);
    first.strip_prefix(queue).is_some_and(|rest| rest.starts_with(super::delay::SUFFIX))
}

fn number_of(value: &AMQPValue) -> Option<u32> {
    match value {
        AMQPValue::ShortShortInt(number) => u32::try_from(*number).ok(),
        AMQPValue::ShortShortUInt(number) => Some((*number).into()),
        AMQPValue::ShortInt(number) => u32::try_from(*number).ok(),
        AMQPValue::ShortUInt(number) => Some((*number).into()),
        AMQPValue::LongInt(number) => u32::try_from(*number).ok(),
        AMQPValue::LongUInt(number) => Some(*number),
        AMQPValue::LongLongInt(number) => u32::try_from(*number).ok(),
        AMQPValue::Timestamp(number) => u32::try_from(*number).ok(),
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok()?.parse().ok(),
        _ => None,
    }
}

/// A value of whatever type as its text.
fn text_of(value: &AMQPValue) -> Vec<u8> {
    let text = match value {
        AMQPValue::LongString(text) => return text.as_bytes().to_vec(),
        AMQPValue::ByteArray(bytes) => return bytes.as_slice().to_vec(),
        AMQPValue::ShortString(text) => text.to_string(),
        AMQPValue::Boolean(value) => value.to_string(),
        AMQPValue::ShortShortInt(number) => number.to_string(),
        AMQPValue::ShortShortUInt(number) => number.to_string(),
        AMQPValue::ShortInt(number) => number.to_string(),
        AMQPValue::ShortUInt(number) => number.to_string(),
        AMQPValue::LongInt(number) => number.to_string(),
        AMQPValue::LongUInt(number) => number.to_string(),
        AMQPValue::LongLongInt(number) => number.to_string(),
        AMQPValue::Timestamp(number) => number.to_string(),
        AMQPValue::Float(number) => number.to_string(),
        AMQPValue::Double(number) => number.to_string(),
        AMQPValue::DecimalValue(number) => format!("{}e-{}", number.value, number.scale),
        AMQPValue::FieldArray(values) => {
            let texts = values.as_slice().iter().map(|value| String::from_utf8_lossy(&text_of(value)).into_owned());
            format!("[{}]", texts.collect::<Vec<_>>().join(","))
        }
        AMQPValue::FieldTable(table) => {
            let texts = table.inner().iter().map(|(name, value)| {
                let text = text_of(value);
                format!("{}:{}", name.as_str(), String::from_utf8_lossy(&text))
            });
            format!("{{{}}}", texts.collect::<Vec<_>>().join(","))
        }
        AMQPValue::Void => String::new(),
    };
    text.into_bytes()
}
