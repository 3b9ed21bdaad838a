//! The owner of the bare queue.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use measuring::{During, Failure};
use rusqlite::Connection;
use rustix::event::{PollFd, PollFlags, poll};

use super::wire::{Kind, Record, SIZE, socket};

const SCHEMA: &str = "
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE job (id INTEGER PRIMARY KEY, body BLOB NOT NULL, result BLOB);
";
const INSERT: &str = "INSERT INTO job (body) VALUES (?1)";
const FINISH: &str = "UPDATE job SET result = ?2 WHERE id = ?1";

/// Serves until the standard input closes.
pub(crate) fn run(folder: &Path) -> Result<(), Failure> {
    let database = Connection::open(folder.join("bare.sqlite")).during("open the database")?;
    database.execute_batch(SCHEMA).during("prepare the database")?;
    let listener = UnixListener::bind(socket(folder)).during("listen")?;
    listener.set_nonblocking(true).during("listen")?;
    let desk = Arc::new(Desk::default());
    let written = Arc::clone(&desk);
    std::thread::spawn(move || {
        if let Err(failure) = write(&written, &database) {
            eprintln!("phalanx-bench-queue: {failure}");
            // Its clients see the end of their connections.
            std::process::exit(1);
        }
    });
    println!("ready");
    listen(&listener, &desk)
}

/// What the two threads share.
#[derive(Default)]
struct Desk {
    lines: Mutex<Lines>,
    something_to_write: Condvar,
}

#[derive(Default)]
struct Lines {
    /// For the next transaction.
    to_write: Vec<(Arc<UnixStream>, Record)>,
    ready: VecDeque<u64>,
    /// Who claimed before there was a job.
    waiting: VecDeque<Arc<UnixStream>>,
}

impl Desk {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn claim(&mut self, client: Arc<UnixStream>) -> Option<(Arc<UnixStream>, u64)> {
        match self.ready.pop_front() {
            Some(job) => Some((client, job)),
            None => {
                self.waiting.push_back(client);
                None
            }
        }
    }

    fn add(&mut self, job: u64) -> Option<(Arc<UnixStream>, u64)> {
        match self.waiting.pop_front() {
            Some(client) => Some((client, job)),
            None => {
                self.ready.push_back(job);
                None
            }
        }
    }
}

/// A client, and what it has sent of its next request.
struct Peer {
    stream: Arc<UnixStream>,
    bytes: [u8; SIZE],
    filled: usize,
}

fn listen(listener: &UnixListener, desk: &Desk) -> Result<(), Failure> {
    let input = std::io::stdin();
    let mut peers: Vec<Peer> = Vec::new();
    loop {
        let fixed = [PollFd::new(&input, PollFlags::IN), PollFd::new(listener, PollFlags::IN)];
        let streams = peers.iter().map(|peer| PollFd::new(&*peer.stream, PollFlags::IN));
        let mut watched: Vec<PollFd<'_>> = fixed.into_iter().chain(streams).collect();
        poll(&mut watched, None).during("wait for requests")?;
        let readable: Vec<bool> = watched.iter().map(|one| !one.revents().is_empty()).collect();
        drop(watched);
        if readable[0] {
            return Ok(());
        }
        let mut requests = Vec::new();
        let mut ready = readable[2..].iter();
        peers.retain_mut(|peer| !ready.next().is_some_and(|ready| *ready) || peer.read(&mut requests));
        hand_over(desk, requests);
        if readable[1] {
            let (stream, _) = listener.accept().during("accept a client")?;
            peers.push(Peer { stream: Arc::new(stream), bytes: [0; SIZE], filled: 0 });
        }
    }
}

impl Peer {
    /// One read; whether the client is still there.
    fn read(&mut self, requests: &mut Vec<(Arc<UnixStream>, Record)>) -> bool {
        match (&*self.stream).read(&mut self.bytes[self.filled..]) {
            Ok(0) => return false,
            Ok(count) => self.filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
        if self.filled == SIZE {
            self.filled = 0;
            match Record::parse(&self.bytes) {
                Some(request) => requests.push((Arc::clone(&self.stream), request)),
                None => return false,
            }
        }
        true
    }
}

fn hand_over(desk: &Desk, requests: Vec<(Arc<UnixStream>, Record)>) {
    let mut claimed = Vec::new();
    let mut lines = desk.lines();
    for (client, request) in requests {
        match request.kind {
            Kind::Claim => claimed.extend(lines.claim(client)),
            _ => lines.to_write.push((client, request)),
        }
    }
    let is_to_write = !lines.to_write.is_empty();
    drop(lines);
    if is_to_write {
        desk.something_to_write.notify_one();
    }
    claimed.into_iter().for_each(|(client, job)| answer(&client, job));
}

/// One transaction after the other, each with all that came meanwhile.
fn write(desk: &Desk, database: &Connection) -> Result<(), Failure> {
    let mut insert = database.prepare(INSERT).during("prepare a statement")?;
    let mut finish = database.prepare(FINISH).during("prepare a statement")?;
    loop {
        let mut lines = desk.lines();
        while lines.to_write.is_empty() {
            lines = desk.something_to_write.wait(lines).unwrap_or_else(PoisonError::into_inner);
        }
        let batch = std::mem::take(&mut lines.to_write);
        drop(lines);
        let mut inserted = Vec::new();
        database.execute_batch("BEGIN").during("begin")?;
        for (_, request) in &batch {
            if request.kind == Kind::Enqueue {
                inserted.push(insert.insert([&request.body[..]]).during("insert a job")?);
            } else {
                finish.execute((request.job as i64, &request.body[..])).during("finish a job")?;
            }
        }
        database.execute_batch("COMMIT").during("commit")?;
        for (client, request) in &batch {
            answer(client, request.job);
        }
        let mut lines = desk.lines();
        let claimed: Vec<_> = inserted.into_iter().filter_map(|job| lines.add(job as u64)).collect();
        drop(lines);
        claimed.into_iter().for_each(|(client, job)| answer(&client, job));
    }
}

/// A client has at most one answer coming, so its socket has room for it; one that is gone needs none.
fn answer(client: &UnixStream, job: u64) {
    let mut client = client;
    let _ = client.write_all(&Record::of(Kind::Confirmed, job).bytes());
}
