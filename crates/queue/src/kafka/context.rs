//! [`Context`]: what librdkafka tells beside messages. Its log goes to `tracing`, its last error is kept for our own messages.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;

/// For clients that need nothing more.
#[derive(Debug, Clone, Default)]
pub(super) struct Context {
    last: Arc<Mutex<Option<(KafkaError, String)>>>,
}

impl Context {
    /// The last thing that went wrong, in librdkafka's words.
    pub(super) fn last_error(&self) -> Option<(KafkaError, String)> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, topic: &str, text: &str) {
        log(level, topic, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", "{error}: {reason}");
        // "All brokers are down" follows the reason why they are.
        let is_summary = error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if !(is_summary && last.is_some()) {
            *last = Some((error, reason.to_owned()));
        }
    }

    fn stats(&self, _: Statistics) {}
}

impl ConsumerContext for Context {}

/// A line of librdkafka's log.
pub(super) fn log(level: RDKafkaLogLevel, topic: &str, text: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(target: "librdkafka", "{topic}: {text}");
        }
        // A broker that cannot be reached is tried again; the caller is told by the error of its call.
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", "{topic}: {text}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(target: "librdkafka", "{topic}: {text}"),
        RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", "{topic}: {text}"),
    }
}
