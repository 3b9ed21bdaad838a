//! What a client and the owner of an embedded queue say to each other.
//!
//! A frame is a length (u32, little-endian) and a postcard value: [`ToOwner`] one way, [`ToClient`] the other. Each request has a
//! number of its connection; replies come in any order. Requests may be repeated after a reconnect: all of them have ids of their own.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::job::{
    Claim, Finish, Heartbeat, JobEnd, JobFilter, JobStatus, KindLimits, Lease, Pause, Recorded, Revoked, Schedule,
    Standing, Submitted, Work,
};
use crate::{Error, JobId, Message, QueueName, QueueOptions, QueueStats, Token};

/// The version of these words. An owner of another one says [`ToClient::Hello`] with its own, and the client gives up with a clear
/// error: both programs are to be brought to the same version.
pub const VERSION: u32 = 1;

/// From a client.
#[derive(Debug, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant)] // Each is written or taken apart at once.
pub enum ToOwner {
    /// The first word of a connection. The leases that it still holds of an earlier life of the owner are claimed again.
    Hello {
        /// [`VERSION`].
        version: u32,
        /// The same for all connections of one handle.
        client: JobId,
        /// Leases and deliveries that it holds.
        holds: Vec<Token>,
    },
    /// A request.
    Ask {
        /// Its number, unique in the connection.
        ask: u64,
        /// What is asked.
        request: Request,
    },
}

/// From the owner.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToClient {
    /// The answer to [`ToOwner::Hello`].
    Hello {
        /// [`VERSION`] of the owner.
        version: u32,
        /// Its life.
        epoch: u64,
        /// Which of the leases are the client's again, in their order.
        kept: Vec<bool>,
        /// Process id of the owner.
        owner: u32,
    },
    /// The answer to a request.
    Answer {
        /// Its number.
        ask: u64,
        /// The answer.
        reply: Result<Reply, Error>,
    },
    /// A message for a consumer, within its credit.
    Deliver {
        /// Which consumer of this connection.
        consumer: u64,
        /// What.
        delivery: Delivered,
    },
    /// A consumer gets nothing any more.
    Ended {
        /// Which consumer of this connection.
        consumer: u64,
        /// Its queue was deleted, say.
        why: Error,
    },
}

/// A message on its way to a consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// The right to settle it.
    pub token: Token,
    /// The message.
    pub message: Message,
    /// Deliveries so far, this one included.
    pub attempt: u32,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Settlement {
    /// It is gone.
    Ack,
    /// It comes again after this time.
    Nack(Duration),
    /// Another comes in its place after this time.
    Replace(Message, Duration),
    /// To the dead-letter queue, or gone.
    Reject,
}

/// What is asked. Each is one call of [`Broker`](crate::Broker) or [`JobStore`](crate::job::JobStore).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // Said there.
pub enum Request {
    Declare(QueueOptions),
    Send {
        queue: QueueName,
        messages: Vec<Message>,
    },
    /// `consumer` is a number of the connection. The deliveries come as [`ToClient::Deliver`].
    Consume {
        queue: QueueName,
        consumer: u64,
        prefetch: u32,
    },
    /// No more is delivered; what is unsettled stays in hand.
    StopConsume {
        consumer: u64,
    },
    /// What is unsettled comes back.
    EndConsume {
        consumer: u64,
    },
    Settle {
        token: Token,
        settlement: Settlement,
    },
    Peek {
        queue: QueueName,
        most: usize,
    },
    PurgeMessages {
        queue: QueueName,
    },
    Delete {
        queue: QueueName,
    },

    Submit(Vec<Work>),
    Claim(Claim),
    Renew {
        runner: JobId,
        heartbeats: Vec<Heartbeat>,
    },
    Revoked {
        runner: JobId,
        wait: Duration,
    },
    Finish(Vec<Finish>),
    Ended {
        job: JobId,
        wait: Duration,
    },
    Changed {
        job: JobId,
        seen: u64,
        wait: Duration,
    },
    List(JobFilter),
    Cancel(JobId),
    Revive(JobId),
    Stats(Option<QueueName>),
    Purge {
        queue: QueueName,
        waiting: bool,
    },
    Pause {
        what: Pause,
        paused: bool,
    },
    Limit(KindLimits),
    Schedule {
        name: String,
        schedule: Option<Schedule>,
    },
    Schedules,
}

/// The answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // As in `Request`.
pub enum Reply {
    Done,
    Count(u64),
    Messages(Vec<Message>),
    Submitted(Vec<Result<Submitted, Error>>),
    Leases(Vec<Lease>),
    Standings(Vec<Standing>),
    Revoked(Vec<Revoked>),
    Recorded(Vec<Recorded>),
    End(Option<JobEnd>),
    Status(Box<JobStatus>),
    Statuses(Vec<JobStatus>),
    Stats(Vec<QueueStats>),
    Schedules(Vec<Schedule>),
}
