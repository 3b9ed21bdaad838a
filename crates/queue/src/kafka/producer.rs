//! [`Producer`]: sends records and waits until all in-sync replicas have them.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::statistics::Statistics;
use tokio::sync::oneshot;

use super::record::{Carried, headers};
use super::settings::{CALL_DEADLINE, Settings};
use super::{BROKER, errors};
use crate::{Error, Message};

/// How long to wait for room, when librdkafka's own queue is full.
const BETWEEN_TRIES: Duration = Duration::from_millis(5);

/// One for each handle. An idempotent producer that lost its place for good ("fatal") is replaced by a new one.
pub(super) struct Producer {
    settings: Settings,
    current: Mutex<ThreadedProducer<Reports>>,
    timer: tokio::runtime::Handle,
}

/// Gets the delivery reports.
struct Reports;

/// Records that were sent together.
struct Batch {
    unconfirmed: AtomicUsize,
    failure: Mutex<Option<KafkaError>>,
    done: Mutex<Option<oneshot::Sender<()>>>,
}

/// A record, whoever made it.
pub(super) struct Record<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: Option<i32>,
    pub(super) key: Option<&'a [u8]>,
    pub(super) body: &'a [u8],
    pub(super) headers: OwnedHeaders,
}

impl<'a> Record<'a> {
    /// A message for a topic.
    pub(super) fn new(topic: &'a str, message: &'a Message, carried: Carried) -> Record<'a> {
        let headers = headers(message, carried);
        Record { topic, partition: None, key: message.key.as_deref(), body: &message.body, headers }
    }
}

impl Producer {
    /// `timer`: where a sender waits for room.
    pub(super) fn new(settings: &Settings, timer: tokio::runtime::Handle) -> Result<Producer, Error> {
        let current = Mutex::new(create(settings)?);
        Ok(Producer { settings: settings.clone(), current, timer })
    }

    /// Sends all of these to a topic; when it returns, they are there for good. On an error some may be.
    pub(super) async fn send(&self, topic: &str, messages: &[Message], carried: Carried) -> Result<(), Error> {
        self.send_records(messages.iter().map(|message| Record::new(topic, message, carried))).await
    }

    /// As [`send`](Producer::send).
    pub(super) async fn send_records<'a>(
        &self,
        records: impl ExactSizeIterator<Item = Record<'a>>,
    ) -> Result<(), Error> {
        if records.len() == 0 {
            return Ok(());
        }
        let (done, confirmed) = oneshot::channel();
        let batch = Arc::new(Batch {
            unconfirmed: AtomicUsize::new(records.len()),
            failure: Mutex::new(None),
            done: Mutex::new(Some(done)),
        });
        let producer = self.current()?;
        let deadline = Instant::now() + CALL_DEADLINE;
        let mut about = (String::new(), 0);
        for record in records {
            if record.topic != about.0 {
                record.topic.clone_into(&mut about.0);
            }
            about.1 = record.body.len().max(about.1);
            self.enqueue(&producer, record, &batch, deadline).await?;
        }
        // The report comes within `message.timeout.ms`; without a sender the producer has been closed.
        confirmed.await.map_err(|_| Error::Closed)?;
        match batch.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            None => Ok(()),
            Some(error) => Err(errors::of_topic(&error, &about.0, about.1)),
        }
    }

    async fn enqueue(
        &self,
        producer: &ThreadedProducer<Reports>,
        record: Record<'_>,
        batch: &Arc<Batch>,
        deadline: Instant,
    ) -> Result<(), Error> {
        let mut sent = BaseRecord::with_opaque_to(record.topic, Arc::clone(batch)).payload(record.body);
        sent = sent.headers(record.headers);
        sent.key = record.key;
        sent.partition = record.partition;
        loop {
            match producer.send(sent) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    if Instant::now() > deadline {
                        return Err(Error::unavailable(BROKER, "it did not take what waits for being sent for 30 s"));
                    }
                    sent = again;
                    let pause = self.timer.spawn(tokio::time::sleep(BETWEEN_TRIES));
                    pause.await.map_err(|_| Error::Closed)?;
                }
                Err((error, _)) => return Err(errors::of_topic(&error, record.topic, record.body.len())),
            }
        }
    }

    fn current(&self) -> Result<ThreadedProducer<Reports>, Error> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, reason)) = current.client().fatal_error() {
            tracing::warn!("Kafka's producer begins anew: {reason}");
            *current = create(&self.settings)?;
        }
        Ok(current.clone())
    }
}

fn create(settings: &Settings) -> Result<ThreadedProducer<Reports>, Error> {
    ThreadedProducer::from_config_and_context(&settings.producer(), Reports).map_err(|error| errors::of(&error))
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, topic: &str, text: &str) {
        super::context::log(level, topic, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", "{error}: {reason}");
    }

    fn stats(&self, _: Statistics) {}
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Arc<Batch>;

    fn delivery(&self, result: &DeliveryResult<'_>, batch: Arc<Batch>) {
        if let Err((error, _)) = result {
            batch.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error.clone());
        }
        if batch.unconfirmed.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(done) = batch.done.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            // Whoever sent may have gone away.
            let _ = done.send(());
        }
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Producer")
    }
}
