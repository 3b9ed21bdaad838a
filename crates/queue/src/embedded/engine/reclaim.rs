//! The first seconds of a life: leases of the former one are claimed again by those who hold them.
//!
//! The file knows which clients may hold leases (`holder`), but not which leases: a young one is in memory only. So nothing that was
//! ready before the restart is given out until all those clients have come, or 2 s have passed. What is submitted meanwhile is
//! given out at once, and with no holders there is no wait.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use super::finish::Attempt;
use super::item::{Holder, LineId, State, delivered_row};
use super::lease::{Again, Revoking};
use super::line::{Bucket, Fill, Line, QueueState};
use super::progress::LastWords;
use super::store::{Meta, Store};
use super::waits::Waits;
use super::{Batch, Client, ClientId, Engine, Named, Now, Settings, later};
use crate::{Error, JobId, Token};

/// The first seconds of a life.
#[derive(Debug)]
pub(super) struct Reclaim {
    /// What was ready before the restart waits until then.
    until: Option<Duration>,
    /// Holders of the former life that have not come.
    awaited: HashSet<JobId>,
    /// Clients that claimed leases again and have not said for which runner or consumer.
    unnamed: HashSet<ClientId>,
    /// Whether the former life ended in order: what was leased then did not crash anything.
    was_clean: bool,
}

impl Reclaim {
    pub(super) fn is_holding(&self) -> bool {
        self.until.is_some()
    }

    pub(super) fn has_unnamed(&self, client: ClientId) -> bool {
        self.unnamed.contains(&client)
    }

    pub(super) fn all_named(&mut self, client: ClientId) {
        self.unnamed.remove(&client);
    }

    /// When the wait is over.
    pub(super) fn ends_at(&self) -> Option<Duration> {
        self.until.map(|until| if self.awaited.is_empty() { Duration::ZERO } else { until })
    }
}

/// Begins a life.
pub(super) fn open(mut store: Store, settings: Settings, now: Now) -> Result<Engine, Error> {
    let former = store.meta(Meta::Epoch)?;
    let was_clean = former == 0 || store.meta(Meta::Clean)? == 1;
    if !was_clean {
        store.check()?;
    }
    let granted = store.meta(Meta::Granted)?;
    store.set_meta(Meta::Epoch, former + 1)?;
    store.set_meta(Meta::Clean, 0)?;
    store.commit()?;
    let awaited: HashSet<JobId> = store.holders()?.into_iter().collect();
    let wait = if awaited.is_empty() { Duration::ZERO } else { settings.reclaim_within };
    let mut seed = [0; 8];
    let random = match (settings.seed, getrandom::fill(&mut seed)) {
        (Some(seed), _) => seed,
        (None, Ok(())) => u64::from_le_bytes(seed),
        (None, Err(_)) => now.wall.0,
    };
    let next_seq = store.last_seq()?;
    let due_at = store.next_due()?;
    let mut engine = Engine {
        store,
        settings,
        epoch: former + 1,
        granted,
        has_granted: false,
        last: now,
        random: random | 1,
        versions: 0,
        next_seq,
        queues: Vec::new(),
        queue_names: HashMap::new(),
        lines: Vec::new(),
        named: Named::default(),
        confirmed: Named::default(),
        busy: BTreeSet::new(),
        items: HashMap::new(),
        ids: HashMap::new(),
        cached: 0,
        windowed: 0,
        clients: BTreeMap::new(),
        runners: HashMap::new(),
        consumers: BTreeMap::new(),
        turns: HashMap::new(),
        revoking: Revoking::default(),
        waits: Waits::default(),
        last_words: LastWords::default(),
        reclaim: Reclaim { until: Some(later(now, wait)), awaited, unnamed: HashSet::new(), was_clean },
        schedules: BTreeMap::new(),
        flows: HashMap::new(),
        sweeps: VecDeque::new(),
        due_at,
        keys_due_at: Some(0),
        timers: BinaryHeap::new(),
        young: VecDeque::new(),
        leases_checked_at: None,
        details_due_at: None,
        results: 0,
        has_orphans: false,
        left: Vec::new(),
        late: Vec::new(),
        resting_until: None,
        broken: None,
        batch: Batch::default(),
    };
    engine.load(now)?;
    engine.end_hold(now)?;
    engine.store.commit()?;
    engine.store.lengthen_log(engine.settings.log_bytes);
    Ok(engine)
}

impl Engine {
    /// Reads what is always in memory: names, counts, pauses, limits, schedules. Keeps what memory knows of leases.
    pub(super) fn load(&mut self, now: Now) -> Result<(), Error> {
        let (queues, lines) = (self.store.queues()?, self.store.lines()?);
        self.results = queues.iter().map(|queue| queue.contents.done).sum();
        for stored in queues {
            let at = stored.id as usize;
            if at == self.queues.len() {
                self.queue_names.insert(stored.name.clone(), stored.id);
                self.queues.push(QueueState::new(stored.id, stored.name));
            }
            let queue = self.queues.get_mut(at).ok_or_else(|| self.store.damaged("the names of the queues"))?;
            (queue.declared, queue.is_paused) = (stored.declared, stored.is_paused);
            (queue.contents, queue.is_changed) = (stored.contents, false);
            self.confirmed.queues = self.confirmed.queues.max(at + 1);
        }
        for stored in lines {
            let at = stored.id.0 as usize;
            if stored.queue as usize >= self.queues.len() || at > self.lines.len() {
                return Err(self.store.damaged("the names of the kinds"));
            }
            if at == self.lines.len() {
                self.lines.push(Line::new(stored.id, stored.queue, stored.kind));
                self.knows(stored.id);
            }
            let line = &mut self.lines[at];
            if line.limits != stored.limits {
                let limits = stored.limits.as_ref();
                line.bucket = limits.and_then(|limits| Bucket::new(limits, now.since_start, Fill::Empty));
            }
            (line.is_paused, line.limits) = (stored.is_paused, stored.limits);
            self.confirmed.lines = self.confirmed.lines.max(at + 1);
        }
        self.named = self.confirmed;
        self.schedules = self.store.schedules()?.into_iter().map(|each| (each.name.clone(), each)).collect();
        self.forget_windows();
        Ok(())
    }

    /// No row that waits is in memory: lines are read anew.
    pub(super) fn forget_windows(&mut self) {
        for at in 0..self.lines.len() {
            let left: Vec<_> = self.lines[at].forget().collect();
            for seq in left {
                self.leave_memory(seq);
            }
            self.busy.insert(LineId(at as u32));
        }
    }

    /// A client has come. Which of the leases and deliveries that it holds are its own again.
    pub fn connected(&mut self, client: ClientId, handle: JobId, holds: &[Token], now: Now) -> Vec<bool> {
        self.last = now;
        let was_awaited = self.reclaim.awaited.remove(&handle);
        self.clients.insert(client, Client { handle, is_holder: was_awaited });
        let kept = holds.iter().map(|token| match self.hold_again(client, token, now) {
            Ok(kept) => kept,
            Err(error) => {
                self.batch.failed.get_or_insert(error);
                false
            }
        });
        kept.collect()
    }

    fn hold_again(&mut self, client: ClientId, token: &Token, now: Now) -> Result<bool, Error> {
        if self.broken.is_some() || self.batch.failed.is_some() {
            return Ok(false);
        }
        let attempt = match delivered_row(&token.job) {
            Some(_) => self.delivery(token)?,
            None => self.attempt(token)?,
        };
        let Attempt::Is(seq) = attempt else { return Ok(false) };
        self.is_holder(client)?;
        match self.items.get_mut(&seq) {
            Some(item) if item.hold.is_some() => {
                // It was lost from sight and not gone yet: the same handle over another connection.
                if let Some(hold) = item.hold.as_mut() {
                    (hold.client, hold.by) = (client, Holder::Unnamed);
                }
            }
            Some(item) if item.state == State::Ready => self.hold(seq, *token, client, Holder::Unnamed, now),
            _ => {
                // It waits for its time by now.
                self.leave_memory(seq);
                return Ok(false);
            }
        }
        self.reclaim.unnamed.insert(client);
        if let Some(item) = self.items.get_mut(&seq) {
            if let Some(hold) = item.hold.as_mut() {
                hold.is_written = true;
            }
            self.store.mark_held(item)?;
        }
        Ok(true)
    }

    /// The wait is over if all have come, or its time has passed. What was leased and not claimed again comes back.
    pub(super) fn end_hold(&mut self, now: Now) -> Result<(), Error> {
        if self.reclaim.ends_at().is_none_or(|at| at > now.since_start) {
            return Ok(());
        }
        for mut item in self.store.held()? {
            if self.items.get(&item.seq).is_some_and(|item| item.hold.is_some()) {
                continue;
            }
            self.take(item.seq)?;
            if self.reclaim.was_clean {
                item.counts.attempts = item.counts.attempts.saturating_sub(1);
                self.give_back(item, Again::AsBefore, None, now)?;
            } else {
                self.lost(item, now)?;
            }
        }
        for handle in std::mem::take(&mut self.reclaim.awaited) {
            self.store.remove_holder(&handle)?;
        }
        self.reclaim.until = None;
        self.forget_windows();
        Ok(())
    }
}
