//! [`Link`]: a connection that comes back by itself.
//!
//! ```text
//!   supervise (on the handle's thread):  connect ─► Live ─► watch it ─► lost: Down ─► connect, 50 ms × 2, at most 2 s …
//!   callers, anywhere:                   live(deadline) ─► Arc<Live>, or why not
//! ```

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_core::Stream;
use lapin::{Connection, Event};
use tokio::sync::{Notify, watch};

use super::address::Address;
use super::publish::Publishers;
use super::{NAME, failure};
use crate::Error;
use crate::io::{Io, within};

/// One try to connect.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How often we look whether the connection is still there, besides being told.
const LOOK: Duration = Duration::from_millis(250);
/// To say good-bye.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);
const OK: u16 = 200;

/// One life of the connection.
pub(super) struct Live {
    pub(super) connection: Connection,
    pub(super) publishers: Publishers,
    /// Why RabbitMQ takes no messages just now.
    blocked: watch::Receiver<Option<String>>,
}

#[derive(Clone)]
enum State {
    /// For this reason.
    Down(String),
    Live(Arc<Live>),
    Closed,
}

/// See the module. Closed when it is dropped.
pub(super) struct Link {
    io: Arc<Io>,
    state: watch::Receiver<State>,
    suspicion: Arc<Notify>,
    closing: watch::Sender<bool>,
}

/// How sure we have to be before the first answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// It must have been there once, within [`CONNECT_DEADLINE`].
    Reached,
    /// It will be, some time.
    InBackground,
}

impl Link {
    /// Connects. `purpose` is what RabbitMQ's lists show.
    pub(super) async fn open(
        io: Arc<Io>,
        address: Address,
        purpose: &'static str,
        start: Start,
    ) -> Result<Link, Error> {
        let suspicion = Arc::new(Notify::new());
        let (closing, closes) = watch::channel(false);
        let (tell, state) = watch::channel(State::Down("it was not tried yet".to_owned()));
        let first = match start {
            Start::InBackground => None,
            Start::Reached => {
                let address = address.clone();
                Some(io.run(async move { first_connection(&address, purpose).await }).await?)
            }
        };
        let supervisor = Supervisor { address, purpose, tell, suspicion: suspicion.clone(), closes };
        let (reached, is_reached) = tokio::sync::oneshot::channel();
        io.handle().spawn(supervisor.run(first, reached));
        if start == Start::Reached {
            // An error: it was lost at once, and will come back.
            let _ = is_reached.await;
        }
        Ok(Link { io, state, suspicion, closing })
    }

    /// The thread that it lives on.
    pub(super) fn io(&self) -> &Arc<Io> {
        &self.io
    }

    /// The connection as it is now, or as soon as it is there again.
    pub(super) async fn live(&self, until: Instant) -> Result<Arc<Live>, Error> {
        if let State::Live(live) = &*self.state.borrow()
            && live.is_up()
        {
            return Ok(live.clone());
        }
        let left = until.saturating_duration_since(Instant::now());
        match within(self.io.handle(), left, self.wait_for_life()).await {
            Ok(result) => result,
            Err(_) => Err(Error::unavailable(NAME, self.trouble())),
        }
    }

    /// As [`live`](Self::live), without a deadline.
    pub(super) async fn wait_for_life(&self) -> Result<Arc<Live>, Error> {
        let mut state = self.state.clone();
        loop {
            match &*state.borrow_and_update() {
                State::Live(live) if live.is_up() => return Ok(live.clone()),
                State::Live(_) => self.suspicion.notify_one(),
                State::Down(_) => {}
                State::Closed => return Err(Error::Closed),
            }
            state.changed().await.map_err(|_| Error::Closed)?;
        }
    }

    /// Whether it was ended from here.
    pub(super) fn is_closed(&self) -> bool {
        *self.closing.borrow()
    }

    /// Something failed that may mean that the connection is gone.
    pub(super) fn suspect(&self) {
        self.suspicion.notify_one();
    }

    /// Why it is not there.
    fn trouble(&self) -> String {
        match &*self.state.borrow() {
            State::Down(reason) => reason.clone(),
            State::Live(_) => "the connection was lost".to_owned(),
            State::Closed => "it was closed".to_owned(),
        }
    }

    /// Ends it, and waits for that.
    pub(super) async fn close(&self) {
        self.closing.send_replace(true);
        let mut state = self.state.clone();
        // The supervisor drops its end when it is done.
        while state.changed().await.is_ok() {}
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.closing.send_replace(true);
        let (io, mut state) = (self.io.clone(), self.state.clone());
        if state.has_changed().is_err() {
            return;
        }
        // The thread must live until good-bye is said; nobody waits for that.
        let bye = std::thread::Builder::new().name("phalanx-amqp-bye".to_owned());
        let _ = bye.spawn(move || io.handle().block_on(async { while state.changed().await.is_ok() {} }));
    }
}

impl Live {
    pub(super) fn is_up(&self) -> bool {
        self.connection.status().connected()
    }

    /// Waits until RabbitMQ takes messages.
    pub(super) async fn unblocked(&self, io: &Io, until: Instant) -> Result<(), Error> {
        let Some(mut reason) = self.why_blocked() else { return Ok(()) };
        let mut blocked = self.blocked.clone();
        let left = until.saturating_duration_since(Instant::now());
        let freed = async {
            // An error: this life is over, which the caller will find out.
            loop {
                let why = blocked.borrow_and_update().clone();
                let Some(why) = why else { break };
                reason = why;
                if blocked.changed().await.is_err() {
                    break;
                }
            }
        };
        match within(io.handle(), left, freed).await {
            Ok(()) => Ok(()),
            Err(_) => Err(Error::unavailable(NAME, format_args!("it takes no messages now: {reason}"))),
        }
    }

    /// Why RabbitMQ takes no messages just now, if so.
    pub(super) fn why_blocked(&self) -> Option<String> {
        self.blocked.borrow().clone()
    }
}

/// Tries for as long as a caller waits. What cannot pass (a wrong password, a wrong certificate) is said at once.
async fn first_connection(address: &Address, purpose: &str) -> Result<Connection, Error> {
    let end = Instant::now() + CONNECT_DEADLINE;
    let mut pause = FIRST_PAUSE;
    loop {
        match connection(address, purpose).await {
            Err(error) if error.is_passing() && Instant::now() + pause < end => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            result => return result,
        }
    }
}

async fn connection(address: &Address, purpose: &str) -> Result<Connection, Error> {
    let runtime = lapin::runtime::default_runtime().map_err(|error| failure::of_connection(&error))?;
    let (uri, tls) = (address.uri.clone(), address.tls.clone());
    let connecting = Connection::connect_uri_with_config(uri, address.properties(purpose), tls, runtime);
    match tokio::time::timeout(CONNECT_DEADLINE, connecting).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(match error.kind() {
            lapin::ErrorKind::IOError(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                Error::Refused { broker: NAME.to_owned(), reason: format!("TLS: {error}") }
            }
            _ => failure::of_connection(&error),
        }),
        Err(_) => Err(Error::unavailable(NAME, format_args!("no answer within {CONNECT_DEADLINE:?}"))),
    }
}

struct Supervisor {
    address: Address,
    purpose: &'static str,
    tell: watch::Sender<State>,
    suspicion: Arc<Notify>,
    closes: watch::Receiver<bool>,
}

impl Supervisor {
    async fn run(mut self, first: Option<Connection>, reached: tokio::sync::oneshot::Sender<()>) {
        let (mut next, mut reached) = (first, Some(reached));
        loop {
            let connection = match next.take() {
                Some(connection) => connection,
                None => match self.reconnect().await {
                    Some(connection) => connection,
                    None => break,
                },
            };
            let (blocked_tell, blocked) = watch::channel(None);
            let live = Arc::new(Live { connection, publishers: Publishers::default(), blocked });
            self.tell.send_replace(State::Live(live.clone()));
            if let Some(reached) = reached.take() {
                let _ = reached.send(());
            }
            if self.watch(&live, &blocked_tell).await == Ended::Closed {
                self.tell.send_replace(State::Closed);
                let bye = live.connection.close(OK, "OK".into());
                let _ = tokio::time::timeout(CLOSE_DEADLINE, bye).await;
                return;
            }
            tracing::warn!(purpose = self.purpose, "the connection to RabbitMQ was lost");
            self.tell.send_replace(State::Down("the connection was lost".to_owned()));
        }
        self.tell.send_replace(State::Closed);
    }

    /// Until it is there; `None` if it is not wanted any more.
    async fn reconnect(&mut self) -> Option<Connection> {
        let mut pause = FIRST_PAUSE;
        loop {
            let attempt = tokio::select! {
                attempt = connection(&self.address, self.purpose) => attempt,
                () = closed(&mut self.closes) => return None,
            };
            match attempt {
                Ok(connection) => {
                    tracing::info!(purpose = self.purpose, "connected to RabbitMQ");
                    return Some(connection);
                }
                Err(error) => {
                    tracing::debug!(purpose = self.purpose, %error, "RabbitMQ is not there");
                    self.tell.send_replace(State::Down(error.to_string()));
                }
            }
            tokio::select! {
                () = tokio::time::sleep(jittered(pause)) => {}
                () = closed(&mut self.closes) => return None,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Until this life is over.
    async fn watch(&mut self, live: &Live, blocked: &watch::Sender<Option<String>>) -> Ended {
        let mut events = pin!(live.connection.events_listener());
        loop {
            tokio::select! {
                event = std::future::poll_fn(|context| events.as_mut().poll_next(context)) => match event {
                    Some(Event::ConnectionBlocked(reason)) => {
                        tracing::warn!(%reason, "RabbitMQ takes no messages now");
                        blocked.send_replace(Some(reason));
                    }
                    Some(Event::ConnectionUnblocked) => {
                        blocked.send_replace(None);
                    }
                    Some(_) => {}
                    None => tokio::time::sleep(LOOK).await,
                },
                () = self.suspicion.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
                () = closed(&mut self.closes) => return Ended::Closed,
            }
            if !live.is_up() {
                return Ended::Lost;
            }
        }
    }
}

#[derive(PartialEq, Eq)]
enum Ended {
    Lost,
    Closed,
}

/// Also when nobody could close it any more.
async fn closed(closes: &mut watch::Receiver<bool>) {
    let _ = closes.wait_for(|closed| *closed).await;
}

/// ± 25 %, so that many clients do not come back at the same moment.
pub(super) fn jittered(pause: Duration) -> Duration {
    let mut random = [0_u8; 1];
    // Without the system's random numbers: no jitter.
    if getrandom::fill(&mut random).is_err() {
        return pause;
    }
    pause.mul_f64(0.75 + f64::from(random[0]) / 510.0)
}
