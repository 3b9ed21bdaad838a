//! [`Flow`] and [`Gather`]: split → map → gather.
//!
//! ```text
//!   flow(parts, gather) ──► one submission: children and the gatherer are stored together, or not at all
//!        part 0 ─► runner ─► end 0 ┐
//!        part 1 ─► runner ─► end 1 ├─► when all have ended: Gathering { gather, parts: [end 0, end 1, end 2] } ─► runner ─► result
//!        part 2 ─► runner ─► end 2 ┘
//! ```

use std::sync::Arc;

use phalanx_task::{Blob, Packed, Sandbox, Task, TaskContext, TaskError};
use serde::de::DeserializeOwned;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{JobHandle, JobOptions, Jobs};
use crate::blobs::BlobStore;
use crate::job::{ChildEnd, NewFlow, OnFailure, Work};
use crate::{Error, UnixMillis, payload};

/// What makes one result of the results of many. A program that may run it registers `Gathering<G>` as a task.
///
/// ```
/// use phalanx_queue::{Gather, Gathering};
/// use phalanx_task::{TaskContext, TaskError, tasks};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Total;
///
/// impl Gather for Total {
///     const NAME: &'static str = "total";
///     type Part = u64;
///     type Output = u64;
///     fn gather(self, parts: Vec<Result<u64, TaskError>>, _: &TaskContext) -> Result<u64, TaskError> {
///         parts.into_iter().sum()
///     }
/// }
///
/// let registry = tasks![Gathering<Total>];
/// ```
pub trait Gather: Serialize + DeserializeOwned + Send + 'static {
    /// Its name, among those of tasks.
    const NAME: &'static str;
    /// What a child gives.
    type Part: Serialize + DeserializeOwned + Send + 'static;
    /// What it makes of them.
    type Output: Serialize + DeserializeOwned + Send + 'static;
    /// As of a [`Task`].
    const SANDBOX: Sandbox = Sandbox::Full;

    /// Does it. The parts are in the order of the children. With [`OnFailure::FailFast`] none of them is an error.
    fn gather(self, parts: Vec<Result<Self::Part, TaskError>>, cx: &TaskContext) -> Result<Self::Output, TaskError>;
}

/// A [`Gather`] with what it gathers: the task that a runner runs.
#[derive(Debug)]
pub struct Gathering<G: Gather> {
    gather: G,
    parts: Vec<Result<G::Part, TaskError>>,
}

impl<G: Gather> Task for Gathering<G> {
    const NAME: &'static str = G::NAME;
    type Output = G::Output;
    const SANDBOX: Sandbox = G::SANDBOX;

    fn run(self, cx: &TaskContext) -> Result<G::Output, TaskError> {
        self.gather.gather(self.parts, cx)
    }
}

/// A packed value inside of another: its blobs are numbered by themselves.
#[derive(Serialize, Deserialize)]
struct Folded {
    bytes: Blob,
    blobs: Vec<Blob>,
}

/// As a [`Gathering`] travels: whoever puts it together has no types.
#[derive(Serialize, Deserialize)]
struct Wire {
    gather: Folded,
    parts: Vec<Result<Folded, TaskError>>,
}

impl From<Packed> for Folded {
    fn from(packed: Packed) -> Folded {
        Folded { bytes: Blob::from(packed.bytes), blobs: packed.blobs }
    }
}

impl Folded {
    fn unpack<T: DeserializeOwned, E: serde::de::Error>(self) -> Result<T, E> {
        let packed = Packed { bytes: self.bytes.into_vec(), blobs: self.blobs };
        packed.unpack().map_err(E::custom)
    }
}

impl<G: Gather> Serialize for Gathering<G> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fold = |packed: Result<Packed, _>| packed.map(Folded::from).map_err(S::Error::custom);
        let part = |part: &Result<G::Part, TaskError>| match part {
            Ok(part) => fold(Packed::of(part)).map(Ok),
            Err(error) => Ok(Err(error.clone())),
        };
        let parts = self.parts.iter().map(part).collect::<Result<_, _>>()?;
        Wire { gather: fold(Packed::of(&self.gather))?, parts }.serialize(serializer)
    }
}

impl<'de, G: Gather> Deserialize<'de> for Gathering<G> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Gathering<G>, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        let part = |part: Result<Folded, TaskError>| match part {
            Ok(part) => part.unpack::<_, D::Error>().map(Ok),
            Err(error) => Ok(Err(error)),
        };
        let parts = wire.parts.into_iter().map(part).collect::<Result<_, _>>()?;
        let gather = wire.gather.unpack::<_, D::Error>()?;
        Ok(Gathering { gather, parts })
    }
}

/// The input of a gatherer, made of its own payload and the ends of its children.
pub(crate) async fn gathered(
    gather: &[u8],
    children: Vec<ChildEnd>,
    blobs: Option<&Arc<dyn BlobStore>>,
) -> Result<Packed, Error> {
    let gather = payload::unpack(gather, blobs).await?.into();
    let mut parts = Vec::with_capacity(children.len());
    for child in children {
        parts.push(match child {
            ChildEnd::Done(result) => Ok(payload::unpack(&result, blobs).await?.into()),
            ChildEnd::Failed(error) => Err(payload::as_error(&error)),
        });
    }
    Packed::of(&Wire { gather, parts })
        .map_err(|error| Error::Malformed { what: "the results of the children".to_owned(), reason: error.to_string() })
}

/// Children and what gathers their results, before they are [submitted](Flow::submit).
#[derive(Debug)]
#[must_use = "nothing happens before submit()"]
pub struct Flow<T, G> {
    jobs: Jobs,
    children: Vec<T>,
    gather: G,
    on_failure: OnFailure,
    of_children: JobOptions,
    of_gather: JobOptions,
}

impl<T: Task, G: Gather<Part = T::Output>> Flow<T, G> {
    pub(super) fn new(jobs: Jobs, children: Vec<T>, gather: G) -> Flow<T, G> {
        let (of_children, of_gather) = (JobOptions::new(), JobOptions::new());
        Flow { jobs, children, gather, on_failure: OnFailure::default(), of_children, of_gather }
    }

    /// What a dead child means. Default: [`OnFailure::FailFast`].
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.on_failure = on_failure;
        self
    }

    /// The terms of the children.
    pub fn child_options(mut self, options: JobOptions) -> Self {
        self.of_children = options;
        self
    }

    /// The terms of the gatherer.
    pub fn gather_options(mut self, options: JobOptions) -> Self {
        self.of_gather = options;
        self
    }

    /// Submits all of it, together. The handle is that of the gatherer: its result, and its status with how many children have ended.
    pub async fn submit(self) -> Result<JobHandle<G::Output>, Error> {
        let mut children = Vec::with_capacity(self.children.len());
        for child in &self.children {
            children.push(self.jobs.new_job(child, &self.of_children).await?);
        }
        let packed = Packed::of(&self.gather).map_err(|error| Error::Malformed {
            what: format!("the input of \"{}\"", G::NAME),
            reason: error.to_string(),
        })?;
        let payload = payload::pack(packed, self.jobs.blobs()).await?;
        let gather = self.of_gather.job(G::NAME, payload, UnixMillis::now());
        let flow = Work::Flow(NewFlow { children, gather, on_failure: self.on_failure });
        let taken = self.jobs.store().submit(vec![flow]).await?;
        self.jobs.handle_of(taken.into_iter().next().unwrap_or(Err(Error::Closed))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Join(Blob);

    impl Gather for Join {
        const NAME: &'static str = "join";
        type Part = Blob;
        type Output = Blob;
        fn gather(self, _: Vec<Result<Blob, TaskError>>, _: &TaskContext) -> Result<Blob, TaskError> {
            Ok(self.0)
        }
    }

    #[test]
    fn a_gatherer_gets_the_blobs_of_each_child_in_their_order() {
        let blob = |fill: u8| Blob::from(vec![fill; 10_000]);
        let stored = |fill| payload::pack_small(Packed::of(&blob(fill)).unwrap()).unwrap().unwrap();
        let gather = payload::pack_small(Packed::of(&Join(blob(1))).unwrap()).unwrap().unwrap();
        let children = vec![
            ChildEnd::Done(stored(2)),
            ChildEnd::Failed(payload::error(&TaskError::failed("no"))),
            ChildEnd::Done(stored(3)),
        ];
        let mut input = std::pin::pin!(gathered(&gather, children, None));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(input) = input.as_mut().poll(&mut context) else { panic!("it waits for nothing") };
        let again = Packed::of(&input.unwrap().unpack::<Gathering<Join>>().unwrap()).unwrap();
        let gathering = again.unpack::<Gathering<Join>>().unwrap();
        assert_eq!(gathering.gather, Join(blob(1)));
        assert_eq!(gathering.parts, [Ok(blob(2)), Err(TaskError::failed("no")), Ok(blob(3))]);
    }
}
