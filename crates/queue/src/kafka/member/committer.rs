//! The committer: waits for confirmations in place of the member's thread. One commit is under way at a time; all that changes
//! meanwhile goes with the next one.

use std::sync::{Arc, mpsc};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};

use super::Event;
use super::context::MemberContext;
use crate::Error;
use crate::kafka::{BROKER, errors};

/// The member's end of it. When it is dropped, the thread ends after what it does.
pub(super) struct Committer(mpsc::Sender<TopicPartitionList>);

impl Committer {
    /// Starts it. (librdkafka tells of the outcome of a commit only to whoever waits for it.)
    pub(super) fn start(
        consumer: Arc<BaseConsumer<MemberContext>>,
        inbox: mpsc::Sender<Event>,
    ) -> Result<Committer, Error> {
        let (commits, wanted) = mpsc::channel::<TopicPartitionList>();
        std::thread::Builder::new()
            .name("kafka-commit".to_owned())
            .spawn(move || {
                while let Ok(list) = wanted.recv() {
                    let outcome = consumer.commit(&list, CommitMode::Sync).map_err(|error| errors::of(&error));
                    if inbox.send(Event::Committed(outcome)).is_err() {
                        return;
                    }
                }
            })
            .map_err(|error| Error::unavailable(BROKER, format_args!("cannot start a thread: {error}")))?;
        Ok(Committer(commits))
    }

    /// Asks for a commit; its outcome comes as [`Event::Committed`].
    pub(super) fn commit(&self, list: TopicPartitionList) {
        // The thread ends only after us.
        let _ = self.0.send(list);
    }
}
