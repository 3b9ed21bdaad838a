//! The job process: takes jobs off its owner's desk, one after the other, and runs them.
//!
//! ```text
//!   main ─► init_with ─► serve: hello ─► next job ─► taken on the board? ─► run under catch_panic ─► answer ─┐
//!                                 ▲                                          context: cancelled, deadline,   │
//!                                 └────────────────────────────────────────── progress ─────────────────────┘
//! ```
//!
//! It trusts its owner and ends with it, and by no other signal than SIGKILL from outside: by the kernel's signal of its parent's
//! death, and because it looks for its parent when nothing comes. What a
//! task prints to standard output goes where the owner has pointed that (the pool: nowhere); standard error is the place for words.

mod host;
mod outputs;
mod seat;
mod voice;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use phalanx_process::{Signal, Signals, TakenRole};
use phalanx_thread::{JobError, catch_panic};

pub(crate) use crate::desk::ROLE;

use crate::desk::DeskEnds;
use crate::{Confinement, Packed, Phase, Registry, TaskContext, TaskError, TaskId, span};
use host::JobHost;
use seat::{Job, Seat, Taken};

/// What a terminal or a service manager sends to all processes at once: it is for the owner, which may want to finish first.
const IGNORED: &[Signal] =
    &[Signal::Terminate, Signal::Interrupt, Signal::Quit, Signal::Hangup, Signal::User1, Signal::User2];
/// Idle memory that a job process keeps while it waits: giving it back is not worth the trouble.
const KEPT_BYTES: u64 = 8 << 20;
/// Exit code of a job process that cannot go on: "internal error" of sysexits.h.
const EXIT_BROKEN: i32 = 70;

/// A job process cannot go on: its owner is gone, or what they share is broken.
#[derive(Debug)]
pub(crate) struct Broken(String);

/// Plays the job process until its owner is gone. Never returns.
pub(crate) fn serve(mut role: TakenRole, registry: &Registry) -> ! {
    let broken = match play_in(&mut role, registry) {
        Ok(never) => match never {},
        Err(broken) => broken,
    };
    eprintln!("phalanx: this job process ends: {broken}");
    phalanx_process::die_now(EXIT_BROKEN)
}

fn play_in(role: &mut TakenRole, registry: &Registry) -> Result<Never, Broken> {
    let _ignored = Signals::take(IGNORED).map_err(Broken::of)?;
    let ends = DeskEnds::taken(role).map_err(Broken::of)?;
    work(ends, registry, phalanx_process::confinement().clone())
}

/// A job process as a thread, for tests: until its owner is gone, which it notices by nothing but a broken desk.
#[doc(hidden)]
pub fn play(ends: DeskEnds, registry: &Registry) -> String {
    match work(ends, registry, Confinement::none()) {
        Ok(never) => match never {},
        Err(broken) => broken.to_string(),
    }
}

enum Never {}

fn work(ends: DeskEnds, registry: &Registry, confinement: Confinement) -> Result<Never, Broken> {
    let mut seat = Seat::take(ends)?;
    let names: Vec<&'static str> = registry.names().collect();
    seat.hello(&names, confinement)?;
    let mut worked = false;
    loop {
        let Some((job, taken)) = seat.next()? else {
            if std::mem::take(&mut worked) {
                return_surplus();
            }
            continue;
        };
        worked = true;
        let begun = Instant::now();
        let result = run(&seat, registry, &names, &job, taken);
        seat.answer(&job, result, begun.elapsed())?;
    }
}

/// Nothing comes for a while: what the allocator keeps for the next job is for others now.
fn return_surplus() {
    if phalanx_memory::heap().is_none_or(|heap| heap.idle() > KEPT_BYTES) {
        phalanx_memory::give_back();
    }
}

fn run(seat: &Seat, registry: &Registry, names: &[&'static str], job: &Job, taken: Taken) -> Result<Packed, TaskError> {
    if job.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
        return Err(TaskError::TimedOut(Phase::Queue));
    }
    let name = names.get(usize::from(job.task)).copied().unwrap_or_default();
    let host = Arc::new(JobHost::new(seat, job, taken.earlier));
    let context = TaskContext::new(name, TaskId::from(job.id), job.attempt, host.clone());
    let span = span::named(name, context.id(), job.attempt);
    let result = catch_panic(|| span.in_scope(|| registry.run(name, taken.input, &context)));
    drop(context);
    host.say_the_last_word();
    match result {
        // It may have stopped half-way when it saw that; whatever it made, nobody shall take it for a result.
        Ok(_) if job.deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
            Err(TaskError::TimedOut(Phase::Run))
        }
        Ok(result) => result,
        Err(JobError::Panicked { message, location }) => Err(TaskError::Panicked { message, location }),
        Err(other) => Err(TaskError::failed(other)),
    }
}

impl Broken {
    fn of(error: impl fmt::Display) -> Broken {
        Broken(error.to_string())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
