//! The spawner: one thread per process that starts children and reaps those that nobody holds any more.
//!
//! It never ends, because the kernel's parent-death signal follows the *thread* that started a child. And it keeps the
//! half millisecond that the start of a program takes away from the threads of a runtime.
//!
//! Waking a thread on another core takes 35 µs here, an eighth of the life of a short program. So the thread is woken while
//! an order is still being prepared. And where orders follow the ends of children (one program after the other), the
//! next end wakes it at the same moment as who waits for that end.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, epoll};
use rustix::io::Errno;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use crate::kept::Kept;
use crate::launcher::{Launch, Pending};
use crate::signal_mask::SignalMask;
use crate::{Process, SpawnError};

/// How many children may wait to be started; who comes later waits to ask.
const MAX_WAITING: usize = 256;

/// How long the thread stays awake for an order that was announced: several times what a preparation takes.
const PATIENCE: Duration = Duration::from_micros(100);

/// How many events one wait takes.
const EVENTS_AT_ONCE: usize = 64;

/// The thread's stack: it calls the system and little else.
const STACK_BYTES: usize = 256 * 1024;

/// Epoll data of the bell; children are numbered from 1.
const BELL: u64 = 0;

/// Epoll data of a child whose end is likely followed by an order.
const HERALD: u64 = u64::MAX;

/// An order that comes this soon after the end of a child followed it.
const FOLLOWS: Duration = Duration::from_micros(200);

/// When the end of a child was last noticed, in nanoseconds of the monotonic clock.
static LAST_END: AtomicU64 = AtomicU64::new(0);

/// Somebody noticed the end of a child.
pub(crate) fn note_end() {
    LAST_END.store(now(), Ordering::Relaxed);
}

fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// What an order came after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rhythm {
    /// The end of a child: the next one may come after the end of this one.
    AfterAnEnd,
    Alone,
}

impl Rhythm {
    fn of_now() -> Rhythm {
        let since = Duration::from_nanos(now().saturating_sub(LAST_END.load(Ordering::Relaxed)));
        if since < FOLLOWS { Rhythm::AfterAnEnd } else { Rhythm::Alone }
    }
}

type Started = Result<(Kept, Option<Pending>), SpawnError>;

enum Request {
    Start(Box<Launch>, Rhythm, Answer),
    Reap(Process),
}

enum Answer {
    Task(oneshot::Sender<Started>),
    Thread(mpsc::SyncSender<Started>),
}

struct Spawner {
    requests: Mutex<VecDeque<Request>>,
    /// Wakes the thread.
    bell: OwnedFd,
    /// Whether the thread sleeps, or is about to.
    asleep: AtomicBool,
    /// Orders that are being prepared: they come within microseconds.
    announced: AtomicUsize,
    room: Semaphore,
}

static SPAWNER: OnceLock<Spawner> = OnceLock::new();
/// Held while the thread is created, so that there is one.
static CREATING: Mutex<()> = Mutex::new(());

/// An order that is being prepared. The thread wakes up meanwhile, which takes as long as the preparation.
pub(crate) struct Announced {
    expected: Expected,
    rhythm: Rhythm,
    room: SemaphorePermit<'static>,
}

/// Counts as an announced order until it is dropped.
struct Expected(&'static Spawner);

/// Waits until there is room for an order, and announces it.
pub(crate) async fn announce() -> Result<Announced, SpawnError> {
    let spawner = Spawner::running()?;
    let room = spawner.room.acquire().await.map_err(|_| lost())?;
    spawner.announced.fetch_add(1, Ordering::SeqCst);
    spawner.wake();
    Ok(Announced { expected: Expected(spawner), rhythm: Rhythm::of_now(), room })
}

impl Announced {
    /// Starts a child without blocking this thread.
    pub(crate) async fn start(self, launch: Launch) -> Started {
        let (answer, started) = oneshot::channel();
        let Announced { expected, rhythm, room } = self;
        expected.0.ask(Request::Start(Box::new(launch), rhythm, Answer::Task(answer)));
        drop(expected);
        let started = started.await.unwrap_or_else(|_| Err(lost()));
        drop(room);
        started
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.0.announced.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Starts a child and waits until it runs.
pub(crate) fn start_blocking(launch: Launch) -> Started {
    if !launch.follows_thread {
        return launch.start();
    }
    let spawner = Spawner::running()?;
    let (answer, started) = mpsc::sync_channel(1);
    spawner.ask(Request::Start(Box::new(launch), Rhythm::Alone, Answer::Thread(answer)));
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
                // Handlers of the program run on its own threads. (Children start with no signal blocked.)
                SignalMask::block_all();
                let mut orphans = Orphans { epoll, waiting: HashMap::new(), last: BELL };
                loop {
                    // Children die with this thread, so it outlives even a mistake of ours.
                    let _ = std::panic::catch_unwind(AssertUnwindSafe(|| orphans.turn()));
                }
            })
            .map_err(failed)?;
        let room = Semaphore::const_new(MAX_WAITING);
        Ok(SPAWNER.get_or_init(|| {
            let (asleep, announced) = (AtomicBool::new(true), AtomicUsize::new(0));
            Spawner { requests: Mutex::new(VecDeque::new()), bell, asleep, announced, room }
        }))
    }

    fn ask(&self, request: Request) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push_back(request);
        self.wake();
    }

    fn wake(&self) {
        if self.asleep.swap(false, Ordering::SeqCst) {
            // It fails only when it has been rung without end.
            let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
        }
    }

    fn has_requests(&self) -> bool {
        !self.requests.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
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
        for event in events {
            match event.data.u64() {
                // Nobody can ring before `SPAWNER` is set.
                BELL | HERALD => {
                    let Some(spawner) = SPAWNER.get() else { continue };
                    spawner.asleep.store(false, Ordering::SeqCst);
                    self.serve_all(spawner, event.data.u64() == HERALD);
                }
                number => self.reap(number),
            }
        }
    }

    /// Serves everybody, and those who are about to ask; then it is time to sleep.
    fn serve_all(&mut self, spawner: &Spawner, mut heralded: bool) {
        let _ = rustix::io::read(&spawner.bell, &mut [0u8; 8]);
        let mut patient_until = Instant::now() + PATIENCE;
        loop {
            while let Some(request) = spawner.next() {
                self.serve(request);
                heralded = false;
                patient_until = Instant::now() + PATIENCE;
            }
            let expects = heralded || spawner.announced.load(Ordering::SeqCst) > 0;
            if expects && Instant::now() < patient_until {
                // Whoever prepares may need this very core.
                std::thread::yield_now();
                continue;
            }
            spawner.asleep.store(true, Ordering::SeqCst);
            // Who asked before that did not ring.
            if spawner.has_requests() && spawner.asleep.swap(false, Ordering::SeqCst) {
                continue;
            }
            return;
        }
    }

    fn serve(&mut self, request: Request) {
        match request {
            Request::Reap(process) => {
                self.last += 1;
                let data = epoll::EventData::new_u64(self.last);
                // No memory for the watch: then it is looked at now, which is better than never.
                let watched = match epoll::add(&self.epoll, process.as_fd(), data, epoll::EventFlags::IN) {
                    // It was a herald.
                    Err(Errno::EXIST) => epoll::modify(&self.epoll, process.as_fd(), data, epoll::EventFlags::IN),
                    added => added,
                };
                match watched {
                    Ok(()) => {
                        self.waiting.insert(self.last, process);
                    }
                    Err(_) => drop(process.try_wait()),
                }
            }
            // If nobody waits for the answer any more, what was started is dropped, and comes back to be reaped.
            Request::Start(launch, rhythm, Answer::Task(answer)) => {
                if answer.is_closed() {
                    return;
                }
                let started = launch.start();
                if let (Ok((kept, _)), Rhythm::AfterAnEnd) = (&started, rhythm) {
                    let once = epoll::EventFlags::IN | epoll::EventFlags::ONESHOT;
                    // Without it the next start takes a little longer. It leaves the epoll when it is closed.
                    let _ = epoll::add(&self.epoll, kept, epoll::EventData::new_u64(HERALD), once);
                }
                let _ = answer.send(started);
            }
            Request::Start(launch, _, Answer::Thread(answer)) => {
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
