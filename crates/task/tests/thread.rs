//! What a ThreadPool promises of tasks beyond what every executor does.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use phalanx_task::{Blob, Executor, Refusal, Task, TaskContext, TaskError};
use phalanx_thread::ThreadPool;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const GIVE_UP: Duration = Duration::from_secs(30);

/// Would be an error as soon as somebody serialised it.
struct Unserialisable<T>(T);

impl<T> Serialize for Unserialisable<T> {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("it was serialised")
    }
}

impl<'de, T> Deserialize<'de> for Unserialisable<T> {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("it was deserialised")
    }
}

#[derive(Serialize, Deserialize)]
struct Moved(Unserialisable<Vec<u8>>, Unserialisable<Blob>);

impl Task for Moved {
    const NAME: &'static str = "moved";
    type Output = Unserialisable<(Vec<u8>, Blob)>;
    fn run(self, _: &TaskContext) -> Result<Self::Output, TaskError> {
        Ok(Unserialisable((self.0.0, self.1.0)))
    }
}

#[test]
fn input_and_output_are_moved_and_never_serialised_or_copied() {
    let pool = ThreadPool::builder().threads(1).build().unwrap();
    let (list, blob) = (vec![1; 100_000], Blob::from(vec![2; 100_000]));
    let addresses = (list.as_ptr(), blob.as_ptr());
    let moved = pool.submit(Moved(Unserialisable(list), Unserialisable(blob))).wait(GIVE_UP);
    let Ok(Unserialisable((list, blob))) = moved else { panic!("it failed") };
    assert_eq!((list.as_ptr(), blob.as_ptr()), addresses);
}

#[derive(Serialize, Deserialize)]
struct Nothing;

impl Task for Nothing {
    const NAME: &'static str = "nothing";
    type Output = ();
    fn run(self, _: &TaskContext) -> Result<(), TaskError> {
        Ok(())
    }
}

#[test]
fn without_a_thread_a_task_is_refused_with_the_reason() {
    let pool = ThreadPool::builder().threads(1).init(|| Err::<(), _>("no model")).build().unwrap();
    let refused = pool.submit(Nothing).wait(GIVE_UP);
    assert!(
        matches!(&refused, Err(TaskError::Refused(Refusal::NotStarted { reason })) if reason.contains("no model")),
        "{refused:?}"
    );
}
