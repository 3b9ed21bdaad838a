//! [`Stage`]: a hall, its Node workers, and clients.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use phalanx_channel::node::{Serialization, Value};
use phalanx_process::{Child, Command, ExitStatus, Signal, Stdio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::peers::{Node, nodes};
use super::pretender::Pretender;
use crate::attendant::node::hall::Counts;
use crate::attendant::node::{Address, Hall, Options, Said, gather};
use crate::{Distribution, Place, WorkerId};

/// No test waits longer for anything.
const DEADLINE: Duration = Duration::from_secs(30);

pub(super) async fn within<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, event).await.expect("not within 30 s")
}

/// Runs a test once with each Node version, in a fresh hall.
pub(super) fn each(options: Options, test: impl AsyncFn(Stage)) {
    for node in nodes() {
        for serialization in [Serialization::Json, Serialization::Advanced] {
            eprintln!("Node {} {}", node.version, serialization.name());
            with(node, serialization, options, &test);
        }
    }
}

/// As [`each`], for what does not depend on the serialization.
pub(super) fn each_version(options: Options, test: impl AsyncFn(Stage)) {
    for node in nodes() {
        eprintln!("Node {}", node.version);
        with(node, Serialization::Json, options, &test);
    }
}

fn with(node: &Node, serialization: Serialization, options: Options, test: &impl AsyncFn(Stage)) {
    life(async { test(Stage::new(node, serialization, options, 0)).await });
}

/// Runs something as the process of a hall runs it.
fn life<T>(test: impl Future<Output = T>) -> T {
    let (runtime, tasks) = (runtime(), tokio::task::LocalSet::new());
    tasks.block_on(&runtime, test)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().on_thread_park(gather).build().unwrap()
}

/// Runs `before` in a hall whose process is killed then, as far as its workers can tell, and `after` in another one.
pub(super) fn in_two_lives<T: Copy>(
    options: Options,
    before: impl AsyncFn(&Stage) -> T,
    after: impl AsyncFn(&Stage, &[WorkerId], T),
) {
    for node in nodes() {
        for serialization in [Serialization::Json, Serialization::Advanced] {
            eprintln!("Node {} {}", node.version, serialization.name());
            let (first, tasks) = (runtime(), tokio::task::LocalSet::new());
            let (stage, outcome) = tasks.block_on(&first, async {
                let stage = Stage::new(node, serialization, options, 0);
                let outcome = before(&stage).await;
                (stage, outcome)
            });
            let channels: Vec<_> = stage.channels.take();
            let processes: Vec<Rc<Child>> = stage.workers.take();
            // Nothing of it runs any more, and nothing is tidied up.
            std::mem::forget((stage, tasks, first));
            life(async {
                let stage = Stage::new(node, serialization, options, processes.len());
                let workers: Vec<WorkerId> = channels.iter().map(|(id, _)| *id).collect();
                stage.channels.replace(channels);
                after(&stage, &workers, outcome).await;
            });
            for process in processes {
                process.kill(phalanx_process::Signal::Kill).unwrap();
            }
        }
    }
}

pub(super) fn round_robin() -> Options {
    Options::new(Distribution::RoundRobin)
}

pub(super) fn shared() -> Options {
    Options::new(Distribution::Shared)
}

pub(super) struct Stage {
    pub(super) hall: Rc<Hall>,
    pub(super) node: Node,
    pub(super) serialization: Serialization,
    pub(super) folder: tempfile::TempDir,
    workers: RefCell<Vec<Rc<Child>>>,
    /// Workers of an earlier hall.
    before: usize,
    heard: RefCell<Heard>,
    /// Copies of the ends of channels that the hall has.
    channels: RefCell<Vec<(WorkerId, UnixStream)>>,
}

struct Heard {
    heard: mpsc::Receiver<(WorkerId, Said)>,
    /// What was heard before it was waited for.
    unmatched: VecDeque<(WorkerId, Said)>,
}

#[derive(Debug, Clone)]
pub(super) struct Worker {
    pub(super) id: WorkerId,
    pub(super) child: Rc<Child>,
}

impl Stage {
    fn new(node: &Node, serialization: Serialization, options: Options, before: usize) -> Stage {
        let (hall, heard) = Hall::new(options);
        Stage {
            hall,
            node: node.clone(),
            serialization,
            folder: tempfile::tempdir().unwrap(),
            workers: RefCell::default(),
            before,
            heard: RefCell::new(Heard { heard, unmatched: VecDeque::new() }),
            channels: RefCell::default(),
        }
    }

    /// Seats the workers of an earlier hall.
    pub(super) fn take_seats(&self) {
        for (id, channel) in self.channels.take() {
            let place = Place(id.get() as u16 - 1);
            self.hall.seat(id, place, std::process::id(), channel.into(), self.serialization).unwrap();
        }
    }

    /// Starts a Node worker with this script. Ids count from 1.
    pub(super) async fn start(&self, script: &str) -> Worker {
        self.start_with(script, &[]).await
    }

    /// The same, with variables in its environment.
    pub(super) async fn start_with(&self, script: &str, variables: &[(&str, String)]) -> Worker {
        let number = (self.before + self.workers.borrow().len()) as u32 + 1;
        let file = self.folder.path().join(format!("worker{number}.js"));
        // A script that hangs ends.
        let guard = "setTimeout(() => { console.error('the script hangs'); process.exit(99) }, 90000).unref();";
        std::fs::write(&file, format!("{guard}\n{script}")).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let copy = ours.try_clone().unwrap();
        let mut command = Command::new(&self.node.program)
            .arg(file)
            .env("NODE_CHANNEL_FD", "3")
            .env("NODE_CHANNEL_SERIALIZATION_MODE", self.serialization.name())
            .env("NODE_UNIQUE_ID", number.to_string())
            .env_remove("NODE_OPTIONS")
            .fd(3, OwnedFd::from(theirs))
            .stdin(Stdio::Null)
            .stdout(Stdio::Inherit)
            .stderr(Stdio::Inherit)
            .kill_on_drop();
        for (name, value) in variables {
            command = command.env(*name, value);
        }
        let child = Rc::new(command.spawn().await.unwrap());
        self.workers.borrow_mut().push(Rc::clone(&child));
        let id = WorkerId::new(number);
        self.hall.seat(id, Place(number as u16 - 1), child.pid(), ours.into(), self.serialization).unwrap();
        let (hall, process) = (Rc::clone(&self.hall), Rc::clone(&child));
        tokio::task::spawn_local(async move {
            process.exited().await.unwrap();
            hall.gone(id);
        });
        let worker = Worker { id, child };
        self.channels.borrow_mut().push((id, copy));
        worker
    }

    /// Starts one and waits until it listens.
    pub(super) async fn serve(&self, script: &str, port: u16) -> (Worker, SocketAddr) {
        let worker = self.start_with(script, &[("PORT", port.to_string())]).await;
        let address = self.listens(&worker).await;
        (worker, address)
    }

    /// A worker of the test itself, which speaks Node's wire by hand.
    pub(super) fn pretend(&self) -> Pretender {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let id = WorkerId::new(1000);
        self.hall.seat(id, Place(1000), std::process::id(), ours.into(), Serialization::Json).unwrap();
        Pretender::new(id, theirs)
    }

    /// Waits until this worker says something that fits.
    pub(super) async fn hears<T>(&self, worker: WorkerId, mut fits: impl FnMut(&Said) -> Option<T>) -> T {
        let mut fits = |(who, said): &(WorkerId, Said)| if *who == worker { fits(said) } else { None };
        let heard_before = {
            let mut heard = self.heard.borrow_mut();
            let at = heard.unmatched.iter().position(|said| fits(said).is_some());
            at.and_then(|at| heard.unmatched.remove(at))
        };
        if let Some(said) = heard_before {
            return fits(&said).unwrap();
        }
        within(std::future::poll_fn(|cx| {
            let mut heard = self.heard.borrow_mut();
            while let Poll::Ready(said) = heard.heard.poll_recv(cx) {
                let said = said.unwrap();
                match fits(&said) {
                    Some(fit) => return Poll::Ready(fit),
                    None => heard.unmatched.push_back(said),
                }
            }
            Poll::Pending
        }))
        .await
    }

    pub(super) async fn listens(&self, worker: &Worker) -> SocketAddr {
        self.hears(worker.id, |said| match said {
            Said::Listening(Address::Tcp(address)) => Some(*address),
            _ => None,
        })
        .await
    }

    pub(super) async fn message(&self, worker: &Worker) -> Value {
        self.hears(worker.id, |said| match said {
            Said::Message(message) => Some(message.clone()),
            _ => None,
        })
        .await
    }

    /// Waits until the worker has so many connections: its answers may come after those to the clients.
    pub(super) async fn counts(&self, worker: WorkerId, expected: Counts) {
        let reached = async {
            while self.hall.connections(worker) != expected {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let reached = tokio::time::timeout(DEADLINE, reached).await;
        assert!(reached.is_ok(), "{:?}, not {expected:?}", self.hall.connections(worker));
    }

    pub(super) async fn disconnected(&self, worker: WorkerId) -> bool {
        self.hears(worker, |said| match said {
            Said::Disconnected { voluntary } => Some(*voluntary),
            _ => None,
        })
        .await
    }

    /// What was said that no test has waited for, without what every worker says.
    pub(super) fn complaints(&self) -> Vec<String> {
        let mut heard = self.heard.borrow_mut();
        while let Ok(said) = heard.heard.try_recv() {
            heard.unmatched.push_back(said);
        }
        let complaint = |said: &(WorkerId, Said)| match &said.1 {
            Said::Misbehaves(why) => Some(format!("worker {}: {why}", said.0)),
            _ => None,
        };
        heard.unmatched.iter().filter_map(complaint).collect()
    }
}

impl Worker {
    pub(super) fn kill(&self, signal: Signal) {
        self.child.kill(signal).unwrap();
    }

    pub(super) async fn exited(&self) -> ExitStatus {
        within(self.child.exited()).await.unwrap()
    }
}

/// One request on a connection of its own; the body of the answer.
pub(super) async fn get(address: SocketAddr) -> String {
    within(try_get(address)).await.unwrap()
}

pub(super) async fn try_get(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    Ok(body.trim().to_owned())
}
