//! [`Server`]: the loop around the engine.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use phalanx_process::{Signal, Signals};
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use super::checkpoints::Checkpoints;
use super::connection::{Connection, Flushed, Read, Wanted};
use super::listener::{Accepted, Listener};
use super::log::Log;
use super::{STAYS, Stay};
use crate::embedded::engine::{ClientId, Engine, Now, Settings};
use crate::embedded::folder::Folder;
use crate::embedded::words::{ToClient, ToOwner, VERSION};
use crate::{Error, UnixMillis};

/// Clients at a time; more wait until one leaves.
const MOST_CLIENTS: usize = 4096;
/// Who has connected and not said who it is for so long is closed.
const INTRODUCTION: Duration = Duration::from_secs(10);
/// Without descriptors or memory: how long until the next try.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(100);
/// Events of one wait.
const EVENTS: usize = 256;

/// Epoll data; clients are numbered from [`FIRST_CLIENT`].
const LISTENER: u64 = 0;
const SIGNALS: u64 = 1;
const FIRST_CLIENT: u64 = 2;

/// Why an owner has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Nobody was there.
    Unused,
    /// By a signal.
    Told,
}

/// An owner with an open store.
pub(crate) struct Server {
    listener: Listener,
    accepts: bool,
    /// When to accept again after there was no room.
    accepts_again: Option<Instant>,
    epoll: OwnedFd,
    signals: Signals,
    checkpoints: Checkpoints,
    engine: Engine,
    clients: HashMap<u64, Connection>,
    last: u64,
    /// Clients with words that were not given to the kernel yet.
    dirty: Vec<u64>,
    /// Clients that are to be closed after this turn.
    leaving: Vec<u64>,
    /// Somebody who has not said who it is may have to be closed.
    strangers: usize,
    stay: Stay,
    started: Instant,
    /// When the engine was last called.
    called: Instant,
    unused_since: Option<Instant>,
}

fn system(what: &str, error: Errno) -> Error {
    Error::unavailable("the embedded queue", format_args!("its owner cannot {what}: {error}"))
}

impl Server {
    /// Opens the store and listens. The caller holds the lock.
    pub(crate) fn open(folder: &Folder, signals: Signals, stay: Stay, log: &mut Log) -> Result<Server, Error> {
        let listener = Listener::bind(folder)?;
        let started = Instant::now();
        let now = Now { wall: UnixMillis::now(), since_start: Duration::ZERO };
        let engine = Engine::open(folder.path(), &Settings::default(), now)?;
        let checkpoints = Checkpoints::start(&engine)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|error| system("wait for clients", error))?;
        for (socket, data) in [(listener.as_fd(), LISTENER), (signals.as_fd(), SIGNALS)] {
            epoll::add(&epoll, socket, epoll::EventData::new_u64(data), epoll::EventFlags::IN)
                .map_err(|error| system("wait for clients", error))?;
        }
        listener.listen()?;
        log.say(format_args!("owns {} (life {})", folder.path().display(), engine.epoch()));
        Ok(Server {
            listener,
            accepts: true,
            accepts_again: None,
            epoll,
            signals,
            checkpoints,
            engine,
            clients: HashMap::new(),
            last: FIRST_CLIENT,
            dirty: Vec::new(),
            leaving: Vec::new(),
            strangers: 0,
            stay,
            started,
            called: started,
            unused_since: Some(started),
        })
    }

    /// Serves until it is to end; the store is closed then.
    pub(crate) fn run(mut self, log: &mut Log) -> Result<Ended, Error> {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            let wait = self.wait();
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), wait.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(system("wait for clients", error)),
            }
            let now = self.now();
            let mut told = false;
            for event in &events {
                match event.data.u64() {
                    LISTENER => self.accept(log),
                    SIGNALS => told |= self.is_told(),
                    client => self.serve(client, event.flags, now, log),
                }
            }
            self.resume_accepting(log);
            self.commit_and_answer(log);
            if self.strangers > 0 {
                self.send_strangers_away();
            }
            if told {
                return self.close().map(|()| Ended::Told);
            }
            if self.is_unused() {
                self.accept(log);
                if self.clients.is_empty() {
                    // Who connects from here on sees the end, and starts another owner.
                    return self.close().map(|()| Ended::Unused);
                }
            }
        }
    }

    fn now(&self) -> Now {
        Now { wall: UnixMillis::now(), since_start: self.started.elapsed() }
    }

    /// How long to wait for clients at most.
    fn wait(&self) -> Option<Timespec> {
        if !self.leaving.is_empty() || !self.dirty.is_empty() {
            return Some(Timespec { tv_sec: 0, tv_nsec: 0 });
        }
        let now = Instant::now();
        let unused = match self.stay {
            Stay::WhileUsed => self.unused_since.map(|since| (since + STAYS).saturating_duration_since(now)),
            Stay::UntilTold => None,
        };
        let again = self.accepts_again.map(|at| at.saturating_duration_since(now));
        let strangers = (self.strangers > 0).then_some(Duration::from_secs(1));
        let due = self.engine.next_due().map(|due| (self.called + due).saturating_duration_since(now));
        let least = [unused, again, strangers, due].into_iter().flatten().min()?;
        // A full nanosecond more than asked for would be a turn too early.
        Timespec::try_from(least + Duration::from_micros(50)).ok()
    }

    fn is_told(&mut self) -> bool {
        let mut told = false;
        while let Some(signal) = self.signals.next() {
            told |= match signal {
                Signal::Terminate => true,
                Signal::Interrupt => self.stay == Stay::WhileUsed,
                _ => false,
            };
        }
        told
    }

    fn is_unused(&self) -> bool {
        self.stay == Stay::WhileUsed && self.unused_since.is_some_and(|since| since.elapsed() >= STAYS)
    }

    /// Takes all who wait.
    fn accept(&mut self, log: &mut Log) {
        while self.accepts {
            if self.clients.len() >= MOST_CLIENTS {
                log.say(format_args!("{MOST_CLIENTS} clients are here; others wait until one leaves"));
                return self.stop_accepting(None);
            }
            match self.listener.accept() {
                Accepted::Client(socket) => {
                    self.last += 1;
                    let data = epoll::EventData::new_u64(self.last);
                    let connection = Connection::new(socket);
                    let flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP;
                    if epoll::add(&self.epoll, &connection, data, flags).is_ok() {
                        self.clients.insert(self.last, connection);
                        self.strangers += 1;
                        self.unused_since = None;
                    }
                }
                Accepted::Stranger(user) => log.say(format_args!("a program of user {user} was refused")),
                Accepted::Gone => {}
                Accepted::Nobody => return,
                Accepted::NoRoom(error) => {
                    log.say(format_args!("a client must wait: {error}"));
                    return self.stop_accepting(Some(Instant::now() + NO_ROOM_PAUSE));
                }
            }
        }
    }

    fn stop_accepting(&mut self, until: Option<Instant>) {
        self.accepts = false;
        self.accepts_again = until;
        let _ =
            epoll::modify(&self.epoll, &self.listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::empty());
    }

    fn resume_accepting(&mut self, log: &mut Log) {
        let waited = self.accepts_again.is_none_or(|at| Instant::now() >= at);
        if self.accepts || !waited || self.clients.len() >= MOST_CLIENTS {
            return;
        }
        (self.accepts, self.accepts_again) = (true, None);
        let _ = epoll::modify(&self.epoll, &self.listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN);
        self.accept(log);
    }

    /// A client's socket can be read or written.
    fn serve(&mut self, client: u64, flags: epoll::EventFlags, now: Now, log: &mut Log) {
        let Some(connection) = self.clients.get_mut(&client) else { return };
        if flags.contains(epoll::EventFlags::OUT) && !connection.dirty {
            connection.dirty = true;
            self.dirty.push(client);
        }
        if !flags.intersects(
            epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR,
        ) {
            return;
        }
        let read = connection.read();
        let refused = loop {
            match connection.incoming.next() {
                Ok(None) => break None,
                Ok(Some(frame)) => match postcard::from_bytes::<ToOwner>(frame) {
                    Ok(ToOwner::Ask { ask, request }) if connection.introduced => {
                        self.engine.apply(ClientId(client), ask, request, now);
                    }
                    Ok(ToOwner::Hello { version: VERSION, client: handle, holds }) if !connection.introduced => {
                        connection.introduced = true;
                        self.strangers -= 1;
                        let kept = self.engine.connected(ClientId(client), handle, &holds, now);
                        let (epoch, owner) = (self.engine.epoch(), std::process::id());
                        connection.push(ToClient::Hello { version: VERSION, epoch, kept, owner });
                        if !connection.dirty {
                            connection.dirty = true;
                            self.dirty.push(client);
                        }
                    }
                    Ok(_) => break Some("its words come in the wrong order".to_owned()),
                    Err(error) => match version_of(frame) {
                        Some(theirs) if theirs != VERSION => {
                            connection.push(ToClient::Hello {
                                version: VERSION,
                                epoch: self.engine.epoch(),
                                kept: Vec::new(),
                                owner: std::process::id(),
                            });
                            connection.flush();
                            break Some(format!("it speaks version {theirs}, and this owner {VERSION}"));
                        }
                        _ => break Some(format!("its words cannot be understood: {error}")),
                    },
                },
                Err(too_long) => break Some(format!("it announced a frame of {} bytes", too_long.0)),
            }
        };
        if let Some(why) = &refused {
            log.say(format_args!("client {client} is closed: {why}"));
        }
        if refused.is_some() || read == Read::End {
            self.leaving.push(client);
        }
    }

    /// Makes everything durable that came in this turn, and tells everybody what is true now.
    fn commit_and_answer(&mut self, log: &mut Log) {
        let now = self.now();
        self.called = Instant::now();
        for client in std::mem::take(&mut self.leaving) {
            self.forget(client, now);
        }
        for (client, word) in self.engine.commit(now) {
            let Some(connection) = self.clients.get_mut(&client.0) else { continue };
            connection.push(word);
            if !connection.dirty {
                connection.dirty = true;
                self.dirty.push(client.0);
            }
        }
        for client in std::mem::take(&mut self.dirty) {
            let Some(connection) = self.clients.get_mut(&client) else { continue };
            connection.dirty = false;
            match connection.flush() {
                Flushed::Yes => {}
                // What it had goes back in the next turn, which begins at once.
                gone => {
                    if gone == Flushed::TooMuch {
                        log.say(format_args!("client {client} does not read its answers, and is closed"));
                    }
                    self.leaving.push(client);
                    continue;
                }
            }
            let wanted = connection.wanted();
            if wanted != connection.watched {
                connection.watched = wanted;
                let data = epoll::EventData::new_u64(client);
                let _ = epoll::modify(&self.epoll, &*connection, data, flags_of(wanted));
            }
        }
    }

    fn forget(&mut self, client: u64, now: Now) {
        // Its descriptor leaves the epoll with it.
        let Some(connection) = self.clients.remove(&client) else { return };
        if connection.introduced {
            self.engine.gone(ClientId(client), now);
        } else {
            self.strangers -= 1;
        }
        if self.clients.is_empty() {
            self.unused_since = Some(Instant::now());
        }
    }

    /// Closes who has not said who it is in time.
    fn send_strangers_away(&mut self) {
        let late = |connection: &Connection| !connection.introduced && connection.since.elapsed() > INTRODUCTION;
        self.leaving.extend(self.clients.iter().filter(|(_, connection)| late(connection)).map(|(client, _)| *client));
    }

    /// Leaves clients and their leases as they are: they will claim them again from the next owner.
    fn close(self) -> Result<(), Error> {
        let now = self.now();
        drop(self.clients);
        drop(self.listener);
        drop(self.checkpoints);
        self.engine.close(now)
    }
}

fn flags_of(wanted: Wanted) -> epoll::EventFlags {
    let mut flags = epoll::EventFlags::empty();
    if wanted.read {
        flags |= epoll::EventFlags::IN | epoll::EventFlags::RDHUP;
    }
    if wanted.write {
        flags |= epoll::EventFlags::OUT;
    }
    flags
}

/// The version in a hello of any version: its number and that of the hello come first in all of them.
fn version_of(frame: &[u8]) -> Option<u32> {
    match postcard::take_from_bytes::<(u32, u32)>(frame) {
        Ok(((0, version), _)) => Some(version),
        _ => None,
    }
}
