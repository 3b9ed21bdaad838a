//! RabbitMQ by AMQP 0.9.1, 3.10 and newer: quorum queues, publisher confirms, prefetch.
//!
//! ```text
//!   send ──► Publisher (a channel per queue) ── confirms ──┐
//!                                                          ├─ Link "sends"     ─┐
//!   declare, stats, purge ── a channel per call ───────────┘                    ├─► RabbitMQ
//!   consume ◄── a channel per consumer, resumes by itself ─── Link "consumes" ──┘
//!   Delivery: ack, nack, reject ─► its channel;  replace, nack(After) ─► Publisher, then ack
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `address` | the URL: host, login, TLS, heartbeat |
//! | `link` | a connection that comes back by itself |
//! | `publish` | messages out, and their confirms |
//! | `consume` | deliveries in, over all lives of the connection |
//! | `settle` | what becomes of a delivery |
//! | `topology` | queues: declare, count, purge, delete |
//! | `delay` | the rungs in which messages wait |
//! | `convert` | [`Message`](crate::Message) to AMQP's properties, and back |
//! | `failure` | lapin's errors to ours |
//! | `broker` | [`Broker`](crate::Broker) over all of these |
//!
//! Two connections, because RabbitMQ stops reading from one that publishes while it is short of memory or disk, and acks
//! must go on then. **Recovery**: a lost connection is made again (50 ms × 2, at most 2 s). Consumers go on; what they had in
//! hand is [`Error::Stale`]. Sends that were not confirmed end with [`Error::Unavailable`]; those that had not begun wait.
//!
//! A queue that is new is given a second before it is used: RabbitMQ itself would lose a younger one, were it killed.
//!
//! What it does not do: priorities (quorum queues have none in 3.10), peeking (it would count as a delivery). RabbitMQ
//! knows no ids: a message that is sent twice comes twice. An ack is not confirmed by AMQP: it is written when `ack` returns.

mod address;
mod broker;
mod consume;
mod convert;
mod delay;
mod failure;
mod link;
mod publish;
mod settle;
mod topology;

use std::sync::Arc;

use crate::plain::PlainStore;
use crate::queue::Backend;
use crate::{Error, QueueUrl};

/// For messages to people.
const NAME: &str = "RabbitMQ";

/// Connects.
pub(crate) async fn connect(url: &QueueUrl) -> Result<Backend, Error> {
    let broker: Arc<dyn crate::Broker> = Arc::new(broker::RabbitMq::connect(url).await?);
    if url.state.is_some() {
        #[cfg(feature = "postgres")]
        return crate::postgres::beside(url, broker).await;
        #[cfg(not(feature = "postgres"))]
        return Err(Error::unsupported(crate::Capability::Results, NAME));
    }
    let store = Arc::new(PlainStore::new(broker.clone())?);
    Ok(Backend { broker, store, blobs: crate::blobs::of(url, None)? })
}
