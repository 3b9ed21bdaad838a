//! What happens if a batch cannot be written: file and memory are as they were after the last commit.

use super::item::{Hold, Seq};
use super::lease::WRITTEN_AFTER;
use super::store::Meta;
use super::{ClientId, Engine, Now, later};
use crate::Error;
use crate::embedded::words::Reply;

impl Engine {
    /// Undoes the batch. Its requests get the error.
    pub(super) fn undo(&mut self, error: &Error, now: Now) -> Vec<(ClientId, u64, Result<Reply, Error>)> {
        self.store.roll_back();
        let mut batch = std::mem::take(&mut self.batch);
        for (_, _, reply) in &mut batch.answers {
            if reply.is_ok() {
                *reply = Err(error.clone());
            }
        }
        for sweep in std::mem::take(&mut self.sweeps) {
            batch.answers.push((sweep.client(), sweep.ask(), Err(error.clone())));
        }
        let mut leases = batch.ended_leases;
        leases.extend(self.items.values().filter_map(|item| item.hold.clone().map(|hold| (item.seq, hold))));
        self.broken = self.restore(leases, now).err();
        batch.answers
    }

    /// Tries again what did not succeed.
    pub(super) fn repair(&mut self, now: Now) {
        let leases = self.items.values().filter_map(|item| item.hold.clone().map(|hold| (item.seq, hold))).collect();
        self.broken = self.restore(leases, now).err();
    }

    /// Memory as the file is, with these leases.
    fn restore(&mut self, leases: Vec<(Seq, Hold)>, now: Now) -> Result<(), Error> {
        let former = std::mem::take(&mut self.items);
        self.ids.clear();
        (self.cached, self.windowed) = (0, 0);
        self.flows.clear();
        self.late.clear();
        for line in &mut self.lines {
            line.leased = 0;
        }
        for queue in &mut self.queues {
            (queue.leased, queue.leased_bytes, queue.is_changed) = (0, 0, false);
        }
        for at in self.confirmed.queues..self.queues.len() {
            let queue = &mut self.queues[at];
            (queue.declared, queue.is_paused, queue.contents) = (None, false, Default::default());
        }
        for line in &mut self.lines[self.confirmed.lines..] {
            (line.is_paused, line.limits, line.bucket) = (false, None, None);
        }
        for consumer in self.consumers.values_mut() {
            consumer.forget();
        }
        self.load(now)?;
        let mut lost = Vec::new();
        for (seq, mut hold) in leases {
            match self.store.by_seq(seq) {
                Ok(Some(mut item)) if !item.state.is_end() => {
                    hold.is_written = (hold.token.epoch, hold.token.attempt) == (item.counts.epoch, item.counts.leases);
                    item.counts.show(&hold.token);
                    item.counts.is_settled = false;
                    if let Some(former) = former.get(&seq).filter(|former| former.details.is_some()) {
                        item.details.clone_from(&former.details);
                        hold.has_new_details = true;
                        self.details_due_at.get_or_insert(later(now, WRITTEN_AFTER));
                    }
                    self.young.push_back((later(now, WRITTEN_AFTER), seq, hold.token));
                    self.join_consumer(&hold, item.bytes);
                    self.lines[item.line.0 as usize].leased += 1;
                    self.count_lease(item.line, item.bytes, 1);
                    item.hold = Some(hold);
                    if self.is_job(item.line) {
                        self.ids.insert(item.id, seq);
                    }
                    self.items.insert(seq, item);
                }
                Ok(_) => {}
                Err(error) => lost.push((seq, hold, error)),
            }
        }
        // With these rows the file does not know what it knew: their leases go on as soon as they can be read.
        if let Some((_, _, error)) = lost.first() {
            let error = error.clone();
            for (seq, hold, _) in lost {
                if let Some(mut item) = former.get(&seq).cloned() {
                    item.hold = Some(hold);
                    self.items.insert(seq, item);
                }
            }
            return Err(error);
        }
        self.leases_checked_at = Some(now.since_start);
        self.has_granted = self.store.meta(Meta::Granted)? == self.epoch;
        for client in self.clients.values_mut() {
            // Said again with the next claim.
            client.is_holder = false;
        }
        self.has_orphans = true;
        (self.due_at, self.keys_due_at) = (Some(0), Some(0));
        Ok(())
    }
}
