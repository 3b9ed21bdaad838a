//! [`JobStore`]: who keeps the job model.

use std::time::Duration;

use super::{
    Claim, Finish, Heartbeat, JobEnd, JobFilter, JobId, JobStatus, KindLimits, Lease, Pause, Recorded, Revoked,
    Schedule, Standing, Work,
};
use crate::{BoxFuture, Capability, Error, QueueName, QueueStats};

/// What a runner and a submitter say to the keeper of jobs. Implemented whole by the embedded owner and by PostgreSQL (alone, or beside a
/// broker), and in part by brokers without a state store.
///
/// Every call may be repeated after [`Error::Unavailable`]: jobs have ids, attempts have tokens.
pub trait JobStore: Send + Sync + 'static {
    /// `embedded`, `RabbitMQ`, …: for messages to people.
    fn name(&self) -> &'static str;

    /// Whether it can do this with jobs.
    fn can(&self, capability: Capability) -> bool;

    /// Takes these, each as a whole or not at all; when it returns, what was taken is durable. For each: the id under which its
    /// result will be found (that of the head). [`Error::Full`], [`Error::TooBig`], and for a unique key that is held [`Held`](Submitted::Held).
    fn submit(&self, works: Vec<Work>) -> BoxFuture<'_, Result<Vec<Result<Submitted, Error>>, Error>>;

    /// Jobs to run, as soon as there is one, at most after the claim's wait.
    fn claim(&self, claim: Claim) -> BoxFuture<'_, Result<Vec<Lease>, Error>>;

    /// The runner is alive. In the order of the heartbeats.
    fn renew(&self, runner: JobId, heartbeats: Vec<Heartbeat>) -> BoxFuture<'_, Result<Vec<Standing>, Error>>;

    /// Waits until leases of this runner shall end, at most this long.
    fn revoked(&self, runner: JobId, wait: Duration) -> BoxFuture<'_, Result<Vec<Revoked>, Error>>;

    /// How attempts went; when it returns, that is durable. In their order.
    fn finish(&self, finishes: Vec<Finish>) -> BoxFuture<'_, Result<Vec<Recorded>, Error>>;

    /// Waits for the end of a job, at most this long; `None` if it has not ended by then.
    fn ended(&self, job: JobId, wait: Duration) -> BoxFuture<'_, Result<Option<JobEnd>, Error>>;

    /// What is known of a job, as soon as it differs from version `seen`, at most after this wait. With version 0: at once.
    fn changed(&self, job: JobId, seen: u64, wait: Duration) -> BoxFuture<'_, Result<JobStatus, Error>>;

    /// Jobs, newest first.
    fn list(&self, filter: JobFilter) -> BoxFuture<'_, Result<Vec<JobStatus>, Error>>;

    /// Ends a job: one that waits never runs, one that runs is told. Its end is [`JobEnd::Cancelled`]. A flow is cancelled with its children.
    /// [`Error::WrongState`] if it has ended.
    fn cancel(&self, job: JobId) -> BoxFuture<'_, Result<(), Error>>;

    /// Revives a dead or cancelled job with fresh counters.
    fn revive(&self, job: JobId) -> BoxFuture<'_, Result<(), Error>>;

    /// What a queue holds; all queues without a name.
    fn stats(&self, queue: Option<QueueName>) -> BoxFuture<'_, Result<Vec<QueueStats>, Error>>;

    /// Throws away the ended jobs of a queue, or with `waiting` also those that wait; how many there were. None that runs.
    fn purge(&self, queue: QueueName, waiting: bool) -> BoxFuture<'_, Result<u64, Error>>;

    /// Gives nothing of this out any more, or again.
    fn pause(&self, what: Pause, paused: bool) -> BoxFuture<'_, Result<(), Error>>;

    /// Sets the limits of a kind; both `None` removes them.
    fn limit(&self, limits: KindLimits) -> BoxFuture<'_, Result<(), Error>>;

    /// Sets a schedule, or removes the one of this name.
    fn schedule(&self, name: String, schedule: Option<Schedule>) -> BoxFuture<'_, Result<(), Error>>;

    /// All schedules, by name.
    fn schedules(&self) -> BoxFuture<'_, Result<Vec<Schedule>, Error>>;

    /// Ends the connection. Leases are handed back. Idempotent.
    fn close(&self) -> BoxFuture<'_, ()>;

    /// The event loop of its own thread, if it has one: runners and executors then wait there too, and no thread has to wake another.
    fn io(&self) -> Option<tokio::runtime::Handle> {
        None
    }
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Submitted {
    /// It was taken, now or before (by the same id).
    Taken(JobId),
    /// Another job holds its unique key: this one.
    Held(JobId),
}
