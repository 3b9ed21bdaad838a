//! The front process: started, fed and restarted; it may die at any time.
//!
//! The primary owns what must outlive it (the sockets, the read ends of the workers' pipes) and tells a new front all that
//! there is to know. What the front asks for is begun at once or refused at once.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use phalanx_channel::Packets;
use phalanx_process::{Process, Role, Signal};
use phalanx_shared::{ClusterField, SlotIndex};
use rustix::event::epoll;

use super::heap_profiles::HeapProfiles;
use super::operations::{Operation, Wish};
use super::{Primary, Source, status, system, wait_until_readable};
use crate::control;
use crate::front::feed::Feed;
use crate::front::link::{Answer, Command, FRONT_ROLE, ToPrimary, Welcome, descriptor};
use crate::front::socket::ControlSocket;
use crate::front::{Logs, log_pipe};
use crate::{Error, Event, WorkerId};

/// Wait before the first restart of a front that died; it doubles each time.
const RESTART_FIRST: Duration = Duration::from_millis(50);
/// Longest wait. What the workers write waits in their pipes meanwhile.
const RESTART_LIMIT: Duration = Duration::from_secs(5);
/// A front that lived this long has proven itself.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);
/// What the front gets to write down the rest when the cluster has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Most messages taken from the front in one turn.
const MESSAGES_A_TURN: usize = 16;

/// What somebody asked for that the front does.
#[derive(Debug, Default, Clone)]
pub(crate) struct FrontSettings {
    pub(crate) control: Option<PathBuf>,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) logs: Option<Logs>,
    pub(crate) version: String,
    pub(crate) about: Vec<(String, String)>,
}

/// The front as the primary holds it.
pub(super) struct Front {
    settings: FrontSettings,
    control: Option<ControlSocket>,
    admin: Option<TcpListener>,
    running: Option<Running>,
    /// Fronts that were killed and have not ended yet.
    dying: Vec<Process>,
    restart_at: Option<Instant>,
    failures: u32,
}

struct Running {
    child: Process,
    feed: Feed,
    started: Instant,
    heap_profiles: HeapProfiles,
}

/// What a worker writes, as the primary keeps it: the read ends of its standard output and error.
#[derive(Debug)]
pub(super) struct Pipes {
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

impl Pipes {
    /// Copies for a front.
    fn copies(&self) -> std::io::Result<Vec<OwnedFd>> {
        Ok(vec![self.stdout.try_clone()?, self.stderr.try_clone()?])
    }
}

impl Front {
    /// Opens the sockets; `None` if nothing was asked for that needs a front. What an earlier image kept is used.
    pub(super) fn open(
        settings: FrontSettings,
        kept_control: Option<OwnedFd>,
        kept_admin: Option<OwnedFd>,
    ) -> Result<Option<Front>, Error> {
        if settings.control.is_none() && settings.admin.is_none() && settings.logs.is_none() {
            return Ok(None);
        }
        settings.logs.as_ref().map_or(Ok(()), Logs::check)?;
        let control = match (&settings.control, kept_control) {
            (Some(path), Some(socket)) => Some(ControlSocket::adopt(socket, path)),
            (Some(path), None) => Some(ControlSocket::bind(path)?),
            (None, _) => None,
        };
        let admin = match (settings.admin, kept_admin) {
            (Some(_), Some(socket)) => Some(TcpListener::from(socket)),
            (Some(address), None) => Some(bind_admin(address)?),
            (None, _) => None,
        };
        Ok(Some(Front { settings, control, admin, running: None, dying: Vec::new(), restart_at: None, failures: 0 }))
    }

    /// The sockets that the next image of this process needs.
    pub(super) fn kept(&self) -> (Option<BorrowedFd<'_>>, Option<BorrowedFd<'_>>) {
        (self.control.as_ref().map(AsFd::as_fd), self.admin.as_ref().map(AsFd::as_fd))
    }

    /// Where the admin socket really listens.
    fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// When it is to be started again.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        self.restart_at
    }

    /// The pipes of a new worker, with the ends that the worker gets; `None` without logs.
    pub(super) fn pipes(&self) -> Result<Option<(Pipes, OwnedFd, OwnedFd)>, Error> {
        if self.settings.logs.is_none() {
            return Ok(None);
        }
        let pipe = || log_pipe().map_err(Error::system("create a pipe for what a worker writes"));
        let ((stdout, their_stdout), (stderr, their_stderr)) = (pipe()?, pipe()?);
        Ok(Some((Pipes { stdout, stderr }, their_stdout, their_stderr)))
    }

    pub(super) fn event(&mut self, event: &Event) {
        if let Some(running) = &mut self.running {
            running.feed.event(event);
            if matches!(event, Event::ReopenLogs) {
                running.feed.reopen_logs();
            }
        }
    }

    /// Something has changed of which no event tells.
    pub(super) fn status_changed(&mut self) {
        if let Some(running) = &mut self.running {
            running.feed.status_changed();
        }
    }

    pub(super) fn worker(&mut self, worker: WorkerId, pipes: Option<&Pipes>) {
        if let Some(running) = &mut self.running {
            // Without copies it goes without this worker's lines: too many files are open.
            running.feed.worker(worker, pipes.and_then(|pipes| pipes.copies().ok()).unwrap_or_default());
        }
    }

    /// The worker is ready when it writes this.
    pub(super) fn await_line(&mut self, worker: WorkerId, line: &str) {
        if let Some(running) = &mut self.running {
            running.feed.await_line(worker, line);
        }
    }

    pub(super) fn gone(&mut self, worker: WorkerId) {
        if let Some(running) = &mut self.running {
            running.feed.gone(worker);
            if let Some(request) = running.heap_profiles.ended(worker) {
                let why = format!("worker {worker} ended before its heap profile was written");
                running.feed.answer(request, Answer::Refused(why));
            }
        }
    }

    /// What it has asked workers for.
    pub(super) fn heap_profiles(&mut self) -> Option<&mut HeapProfiles> {
        self.running.as_mut().map(|running| &mut running.heap_profiles)
    }

    pub(super) fn operation(&mut self, operation: &Operation) {
        if let Some(running) = &mut self.running {
            running.feed.operation(status::of_operation(operation));
        }
    }

    pub(super) fn answer(&mut self, request: u64, answer: Answer) {
        if let Some(running) = &mut self.running {
            running.feed.answer(request, answer);
        }
    }

    /// It is gone, or broken: a new one comes after a while.
    fn lost(&mut self, now: Instant) {
        let Some(running) = self.running.take() else { return };
        let _ = running.child.kill(Signal::Kill);
        if now.duration_since(running.started) >= HEALTHY_AFTER {
            self.failures = 0;
        }
        let wait = RESTART_FIRST.saturating_mul(1 << self.failures.min(10)).min(RESTART_LIMIT);
        self.failures += 1;
        self.restart_at = Some(now + wait);
        self.dying.push(running.child);
        self.reap();
    }

    /// Collects the fronts that have ended.
    fn reap(&mut self) {
        self.dying.retain(|child| matches!(child.try_wait(), Ok(None)));
    }

    /// Another image of the primary starts a front of its own: this one writes what is there and goes.
    pub(super) fn dismiss(&mut self) {
        if let Some(running) = &mut self.running {
            running.feed.leave();
            // What the link does not take now is not worth a wait: its end says the same.
            let _ = running.feed.pump(Default::default);
        }
    }

    /// The cluster has ended: the front writes what is there and goes.
    pub(super) fn finish(mut self) {
        if let Some(mut running) = self.running.take() {
            running.feed.leave();
            let deadline = Instant::now() + LAST_WORDS;
            let _ = running.feed.pump(Default::default);
            wait_until_readable(running.child.as_fd(), deadline);
            if !matches!(running.child.try_wait(), Ok(Some(_))) {
                let _ = running.child.kill(Signal::Kill);
                wait_until_readable(running.child.as_fd(), deadline + LAST_WORDS);
                let _ = running.child.try_wait();
            }
        }
        if let Some(control) = self.control.take() {
            control.remove();
        }
    }
}

impl Primary {
    /// Starts the front if there is to be one and none runs.
    pub(super) fn start_front(&mut self) {
        let due = self
            .front
            .as_ref()
            .is_some_and(|front| front.running.is_none() && front.restart_at.is_none_or(|at| at <= Instant::now()));
        if !due {
            return;
        }
        let again = self.front.as_mut().and_then(|front| front.restart_at.take()).is_some();
        match self.try_start_front() {
            Ok(running) => {
                if again {
                    self.cluster.add(ClusterField::FrontRestarts, 1);
                }
                if let Some(front) = &mut self.front {
                    front.running = Some(running);
                }
                self.brief_front();
            }
            Err(error) => {
                tracing::error!("the front cannot be started: {error}; it is tried again");
                if let Some(front) = &mut self.front {
                    front.failures += 1;
                    front.restart_at = Some(Instant::now() + RESTART_LIMIT);
                }
            }
        }
    }

    fn try_start_front(&self) -> Result<Running, Error> {
        let Some(front) = &self.front else { return Err(Error::NoPeer) };
        let (ours, theirs) = Packets::pair()?;
        let cluster = self.cluster.read_only_descriptor().map_err(Error::system("copy the cluster's page"))?;
        let mut role = Role::new(FRONT_ROLE)
            .descriptor(descriptor::LINK, theirs.as_fd())
            .descriptor(descriptor::CLUSTER, cluster.as_fd());
        if let Some(control) = &front.control {
            role = role.descriptor(descriptor::CONTROL, control.as_fd());
        }
        if let Some(admin) = &front.admin {
            role = role.descriptor(descriptor::ADMIN, admin.as_fd());
        }
        let child = role.spawn()?;
        let mut active: Vec<(String, String)> =
            vec![("health gate".into(), self.health_gate.word().into()), ("gate".into(), format!("{:?}", self.gate))];
        if let Some(address) = front.admin_address() {
            active.push(("admin".into(), address.to_string()));
        }
        if let Some(word) = self.hard_limit.word() {
            active.push(("hard memory limit".into(), word));
        }
        let welcome = Welcome {
            control: front.control.as_ref().map(|control| control.path().to_owned()),
            logs: front.settings.logs.clone(),
            listeners: self.listeners.addresses().iter().map(ToString::to_string).collect(),
            active,
            program_version: front.settings.version.clone(),
            about: front.settings.about.clone(),
        };
        let feed = Feed::new(ours, welcome);
        for (source, fd) in [(Source::FrontLink, feed.as_fd()), (Source::FrontProcess, child.as_fd())] {
            epoll::add(&self.epoll, fd, source.data(), epoll::EventFlags::IN).map_err(system("watch the front"))?;
        }
        Ok(Running { child, feed, started: Instant::now(), heap_profiles: HeapProfiles::default() })
    }

    /// Tells a new front all that there is.
    fn brief_front(&mut self) {
        let Some(front) = &mut self.front else { return };
        if let Some(running) = &mut front.running {
            for (index, page) in self.slots.iter().enumerate() {
                if let Err(error) = running.feed.page(SlotIndex(index as u16), page) {
                    tracing::warn!("the front goes without page {index} of the scoreboard: {error}");
                }
            }
        }
        for (worker, running) in &self.workers {
            if let Some(line) = &running.program.awaited_line {
                front.await_line(*worker, line);
            }
            front.worker(*worker, running.pipes.as_ref());
        }
        for operation in self.operations.recent() {
            front.operation(operation);
        }
    }

    /// A page of the scoreboard is new.
    pub(super) fn tell_front_of_page(&mut self, index: usize) {
        let running = self.front.as_mut().and_then(|front| front.running.as_mut());
        if let (Some(running), Some(page)) = (running, self.slots.get(index)) {
            let _ = running.feed.page(SlotIndex(index as u16), page);
        }
    }

    /// Sends what waits for the front, as far as it takes it.
    pub(super) fn pump_front(&mut self) {
        let now = self.origin.elapsed();
        let Some(front) = &mut self.front else { return };
        let Some(running) = &mut front.running else { return };
        let dropped = running.feed.take_events_dropped();
        let (supervisor, workers, records) = (&self.supervisor, &self.workers, &self.places);
        let companions = &self.companions;
        let pumped = running.feed.pump(|| status::of_cluster(supervisor.status(now), workers, records, companions));
        if dropped > 0 {
            self.cluster.add(ClusterField::EventsDropped, dropped);
        }
        if pumped.is_err() {
            front.lost(Instant::now());
        }
    }

    /// What the front says.
    pub(super) fn take_front(&mut self) {
        for _ in 0..MESSAGES_A_TURN {
            let Some(running) = self.front.as_ref().and_then(|front| front.running.as_ref()) else { return };
            match running.feed.receive() {
                Ok(Some((ToPrimary::Command { request, command }, descriptors))) => {
                    let answer = self.obey(request, command, &descriptors);
                    if let (Some(front), Some(answer)) = (&mut self.front, answer) {
                        front.answer(request, answer);
                    }
                }
                Ok(Some((ToPrimary::LineSeen(worker), _))) => self.heard(worker, control::ToPrimary::Ready),
                Ok(Some((ToPrimary::LinesDropped(lines), _))) => self.cluster.add(ClusterField::LogLinesDropped, lines),
                Ok(None) => return,
                Err(_) => {
                    if let Some(front) = &mut self.front {
                        front.lost(Instant::now());
                    }
                    return;
                }
            }
        }
    }

    /// Carries a command out, or hands it on: then the answer comes later.
    fn obey(&mut self, request: u64, command: Command, descriptors: &[OwnedFd]) -> Option<Answer> {
        let wish = match command {
            Command::Reload => Wish::Reload,
            Command::Upgrade => Wish::Upgrade,
            Command::Rollback => Wish::Rollback,
            Command::Scale(workers) => Wish::Scale(workers as usize),
            Command::Stop => {
                self.request_stop();
                return Some(Answer::Done);
            }
            Command::StopNow => {
                self.stop_now();
                return Some(Answer::Done);
            }
            Command::Kill { worker, signal } => {
                let Some(running) = self.workers.get(&worker) else { return Some(Answer::NoSuchWorker) };
                let Some(signal) = Signal::from_number(signal) else {
                    return Some(Answer::Refused(format!("{signal} is no signal that can be sent")));
                };
                return Some(match running.child.kill(signal) {
                    Ok(true) => Answer::Done,
                    Ok(false) => Answer::NoSuchWorker,
                    Err(error) => Answer::Refused(error.to_string()),
                });
            }
            Command::HeapProfile { worker, wish } => {
                return self.ask_for_heap_profile(request, worker, wish, descriptors);
            }
        };
        Some(match self.begin(wish, None) {
            Ok(number) => Answer::Began(number),
            Err(error) => Answer::Refused(error.to_string()),
        })
    }

    /// A front's process has ended.
    pub(super) fn reap_front(&mut self) {
        let Some(front) = &mut self.front else { return };
        front.reap();
        if let Some(running) = &front.running
            && let Ok(Some(status)) = running.child.try_wait()
        {
            tracing::warn!("the front ended with {status}; it is started again");
            front.lost(Instant::now());
        }
    }
}

fn bind_admin(address: SocketAddr) -> Result<TcpListener, Error> {
    let failed = |source| Error::Listen { address: address.into(), source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}
