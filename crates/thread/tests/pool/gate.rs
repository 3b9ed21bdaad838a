//! Jobs that start and end when the test says so.

use std::future::Future;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use phalanx_thread::{JobBuilder, JobError, Submission, ThreadPool};

/// Longer than anything here takes; reached only when something is broken.
pub(crate) const GIVE_UP: Duration = Duration::from_secs(30);

pub(crate) fn pool_of(threads: usize) -> ThreadPool {
    ThreadPool::builder().threads(threads).build().unwrap()
}

/// Runs a test's future, but not for ever.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(GIVE_UP, test).await.expect("the test hangs") })
}

/// A job that runs now and ends when it is opened.
pub(crate) struct Held {
    pub(crate) submission: Submission<bool>,
    pub(crate) open: mpsc::Sender<()>,
}

/// Occupies one thread with a job that pays no attention to anything; returns when it runs. Its result says whether it
/// was told to stop.
pub(crate) fn hold(job: JobBuilder<'_>) -> Held {
    let (open, opened) = mpsc::channel();
    let (runs, running) = mpsc::channel();
    let submission = job.spawn(move |cx| {
        runs.send(()).unwrap();
        let _ = opened.recv_timeout(GIVE_UP);
        cx.is_cancelled()
    });
    running.recv_timeout(GIVE_UP).expect("the job does not start");
    Held { submission, open }
}

impl Held {
    pub(crate) fn open(&self) {
        self.open.send(()).unwrap();
    }

    pub(crate) async fn finish(self) -> Result<bool, JobError> {
        self.open();
        self.submission.await
    }
}

/// Waits until something is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + GIVE_UP;
    while !is_so() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::yield_now();
    }
}
