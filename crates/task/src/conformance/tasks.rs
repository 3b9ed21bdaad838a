//! The tasks of the suite.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Blob, Registry, Task, TaskContext, TaskError, tasks};

pub(super) fn registry() -> Registry {
    tasks![Add, Fail, Panic, Hold, Deaf, Count, Stamp, Echo, Nested, Grow, Steps, About, Waits, Scratch, Checks]
}

/// The simplest that there is.
#[derive(Serialize, Deserialize)]
pub(super) struct Add(pub(super) u64, pub(super) u64);

impl Task for Add {
    const NAME: &'static str = "conformance.add";
    type Output = u64;
    fn run(self, _: &TaskContext) -> Result<u64, TaskError> {
        Ok(self.0 + self.1)
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Fail(pub(super) TaskError);

impl Task for Fail {
    const NAME: &'static str = "conformance.fail";
    type Output = ();
    fn run(self, _: &TaskContext) -> Result<(), TaskError> {
        Err(self.0)
    }
}

#[derive(Serialize, Deserialize)]
pub(super) enum Panic {
    Text,
    Formatted(u32),
    Number,
}

impl Task for Panic {
    const NAME: &'static str = "conformance.panic";
    type Output = ();
    fn run(self, _: &TaskContext) -> Result<(), TaskError> {
        match self {
            Panic::Text => panic!("plain words"),
            Panic::Formatted(number) => panic!("number {number}"),
            Panic::Number => std::panic::panic_any(7_u8),
        }
    }
}

/// Says that it runs (1 of 1) and goes on until it is told to stop.
#[derive(Serialize, Deserialize)]
pub(super) struct Hold;

impl Task for Hold {
    const NAME: &'static str = "conformance.hold";
    type Output = ();
    fn run(self, cx: &TaskContext) -> Result<(), TaskError> {
        cx.progress(1, 1);
        while !cx.is_cancelled() {
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }
}

/// Says that it runs, and then does not look whether to stop.
#[derive(Serialize, Deserialize)]
pub(super) struct Deaf {
    pub(super) millis: u64,
}

impl Task for Deaf {
    const NAME: &'static str = "conformance.deaf";
    type Output = ();
    fn run(self, cx: &TaskContext) -> Result<(), TaskError> {
        cx.progress(1, 1);
        std::thread::sleep(Duration::from_millis(self.millis));
        Ok(())
    }
}

/// Which process ran it, and how many of its kind that process had run then.
#[derive(Serialize, Deserialize)]
pub(super) struct Count;

impl Task for Count {
    const NAME: &'static str = "conformance.count";
    type Output = (u32, u64);
    fn run(self, _: &TaskContext) -> Result<(u32, u64), TaskError> {
        static RUNS: AtomicU64 = AtomicU64::new(0);
        Ok((std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed) + 1))
    }
}

/// When it ran, by the clock that all processes share.
#[derive(Serialize, Deserialize)]
pub(super) struct Stamp;

impl Task for Stamp {
    const NAME: &'static str = "conformance.stamp";
    type Output = (i64, i64);
    fn run(self, _: &TaskContext) -> Result<(i64, i64), TaskError> {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Ok((now.tv_sec, now.tv_nsec))
    }
}

/// Gives bytes back, every 4096th of them inverted.
#[derive(Serialize, Deserialize)]
pub(super) struct Echo(pub(super) Blob);

pub(super) fn inverted(bytes: &mut [u8]) {
    bytes.iter_mut().step_by(4096).for_each(|byte| *byte = !*byte);
}

impl Task for Echo {
    const NAME: &'static str = "conformance.echo";
    type Output = Blob;
    fn run(self, _: &TaskContext) -> Result<Blob, TaskError> {
        let mut bytes = self.0.into_vec();
        inverted(&mut bytes);
        Ok(bytes.into())
    }
}

/// A value of many shapes, which comes back as it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Nested {
    pub(super) text: String,
    pub(super) nothing: Option<Box<Nested>>,
    pub(super) children: Vec<Nested>,
    pub(super) by_name: BTreeMap<String, (i64, f64, char)>,
    pub(super) blobs: Vec<Option<Blob>>,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Kind {
    Unit,
    Tuple(u8, Blob),
    Struct { inner: Result<u128, String> },
}

impl Task for Nested {
    const NAME: &'static str = "conformance.nested";
    type Output = Nested;
    fn run(self, _: &TaskContext) -> Result<Nested, TaskError> {
        Ok(self)
    }
}

/// Gives so many bytes back: as a blob, or as a list of them.
#[derive(Serialize, Deserialize)]
pub(super) struct Grow {
    pub(super) blob: usize,
    pub(super) list: usize,
}

impl Task for Grow {
    const NAME: &'static str = "conformance.grow";
    type Output = (Blob, Vec<u8>);
    fn run(self, _: &TaskContext) -> Result<(Blob, Vec<u8>), TaskError> {
        Ok((Blob::from(vec![1; self.blob]), vec![1; self.list]))
    }
}

/// Says after each step how far it has come.
#[derive(Serialize, Deserialize)]
pub(super) struct Steps(pub(super) u64);

impl Task for Steps {
    const NAME: &'static str = "conformance.steps";
    type Output = ();
    fn run(self, cx: &TaskContext) -> Result<(), TaskError> {
        (1..=self.0).for_each(|step| cx.progress(step, self.0));
        Ok(())
    }
}

/// What a task is told of itself.
#[derive(Serialize, Deserialize)]
pub(super) struct About;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) name: String,
    pub(super) id: u64,
    pub(super) attempt: u32,
    pub(super) is_cancelled: bool,
    /// Time to its deadline.
    pub(super) left: Option<Duration>,
}

impl Task for About {
    const NAME: &'static str = "conformance.about";
    type Output = Told;
    fn run(self, cx: &TaskContext) -> Result<Told, TaskError> {
        let left = cx.deadline().map(|deadline| deadline.saturating_duration_since(std::time::Instant::now()));
        let name = cx.task().to_owned();
        Ok(Told { name, id: cx.id().get(), attempt: cx.attempt(), is_cancelled: cx.is_cancelled(), left })
    }
}

/// Waits inside, as a task does that reads or asks another.
#[derive(Serialize, Deserialize)]
pub(super) struct Waits;

impl Task for Waits {
    const NAME: &'static str = "conformance.waits";
    type Output = u32;
    fn run(self, cx: &TaskContext) -> Result<u32, TaskError> {
        let four = cx.wait(|| 4);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| cx.wait(|| panic!("inside"))));
        Ok(four + u32::from(panicked.is_err()))
    }
}

/// How long its scratch memory was, before it made it one longer.
#[derive(Serialize, Deserialize)]
pub(super) struct Scratch;

impl Task for Scratch {
    const NAME: &'static str = "conformance.scratch";
    type Output = usize;
    fn run(self, cx: &TaskContext) -> Result<usize, TaskError> {
        Ok(cx.with_scratch(|memory: &mut Vec<Scratch>| {
            memory.push(Scratch);
            memory.len() - 1
        }))
    }
}

/// Runs until `check` says otherwise.
#[derive(Serialize, Deserialize)]
pub(super) struct Checks;

impl Task for Checks {
    const NAME: &'static str = "conformance.checks";
    type Output = ();
    fn run(self, cx: &TaskContext) -> Result<(), TaskError> {
        cx.progress(1, 1);
        loop {
            cx.check()?;
            std::thread::yield_now();
        }
    }
}

/// One that is not in the registry.
#[derive(Serialize, Deserialize)]
pub(super) struct Stranger;

impl Task for Stranger {
    const NAME: &'static str = "conformance.stranger";
    type Output = ();
    fn run(self, _: &TaskContext) -> Result<(), TaskError> {
        Ok(())
    }
}
