//! [`PostgresBroker`]: messages in PostgreSQL.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::io::Io;
use crate::job::JobId;
use crate::{
    BoxFuture, Broker, Capability, ConsumeOptions, Consumer, Error, Message, MessageId, QueueName, QueueOptions,
    QueueStats,
};

use super::NAME;
use super::batch::Batches;
use super::consumer::{self, Settlement, Settlements};
use super::handle::{Handle, locked};
use super::link::Failure;
use super::schema::MAX_MESSAGES;
use super::store;
use super::submit::full;
use super::values::{Id, column, int, large, millis};

/// The largest body with its headers.
const MAX_BODY: usize = 16 << 20;
/// Messages thrown away in one statement.
const PURGED: i32 = 10_000;
/// What precedes the names of queues for replies.
const REPLIES: &str = "phalanx.reply.";

/// A message on its way, and how much later it may be delivered.
pub(super) type Outgoing = (Message, Duration);
type Sends = Batches<Outgoing, Result<(), Error>>;

/// The messages of one schema.
pub(super) struct PostgresBroker {
    handle: Arc<Handle>,
    io: Arc<Io>,
    /// A queue each: a statement is for one queue.
    sends: Mutex<HashMap<QueueName, Arc<Sends>>>,
    settlements: Arc<Settlements>,
}

/// What a message has besides its body.
#[derive(Serialize, Deserialize)]
struct Meta {
    headers: std::collections::BTreeMap<String, Vec<u8>>,
    key: Option<Vec<u8>>,
    content_type: Option<String>,
    reply_to: Option<String>,
    correlation_id: Option<String>,
}

impl PostgresBroker {
    pub(super) fn new(handle: Arc<Handle>, io: Arc<Io>) -> PostgresBroker {
        let other = handle.clone();
        let settlements: Settlements = Batches::start(
            io.handle(),
            Arc::new(move |all: Vec<Settlement>| Box::pin(consumer::settle_many(other.clone(), all))),
        );
        PostgresBroker { handle, io, sends: Mutex::default(), settlements: Arc::new(settlements) }
    }

    fn run<'a, T, F>(&'a self, work: impl FnOnce(Arc<Handle>) -> F + Send + 'a) -> BoxFuture<'a, Result<T, Error>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        Box::pin(self.io.run(work(self.handle.clone())))
    }

    fn sends(&self, queue: &QueueName) -> Arc<Sends> {
        let mut sends = locked(&self.sends);
        // Those that nobody uses end with their senders.
        sends.retain(|name, sends| name == queue || Arc::strong_count(sends) > 1);
        let start = || {
            let (handle, name) = (self.handle.clone(), queue.clone());
            let send = move |messages| -> BoxFuture<'static, _> {
                Box::pin(send_many(handle.clone(), name.clone(), messages))
            };
            Arc::new(Batches::start(self.io.handle(), Arc::new(send)))
        };
        sends.entry(queue.clone()).or_insert_with(start).clone()
    }
}

/// One statement for many messages of a queue.
pub(super) async fn send_many(
    handle: Arc<Handle>,
    queue: QueueName,
    messages: Vec<Outgoing>,
) -> Result<Vec<Result<(), Error>>, Error> {
    let ids: Vec<Id> = messages.iter().map(|(message, _)| Id(message.id.0)).collect();
    let priorities: Vec<i16> = messages.iter().map(|(message, _)| i16::from(message.priority.min(9))).collect();
    let delays: Vec<i64> = messages.iter().map(|(_, delay)| millis(*delay)).collect();
    let metas = messages.iter().map(|(message, _)| meta(message)).collect::<Result<Vec<_>, _>>()?;
    let bodies: Vec<&[u8]> = messages.iter().map(|(message, _)| message.body.as_slice()).collect();
    let sql = "SELECT * FROM send($1, $2, $3, $4, $5, $6)";
    let refused = handle.pool.query(sql, &[&queue.as_str(), &ids, &priorities, &delays, &metas, &bodies]).await;
    let refused = refused.map_err(|failure| of_queue(&queue, failure))?;
    let mut answers: Vec<Result<(), Error>> = messages.iter().map(|_| Ok(())).collect();
    for row in refused {
        let at = usize::try_from(column::<i32>(&row, 0)?).unwrap_or(0);
        if let Some(answer) = at.checked_sub(1).and_then(|at| answers.get_mut(at)) {
            *answer = Err(full(queue.to_string(), large(column(&row, 1)?), large(column(&row, 2)?)));
        }
    }
    if delays.iter().any(|delay| *delay > 0) {
        handle.sweep.notify_one();
    }
    Ok(answers)
}

/// With the name of the queue that is not there.
pub(super) fn of_queue(queue: &QueueName, failure: Failure) -> Error {
    match failure {
        Failure::Said(code, _) if code == "PX003" => Error::NoSuchQueue { queue: queue.to_string() },
        other => other.into(),
    }
}

pub(super) fn meta(message: &Message) -> Result<Vec<u8>, Error> {
    let meta = Meta {
        headers: message.headers.clone(),
        key: message.key.clone(),
        content_type: message.content_type.clone(),
        reply_to: message.reply_to.clone(),
        correlation_id: message.correlation_id.clone(),
    };
    postcard::to_allocvec(&meta).map_err(|error| Error::Malformed {
        what: format!("the headers of message {}", message.id),
        reason: error.to_string(),
    })
}

/// A message as it was sent.
pub(super) fn message(id: JobId, priority: i16, meta: &[u8], body: Vec<u8>) -> Result<Message, Error> {
    let Meta { headers, key, content_type, reply_to, correlation_id } =
        postcard::from_bytes(meta).map_err(|error| Error::Malformed {
            what: format!("the headers of message {id}"),
            reason: error.to_string(),
        })?;
    let priority = u8::try_from(priority).unwrap_or(0);
    Ok(Message { id: MessageId(id), body, headers, priority, key, content_type, reply_to, correlation_id })
}

async fn declare(handle: &Handle, options: &QueueOptions, session: Option<i32>) -> Result<(), Error> {
    let at_most = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let dead_letter = options.dead_letter.as_ref().map(QueueName::as_str);
    let params: &super::link::Params<'_> = &[
        &options.name.as_str(),
        &at_most(options.max_messages),
        &at_most(options.max_bytes),
        &dead_letter,
        &int(options.max_deliveries),
        &session,
    ];
    let rows = handle.pool.query("SELECT declare($1, $2, $3, $4, $5, $6)", params).await?;
    match rows.first().map_or(Ok(None), |row| column::<Option<String>>(row, 0))? {
        None => Ok(()),
        Some(reason) => Err(Error::Mismatch { queue: options.name.to_string(), reason }),
    }
}

impl Broker for PostgresBroker {
    fn name(&self) -> &'static str {
        NAME
    }

    fn can(&self, capability: Capability) -> bool {
        matches!(
            capability,
            Capability::Bound
                | Capability::DeadLetter
                | Capability::Delay
                | Capability::Priority
                | Capability::Stats
                | Capability::Peek
                | Capability::Purge
                | Capability::Reply
        )
    }

    fn declare<'a>(&'a self, options: &'a QueueOptions) -> BoxFuture<'a, Result<(), Error>> {
        let options = options.clone();
        self.run(|handle| async move {
            if options.passive {
                let sql = "SELECT 1 FROM queues WHERE name = $1";
                let there = !handle.pool.query(sql, &[&options.name.as_str()]).await?.is_empty();
                return if there { Ok(()) } else { Err(Error::NoSuchQueue { queue: options.name.to_string() }) };
            }
            declare(&handle, &options, None).await
        })
    }

    fn send<'a>(&'a self, queue: &'a QueueName, messages: Vec<Message>) -> BoxFuture<'a, Result<(), Error>> {
        let sends = self.sends(queue);
        self.run(|_| async move {
            let size = |message: &Message| message.body.len() + message.headers.values().map(Vec::len).sum::<usize>();
            if let Some(bytes) = messages.iter().map(size).find(|bytes| *bytes > MAX_BODY) {
                return Err(Error::TooBig { bytes: bytes as u64, limit: MAX_BODY as u64 });
            }
            let items = messages.into_iter().map(|message| (size(&message), (message, Duration::ZERO))).collect();
            sends.run(items).await.into_iter().try_for_each(|answer| answer?)
        })
    }

    fn consume<'a>(&'a self, queue: &'a QueueName, options: ConsumeOptions) -> BoxFuture<'a, Result<Consumer, Error>> {
        let (queue, settlements, io) = (queue.clone(), self.settlements.clone(), self.io.clone());
        self.run(move |handle| consumer::open(handle, io, settlements, queue, options.prefetch))
    }

    fn stats<'a>(&'a self, queue: &'a QueueName) -> BoxFuture<'a, Result<QueueStats, Error>> {
        let queue = queue.clone();
        self.run(|handle| async move {
            let rows = handle.pool.query("SELECT * FROM message_stats($1)", &[&queue.as_str()]).await?;
            let row = rows.first().ok_or_else(|| Error::NoSuchQueue { queue: queue.to_string() })?;
            let number = |at| column::<Option<i64>>(row, at).map(|number| large(number.unwrap_or(0)));
            Ok(QueueStats {
                queue: queue.to_string(),
                ready: number(0)?,
                scheduled: number(1)?,
                leased: number(2)?,
                bytes: number(3)?,
                oldest_ms: number(4)?,
                consumers: number(5)?,
                ..QueueStats::default()
            })
        })
    }

    fn peek<'a>(&'a self, queue: &'a QueueName, most: usize) -> BoxFuture<'a, Result<Vec<Message>, Error>> {
        let queue = queue.clone();
        self.run(move |handle| async move {
            let sql = "SELECT id, priority, meta, body FROM messages WHERE state = 1 AND queue = $1 ORDER BY rank, seq LIMIT $2";
            let most = i64::try_from(most).unwrap_or(MAX_MESSAGES);
            let rows = handle.pool.query(sql, &[&queue.as_str(), &most]).await?;
            let read = |row: &tokio_postgres::Row| {
                message(column::<Id>(row, 0)?.0, column(row, 1)?, column(row, 2)?, column(row, 3)?)
            };
            rows.iter().map(read).collect()
        })
    }

    fn purge<'a>(&'a self, queue: &'a QueueName) -> BoxFuture<'a, Result<u64, Error>> {
        let queue = queue.clone();
        self.run(|handle| async move {
            let mut all = 0;
            loop {
                let rows = handle.pool.query("SELECT drop_messages($1, $2)", &[&queue.as_str(), &PURGED]).await?;
                match rows.first().map_or(Ok(0), |row| column::<i32>(row, 0))? {
                    0 => return Ok(all),
                    some => all += large(i64::from(some)),
                }
            }
        })
    }

    fn delete<'a>(&'a self, queue: &'a QueueName) -> BoxFuture<'a, Result<(), Error>> {
        let queue = queue.clone();
        self.run(|handle| async move {
            handle.pool.query("SELECT delete_queue($1)", &[&queue.as_str()]).await?;
            Ok(())
        })
    }

    fn open_replies(&self) -> BoxFuture<'_, Result<(String, Consumer), Error>> {
        let (settlements, io) = (self.settlements.clone(), self.io.clone());
        self.run(|handle| async move {
            let name = QueueName::new(format!("{REPLIES}{}", JobId::new()))?;
            let options = QueueOptions::new(name.as_str())?;
            declare(&handle, &options, Some(handle.session())).await?;
            let consumer =
                consumer::open(handle, io, settlements, name.clone(), ConsumeOptions::prefetch(256).prefetch).await?;
            Ok((name.to_string(), consumer))
        })
    }

    fn reply<'a>(&'a self, address: &'a str, message: Message) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let queue = QueueName::new(address)?;
            match self.send(&queue, vec![message]).await {
                Err(Error::NoSuchQueue { .. }) => Ok(()),
                outcome => outcome,
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let _ = self.run(|handle| async move { store::close(&handle).await }).await;
        })
    }
}
