//! [`Relay`]: takes each letter where it is to go. Nothing here waits for a member.
//!
//! It believes no worker: whom a letter comes from is known by its line, and the windows are counted here too. A worker
//! that does not keep to them loses its line, and with it its right to write.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use tokio::sync::{Notify, Semaphore};

use crate::WorkerId;
use crate::messages::{
    BROADCASTS_AT_ONCE, Desk, Entry, Failure, Inbox, Kind, Letter, Line, Member, Posted, WINDOW_BYTES,
    WINDOW_CONNECTIONS, WINDOW_MESSAGES, WINDOW_REQUESTS, encode,
};

/// A line is broken off at this many times a window: after the primary was replaced, a sender may count less than what
/// is still under way.
const TOLERANCE: u32 = 2;

/// KiB of messages of dead workers that the primary's code has not read. More of them are dropped.
const DEAD_MAIL_KIB: usize = 64 * 1024;

/// A worker did what no worker of ours does.
#[derive(Debug)]
pub(crate) struct Breach(pub(super) &'static str);

#[derive(Debug)]
pub(crate) struct Relay {
    state: Mutex<State>,
    code: OnceLock<Arc<Desk>>,
    /// Room for news, or a seat paused or left.
    pub(super) room: Notify,
    dead_mail: Arc<Semaphore>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) seats: HashMap<WorkerId, Seat>,
    /// What one member has sent to another that the other has not taken.
    flows: HashMap<(Member, Member), Flow>,
    /// Whether there is code in the primary that can be written to.
    code_lives: bool,
    /// Who wants to know when the primary's code ends.
    acquainted_with_code: HashSet<Member>,
}

/// A worker, as the relay knows it.
#[derive(Debug)]
pub(super) struct Seat {
    pid: u32,
    pub(super) line: Arc<Line>,
    /// What it sent to the primary's code.
    mail: Arc<Inbox>,
    /// Who wants to know when it ends.
    acquainted: HashSet<Member>,
    pub(super) news: Flow,
    /// It let a broadcast wait in vain; it is not waited for until it takes something.
    pub(super) stalled: bool,
    /// It sends nothing more on this line.
    paused: bool,
    pub(super) broadcasts: Arc<Semaphore>,
}

#[derive(Debug, Default)]
pub(super) struct Flow {
    messages: u32,
    bytes: u64,
    requests: u32,
    connections: u32,
}

impl Flow {
    pub(super) fn has_room(&self) -> bool {
        self.messages < WINDOW_MESSAGES && self.bytes < WINDOW_BYTES
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
    }

    /// Subtracts what was really there.
    fn subtract(&mut self, messages: u32, bytes: u64) -> (u32, u64) {
        let (messages, bytes) = (messages.min(self.messages), bytes.min(self.bytes));
        self.messages -= messages;
        self.bytes -= bytes;
        (messages, bytes)
    }
}

impl Relay {
    pub(crate) fn new(with_code: bool) -> Arc<Relay> {
        let relay = Arc::new(Relay {
            state: Mutex::new(State { code_lives: with_code, ..State::default() }),
            code: OnceLock::new(),
            room: Notify::new(),
            dead_mail: Arc::new(Semaphore::new(DEAD_MAIL_KIB)),
        });
        let weak: Weak<Relay> = Arc::downgrade(&relay);
        let desk = Desk::new(move |letter| {
            if let Some(relay) = weak.upgrade() {
                let _ = relay.route(Member::Primary, letter);
            }
            Posted::default()
        });
        let _ = relay.code.set(desk);
        relay
    }

    /// The desk of the primary's code.
    pub(crate) fn desk(&self) -> &Arc<Desk> {
        // Set before anybody else has the relay.
        self.code.get_or_init(|| Desk::new(|_| Posted::default()))
    }

    pub(crate) fn workers(&self) -> Vec<(WorkerId, u32)> {
        let mut workers: Vec<_> = self.state().seats.iter().map(|(worker, seat)| (*worker, seat.pid)).collect();
        workers.sort_unstable();
        workers
    }

    /// A worker has a line; what it sends to the primary's code goes into `mail`.
    pub(crate) fn seat(self: &Arc<Self>, worker: WorkerId, pid: u32, line: Arc<Line>, mail: Arc<Inbox>) {
        let seat = Seat {
            pid,
            line: Arc::clone(&line),
            mail: Arc::clone(&mail),
            acquainted: HashSet::new(),
            news: Flow::default(),
            stalled: false,
            paused: false,
            broadcasts: Arc::new(Semaphore::new(BROADCASTS_AT_ONCE)),
        };
        let before = self.state().seats.insert(worker, seat);
        drop(before);
        tokio::spawn(read(Arc::clone(self), worker, line, mail));
    }

    /// There is no code in the primary any more.
    pub(crate) fn code_ended(&self) {
        let acquainted = {
            let mut state = self.state();
            state.code_lives = false;
            std::mem::take(&mut state.acquainted_with_code)
        };
        for member in acquainted {
            self.deliver(member, Letter::bare(Member::Primary, Kind::Gone));
        }
    }

    /// Makes all workers hold back what they send, and waits until everything that was on its way is with the kernel.
    pub(crate) async fn pause(&self) {
        let lines = self.tell_all(Kind::Pause);
        loop {
            let changed = self.room.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if self.state().seats.values().all(|seat| seat.paused) {
                break;
            }
            changed.await;
        }
        for line in lines {
            line.flush().await;
        }
    }

    /// The pause was for nothing.
    pub(crate) fn resume(&self) {
        self.state().seats.values_mut().for_each(|seat| seat.paused = false);
        self.tell_all(Kind::Resume);
    }

    fn tell_all(&self, kind: Kind) -> Vec<Arc<Line>> {
        let lines: Vec<Arc<Line>> = self.state().seats.values().map(|seat| Arc::clone(&seat.line)).collect();
        for line in &lines {
            line.post(Letter::bare(Member::Primary, kind));
        }
        lines
    }

    /// Takes a letter of `from` where it is to go.
    pub(crate) fn route(self: &Arc<Self>, from: Member, letter: Letter) -> Result<(), Breach> {
        let to = letter.member;
        match letter.kind {
            Kind::Knock => {
                let kind = if self.acquaint(from, to) { Kind::Open } else { Kind::Gone };
                self.deliver(from, Letter::bare(to, kind));
            }
            Kind::Message => {
                let bytes = letter.body.len();
                self.count(from, to, |flow| {
                    let keeps =
                        flow.messages < WINDOW_MESSAGES * TOLERANCE && flow.bytes < WINDOW_BYTES * u64::from(TOLERANCE);
                    flow.add(bytes);
                    keeps
                })?;
                self.forward(from, letter);
            }
            Kind::Request { id } => {
                self.count(from, to, |flow| {
                    flow.requests += 1;
                    flow.requests <= WINDOW_REQUESTS * TOLERANCE
                })?;
                self.forward_or_fail(from, letter, id);
            }
            Kind::Connection { id } | Kind::ForServer { id } => {
                self.count(from, to, |flow| {
                    flow.connections += 1;
                    flow.connections <= WINDOW_CONNECTIONS * TOLERANCE
                })?;
                self.forward_or_fail(from, letter, id);
            }
            Kind::Withdraw { id } => self.forward_or_fail(from, letter, id),
            Kind::Failed { why: Failure::NoServer, .. } | Kind::Accepted { .. } | Kind::Withdrawn { .. } => {
                self.uncount(to, from, |flow| flow.connections = flow.connections.saturating_sub(1));
                self.forward(from, letter);
            }
            Kind::Answer { .. } | Kind::Failed { .. } => {
                self.uncount(to, from, |flow| flow.requests = flow.requests.saturating_sub(1));
                self.forward(from, letter);
            }
            Kind::Taken { messages, bytes } => {
                let mut counted = (0, 0);
                self.uncount(to, from, |flow| counted = flow.subtract(messages, bytes));
                let (messages, bytes) = counted;
                self.forward(from, Letter { kind: Kind::Taken { messages, bytes }, ..letter });
            }
            Kind::NewsTaken { messages, bytes } => {
                if let Member::Worker(worker) = from
                    && let Some(seat) = self.state().seats.get_mut(&worker)
                {
                    seat.news.subtract(messages, bytes);
                    seat.stalled = false;
                }
                self.room.notify_waiters();
            }
            Kind::Broadcast { id } => self.begin_broadcast(from, id, letter.body)?,
            Kind::Who { id } => {
                let others = self.workers().into_iter().map(|(worker, _)| worker);
                let others: Vec<WorkerId> = others.filter(|worker| Member::Worker(*worker) != from).collect();
                self.answer(from, id, &others);
            }
            Kind::Open | Kind::Gone | Kind::News | Kind::Pause | Kind::Resume => {
                return Err(Breach("a letter that only the hub sends"));
            }
            Kind::Paused => {
                if let Member::Worker(worker) = from
                    && let Some(seat) = self.state().seats.get_mut(&worker)
                {
                    seat.paused = true;
                }
                self.room.notify_waiters();
            }
        }
        Ok(())
    }

    pub(super) fn answer<T: serde::Serialize>(&self, to: Member, id: u64, answer: &T) {
        let letter = match encode(answer) {
            Ok(body) => Letter::new(Member::Primary, Kind::Answer { id }, body),
            Err(_) => Letter::bare(Member::Primary, Kind::Failed { id, why: Failure::TooMuch }),
        };
        self.deliver(to, letter);
    }

    /// Whether `whom` is there; if so, `who` is told when it ends.
    fn acquaint(&self, who: Member, whom: Member) -> bool {
        let mut state = self.state();
        match whom {
            Member::Primary if !state.code_lives => return false,
            Member::Primary => state.acquainted_with_code.insert(who),
            Member::Worker(worker) => match state.seats.get_mut(&worker) {
                Some(seat) => seat.acquainted.insert(who),
                None => return false,
            },
        };
        true
    }

    fn count(&self, from: Member, to: Member, keeps: impl FnOnce(&mut Flow) -> bool) -> Result<(), Breach> {
        let mut state = self.state();
        let there = match to {
            Member::Primary => state.code_lives,
            Member::Worker(worker) => state.seats.contains_key(&worker),
        };
        if !there || keeps(state.flows.entry((from, to)).or_default()) {
            return Ok(());
        }
        Err(Breach("it sends more than its window allows"))
    }

    fn uncount(&self, from: Member, to: Member, less: impl FnOnce(&mut Flow)) {
        if let Some(flow) = self.state().flows.get_mut(&(from, to)) {
            less(flow);
        }
    }

    /// Hands on a letter; false if nobody is there to take it.
    fn forward(&self, from: Member, letter: Letter) -> bool {
        let to = letter.member;
        self.deliver(to, Letter { member: from, ..letter })
    }

    fn forward_or_fail(&self, from: Member, letter: Letter, id: u64) {
        let to = letter.member;
        if !self.forward(from, letter) {
            self.deliver(from, Letter::bare(to, Kind::Failed { id, why: Failure::Gone }));
        }
    }

    /// Gives `to` a letter whose `member` is whom it comes from.
    fn deliver(&self, to: Member, letter: Letter) -> bool {
        let Member::Worker(worker) = to else { return self.deliver_to_code(letter) };
        let line = self.state().seats.get(&worker).map(|seat| Arc::clone(&seat.line));
        line.map(|line| line.post(letter)).is_some()
    }

    fn deliver_to_code(&self, letter: Letter) -> bool {
        let entry = match letter.kind {
            // Connections are passed to workers; the primary serves none.
            Kind::Connection { .. } | Kind::ForServer { .. } => return false,
            Kind::Withdraw { id } => {
                self.deliver(letter.member, Letter::bare(Member::Primary, Kind::Withdrawn { id }));
                return true;
            }
            _ => Entry::of(self.desk(), letter),
        };
        match entry {
            Err(letter) => self.desk().hear(letter),
            Ok(entry) => {
                let mail = {
                    let state = self.state();
                    let Member::Worker(worker) = entry.from else { return false };
                    state.seats.get(&worker).filter(|_| state.code_lives).map(|seat| Arc::clone(&seat.mail))
                };
                let Some(mail) = mail else { return false };
                mail.push(entry);
            }
        }
        true
    }

    /// A worker's line has ended: all who wrote to it are told.
    fn leave(&self, worker: WorkerId, line: &Arc<Line>) {
        let member = Member::Worker(worker);
        let seat = {
            let mut state = self.state();
            match state.seats.remove(&worker) {
                Some(seat) if Arc::ptr_eq(&seat.line, line) => {
                    state.flows.retain(|(from, to), _| *from != member && *to != member);
                    state.acquainted_with_code.remove(&member);
                    for other in state.seats.values_mut() {
                        other.acquainted.remove(&member);
                    }
                    seat
                }
                // It has a new line already.
                Some(other) => {
                    state.seats.insert(worker, other);
                    return;
                }
                None => return,
            }
        };
        for acquainted in &seat.acquainted {
            self.deliver(*acquainted, Letter::bare(member, Kind::Gone));
        }
        self.desk().forget(member);
        self.room.notify_waiters();
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Routes what a worker sends, until it is gone.
async fn read(relay: Arc<Relay>, worker: WorkerId, line: Arc<Line>, mail: Arc<Inbox>) {
    while let Some(letter) = line.next().await {
        if let Err(Breach(what)) = relay.route(Member::Worker(worker), letter) {
            tracing::error!("worker {worker} is heard no more: {what}");
            break;
        }
    }
    line.close();
    relay.leave(worker, &line);
    let kib = u32::try_from(mail.bytes().div_ceil(1024)).unwrap_or(u32::MAX);
    match Arc::clone(&relay.dead_mail).try_acquire_many_owned(kib) {
        Ok(permit) => mail.close_keeping(permit),
        Err(_) => {
            tracing::warn!(
                "worker {worker} is gone, and what it sent is dropped: the primary's code has not read {} MiB of \
                 messages of workers that are gone",
                DEAD_MAIL_KIB / 1024
            );
            mail.clear();
            mail.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::messages::Body;

    const DEADLINE: Duration = Duration::from_secs(20);

    /// A relay with one worker, of which we play the other end.
    fn with_a_worker(test: impl AsyncFnOnce(Arc<Relay>, Arc<Line>, Arc<Inbox>)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let relay = Relay::new(true);
            let (ours, theirs) = crate::hub::line().unwrap();
            let mail = Arc::<Inbox>::default();
            relay.seat(WorkerId::new(1), 0, Line::open(ours).unwrap(), Arc::clone(&mail));
            tokio::time::timeout(DEADLINE, test(relay, Line::open(theirs).unwrap(), mail)).await.unwrap();
        });
    }

    #[test]
    fn a_worker_that_keeps_to_no_window_loses_its_line_and_what_waits_is_bounded() {
        with_a_worker(async |relay, worker, mail| {
            for _ in 0..10_000 {
                worker.post(Letter::new(Member::Primary, Kind::Message, Body::new(vec![0; 100])));
            }
            while worker.next().await.is_some() {}
            assert!(relay.workers().is_empty());
            assert!(mail.bytes() <= 100 * (WINDOW_MESSAGES * TOLERANCE) as usize);
        });
    }

    #[test]
    fn a_letter_that_only_the_hub_sends_costs_a_worker_its_line() {
        with_a_worker(async |relay, worker, _| {
            worker.post(Letter::bare(Member::Primary, Kind::Gone));
            while worker.next().await.is_some() {}
            assert!(relay.workers().is_empty());
        });
    }

    #[test]
    fn who_asks_for_nobody_is_told_so_and_keeps_its_line() {
        with_a_worker(async |relay, worker, _| {
            let nobody = Member::Worker(WorkerId::new(9));
            worker.post(Letter::bare(nobody, Kind::Request { id: 5 }));
            let answer = worker.next().await.unwrap();
            assert_eq!((answer.member, answer.kind), (nobody, Kind::Failed { id: 5, why: Failure::Gone }));
            worker.post(Letter::bare(nobody, Kind::Knock));
            assert_eq!(worker.next().await.unwrap().kind, Kind::Gone);
            assert_eq!(relay.workers().len(), 1);
        });
    }
}
