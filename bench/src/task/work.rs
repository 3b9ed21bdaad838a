//! [`Work`]: one and the same task, again and again, somewhere.

use measuring::Failure;

/// A place, and the task that it is given.
pub(crate) trait Work: Send + Sync + 'static {
    /// A task that was submitted.
    type Taken: Send;

    /// Submits it once more.
    fn submit(&self) -> Self::Taken;

    /// Ready when there is a result, and it is the right one.
    fn finish(&self, taken: Self::Taken) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Submits, and waits for the result.
pub(crate) async fn once(work: &impl Work) -> Result<(), Failure> {
    work.finish(work.submit()).await
}
