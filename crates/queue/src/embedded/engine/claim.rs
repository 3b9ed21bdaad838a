//! What is given out to runners.

use super::item::{Holder, LineId, Seq};
use super::line::WINDOW;
use super::store::Meta;
use super::submit::MOST_IN_WINDOWS;
use super::waits::{For, WaitId};
use super::{ClientId, Engine, Now, Runner, later};
use crate::embedded::words::Reply;
use crate::job::{Claim, Lease};
use crate::{Error, QueueName};

/// Jobs in one answer, and bytes of their payloads.
const MOST_LEASES: usize = 1024;
const MOST_BYTES: u64 = 8 << 20;

/// Queues, and kinds, that one claim may name.
const MOST_NAMES: usize = 1024;

impl Engine {
    /// A runner asks. It is answered after the commit, or when there is something.
    pub(super) fn claim(&mut self, client: ClientId, ask: u64, claim: Claim, now: Now) -> Result<(), Error> {
        if claim.queues.len() > MOST_NAMES || claim.kinds.len() > MOST_NAMES {
            let reason = format!("it names more than {MOST_NAMES} queues or kinds");
            return Err(Error::Malformed { what: "the claim".to_owned(), reason });
        }
        let mut lines = Vec::with_capacity(claim.queues.len() * claim.kinds.len());
        for queue in &claim.queues {
            for kind in &claim.kinds {
                lines.push(self.line_for(queue.as_str(), Some(kind))?);
            }
        }
        self.name_holds(client, Holder::Runner(claim.runner), None);
        self.is_holder(client)?;
        if !self.runners.get(&claim.runner).is_some_and(|known| known.client == client && known.queues == lines) {
            let runner = Runner { client, name: claim.name.chars().take(256).collect(), queues: lines.clone() };
            self.runners.insert(claim.runner, runner);
        }
        let until = later(now, claim.wait);
        self.waits.add(client, ask, For::Claim(Box::new(claim), lines), until).map(drop)
    }

    /// This client may hold leases from now on: the next life has to wait for it.
    pub(super) fn is_holder(&mut self, client: ClientId) -> Result<(), Error> {
        if !self.has_granted {
            self.store.set_meta(Meta::Granted, self.epoch)?;
            self.has_granted = true;
        }
        match self.clients.get_mut(&client).filter(|state| !state.is_holder) {
            Some(state) => {
                state.is_holder = true;
                self.store.add_holder(&state.handle)
            }
            None => Ok(()),
        }
    }

    /// Answers the claims for which there is something, in their order.
    pub(super) fn serve_claims(&mut self, now: Now) -> Vec<(ClientId, u64, Result<Reply, Error>)> {
        let mut served = Vec::new();
        if self.busy.is_empty() || !self.waits.has_claims() {
            return served;
        }
        for wait in self.waits.claims() {
            let Some((client, ask, given)) = self.serve_claim(wait, now) else { continue };
            self.waits.remove(wait);
            served.push((client, ask, given.map(Reply::Leases)));
            if self.busy.is_empty() {
                break;
            }
        }
        served
    }

    fn serve_claim(&mut self, wait: WaitId, now: Now) -> Option<(ClientId, u64, Result<Vec<Lease>, Error>)> {
        let waiter = self.waits.get(wait)?;
        let For::Claim(claim, lines) = &waiter.what else { return None };
        let (client, ask, runner) = (waiter.client, waiter.ask, claim.runner);
        let most = claim.most.clamp(1, MOST_LEASES);
        let lines: Vec<LineId> = lines.iter().copied().filter(|line| self.busy.contains(line)).collect();
        let (mut leases, mut bytes) = (Vec::new(), 0);
        while leases.len() < most && bytes < MOST_BYTES {
            let seq = match self.next_of(&lines, now) {
                Ok(Some(seq)) => seq,
                Ok(None) => break,
                Err(error) if leases.is_empty() => return Some((client, ask, Err(error))),
                Err(_) => break,
            };
            match self.lease(seq, client, Holder::Runner(runner), now) {
                Ok(lease) => {
                    bytes += lease.payload.len() as u64;
                    leases.push(lease);
                }
                Err(error) if leases.is_empty() => return Some((client, ask, Err(error))),
                Err(_) => break,
            }
        }
        (!leases.is_empty()).then_some((client, ask, Ok(leases)))
    }

    /// The first of these lines that may begin now.
    pub(super) fn next_of(&mut self, lines: &[LineId], now: Now) -> Result<Option<Seq>, Error> {
        let mut best: Option<(i64, Seq)> = None;
        for id in lines {
            if self.queue_of(*id).is_paused || !self.line(*id).may_begin(now.since_start) {
                continue;
            }
            if let Some(first) = self.first_of(*id, now)? {
                best = Some(best.map_or(first, |best| best.min(first)));
            }
        }
        Ok(best.map(|(_, seq)| seq))
    }

    /// The first of a line; read from the file if memory has none.
    fn first_of(&mut self, id: LineId, now: Now) -> Result<Option<(i64, Seq)>, Error> {
        loop {
            let line = self.line(id);
            match line.first() {
                Some((rank, seq)) => {
                    let is_late = |item: &super::Item| item.terms.deadline.is_some_and(|deadline| deadline <= now.wall);
                    if !self.items.get(&seq).is_some_and(is_late) {
                        return Ok(Some((rank, seq)));
                    }
                    // It ends with the next batch.
                    self.line(id).remove((rank, seq));
                    self.late.push(seq);
                }
                None if line.is_whole() || self.reclaim.is_holding() => {
                    self.busy.remove(&id);
                    return Ok(None);
                }
                None => self.read_on(id)?,
            }
        }
    }

    /// The next part of a line comes from the file.
    fn read_on(&mut self, id: LineId) -> Result<(), Error> {
        let after = self.line(id).edge();
        let most = if self.windowed > MOST_IN_WINDOWS { WINDOW / 16 } else { WINDOW };
        let rows = self.store.head(id, after, most)?;
        let last = rows.last().map(|item| item.place());
        self.line(id).read_up_to(last, most, rows.len());
        for item in rows {
            // Leased ones are ready in the file.
            if !self.items.contains_key(&item.seq) {
                self.place(item);
            }
        }
        Ok(())
    }

    /// A job goes into the hands of a runner.
    fn lease(&mut self, seq: Seq, client: ClientId, by: Holder, now: Now) -> Result<Lease, Error> {
        let payload = self.payload_of(seq)?;
        let Some(item) = self.items.get(&seq) else { return Err(Error::Stale) };
        let (id, line, family) = (item.id, item.line, item.terms.family);
        let children = match family {
            super::item::Family::Parent { .. } => Some(self.store.child_ends(seq)?),
            _ => None,
        };
        let queue = QueueName::new(self.queue_of(line).name.clone())?;
        let kind = self.line(line).kind.clone().unwrap_or_default();
        let token = self.begin(seq, id, client, by, now).ok_or(Error::Stale)?;
        let item = &self.items[&seq];
        Ok(Lease {
            token,
            queue,
            kind,
            payload,
            attempt: item.counts.attempts,
            crashes: item.counts.crashes,
            deadline: item.terms.deadline,
            run_limit: item.terms.run_limit,
            details: item.details.clone(),
            children,
        })
    }

    /// The payload of a row in memory: taken from there, or read.
    pub(super) fn payload_of(&mut self, seq: Seq) -> Result<Vec<u8>, Error> {
        match self.items.get_mut(&seq).and_then(|item| item.payload.take()) {
            Some(payload) => {
                self.cached = self.cached.saturating_sub(payload.len());
                Ok(payload)
            }
            None => self.store.payload(seq),
        }
    }

    /// Lines that have grown too long, all together, leave the memory in part.
    pub(super) fn trim_windows(&mut self) {
        if self.windowed <= 2 * MOST_IN_WINDOWS {
            return;
        }
        for id in self.busy.iter().copied().collect::<Vec<LineId>>() {
            if self.line(id).len() > WINDOW / 16 {
                self.trim(id, WINDOW / 16);
            }
        }
    }
}
