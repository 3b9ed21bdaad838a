//! All connections of a worker, and the one task that ends those that take too long or whose time has come.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use phalanx_shared::{Field, Slot};
use tokio::sync::Notify;

use super::Limits;
use super::drain::Drain;
use super::mark::{Clock, Mark, Order, Phase};

/// From one look at all connections to the next; deadlines are kept to within this.
const SWEEP: Duration = Duration::from_millis(100);

/// A connection that is to end and on which nothing was read gets this long: a request may be on its way.
const FRESH_GRACE: Duration = Duration::from_millis(500);

/// An idle HTTP/2 client that takes nothing gets this long to answer our GOAWAY: the streams that it opened before it
/// heard of it arrive meanwhile, and so does the rest of an answer that is under way in buffers. (Who answers is closed
/// at once.)
const GOAWAY_GRACE: Duration = Duration::from_secs(5);

/// All connections of a worker.
#[derive(Debug)]
pub(super) struct Connections {
    limits: Limits,
    slot: Arc<Slot>,
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
    drain: Option<Drain>,
}

impl Connections {
    pub(super) fn new(limits: Limits, slot: Arc<Slot>) -> Arc<Connections> {
        Arc::new(Connections { limits, slot, clock: Clock::start(), held: Mutex::default(), changed: Notify::new() })
    }

    /// Takes in a connection; it is let go of when the ticket is dropped. Connections without an address, or from this
    /// machine, are not counted by address.
    pub(super) fn admit(self: &Arc<Self>, ip: Option<IpAddr>) -> Ticket {
        self.clock.look();
        let mut held = self.lock();
        let counted_ip = ip.filter(|ip| !ip.is_loopback());
        let over_limit = counted_ip.is_some_and(|ip| {
            let count = held.by_ip.entry(ip).or_default();
            *count += 1;
            *count > self.limits.max_connections_per_ip
        });
        let key = held.next;
        held.next += 1;
        let order = match held.drain {
            None => Order::Serve,
            Some(Drain::Spread { .. }) => Order::Announce,
            Some(Drain::AtOnce) => Order::Finish,
        };
        let mark = Arc::new(Mark::new(Arc::clone(&self.clock), key, order));
        if over_limit {
            mark.leaves_something_unread();
        }
        held.marks.insert(key, Arc::clone(&mark));
        if held.marks.len() == 1 {
            self.changed.notify_waiters();
        }
        Ticket { connections: Arc::clone(self), key, mark, counted_ip, over_limit }
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

    /// Lets the connections come to their end in this manner.
    pub(super) fn drain(&self, drain: Drain) {
        self.clock.look();
        let mut held = self.lock();
        held.drain = Some(drain);
        let now = Instant::now();
        for mark in held.marks.values() {
            mark.give(drain.order(mark.share(), now));
        }
    }

    /// Closes what is left.
    pub(super) fn close(&self) {
        for mark in self.lock().marks.values() {
            mark.give(Order::Close);
        }
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
            let now = Instant::now();
            for mark in held.marks.values() {
                if let Some(drain) = held.drain {
                    mark.give(drain.order(mark.share(), now));
                }
                let phase = mark.phase();
                if let Some(order) = self.overdue(mark)
                    && mark.give(order)
                    && phase.is_clients_turn()
                {
                    self.slot.add(Field::TimedOut, 1);
                }
            }
        }
    }

    /// What a connection is told that has been doing the same for too long.
    fn overdue(&self, mark: &Mark) -> Option<Order> {
        let limits = &self.limits;
        let (limit, order) = match mark.phase() {
            Phase::Fresh if mark.order() >= Order::Finish => (FRESH_GRACE, Order::Close),
            Phase::Fresh => (limits.header_timeout, Order::Close),
            Phase::Handshake => (limits.header_timeout, Order::Close),
            Phase::Head => (limits.header_timeout, Order::TimeOut),
            Phase::Response if limits.request_timeout.is_some_and(|limit| mark.request_age() >= limit) => {
                return Some(Order::Close);
            }
            Phase::Response => (limits.write_timeout, Order::Close),
            Phase::Idle if !mark.is_multiplexed() => (limits.idle_timeout, Order::Close),
            Phase::Idle if mark.order() == Order::Serve => (limits.idle_timeout, Order::Finish),
            Phase::Idle => (GOAWAY_GRACE, Order::Close),
            Phase::Streams if mark.is_answering() => (limits.write_timeout, Order::Close),
            // The service has its own deadlines; lingering is bounded where it happens; what follows an upgrade is the
            // service's own affair until the worker leaves.
            Phase::Request | Phase::Lingering | Phase::Streams | Phase::Upgraded => return None,
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
        let limits = Limits {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(60),
            max_connections: 8,
            max_connections_per_ip: 2,
            request_timeout: None,
        };
        Connections::new(limits, Arc::new(Slot::create().unwrap()))
    }

    fn assert_ended_after(connections: &Connections, mark: &Mark, millis: u32, order: Order) {
        let began = connections.clock.now();
        connections.clock.set(began + millis - 1);
        assert_eq!(connections.overdue(mark), None, "{:?} ended too early", mark.phase());
        connections.clock.set(began + millis);
        assert_eq!(connections.overdue(mark), Some(order), "{:?} was not ended", mark.phase());
    }

    #[test]
    fn each_phase_has_its_own_deadline() {
        let connections = connections();
        let ticket = connections.admit(None);
        let mark = ticket.mark();
        for (phase, seconds, order) in [
            (Phase::Fresh, 10, Order::Close),
            (Phase::Handshake, 10, Order::Close),
            (Phase::Head, 10, Order::TimeOut),
            (Phase::Response, 60, Order::Close),
            (Phase::Idle, 15, Order::Close),
        ] {
            mark.enter(phase);
            assert_ended_after(&connections, mark, seconds * 1000, order);
        }
        for phase in [Phase::Request, Phase::Upgraded] {
            mark.enter(phase);
            connections.clock.set(u32::MAX);
            assert_eq!(connections.overdue(mark), None, "the service has its own deadlines");
        }
    }

    #[test]
    fn an_answer_that_trickles_ends_with_the_time_of_its_request() {
        let mut limits = connections().limits.clone();
        limits.request_timeout = Some(Duration::from_secs(5));
        let connections = Connections::new(limits, Arc::new(Slot::create().unwrap()));
        let ticket = connections.admit(None);
        let mark = ticket.mark();
        mark.begin_request(false);
        let began = connections.clock.now();
        for (second, order) in [(3, None), (4, None), (5, Some(Order::Close))] {
            connections.clock.set(began + second * 1000);
            mark.begin_response();
            assert_eq!(connections.overdue(mark), order, "after {second} s");
        }
    }

    #[test]
    fn an_idle_http2_connection_hears_goaway_before_it_is_closed() {
        let connections = connections();
        let ticket = connections.admit(None);
        let mark = ticket.mark();
        mark.speaks_http2();
        assert_ended_after(&connections, mark, 15_000, Order::Finish);
        mark.give(Order::Finish);
        assert_ended_after(&connections, mark, 5000, Order::Close);
        mark.begin_request(false);
        connections.clock.set(u32::MAX / 2);
        assert_eq!(connections.overdue(mark), None, "a stream whose response has not begun is the service's affair");
        mark.begin_response();
        assert_ended_after(&connections, mark, 60_000, Order::Close);
    }

    #[test]
    fn one_address_is_limited_and_a_proxy_on_loopback_is_not() {
        let connections = connections();
        let stranger = Some(IpAddr::from([192, 0, 2, 1]));
        let first_two = [connections.admit(stranger), connections.admit(stranger)];
        assert!(first_two.iter().all(|ticket| !ticket.over_limit()));
        assert!(connections.admit(stranger).over_limit());
        drop(first_two);
        assert!(!connections.admit(stranger).over_limit(), "places are given back");
        let local: Vec<Ticket> = (0..5).map(|_| connections.admit(Some([127, 0, 0, 1].into()))).collect();
        assert!(local.iter().all(|ticket| !ticket.over_limit()));
        drop(local);
        assert!(connections.lock().by_ip.is_empty() && connections.count() == 0);
    }

    #[test]
    fn connections_that_begin_while_the_worker_leaves_are_told_so_from_the_start() {
        let connections = connections();
        connections.drain(Drain::Spread { began: Instant::now(), window: Duration::from_secs(10) });
        assert_eq!(connections.admit(None).mark().order(), Order::Announce);
        connections.drain(Drain::AtOnce);
        assert_eq!(connections.admit(None).mark().order(), Order::Finish);
    }
}
