//! A desk and its job process, and the tasks that it knows.

use std::time::{Duration, Instant};

use phalanx_process::{ExitStatus, Process, Role, Sandbox, Signal};
use phalanx_task::desk::{Answer, Desk, DeskLimits, Hello, Offer, Offered, Slot, Told};
use phalanx_task::{Blob, Packed, Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Gives back what it was given.
#[derive(Serialize, Deserialize)]
pub(crate) struct Echo(pub(crate) Vec<u8>, pub(crate) Vec<Blob>);

impl Task for Echo {
    const NAME: &'static str = "echo";
    type Output = (Vec<u8>, Vec<Blob>);

    fn run(self, _: &TaskContext) -> Result<Self::Output, TaskError> {
        Ok((self.0, self.1))
    }
}

/// What the task does that gets this.
#[derive(Serialize, Deserialize)]
pub(crate) enum Does {
    /// Its process, its parent, and what it could do that it must not.
    TellWhereItIs,
    Abort,
    Exit(i32),
    Panic,
    RunUntilCancelled,
    RunUntilKilled,
    Print(String),
}

impl Task for Does {
    const NAME: &'static str = "does";
    type Output = String;

    fn run(self, cx: &TaskContext) -> Result<String, TaskError> {
        match self {
            Does::TellWhereItIs => {
                let file = std::fs::read("/etc/passwd").map_err(|error| error.kind()).map(|_| ());
                Ok(format!("{} {} {file:?}", std::process::id(), std::os::unix::process::parent_id()))
            }
            Does::Abort => std::process::abort(),
            Does::Exit(code) => std::process::exit(code),
            Does::Panic => panic!("as I was told"),
            Does::RunUntilCancelled => loop {
                cx.check()?;
                std::thread::yield_now();
            },
            Does::RunUntilKilled => loop {
                std::thread::yield_now();
            },
            Does::Print(text) => {
                println!("{text}");
                eprintln!("{text}");
                Ok(text)
            }
        }
    }
}

pub(crate) struct Office {
    pub(crate) desk: Desk,
    pub(crate) process: Process,
    pub(crate) hello: Hello,
    last: u64,
}

impl Office {
    /// With a job process in the full sandbox.
    pub(crate) fn open() -> Office {
        Office::with(|role| role.sandbox(Sandbox::Full))
    }

    pub(crate) fn with(settings: impl FnOnce(Role<'_>) -> Role<'_>) -> Office {
        let (mut desk, ends) = Desk::create(&DeskLimits::default()).unwrap();
        let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null").unwrap();
        let null = std::os::fd::AsFd::as_fd(&null);
        let role = ends.role().parent_death(Signal::Kill).stdin(null).stdout(null).stderr(null);
        let process = settings(role).spawn().unwrap();
        drop(ends);
        let Answer::Hello(hello) = answer(&mut desk) else { panic!("no hello") };
        Office { desk, process, hello, last: 0 }
    }

    pub(crate) fn place<T: Task>(&mut self, task: &T) -> Slot {
        self.last += 1;
        let input = Packed::of(task).unwrap();
        let offer =
            Offer { job: self.last, task: T::NAME, told: Told::first(self.last), deadline: None, input: &input };
        match self.desk.offer(&offer).unwrap() {
            Offered::Placed(slot) => slot,
            Offered::NoRoom => panic!("no room"),
        }
    }

    /// The end of the next job that ends.
    pub(crate) fn ended(&mut self) -> (u64, Result<Packed, TaskError>) {
        match answer(&mut self.desk) {
            Answer::Ended { job, result, .. } => (job, result.map(|output| output.read().unwrap())),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn run<T: Task>(&mut self, task: &T) -> Result<T::Output, TaskError> {
        self.place(task);
        let (job, result) = self.ended();
        assert_eq!(job, self.last);
        result.map(|packed| packed.unpack().unwrap())
    }

    /// How the process ended.
    pub(crate) fn buried(&self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it did not end");
            std::thread::yield_now();
        }
    }

    pub(crate) fn kill(&self) -> ExitStatus {
        self.process.kill(Signal::Kill).unwrap();
        self.buried()
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        let _ = self.process.kill(Signal::Kill);
        let _ = self.process.try_wait();
    }
}

fn answer(desk: &mut Desk) -> Answer {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = desk.next_answer().unwrap() {
            return answer;
        }
        assert!(Instant::now() < deadline, "no answer");
        std::thread::yield_now();
    }
}

pub(crate) fn wait_until(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never was so");
        std::thread::yield_now();
    }
}
