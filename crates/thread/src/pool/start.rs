//! How a thread starts, what it is fitted out with, and what happens when it cannot.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::thread::CpuSet;

use crate::pool::core::Core;
use crate::pool::error::JobError;
use crate::pool::init;
use crate::pool::scope;
use crate::pool::state::Call;
use crate::sync::checked::Bed;

/// What each thread of a pool sets for itself.
#[derive(Clone)]
pub(crate) struct Outfit {
    pub(crate) name: String,
    pub(crate) niceness: u8,
    pub(crate) affinity: Option<CpuSet>,
}

impl Outfit {
    pub(crate) fn thread_name(&self, worker: usize) -> String {
        format!("{}-{worker}", self.name)
    }

    fn put_on(&self) {
        if let Some(cpus) = &self.affinity {
            // The builder has checked them; one that went offline since costs the rest of them nothing.
            let _ = rustix::thread::sched_setaffinity(None, cpus);
        }
        lower_priority(self.niceness);
    }
}

/// On Linux a priority belongs to a thread, whatever POSIX says.
fn lower_priority(increment: u8) {
    let thread = Some(rustix::thread::gettid());
    if increment > 0
        && let Ok(now) = rustix::process::getpriority_process(thread)
    {
        let _ = rustix::process::setpriority_process(thread, now + i32::from(increment));
    }
}

impl Core {
    /// Calls whom the dispatcher wants called.
    pub(crate) fn answer(self: &Arc<Self>, call: Call) {
        match call {
            Call::Nobody => {}
            Call::Wake(bed) => bed.wake(),
            Call::Start(worker) => self.start(worker),
        }
    }

    /// Starts the thread of this number, which counts as starting already.
    pub(crate) fn start(self: &Arc<Self>, worker: usize) {
        if let Err(error) = self.spawn(worker, Duration::ZERO) {
            self.cannot_start(worker, &error);
        }
    }

    /// Starts a thread that begins after a pause.
    pub(crate) fn spawn(self: &Arc<Self>, worker: usize, pause: Duration) -> io::Result<()> {
        let core = self.clone();
        let body = move || {
            if !pause.is_zero() {
                thread::sleep(pause);
            }
            core.live(worker);
        };
        thread::Builder::new().name(self.outfit.thread_name(worker)).spawn(body).map(drop)
    }

    pub(crate) fn cannot_start(&self, worker: usize, error: &io::Error) {
        let why: Arc<str> = format!("the system gives no thread ({error}); raise ulimit -u or pids.max").into();
        let abandoned = self.dispatcher.cannot_start(worker, &why);
        self.refuse(abandoned, &JobError::NoThread { reason: why.to_string() });
        self.wake_draining();
    }

    /// From its first breath to its last.
    fn live(self: Arc<Self>, worker: usize) {
        self.outfit.put_on();
        self.record(worker);
        scope::enter_pool(&self, worker);
        let bed = Arc::new(Bed::new());
        while self.prepare(worker) {
            self.dispatcher.is_ready();
            let lost_its_state = self.work(worker, &bed);
            if !lost_its_state {
                // Whoever waits for the end of the pool finds its connections closed.
                init::discard();
                let call = self.dispatcher.has_ended(worker);
                self.answer(call);
                break;
            }
        }
        self.wake_draining();
    }

    /// Whether the thread is ready. If not, it is replaced after a pause, or the jobs are told.
    fn prepare(self: &Arc<Self>, worker: usize) -> bool {
        let Some(Err(why)) = self.init.as_ref().map(init::Init::prepare) else { return true };
        match self.dispatcher.init_failed(worker, &why) {
            Ok(pause) => {
                if let Err(error) = self.spawn(worker, pause) {
                    self.cannot_start(worker, &error);
                }
            }
            Err(abandoned) => {
                self.refuse(abandoned, &JobError::NoThread { reason: why.to_string() });
            }
        }
        false
    }
}
