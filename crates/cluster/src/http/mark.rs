//! What one connection is doing and since when, and what it is told: a few words that its task, its stream and the
//! sweeper share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

/// HTTP/2: by how many more streams a client may give up than it lets us answer. (Envoy looks at the first 500.)
const MOST_GIVEN_UP: u32 = 200;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Nothing was read.
    Fresh = 0,
    /// A part of a head was read.
    Head = 1,
    /// The service has the request.
    Request = 2,
    /// The response is on its way.
    Response = 3,
    /// Between two requests; in HTTP/2: no stream is open.
    Idle = 4,
    /// Closing: what the client still sends is thrown away.
    Lingering = 5,
    /// HTTP/2, and at least one stream is open.
    Streams = 6,
    /// No longer HTTP: a WebSocket, or another protocol that the service took over.
    Upgraded = 7,
    /// Before HTTP: TLS is being agreed on.
    Handshake = 8,
}

impl Phase {
    /// Whether the client owes us something: who ends here was too slow, and did not just stay idle.
    pub(super) fn is_clients_turn(self) -> bool {
        matches!(self, Phase::Handshake | Phase::Head | Phase::Response | Phase::Streams)
    }

    fn of(value: u8) -> Phase {
        match value {
            0 => Phase::Fresh,
            1 => Phase::Head,
            2 => Phase::Request,
            3 => Phase::Response,
            4 => Phase::Idle,
            5 => Phase::Lingering,
            6 => Phase::Streams,
            7 => Phase::Upgraded,
            _ => Phase::Handshake,
        }
    }
}

/// What a connection is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Order {
    /// Go on.
    Serve = 0,
    /// Say with the next answer that it was the last; in HTTP/2: GOAWAY now. An idle connection stays.
    Announce = 1,
    /// Finish the present request and close; close if there is none.
    Finish = 2,
    /// The head took too long: answer 408 and close.
    TimeOut = 3,
    /// Close now.
    Close = 4,
}

impl Order {
    fn of(value: u8) -> Order {
        match value {
            0 => Order::Serve,
            1 => Order::Announce,
            2 => Order::Finish,
            3 => Order::TimeOut,
            _ => Order::Close,
        }
    }
}

/// One connection, as its own task, its stream and the sweeper see it.
#[derive(Debug)]
pub(super) struct Mark {
    phase: AtomicU8,
    order: AtomicU8,
    /// Whether the present or last request has a body, of which a part may be unread.
    body: AtomicBool,
    /// Whether it speaks HTTP/2.
    multiplexed: AtomicBool,
    since: AtomicU32,
    /// HTTP/1.1: when the present request began.
    request_since: AtomicU32,
    /// HTTP/2: streams that are open, and those of them whose response has begun.
    streams: AtomicU32,
    answering: AtomicU32,
    /// HTTP/2: by how many more streams were given up by the client than were answered.
    given_up: AtomicU32,
    waker: AtomicWaker,
    told: Notify,
    clock: Arc<Clock>,
    share: f32,
}

impl Mark {
    /// The mark of the connection with this number. Numbers that follow each other give shares that lie far apart.
    pub(super) fn new(clock: Arc<Clock>, number: u64, order: Order) -> Mark {
        Mark {
            phase: AtomicU8::new(Phase::Fresh as u8),
            order: AtomicU8::new(order as u8),
            body: AtomicBool::new(false),
            multiplexed: AtomicBool::new(false),
            since: AtomicU32::new(clock.now()),
            request_since: AtomicU32::new(0),
            streams: AtomicU32::new(0),
            answering: AtomicU32::new(0),
            given_up: AtomicU32::new(0),
            waker: AtomicWaker::new(),
            told: Notify::new(),
            clock,
            share: share(number),
        }
    }

    /// Notes that the connection begins to do something.
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.touch();
    }

    /// Notes that bytes came in.
    pub(super) fn read(&self) {
        match self.phase() {
            // The clock of a first head runs from the opening of the connection.
            Phase::Fresh => self.phase.store(Phase::Head as u8, Ordering::Relaxed),
            // Frames that open no stream are no sign of work.
            Phase::Idle if !self.is_multiplexed() => self.enter(Phase::Head),
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
        Order::of(self.order.load(Ordering::Acquire))
    }

    /// Notes that the connection speaks HTTP/2: it is idle until a stream is opened.
    pub(super) fn speaks_http2(&self) {
        self.multiplexed.store(true, Ordering::Relaxed);
        self.enter(Phase::Idle);
    }

    pub(super) fn is_multiplexed(&self) -> bool {
        self.multiplexed.load(Ordering::Relaxed)
    }

    /// Notes that a request begins.
    pub(super) fn begin_request(&self, has_body: bool) {
        if self.is_multiplexed() {
            self.streams.fetch_add(1, Ordering::Relaxed);
            self.enter(Phase::Streams);
        } else {
            self.body.store(has_body, Ordering::Relaxed);
            self.enter(Phase::Request);
            self.request_since.store(self.since.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Notes that the response to a request begins.
    pub(super) fn begin_response(&self) {
        if self.is_multiplexed() {
            self.answering.fetch_add(1, Ordering::Relaxed);
            self.touch();
        } else {
            self.enter(Phase::Response);
        }
    }

    /// Notes that a request is over, after its response or without one.
    pub(super) fn end_request(&self, answered: bool) {
        if self.is_multiplexed() {
            if answered {
                self.answering.fetch_sub(1, Ordering::Relaxed);
            }
            self.count_given_up(!answered);
            if self.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
                self.enter(Phase::Idle);
            }
        } else if self.phase() != Phase::Upgraded {
            self.enter(Phase::Idle);
        }
    }

    /// A client that opens streams only to reset them makes us work for nothing: it is cut off.
    fn count_given_up(&self, given_up: bool) {
        let before = self.given_up.load(Ordering::Relaxed);
        let now = if given_up { before + 1 } else { before.saturating_sub(1) };
        self.given_up.store(now, Ordering::Relaxed);
        if now > MOST_GIVEN_UP {
            self.give(Order::Close);
        }
    }

    /// HTTP/2: whether the response of a stream has begun and is not at its end.
    pub(super) fn is_answering(&self) -> bool {
        self.answering.load(Ordering::Relaxed) > 0
    }

    /// Notes that a body was refused unread.
    pub(super) fn leaves_something_unread(&self) {
        self.body.store(true, Ordering::Relaxed);
    }

    /// Whether the client may still be sending when we close: the rest of a body, or a request that crosses our own
    /// decision to close.
    pub(super) fn more_may_come(&self) -> bool {
        self.body.load(Ordering::Relaxed) || self.order() != Order::Serve
    }

    /// Notes that TLS is being agreed on. The clock of the first head is running.
    #[cfg(feature = "tls")]
    pub(super) fn begin_handshake(&self) {
        self.phase.store(Phase::Handshake as u8, Ordering::Relaxed);
    }

    /// Notes that TLS was agreed on, and nothing was read under it yet.
    #[cfg(feature = "tls")]
    pub(super) fn end_handshake(&self) {
        self.phase.store(Phase::Fresh as u8, Ordering::Relaxed);
    }

    pub(super) fn listen(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Tells the connection; whether that is news to it.
    pub(super) fn give(&self, order: Order) -> bool {
        // An order is only ever replaced by a stricter one.
        let is_news = self.order.fetch_max(order as u8, Ordering::AcqRel) < order as u8;
        if is_news {
            if self.is_multiplexed() && self.phase() == Phase::Idle {
                // The time for the client's answer to our GOAWAY runs from here.
                self.touch();
            }
            self.waker.wake();
            self.told.notify_waiters();
        }
        is_news
    }

    /// Resolves when the connection was told to come to its end.
    pub(super) async fn told(&self) {
        loop {
            let told = self.told.notified();
            if self.order() != Order::Serve {
                return;
            }
            told.await;
        }
    }

    /// For how long it has been doing what it does, without progress.
    pub(super) fn age(&self) -> Duration {
        self.since(&self.since)
    }

    /// HTTP/1.1: for how long the present request has been under way.
    pub(super) fn request_age(&self) -> Duration {
        self.since(&self.request_since)
    }

    fn since(&self, moment: &AtomicU32) -> Duration {
        Duration::from_millis(self.clock.now().wrapping_sub(moment.load(Ordering::Relaxed)).into())
    }

    /// Its place among all connections when they end one after the other: from 0 to less than 1.
    pub(super) fn share(&self) -> f32 {
        self.share
    }
}

/// The fractional part of `number` times the golden ratio: any run of numbers is spread evenly, without a look at the
/// others (Weyl's equidistribution).
fn share(number: u64) -> f32 {
    const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;
    (number.wrapping_mul(GOLDEN_RATIO) >> 40) as f32 / (1u32 << 24) as f32
}

/// Milliseconds since the server began, as of the last look: reading it costs one load.
#[derive(Debug)]
pub(super) struct Clock {
    origin: Instant,
    now: AtomicU32,
}

impl Clock {
    pub(super) fn start() -> Arc<Clock> {
        Arc::new(Clock { origin: Instant::now(), now: AtomicU32::new(0) })
    }

    pub(super) fn now(&self) -> u32 {
        self.now.load(Ordering::Relaxed)
    }

    pub(super) fn look(&self) {
        self.now.store(self.origin.elapsed().as_millis() as u32, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn set(&self, now: u32) {
        self.now.store(now, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_only_replaced_by_a_stricter_one() {
        let mark = Mark::new(Clock::start(), 0, Order::Serve);
        for (given, order) in [
            (Order::Announce, Order::Announce),
            (Order::Finish, Order::Finish),
            (Order::Announce, Order::Finish),
            (Order::Close, Order::Close),
            (Order::Finish, Order::Close),
        ] {
            mark.give(given);
            assert_eq!(mark.order(), order);
        }
    }

    #[test]
    fn a_client_that_gives_up_its_streams_is_cut_off() {
        let mark = Mark::new(Clock::start(), 0, Order::Serve);
        mark.speaks_http2();
        for _ in 0..MOST_GIVEN_UP {
            mark.begin_request(false);
            mark.end_request(false);
            assert_eq!(mark.order(), Order::Serve);
        }
        mark.begin_request(false);
        mark.begin_response();
        mark.end_request(true);
        for order in [Order::Serve, Order::Close] {
            mark.begin_request(false);
            mark.end_request(false);
            assert_eq!(mark.order(), order);
        }
    }

    #[test]
    fn shares_of_any_run_of_connections_are_even() {
        for first in [0u64, 1, 1000, u64::MAX - 50] {
            let mut tenths = [0; 10];
            for number in 0..100 {
                tenths[(share(first.wrapping_add(number)) * 10.0) as usize] += 1;
            }
            assert!(tenths.iter().all(|count| (7..=13).contains(count)), "{tenths:?}");
        }
    }

    #[test]
    fn an_http2_connection_is_idle_when_its_last_stream_ends() {
        let mark = Mark::new(Clock::start(), 0, Order::Serve);
        mark.read();
        mark.speaks_http2();
        mark.read();
        assert_eq!(mark.phase(), Phase::Idle, "frames that open no stream are no sign of work");
        mark.begin_request(false);
        mark.begin_request(true);
        mark.begin_response();
        mark.end_request(true);
        assert_eq!((mark.phase(), mark.is_answering()), (Phase::Streams, false));
        mark.end_request(false);
        assert_eq!(mark.phase(), Phase::Idle);
    }
}
