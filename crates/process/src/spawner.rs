//! The spawner: one thread per process that starts children and reaps those that nobody holds any more.
//!
//! It never ends, because the kernel's parent-death signal follows the *thread* that started a child. And it keeps the
//! half millisecond that the start of a program takes away from the threads of a runtime.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};

use rustix::event::{EventfdFlags, epoll};
use tokio::sync::{Semaphore, oneshot};

use crate::kept::Kept;
use crate::launcher::{Launch, Pending};
use crate::{Process, SpawnError};

/// How many children may wait to be started; who comes later waits to ask.
const MAX_WAITING: usize = 256;

/// How many events one wait takes.
const EVENTS_AT_ONCE: usize = 64;

/// The thread's stack: it calls the system and little else.
const STACK_BYTES: usize = 256 * 1024;

/// Epoll data of the bell; children are numbered from 1.
const BELL: u64 = 0;

type Started = Result<(Kept, Option<Pending>), SpawnError>;

enum Request {
    Start(Launch, Answer),
    Reap(Process),
}

enum Answer {
    Task(oneshot::Sender<Started>),
    Thread(mpsc::SyncSender<Started>),
}

struct Spawner {
    requests: Mutex<VecDeque<Request>>,
    /// Rung after a request was put in.
    bell: OwnedFd,
    room: Semaphore,
}

static SPAWNER: OnceLock<Spawner> = OnceLock::new();
/// Held while the thread is created, so that there is one.
static CREATING: Mutex<()> = Mutex::new(());

/// Starts a child without blocking this thread.
pub(crate) async fn start(launch: Launch) -> Started {
    let spawner = Spawner::running()?;
    // Never closed.
    let _room = spawner.room.acquire().await;
    let (answer, started) = oneshot::channel();
    spawner.ask(Request::Start(launch, Answer::Task(answer)));
    started.await.unwrap_or_else(|_| Err(lost()))
}

/// Starts a child and waits until it runs.
pub(crate) fn start_blocking(launch: Launch) -> Started {
    if !launch.follows_thread {
        return launch.start();
    }
    let spawner = Spawner::running()?;
    let (answer, started) = mpsc::sync_channel(1);
    spawner.ask(Request::Start(launch, Answer::Thread(answer)));
    started.recv().unwrap_or_else(|_| Err(lost()))
}

/// Reaps a child when it ends.
pub(crate) fn adopt(process: Process) {
    // Without a thread it stays a zombie until this process ends: there is no memory for even that, then.
    if let Ok(spawner) = Spawner::running() {
        spawner.ask(Request::Reap(process));
    }
}

fn lost() -> SpawnError {
    SpawnError::system("start a child", std::io::Error::other("the spawner thread dropped the order"))
}

impl Spawner {
    fn running() -> Result<&'static Spawner, SpawnError> {
        if let Some(spawner) = SPAWNER.get() {
            return Ok(spawner);
        }
        let _one = CREATING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(spawner) = SPAWNER.get() {
            return Ok(spawner);
        }
        let failed = |source: std::io::Error| SpawnError::system("start the spawner thread", source);
        let bell = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| failed(errno.into()))?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|errno| failed(errno.into()))?;
        epoll::add(&epoll, &bell, epoll::EventData::new_u64(BELL), epoll::EventFlags::IN)
            .map_err(|errno| failed(errno.into()))?;
        std::thread::Builder::new()
            .name("phalanx-spawner".into())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                let mut orphans = Orphans { epoll, waiting: HashMap::new(), last: BELL };
                loop {
                    // Children die with this thread, so it outlives even a mistake of ours.
                    let _ = std::panic::catch_unwind(AssertUnwindSafe(|| orphans.turn()));
                }
            })
            .map_err(failed)?;
        let room = Semaphore::const_new(MAX_WAITING);
        Ok(SPAWNER.get_or_init(|| Spawner { requests: Mutex::new(VecDeque::new()), bell, room }))
    }

    fn ask(&self, request: Request) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push_back(request);
        // It fails only when it has been rung without end.
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }

    fn next(&self) -> Option<Request> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// Children that nobody holds any more. What the thread works on.
struct Orphans {
    epoll: OwnedFd,
    waiting: HashMap<u64, Process>,
    last: u64,
}

impl Orphans {
    /// Waits for something to do, and does it.
    fn turn(&mut self) {
        let mut events = Vec::with_capacity(EVENTS_AT_ONCE);
        if epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None).is_err() {
            return;
        }
        let mut rung = false;
        for event in events {
            match event.data.u64() {
                BELL => rung = true,
                number => self.reap(number),
            }
        }
        // The bell can ring before `SPAWNER` is set only if nobody has asked yet.
        if let (true, Some(spawner)) = (rung, SPAWNER.get()) {
            let _ = rustix::io::read(&spawner.bell, &mut [0u8; 8]);
            while let Some(request) = spawner.next() {
                self.serve(request);
            }
        }
    }

    fn serve(&mut self, request: Request) {
        match request {
            Request::Reap(process) => {
                self.last += 1;
                let data = epoll::EventData::new_u64(self.last);
                // No memory for the watch: then it is looked at now, which is better than never.
                let watched = epoll::add(&self.epoll, process.as_fd(), data, epoll::EventFlags::IN).is_ok();
                if watched {
                    self.waiting.insert(self.last, process);
                } else {
                    let _ = process.try_wait();
                }
            }
            // If nobody waits for the answer any more, what was started is dropped, and comes back to be reaped.
            Request::Start(launch, Answer::Task(answer)) => {
                if !answer.is_closed() {
                    let _ = answer.send(launch.start());
                }
            }
            Request::Start(launch, Answer::Thread(answer)) => {
                let _ = answer.send(launch.start());
            }
        }
    }

    fn reap(&mut self, number: u64) {
        let ended = self.waiting.get(&number).is_none_or(|process| !matches!(process.try_wait(), Ok(None)));
        if ended {
            // Its descriptor is closed with it, and so leaves the epoll.
            self.waiting.remove(&number);
        }
    }
}
