//! Consumers: messages are given out as long as their credit lasts, in turn.

use super::item::{Hold, Holder, LineId, Seq, delivery_id};
use super::{ClientId, Engine, Now};
use crate::embedded::words::{Delivered, ToClient};
use crate::{Error, Message};

/// A consumer: the connection, and its number there.
pub(super) type ConsumerKey = (ClientId, u64);

/// Bytes that one consumer has in its hands; more only if it has nothing.
const MOST_BYTES: u64 = 32 << 20;

/// Somebody who takes messages of a queue.
#[derive(Debug)]
pub(super) struct ConsumerState {
    line: LineId,
    prefetch: u32,
    in_hand: u32,
    bytes: u64,
}

impl ConsumerState {
    /// Nothing is in its hands, as far as is known.
    pub(super) fn forget(&mut self) {
        (self.in_hand, self.bytes) = (0, 0);
    }

    fn has_credit(&self) -> bool {
        self.in_hand < self.prefetch && (self.bytes < MOST_BYTES || self.in_hand == 0)
    }
}

impl Engine {
    /// A consumer begins.
    pub(super) fn consume(&mut self, client: ClientId, line: LineId, number: u64, prefetch: u32) -> Result<(), Error> {
        self.is_holder(client)?;
        let key = (client, number);
        self.end_consume(key)?;
        self.consumers.insert(key, ConsumerState { line, prefetch: prefetch.max(1), in_hand: 0, bytes: 0 });
        self.turns.entry(line).or_default().push_back(key);
        self.busy.insert(line);
        self.name_holds(client, Holder::Consumer(number), Some(line));
        Ok(())
    }

    /// What it has in its hands comes back.
    pub(super) fn stop_consuming(&mut self, key: ConsumerKey, now: Now) -> Result<(), Error> {
        let is_its = |hold: &Hold| (hold.client, hold.by) == (key.0, Holder::Consumer(key.1));
        let held = self.items.values().filter(|item| item.hold.as_ref().is_some_and(is_its)).map(|item| item.seq);
        for seq in held.collect::<Vec<Seq>>() {
            if let Some(mut item) = self.take(seq)? {
                item.hold = None;
                self.delivered_again(item, now)?;
            }
        }
        self.end_consume(key)
    }

    /// It gets no more; what it has in its hands stays there.
    pub(super) fn end_consume(&mut self, key: ConsumerKey) -> Result<(), Error> {
        if let Some(state) = self.consumers.remove(&key)
            && let Some(turns) = self.turns.get_mut(&state.line)
        {
            turns.retain(|other| *other != key);
        }
        Ok(())
    }

    /// The consumers of a client are gone with it.
    pub(super) fn forget_consumers(&mut self, client: ClientId) {
        self.consumers.retain(|(of, _), _| *of != client);
        self.turns.retain(|_, turns| {
            turns.retain(|(of, _)| *of != client);
            !turns.is_empty()
        });
    }

    /// A delivery is settled, or comes back.
    pub(super) fn leave_consumer(&mut self, hold: &Hold, bytes: u64) {
        if let Holder::Consumer(number) = hold.by
            && let Some(consumer) = self.consumers.get_mut(&(hold.client, number))
        {
            consumer.in_hand = consumer.in_hand.saturating_sub(1);
            consumer.bytes = consumer.bytes.saturating_sub(bytes);
            let line = consumer.line;
            self.busy.insert(line);
        }
    }

    /// A delivery goes on.
    pub(super) fn join_consumer(&mut self, hold: &Hold, bytes: u64) {
        if let Holder::Consumer(number) = hold.by
            && let Some(consumer) = self.consumers.get_mut(&(hold.client, number))
        {
            consumer.in_hand += 1;
            consumer.bytes += bytes;
        }
    }

    /// What a client claimed again after a restart belongs to this runner or consumer of it.
    pub(super) fn name_holds(&mut self, client: ClientId, by: Holder, line: Option<LineId>) {
        if !self.reclaim.has_unnamed(client) {
            return;
        }
        let (mut count, mut bytes, mut is_left) = (0, 0, false);
        for item in self.items.values_mut() {
            let is_job = self.lines[item.line.0 as usize].kind.is_some();
            let Some(hold) = item.hold.as_mut() else { continue };
            if hold.client != client || hold.by != Holder::Unnamed {
                continue;
            }
            if line.map_or(is_job, |line| line == item.line) {
                hold.by = by;
                count += 1;
                bytes += item.bytes;
            } else {
                is_left = true;
            }
        }
        if let Holder::Consumer(number) = by
            && let Some(consumer) = self.consumers.get_mut(&(client, number))
        {
            consumer.in_hand += count;
            consumer.bytes += bytes;
        }
        if !is_left {
            self.reclaim.all_named(client);
        }
    }

    /// Gives out messages, as far as there is credit.
    pub(super) fn serve_consumers(&mut self, now: Now) -> Vec<(ClientId, ToClient)> {
        let mut deliveries = Vec::new();
        if self.consumers.is_empty() || self.busy.is_empty() {
            return deliveries;
        }
        let lines: Vec<LineId> = self.turns.keys().copied().filter(|line| self.busy.contains(line)).collect();
        for line in lines {
            // What cannot be read stays where it is, and is tried with the next batch.
            while let Ok(Some(seq)) = self.next_of(&[line], now) {
                let Some(key) = self.next_turn(line) else { break };
                let Ok(delivery) = self.deliver(seq, key, now) else { break };
                deliveries.push((key.0, ToClient::Deliver { consumer: key.1, delivery }));
            }
        }
        deliveries
    }

    /// The next consumer of a line that has credit.
    fn next_turn(&mut self, line: LineId) -> Option<ConsumerKey> {
        let turns = self.turns.get_mut(&line)?;
        for _ in 0..turns.len() {
            turns.rotate_left(1);
            let key = *turns.back()?;
            if self.consumers.get(&key).is_some_and(ConsumerState::has_credit) {
                return Some(key);
            }
        }
        None
    }

    fn deliver(&mut self, seq: Seq, key: ConsumerKey, now: Now) -> Result<Delivered, Error> {
        let payload = self.payload_of(seq)?;
        let message: Message = postcard::from_bytes(&payload).map_err(|_| self.store.damaged("a message"))?;
        let id = delivery_id(seq, &message.id.0);
        let token = self.begin(seq, id, key.0, Holder::Consumer(key.1), now).ok_or(Error::Stale)?;
        let item = &self.items[&seq];
        if let Some(consumer) = self.consumers.get_mut(&key) {
            consumer.in_hand += 1;
            consumer.bytes += item.bytes;
        }
        Ok(Delivered { token, message, attempt: item.counts.attempts })
    }

    /// Consumers of a line.
    pub(super) fn consumers_of(&self, line: LineId) -> usize {
        self.turns.get(&line).map_or(0, std::collections::VecDeque::len)
    }
}
