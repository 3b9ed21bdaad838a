//! What became of deliveries: acknowledged, back, replaced, or dead letters.

use super::finish::Attempt;
use super::item::{Item, delivered_row, delivery_id};
use super::lease::Again;
use super::submit::LARGEST;
use super::{Engine, Now};
use crate::embedded::words::Settlement;
use crate::{Error, Message, QueueName, QueueOptions, Token};

impl Engine {
    pub(super) fn settle(&mut self, token: &Token, settlement: Settlement, now: Now) -> Result<(), Error> {
        let seq = match self.delivery(token)? {
            Attempt::Is(seq) => seq,
            Attempt::WasRecorded => return Ok(()),
            Attempt::IsStale => return Err(Error::Stale),
        };
        let Some(mut item) = self.take(seq)? else { return Err(Error::Stale) };
        item.hold = None;
        item.counts.is_settled = true;
        match settlement {
            Settlement::Ack => self.end_settled(item, now),
            Settlement::Reject => self.bury(item, now),
            Settlement::Nack(wait) if wait.is_zero() => self.delivered_again(item, now),
            Settlement::Nack(wait) if self.may_come_again(&item) => {
                self.give_back(item, Again::From(now.wall.after(wait)), None, now)
            }
            Settlement::Nack(_) => self.bury(item, now),
            Settlement::Replace(message, wait) => {
                let again = if wait.is_zero() { Again::AsBefore } else { Again::From(now.wall.after(wait)) };
                self.replace(item, &message, again, now)
            }
        }
    }

    /// Which delivery this token speaks of.
    pub(super) fn delivery(&mut self, token: &Token) -> Result<Attempt, Error> {
        let Some(seq) = delivered_row(&token.job) else { return Ok(Attempt::IsStale) };
        let item = match self.items.get(&seq) {
            Some(item) => Some(item.clone()),
            None => self.store.by_seq(seq)?,
        };
        let Some(item) = item.filter(|item| delivery_id(seq, &item.id) == token.job && !self.is_job(item.line)) else {
            return Ok(Attempt::IsStale);
        };
        match &item.hold {
            Some(hold) if hold.token == *token => Ok(Attempt::Is(seq)),
            Some(_) => Ok(Attempt::IsStale),
            None => self.late_attempt(&item, token),
        }
    }

    fn may_come_again(&mut self, item: &Item) -> bool {
        let most = self.queue_of(item.line).declared.as_ref().map_or(u32::MAX, |options| options.max_deliveries);
        item.counts.attempts < most
    }

    /// A message comes again, at once, unless it came too often.
    pub(super) fn delivered_again(&mut self, item: Item, now: Now) -> Result<(), Error> {
        if self.may_come_again(&item) { self.give_back(item, Again::AsBefore, None, now) } else { self.bury(item, now) }
    }

    /// Another message in the place of this one.
    fn replace(&mut self, mut item: Item, message: &Message, again: Again, now: Now) -> Result<(), Error> {
        check(message)?;
        let payload = postcard::to_allocvec(message).unwrap_or_default();
        let before = item.bytes;
        (item.id, item.bytes) = (message.id.0, payload.len() as u64);
        item.counts.attempts = 0;
        let space = self.space(item.line);
        if !self.store.replace(&item, space, &payload)? {
            // It was replaced by a message that is there already.
            item.bytes = before;
            return self.end_settled(item, now);
        }
        self.count(item.line, Some(item.state), None, before);
        self.count(item.line, None, Some(item.state), item.bytes);
        self.give_back(item, again, None, now)
    }

    /// A message that cannot be worked on goes where its queue says, or is gone.
    fn bury(&mut self, mut item: Item, now: Now) -> Result<(), Error> {
        let target = self.queue_of(item.line).declared.as_ref().and_then(|options| options.dead_letter.clone());
        let Some(target) = target else { return self.end_settled(item, now) };
        self.declare_default(&target)?;
        let (from, to) = (item.line, self.line_for(target.as_str(), None)?);
        self.store_names()?;
        while self.has_room(to, 1, usize::try_from(item.bytes).unwrap_or(usize::MAX), now).is_err() {
            // Dead letters are bounded too: the oldest leave.
            let Some((oldest, _)) = self.store.waiting(to, 1)?.pop() else { break };
            match self.take(oldest)? {
                Some(oldest) if oldest.hold.is_none() => self.throw_away(oldest)?,
                _ => break,
            }
        }
        item.line = to;
        let space = self.space(to);
        if !self.store.move_to(&item, space)? {
            item.line = from;
            return self.end_settled(item, now);
        }
        self.count(from, Some(item.state), None, item.bytes);
        self.count(to, None, Some(item.state), item.bytes);
        item.counts.attempts = 0;
        self.give_back(item, Again::From(now.wall), None, now)
    }

    /// A queue for messages with the default bounds, unless it is declared.
    pub(super) fn declare_default(&mut self, name: &QueueName) -> Result<(), Error> {
        let queue = self.queue_for(name.as_str())?;
        if self.queues[queue as usize].declared.is_none() {
            self.store_names()?;
            let mut options = QueueOptions::new(name.as_str())?;
            (options.max_messages, options.max_bytes) = (self.settings.max_waiting, self.settings.max_bytes);
            self.store.declare(queue, Some(&options))?;
            self.queues[queue as usize].declared = Some(options);
        }
        Ok(())
    }
}

/// Whether a message can be taken at all.
pub(super) fn check(message: &Message) -> Result<(), Error> {
    let bytes =
        message.body.len() + message.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    if bytes > LARGEST {
        return Err(Error::TooBig { bytes: bytes as u64, limit: LARGEST as u64 });
    }
    Ok(())
}
