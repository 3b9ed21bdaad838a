//! Pools that exist already: tokio's own, and rayon's.

use measuring::{During, Failure};
use tokio::sync::oneshot;

use super::Pool;

/// Of the runtime on which it is awaited, which allows it one thread.
pub(super) struct SpawnBlocking;

impl Pool for SpawnBlocking {
    async fn run(&self, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
        tokio::task::spawn_blocking(work).await.during("run a job")
    }
}

pub(super) struct Rayon(rayon::ThreadPool);

impl Rayon {
    pub(super) fn new() -> Result<Self, Failure> {
        rayon::ThreadPoolBuilder::new().num_threads(1).build().map(Self).during("build the pool")
    }
}

impl Pool for Rayon {
    async fn run(&self, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
        let (sender, done) = oneshot::channel();
        self.0.spawn(move || {
            work();
            let _ = sender.send(());
        });
        done.await.during("await a job")
    }
}
