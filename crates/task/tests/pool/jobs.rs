//! The tasks of these tests.

use std::time::Duration;

use phalanx_task::{Blob, Sandbox, Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sum(pub Vec<u64>);

impl Task for Sum {
    const NAME: &'static str = "sum";
    type Output = (u64, u32);

    fn run(self, _: &TaskContext) -> Result<(u64, u32), TaskError> {
        if self.0.is_empty() {
            return Err(TaskError::failed("nothing to add"));
        }
        Ok((self.0.iter().sum(), std::process::id()))
    }
}

/// Gives back what it was given.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Echo(pub Blob);

impl Task for Echo {
    const NAME: &'static str = "echo";
    type Output = Blob;

    fn run(self, _: &TaskContext) -> Result<Blob, TaskError> {
        Ok(self.0)
    }
}

/// Panics with these words.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Panics(pub String);

impl Task for Panics {
    const NAME: &'static str = "panics";
    type Output = ();

    fn run(self, _: &TaskContext) -> Result<(), TaskError> {
        panic!("{}", self.0)
    }
}

/// Ends its process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Crash {
    Abort,
    Exit(i32),
    /// Says this first.
    Say(String),
}

impl Task for Crash {
    const NAME: &'static str = "crash";
    type Output = ();

    fn run(self, _: &TaskContext) -> Result<(), TaskError> {
        match self {
            Crash::Abort => std::process::abort(),
            Crash::Exit(code) => std::process::exit(code),
            Crash::Say(words) => {
                eprintln!("{words}");
                std::process::abort()
            }
        }
    }
}

/// Sleeps for so many milliseconds, whatever it is told; gives back the number of its process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sleep(pub u64);

impl Task for Sleep {
    const NAME: &'static str = "sleep";
    type Output = u32;

    fn run(self, _: &TaskContext) -> Result<u32, TaskError> {
        std::thread::sleep(Duration::from_millis(self.0));
        Ok(std::process::id())
    }
}

/// Blocks for so many milliseconds, and says so.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WaitsInside(pub u64);

impl Task for WaitsInside {
    const NAME: &'static str = "waits-inside";
    type Output = u64;

    fn run(self, cx: &TaskContext) -> Result<u64, TaskError> {
        cx.wait(|| std::thread::sleep(Duration::from_millis(self.0)));
        Ok(self.0)
    }
}

/// Runs until it is told to stop.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Blocks;

impl Task for Blocks {
    const NAME: &'static str = "blocks";
    type Output = ();

    fn run(self, cx: &TaskContext) -> Result<(), TaskError> {
        loop {
            cx.check()?;
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

/// Writes so many bytes to standard error.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Speak(pub usize);

impl Task for Speak {
    const NAME: &'static str = "speak";
    const SANDBOX: Sandbox = Sandbox::NoNetwork;
    type Output = u32;

    fn run(self, _: &TaskContext) -> Result<u32, TaskError> {
        eprint!("{}", "x".repeat(self.0));
        Ok(std::process::id())
    }
}

/// Says its progress in so many steps of a few milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Steps(pub u64);

impl Task for Steps {
    const NAME: &'static str = "steps";
    type Output = ();

    fn run(self, cx: &TaskContext) -> Result<(), TaskError> {
        for step in 1..=self.0 {
            cx.progress(step, self.0);
            std::thread::sleep(Duration::from_millis(15));
        }
        Ok(())
    }
}

/// A task of one kind that is short, or not: by default it does nothing. If it sleeps it says so first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Moody {
    pub(crate) sleeps_millis: u64,
    pub(crate) crashes: bool,
    pub(crate) number: u64,
}

impl Task for Moody {
    const NAME: &'static str = "moody";
    type Output = u64;

    fn run(self, cx: &TaskContext) -> Result<u64, TaskError> {
        if self.sleeps_millis > 0 {
            cx.progress(0, 1);
        }
        std::thread::sleep(Duration::from_millis(self.sleeps_millis));
        if self.crashes {
            std::process::abort();
        }
        Ok(self.number)
    }
}

/// Holds so many bytes from then on; gives back the number of its process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Hoard(pub(crate) usize);

impl Task for Hoard {
    const NAME: &'static str = "hoard";
    type Output = u32;

    fn run(self, _: &TaskContext) -> Result<u32, TaskError> {
        std::mem::forget(vec![1_u8; self.0]);
        Ok(std::process::id())
    }
}

/// Tries to build a pool in a job process; gives back what came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Nested;

impl Task for Nested {
    const NAME: &'static str = "nested";
    type Output = String;

    fn run(self, _: &TaskContext) -> Result<String, TaskError> {
        Ok(phalanx_task::ProcessPool::builder().build().map_or_else(|error| error.to_string(), |_| "a pool".to_owned()))
    }
}

/// Takes so many pieces of 2 KiB and gives all back but the last, above which the allocator can shrink nothing by itself;
/// gives back the number of its process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Churn(pub usize);

impl Task for Churn {
    const NAME: &'static str = "churn";
    type Output = u32;

    fn run(self, _: &TaskContext) -> Result<u32, TaskError> {
        let mut pieces: Vec<Vec<u8>> = (0..self.0).map(|_| vec![1; 2 * 1024]).collect();
        std::mem::forget(pieces.pop());
        Ok(std::process::id())
    }
}
