//! A thread that takes closures out of a channel, and a oneshot for each result: what one writes oneself.

use measuring::{During, Failure};
use tokio::sync::oneshot;

use super::{Pool, QUEUED_AT_MOST};

type Job = Box<dyn FnOnce() + Send>;

pub(super) struct Crossbeam(crossbeam_channel::Sender<Job>);

impl Crossbeam {
    pub(super) fn new() -> Self {
        let (sender, receiver) = crossbeam_channel::bounded::<Job>(QUEUED_AT_MOST);
        std::thread::spawn(move || receiver.into_iter().for_each(|job| job()));
        Self(sender)
    }
}

impl Pool for Crossbeam {
    async fn run(&self, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
        let (job, done) = with_result(work);
        self.0.send(job).during("submit a job")?;
        done.await.during("await a job")
    }
}

pub(super) struct Kanal(kanal::Sender<Job>);

impl Kanal {
    pub(super) fn new() -> Self {
        let (sender, receiver) = kanal::bounded::<Job>(QUEUED_AT_MOST);
        std::thread::spawn(move || receiver.for_each(|job| job()));
        Self(sender)
    }
}

impl Pool for Kanal {
    async fn run(&self, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
        let (job, done) = with_result(work);
        self.0.send(job).during("submit a job")?;
        done.await.during("await a job")
    }
}

pub(super) fn with_result(work: impl FnOnce() + Send + 'static) -> (Job, oneshot::Receiver<()>) {
    let (sender, receiver) = oneshot::channel();
    let job = Box::new(move || {
        work();
        let _ = sender.send(());
    });
    (job, receiver)
}
