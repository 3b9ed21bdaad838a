//! Clients that know exactly what became of each of their connections.
//!
//! Each request asks for a path of its own, which the server sends back with its pid: an answer to somebody else is noticed.
//! No request waits longer than [`DEADLINE`]: whoever is not answered by then was forgotten, on a machine that answers
//! within milliseconds.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Answer, Connection, Outcome, Request, Reuse};

/// From the first byte of the connection to the last of the answer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// After a failure: a server that refuses everything would else be asked a million times.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(2);

/// What became of a connection, or of a request on a kept one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// The right answer.
    Answered,
    /// A kept connection was closed while nothing was under way on it: the client opens another one.
    ClosedIdle,
    /// Nobody listened.
    Refused,
    /// It broke, or ended without an answer.
    Reset,
    /// Nothing within [`DEADLINE`].
    Hung,
    /// An answer, but not the right one.
    Wrong,
    /// This machine had no port or descriptor left for the client.
    NotTried,
}

/// How the clients use connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// A connection for each request, without a pause.
    Fresh,
    /// One connection as long as it lives, with this pause before each request.
    Kept(Duration),
}

/// A failure, and when it was noticed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    pub(crate) fate: Fate,
    pub(crate) asked: Instant,
    pub(crate) seen: Instant,
}

/// What all clients saw.
#[derive(Debug, Default)]
pub(crate) struct Record {
    counts: BTreeMap<Fate, u64>,
    pub(crate) failures: Vec<Failure>,
    /// The longest time to an answer.
    pub(crate) longest: Duration,
    pub(crate) elapsed: Duration,
}

impl Record {
    pub(crate) fn count(&self, fate: Fate) -> u64 {
        self.counts.get(&fate).copied().unwrap_or(0)
    }

    /// Refused, reset, hung and wrong ones.
    pub(crate) fn failed(&self) -> u64 {
        [Fate::Refused, Fate::Reset, Fate::Hung, Fate::Wrong].map(|fate| self.count(fate)).iter().sum()
    }

    pub(crate) fn answered_per_second(&self) -> f64 {
        self.count(Fate::Answered) as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    pub(crate) fn add(&mut self, other: Self) {
        for (fate, count) in other.counts {
            *self.counts.entry(fate).or_default() += count;
        }
        self.failures.extend(other.failures);
        self.longest = self.longest.max(other.longest);
        self.elapsed += other.elapsed;
    }

    fn note(&mut self, fate: Fate) {
        *self.counts.entry(fate).or_default() += 1;
    }

    fn asked(&mut self, fate: Fate, asked: Instant) {
        self.note(fate);
        let seen = Instant::now();
        match fate {
            Fate::Answered => self.longest = self.longest.max(seen - asked),
            _ => self.failures.push(Failure { fate, asked, seen }),
        }
    }
}

/// Clients at work, until they are told to stop or this goes.
pub(crate) struct Clients {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<Record>>,
    started: Instant,
}

impl Clients {
    pub(crate) fn start(address: SocketAddr, count: usize, manner: Manner) -> Self {
        let (stop, stopped) = watch::channel(false);
        let tasks = (0..count).map(|number| tokio::spawn(client(address, number, manner, stopped.clone()))).collect();
        Self { stop, tasks, started: Instant::now() }
    }

    /// Lets every client finish what it has begun, and adds up.
    pub(crate) async fn finish(self) -> Record {
        let elapsed = self.started.elapsed();
        self.stop.send_replace(true);
        let mut all = Record::default();
        for task in self.tasks {
            // A client that panicked has counted nothing.
            all.add(task.await.unwrap_or_default());
        }
        all.elapsed = elapsed;
        all
    }
}

async fn client(address: SocketAddr, number: usize, manner: Manner, mut stopped: watch::Receiver<bool>) -> Record {
    let mut record = Record::default();
    let mut kept = None;
    for count in 0u64.. {
        if let Manner::Kept(pause) = manner {
            // Ends at once when it is told to stop.
            let _ = tokio::time::timeout(pause, stopped.wait_for(|stopped| *stopped)).await;
        }
        if *stopped.borrow() {
            break;
        }
        if kept.as_ref().is_some_and(|connection: &Connection| !connection.is_open()) {
            kept = None;
            record.note(Fate::ClosedIdle);
        }
        let asked = Instant::now();
        let fate = ask(address, &format!("/{number}-{count}"), manner, &mut kept).await;
        record.asked(fate, asked);
        if fate != Fate::Answered {
            tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
        }
    }
    record
}

async fn ask(address: SocketAddr, path: &str, manner: Manner, kept: &mut Option<Connection>) -> Fate {
    let reuse = if manner == Manner::Fresh { Reuse::OnePerRequest } else { Reuse::KeepAlive };
    let attempt = async {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => Connection::open(address).await.map_err(|error| of_connecting(&error))?,
        };
        let answer = connection.exchange(&Request::get(path, reuse)).await.map_err(of_exchange)?;
        if answer.connection_is_reusable {
            *kept = Some(connection);
        }
        Ok(answer)
    };
    match tokio::time::timeout(DEADLINE, attempt).await {
        Ok(Ok(answer)) if is_right(&answer, path) => Fate::Answered,
        Ok(Ok(_)) => Fate::Wrong,
        Ok(Err(fate)) => fate,
        Err(_) => Fate::Hung,
    }
}

fn of_connecting(error: &io::Error) -> Fate {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Fate::Refused,
        io::ErrorKind::TimedOut => Fate::Hung,
        io::ErrorKind::ConnectionReset => Fate::Reset,
        _ => Fate::NotTried,
    }
}

fn of_exchange(outcome: Outcome) -> Fate {
    match outcome {
        Outcome::Reset => Fate::Reset,
        Outcome::TimedOut => Fate::Hung,
        _ => Fate::Wrong,
    }
}

/// `PATH PID`.
fn is_right(answer: &Answer, path: &str) -> bool {
    let body = String::from_utf8_lossy(&answer.body);
    let right = body.split_once(' ').is_some_and(|(of, pid)| of == path && pid.parse::<u32>().is_ok());
    answer.status == 200 && right
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// What one client makes of a server that sends this back to its one connection.
    fn fate_of(answer: &'static [u8]) -> Fate {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 512]).unwrap();
            stream.write_all(answer).unwrap();
        });
        let fate = run(ask(address, "/7-1", Manner::Fresh, &mut None));
        server.join().unwrap();
        fate
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn only_the_answer_to_this_very_request_is_right() {
        assert_eq!(fate_of(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n/7-1 42"), Fate::Answered);
        assert_eq!(fate_of(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n/7-2 42"), Fate::Wrong);
        assert_eq!(fate_of(b"HTTP/1.1 500 OK\r\ncontent-length: 7\r\n\r\n/7-1 42"), Fate::Wrong);
        assert_eq!(fate_of(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n/7-1"), Fate::Reset);
        assert_eq!(fate_of(b""), Fate::Reset);
    }

    #[test]
    fn a_port_without_a_server_refuses() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(run(ask(free, "/7-1", Manner::Fresh, &mut None)), Fate::Refused);
    }

    #[test]
    fn a_kept_connection_is_seen_to_be_closed_before_it_is_used_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 512]).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n/7-1 42").unwrap();
            stream
        });
        run(async {
            let mut kept = None;
            assert_eq!(ask(address, "/7-1", Manner::Kept(Duration::ZERO), &mut kept).await, Fate::Answered);
            let connection = kept.unwrap();
            assert!(connection.is_open());
            drop(server.join().unwrap());
            let closed = Instant::now();
            while connection.is_open() {
                assert!(closed.elapsed() < DEADLINE, "nobody noticed");
                tokio::task::yield_now().await;
            }
        });
    }
}
