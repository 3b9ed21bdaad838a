//! Queues of messages: declaring, sending, looking at them, throwing them away.

use super::item::LineId;
use super::settle::check;
use super::sweep::{Purge, Sweep};
use super::{ClientId, Engine, Now};
use crate::embedded::words::ToClient;
use crate::{Error, Message, QueueName, QueueOptions, UnixMillis};

/// Messages that are shown at once, and bytes of them.
const MOST_SHOWN: usize = 1000;
const MOST_BYTES: usize = 8 << 20;

impl Engine {
    pub(super) fn declare(&mut self, options: QueueOptions) -> Result<(), Error> {
        let name = options.name.as_str();
        if options.passive {
            return self.message_line(name).map(drop);
        }
        let queue = self.queue_for(name)?;
        if let Some(known) = &self.queues[queue as usize].declared {
            if known.dead_letter != options.dead_letter {
                let shown = |queue: &Option<QueueName>| queue.as_ref().map_or("none".to_owned(), ToString::to_string);
                let (has, asked) = (shown(&known.dead_letter), shown(&options.dead_letter));
                let reason = format!("its dead letters go to {has}, not to {asked}");
                return Err(Error::Mismatch { queue: name.to_owned(), reason });
            }
            if *known == options {
                return Ok(());
            }
        }
        self.line_for(name, None)?;
        if let Some(dead) = &options.dead_letter {
            self.declare_default(dead)?;
            self.line_for(dead.as_str(), None)?;
        }
        self.store_names()?;
        self.store.declare(queue, Some(&options))?;
        self.queues[queue as usize].declared = Some(options);
        Ok(())
    }

    pub(super) fn send(&mut self, queue: &QueueName, messages: Vec<Message>, now: Now) -> Result<(), Error> {
        let line = self.message_line(queue.as_str())?;
        messages.iter().try_for_each(check)?;
        let bytes = messages.iter().map(|message| message.body.len()).sum();
        if let Err(full) = self.has_room(line, messages.len(), bytes, now) {
            // What was sent before is not sent again.
            let space = self.space(line);
            for message in &messages {
                if self.store.by_id(&message.id.0, space)?.is_none() {
                    return Err(full);
                }
            }
            return Ok(());
        }
        for message in messages {
            let (item, payload) = self.new_message(&message, line, UnixMillis(0), now);
            self.add(item, payload)?;
        }
        Ok(())
    }

    /// The messages of a queue that was declared.
    pub(super) fn message_line(&mut self, name: &str) -> Result<LineId, Error> {
        let queue = self.queue_names.get(name).map(|queue| &self.queues[*queue as usize]);
        if queue.is_none_or(|queue| queue.declared.is_none()) {
            return Err(Error::NoSuchQueue { queue: name.to_owned() });
        }
        self.line_for(name, None)
    }

    /// The oldest that wait, in their order.
    pub(super) fn peek(&mut self, queue: &QueueName, most: usize) -> Result<Vec<Message>, Error> {
        let line = self.message_line(queue.as_str())?;
        let most = most.min(MOST_SHOWN);
        let leased = self.line(line).leased as usize;
        let mut shown = Vec::new();
        let mut bytes = 0;
        for (seq, payload) in self.store.waiting(line, most + leased)? {
            let is_held = self.items.get(&seq).is_some_and(|item| item.hold.is_some());
            if is_held || shown.len() >= most || bytes > MOST_BYTES {
                continue;
            }
            bytes += payload.len();
            shown.push(postcard::from_bytes(&payload).map_err(|_| self.store.damaged("a message"))?);
        }
        Ok(shown)
    }

    /// Throws away what waits; answered when all of it is gone.
    pub(super) fn purge_messages(&mut self, client: ClientId, ask: u64, queue: &QueueName) -> Result<(), Error> {
        let line = self.message_line(queue.as_str())?;
        let id = self.line(line).queue;
        self.sweeps.push_back(Sweep::purge(client, ask, id, Purge::Messages));
        Ok(())
    }

    /// The queue is no more; what is in it goes.
    pub(super) fn delete(&mut self, client: ClientId, ask: u64, queue: &QueueName, now: Now) -> Result<(), Error> {
        let line = self.message_line(queue.as_str())?;
        let id = self.line(line).queue;
        let keys: Vec<_> = self.turns.get(&line).into_iter().flatten().copied().collect();
        for key in keys {
            self.stop_consuming(key, now)?;
            let why = Error::NoSuchQueue { queue: queue.to_string() };
            self.batch.without_queue.push((key.0, ToClient::Ended { consumer: key.1, why }));
        }
        self.store.declare(id, None)?;
        self.queues[id as usize].declared = None;
        self.sweeps.push_back(Sweep::purge(client, ask, id, Purge::Deleted));
        Ok(())
    }
}
