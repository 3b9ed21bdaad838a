//! A thousand jobs go through a decoder that has a bug: one in ten is a segmentation fault. In a thread, the first of them
//! would end this program and all it was doing. In a job process it costs one answer: its own.
//!
//! `cargo run --release --example crash_proof`

use std::error::Error;
use std::time::Duration;

use phalanx::task::{ProcessPool, Submission};
use phalanx::{Executor, Task, TaskContext, TaskError, tasks};
use serde::{Deserialize, Serialize};

const JOBS: u32 = 1000;

#[derive(Serialize, Deserialize)]
struct Decode {
    number: u32,
}

impl Task for Decode {
    const NAME: &'static str = "decode";
    type Output = u32;

    fn run(self, _: &TaskContext) -> Result<u32, TaskError> {
        if self.number.is_multiple_of(10) {
            c_library_with_a_bug();
        }
        Ok(self.number * 2)
    }
}

/// What a decoder written in C does with a picture that was made to break it.
fn c_library_with_a_bug() {
    // SAFETY: there is none. It writes where no memory is, and the kernel ends the process: SIGSEGV.
    unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) };
}

#[tokio::main(flavor = "current_thread")]
async fn run() -> Result<(), Box<dyn Error>> {
    let pool = ProcessPool::builder().max_wait(Duration::from_secs(10)).build()?;
    let submissions: Vec<Submission<u32>> = (0..JOBS).map(|number| pool.submit(Decode { number })).collect();

    let (mut ok, mut crashed) = (0, 0);
    for (number, submission) in (0..JOBS).zip(submissions) {
        match submission.await {
            Ok(answer) if answer == number * 2 => ok += 1,
            Err(TaskError::Crashed(crash)) => {
                if crashed == 0 {
                    println!("job {number}: {crash}");
                }
                crashed += 1;
            }
            other => println!("job {number} was lost: {other:?}"),
        }
    }
    println!("{JOBS} jobs: {ok} ok, {crashed} crashed, {} lost", JOBS - ok - crashed);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    // A job process is this same program, started again: it runs tasks in here and never returns.
    phalanx::init_with(tasks![Decode])?;
    run()
}
