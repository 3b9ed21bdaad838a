//! What every connection is doing and since when, and the one task that ends those that take too long.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

use super::Limits;

/// From one look at all connections to the next; deadlines are kept to within this.
const SWEEP: Duration = Duration::from_millis(100);

/// While the worker leaves, a connection that has not begun a request gets this long: a request may be on its way.
const DRAIN_HEAD_GRACE: Duration = Duration::from_millis(500);

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Nothing of a first request was read.
    Fresh = 0,
    /// A part of a head was read.
    Head = 1,
    /// The service has the request.
    Request = 2,
    /// The response is on its way.
    Response = 3,
    /// Between two requests.
    Idle = 4,
    /// Closing: what the client still sends is thrown away.
    Lingering = 5,
}

impl Phase {
    fn of(value: u8) -> Phase {
        match value {
            0 => Phase::Fresh,
            1 => Phase::Head,
            2 => Phase::Request,
            3 => Phase::Response,
            4 => Phase::Idle,
            _ => Phase::Lingering,
        }
    }
}

/// What a connection is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Order {
    /// Go on.
    Serve = 0,
    /// Finish the present request and close.
    Finish = 1,
    /// The head took too long: answer 408 and close.
    TimeOut = 2,
    /// Close now.
    Close = 3,
}

/// One connection, as its own task, its stream and the sweeper see it.
#[derive(Debug)]
pub(super) struct Mark {
    phase: AtomicU8,
    since: AtomicU32,
    order: AtomicU8,
    /// Whether the present or last request has a body, of which a part may be unread.
    body: AtomicBool,
    waker: AtomicWaker,
    clock: Arc<Clock>,
}

impl Mark {
    /// Notes that the connection begins to do something.
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.touch();
    }

    /// Notes that bytes of a request came in.
    pub(super) fn read(&self) {
        match self.phase() {
            // The clock of a first head runs from the opening of the connection.
            Phase::Fresh => self.phase.store(Phase::Head as u8, Ordering::Relaxed),
            Phase::Idle => self.enter(Phase::Head),
            _ => {}
        }
    }

    /// Notes progress within what it is doing.
    pub(super) fn touch(&self) {
        self.since.store(self.clock.now(), Ordering::Relaxed);
    }

    pub(super) fn phase(&self) -> Phase {
        Phase::of(self.phase.load(Ordering::Relaxed))
    }

    pub(super) fn order(&self) -> Order {
        match self.order.load(Ordering::Acquire) {
            0 => Order::Serve,
            1 => Order::Finish,
            2 => Order::TimeOut,
            _ => Order::Close,
        }
    }

    /// Notes that a request begins.
    pub(super) fn begin_request(&self, has_body: bool) {
        self.body.store(has_body, Ordering::Relaxed);
        self.enter(Phase::Request);
    }

    /// Whether the client may still be sending when we close: the rest of a body, or a request that crosses our own
    /// decision to close.
    pub(super) fn more_may_come(&self) -> bool {
        self.body.load(Ordering::Relaxed) || self.order() != Order::Serve
    }

    pub(super) fn listen(&self, waker: &std::task::Waker) {
        self.waker.register(waker);
    }

    fn give(&self, order: Order) {
        // An order is only ever replaced by a stricter one.
        if self.order.fetch_max(order as u8, Ordering::AcqRel) < order as u8 {
            self.waker.wake();
        }
    }

    fn age(&self) -> Duration {
        Duration::from_millis(self.clock.now().wrapping_sub(self.since.load(Ordering::Relaxed)).into())
    }
}

/// Milliseconds since the server began, as of the last look: reading it costs one load.
#[derive(Debug)]
pub(super) struct Clock {
    origin: Instant,
    now: AtomicU32,
}

impl Clock {
    fn now(&self) -> u32 {
        self.now.load(Ordering::Relaxed)
    }

    fn look(&self) {
        self.now.store(self.origin.elapsed().as_millis() as u32, Ordering::Relaxed);
    }
}

/// All connections of a worker.
#[derive(Debug)]
pub(super) struct Connections {
    limits: Limits,
    clock: Arc<Clock>,
    held: Mutex<Held>,
    /// Rung when a connection begins after there was none, and when one ends.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Held {
    marks: HashMap<u64, Arc<Mark>>,
    next: u64,
    by_ip: HashMap<IpAddr, usize>,
    draining: bool,
}

impl Connections {
    pub(super) fn new(limits: Limits) -> Arc<Connections> {
        let clock = Arc::new(Clock { origin: Instant::now(), now: AtomicU32::new(0) });
        Arc::new(Connections { limits, clock, held: Mutex::default(), changed: Notify::new() })
    }

    /// Takes in a connection; it is let go of when the ticket is dropped.
    pub(super) fn admit(self: &Arc<Self>, ip: IpAddr) -> Ticket {
        self.clock.look();
        let mut held = self.lock();
        let counted = !ip.is_loopback();
        let over_limit = counted && {
            let count = held.by_ip.entry(ip).or_default();
            *count += 1;
            *count > self.limits.max_connections_per_ip
        };
        let mark = Arc::new(Mark {
            phase: AtomicU8::new(Phase::Fresh as u8),
            since: AtomicU32::new(self.clock.now()),
            order: AtomicU8::new(if held.draining { Order::Finish } else { Order::Serve } as u8),
            body: AtomicBool::new(over_limit),
            waker: AtomicWaker::new(),
            clock: Arc::clone(&self.clock),
        });
        let key = held.next;
        held.next += 1;
        held.marks.insert(key, Arc::clone(&mark));
        if held.marks.len() == 1 {
            self.changed.notify_waiters();
        }
        Ticket { connections: Arc::clone(self), key, mark, counted_ip: counted.then_some(ip), over_limit }
    }

    pub(super) fn count(&self) -> usize {
        self.lock().marks.len()
    }

    /// Waits until fewer than `most` connections are held.
    pub(super) async fn below(&self, most: usize) {
        loop {
            let changed = self.changed.notified();
            if self.count() < most {
                return;
            }
            changed.await;
        }
    }

    /// Lets every connection finish its present request and close.
    pub(super) fn drain(&self) {
        let mut held = self.lock();
        held.draining = true;
        held.marks.values().for_each(|mark| mark.give(Order::Finish));
    }

    /// The sweeper: runs as long as the server.
    pub(super) async fn sweep(&self) {
        loop {
            let changed = self.changed.notified();
            if self.count() == 0 {
                changed.await;
            }
            tokio::time::sleep(SWEEP).await;
            self.clock.look();
            let held = self.lock();
            let draining = held.draining;
            for mark in held.marks.values() {
                if let Some(order) = self.overdue(mark, draining) {
                    mark.give(order);
                }
            }
        }
    }

    fn overdue(&self, mark: &Mark, draining: bool) -> Option<Order> {
        let limits = &self.limits;
        let (limit, order) = match mark.phase() {
            Phase::Fresh if draining => (DRAIN_HEAD_GRACE, Order::Close),
            Phase::Fresh => (limits.header_timeout, Order::Close),
            Phase::Head => (limits.header_timeout, Order::TimeOut),
            Phase::Response => (limits.write_timeout, Order::Close),
            Phase::Idle => (limits.idle_timeout, Order::Close),
            // The service has its own deadlines; lingering is bounded where it happens.
            Phase::Request | Phase::Lingering => return None,
        };
        (mark.age() >= limit).then_some(order)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right of one connection to be held.
#[derive(Debug)]
pub(super) struct Ticket {
    connections: Arc<Connections>,
    key: u64,
    mark: Arc<Mark>,
    counted_ip: Option<IpAddr>,
    over_limit: bool,
}

impl Ticket {
    pub(super) fn mark(&self) -> &Arc<Mark> {
        &self.mark
    }

    /// Whether this client has more connections than it may.
    pub(super) fn over_limit(&self) -> bool {
        self.over_limit
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut held = self.connections.lock();
        held.marks.remove(&self.key);
        if let Some(ip) = self.counted_ip
            && let Some(count) = held.by_ip.get_mut(&ip)
        {
            *count -= 1;
            if *count == 0 {
                held.by_ip.remove(&ip);
            }
        }
        self.connections.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections() -> Arc<Connections> {
        Connections::new(Limits {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(60),
            max_connections: 8,
            max_connections_per_ip: 2,
        })
    }

    #[test]
    fn each_phase_has_its_own_deadline() {
        let connections = connections();
        let ticket = connections.admit([127, 0, 0, 1].into());
        let mark = ticket.mark();
        for (phase, seconds, order) in [
            (Phase::Fresh, 10, Order::Close),
            (Phase::Head, 10, Order::TimeOut),
            (Phase::Response, 60, Order::Close),
            (Phase::Idle, 15, Order::Close),
        ] {
            mark.enter(phase);
            let began = connections.clock.now();
            connections.clock.now.store(began + seconds * 1000 - 1, Ordering::Relaxed);
            assert_eq!(connections.overdue(mark, false), None, "{phase:?} ended too early");
            connections.clock.now.store(began + seconds * 1000, Ordering::Relaxed);
            assert_eq!(connections.overdue(mark, false), Some(order), "{phase:?} was not ended");
        }
        mark.enter(Phase::Request);
        connections.clock.now.store(u32::MAX, Ordering::Relaxed);
        assert_eq!(connections.overdue(mark, false), None, "the service has its own deadlines");
    }

    #[test]
    fn one_address_is_limited_and_a_proxy_on_loopback_is_not() {
        let connections = connections();
        let stranger = IpAddr::from([192, 0, 2, 1]);
        let first_two = [connections.admit(stranger), connections.admit(stranger)];
        assert!(first_two.iter().all(|ticket| !ticket.over_limit()));
        assert!(connections.admit(stranger).over_limit());
        drop(first_two);
        assert!(!connections.admit(stranger).over_limit(), "places are given back");
        let local: Vec<Ticket> = (0..5).map(|_| connections.admit([127, 0, 0, 1].into())).collect();
        assert!(local.iter().all(|ticket| !ticket.over_limit()));
        drop(local);
        assert!(connections.lock().by_ip.is_empty() && connections.count() == 0);
    }

    #[test]
    fn an_order_is_only_replaced_by_a_stricter_one() {
        let connections = connections();
        let ticket = connections.admit([127, 0, 0, 1].into());
        connections.drain();
        assert_eq!(ticket.mark().order(), Order::Finish);
        ticket.mark().give(Order::Close);
        ticket.mark().give(Order::Finish);
        assert_eq!(ticket.mark().order(), Order::Close);
    }
}
