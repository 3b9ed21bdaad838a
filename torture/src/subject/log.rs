//! [`Log`]: what the victim says of itself, and what follows from it about each worker.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lines that are kept for an error message.
const SHOWN_LINES: usize = 6;

/// A worker as its events tell of it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Its number in the cluster.
    pub(crate) number: u32,
    pub(crate) pid: u32,
    pub(crate) place: u16,
    pub(crate) forked: Instant,
    pub(crate) ready: Option<Instant>,
    /// It was told to leave.
    pub(crate) leaving: bool,
    pub(crate) ended: Option<End>,
}

/// How a worker ended.
#[derive(Debug, Clone)]
pub(crate) struct End {
    /// Connections that it held.
    pub(crate) connections: u64,
    pub(crate) voluntary: bool,
}

/// A reload, an upgrade or the like, as its events tell of it.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) number: u64,
    pub(crate) kind: String,
    /// Once it is over: why it failed, if it did.
    pub(crate) result: Option<Result<(), String>>,
}

#[derive(Debug, Default)]
struct Content {
    operations: Vec<Operation>,
    workers: BTreeMap<u32, Seen>,
    address: Option<SocketAddr>,
    counts: BTreeMap<String, u64>,
    lines: Vec<String>,
    at_end: bool,
}

/// Everything that was read so far.
#[derive(Debug, Default)]
pub(crate) struct Log {
    content: Mutex<Content>,
    more: Condvar,
}

impl Log {
    /// Reads the victim's standard output to its end.
    pub(super) fn read(&self, stream: impl Read) {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            self.content().take(line);
            self.more.notify_all();
        }
        self.content().at_end = true;
        self.more.notify_all();
    }

    /// Every worker that was ever started.
    pub(crate) fn workers(&self) -> Vec<Seen> {
        self.content().workers.values().cloned().collect()
    }

    /// The workers that are ready and were not told to leave.
    pub(crate) fn serving(&self) -> Vec<Seen> {
        let content = self.content();
        let serves = |worker: &&Seen| worker.ready.is_some() && !worker.leaving && worker.ended.is_none();
        content.workers.values().filter(serves).cloned().collect()
    }

    /// How many connections the workers that did not leave by themselves can have taken with them, at most: those on their pages,
    /// and for each of them the one that it had accepted and not counted yet.
    pub(crate) fn held_by_the_killed(&self) -> u64 {
        let content = self.content();
        let ends = content.workers.values().filter_map(|worker| worker.ended.as_ref());
        ends.filter(|end| !end.voluntary).map(|end| end.connections + 1).sum()
    }

    /// The operation of this kind that began last.
    pub(crate) fn last_operation(&self, kind: &str) -> Option<Operation> {
        self.content().operations.iter().rev().find(|operation| operation.kind == kind).cloned()
    }

    pub(crate) fn worker(&self, number: u32) -> Option<Seen> {
        self.content().workers.get(&number).cloned()
    }

    /// The highest number of a worker so far.
    pub(crate) fn newest(&self) -> u32 {
        self.content().workers.keys().last().copied().unwrap_or(0)
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.content().address
    }

    /// How many events of this kind there were.
    pub(crate) fn count(&self, kind: &str) -> u64 {
        self.content().counts.get(kind).copied().unwrap_or(0)
    }

    /// From its start to its being ready, as seen from here, of every worker that ever was.
    pub(crate) fn start_times(&self) -> Vec<Duration> {
        let content = self.content();
        let time = |worker: &Seen| Some(worker.ready?.saturating_duration_since(worker.forked));
        content.workers.values().filter_map(time).collect()
    }

    pub(crate) fn last_lines(&self) -> String {
        let content = self.content();
        content.lines[content.lines.len().saturating_sub(SHOWN_LINES)..].join(" / ")
    }

    pub(super) fn wait_for_more(&self, longest: Duration) {
        drop(self.more.wait_timeout(self.content(), longest));
    }

    /// Waits until the last holder of the victim's standard output is gone.
    pub(super) fn wait_for_end(&self, longest: Duration) {
        let deadline = Instant::now() + longest;
        while !self.content().at_end && Instant::now() < deadline {
            self.wait_for_more(deadline.saturating_duration_since(Instant::now()));
        }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    fn take(&mut self, line: String) {
        if let Some(event) = line.strip_prefix("event ") {
            let (kind, rest) = event.split_once(' ').unwrap_or((event, ""));
            *self.counts.entry(kind.to_owned()).or_default() += 1;
            self.follow(kind, rest);
        }
        self.lines.push(line);
    }

    fn follow(&mut self, kind: &str, rest: &str) {
        if kind == "listening" && self.address.is_none() {
            self.address = field(rest, "address").and_then(|text| text.parse().ok());
        }
        if let Some(number) = number(rest, "operation") {
            self.follow_operation(kind, number, rest);
        }
        let Some(number) = number(rest, "worker") else { return };
        let number = number as u32;
        let now = Instant::now();
        if kind == "fork" {
            let pid = self::number(rest, "pid").unwrap_or(0) as u32;
            let place = self::number(rest, "place").unwrap_or(0) as u16;
            let seen = Seen { number, pid, place, forked: now, ready: None, leaving: false, ended: None };
            self.workers.insert(number, seen);
        }
        let Some(worker) = self.workers.get_mut(&number) else { return };
        match kind {
            "ready" => worker.ready = Some(now),
            "disconnect" => worker.leaving = true,
            "exit" => {
                let connections = self::number(rest, "connections").unwrap_or(0);
                worker.ended = Some(End { connections, voluntary: rest.contains("voluntary=true") });
            }
            _ => {}
        }
    }
}

impl Content {
    fn follow_operation(&mut self, event: &str, number: u64, rest: &str) {
        if event == "began" {
            let kind = field(rest, "kind").unwrap_or_default().to_owned();
            self.operations.push(Operation { number, kind, result: None });
        } else if let Some(operation) = self.operations.iter_mut().rev().find(|operation| operation.number == number) {
            let why = rest.split_once("why=").map_or("", |(_, why)| why).to_owned();
            operation.result = Some(if rest.contains(" ok=true") { Ok(()) } else { Err(why) });
        }
    }
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split(' ').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn number(text: &str, name: &str) -> Option<u64> {
    field(text, name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_life_of_a_worker_is_followed() {
        let log = Log::default();
        let text = "event fork worker=3 pid=77 place=1\nevent listening worker=3 address=127.0.0.1:4000\n\
                    event ready worker=3 after_us=9\nnoise\n";
        log.read(text.as_bytes());
        let [worker] = &log.serving()[..] else { panic!("not one") };
        assert_eq!((worker.number, worker.pid, worker.place), (3, 77, 1));
        assert_eq!(log.address(), "127.0.0.1:4000".parse().ok());
        log.read("event exit worker=3 pid=77 voluntary=false connections=5 reason=signal 9\n".as_bytes());
        assert!(log.serving().is_empty() && log.newest() == 3 && log.count("exit") == 1);
        assert_eq!(
            log.worker(3).and_then(|worker| worker.ended).map(|end| (end.connections, end.voluntary)),
            Some((5, false))
        );
        assert!(log.last_lines().contains("noise"));
    }
}
