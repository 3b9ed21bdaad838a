//! What librdkafka says, in our words.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::BROKER;
use super::settings::MESSAGE_LIMIT;
use crate::Error;

/// An error of a call that concerns this topic; `bytes` are those of the body that was sent, if one was.
pub(super) fn of_topic(error: &KafkaError, topic: &str, bytes: usize) -> Error {
    match error.rdkafka_error_code() {
        Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition) => {
            Error::NoSuchQueue { queue: topic.to_owned() }
        }
        Some(Code::MessageSizeTooLarge) => {
            Error::TooBig { bytes: u64::try_from(bytes).unwrap_or(u64::MAX), limit: MESSAGE_LIMIT }
        }
        _ => of(error),
    }
}

/// An error of any call.
pub(super) fn of(error: &KafkaError) -> Error {
    let refused = |reason: String| Error::Refused { broker: BROKER.to_owned(), reason };
    match error {
        KafkaError::ClientConfig(_, reason, key, value) => {
            // A value may be a password.
            let shown = if key.contains("password") { "…" } else { value };
            return refused(format!("the setting {key}={shown} cannot be: {reason}"));
        }
        KafkaError::ClientCreation(reason) => return refused(format!("no client can be made: {reason}")),
        _ => {}
    }
    match error.rdkafka_error_code() {
        Some(Code::PurgeQueue | Code::PurgeInflight) => Error::Closed,
        Some(
            code @ (Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::PolicyViolation
            | Code::InvalidReplicationFactor
            | Code::InvalidPartitions
            | Code::InvalidConfig
            | Code::InvalidTopic
            | Code::InvalidRecord
            | Code::SSL
            | Code::Fatal),
        ) => refused(code.to_string()),
        Some(code) => Error::unavailable(BROKER, code),
        None => Error::unavailable(BROKER, error),
    }
}
