//! Programs and threads that stay on one core.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::{During, Failure};

/// Becomes `program`, all of whose threads stay on `core`; returns only if that failed. Inherited descriptors stay as
/// they are.
pub fn become_pinned(core: usize, program: &OsString, arguments: &[OsString]) -> Result<(), Failure> {
    stay_on(core)?;
    let error = Command::new(program).args(arguments).exec();
    Err(error).during(&format!("run {}", program.display()))
}

/// Keeps the calling thread, and the threads that it starts from now on, on `core`.
pub fn stay_on(core: usize) -> Result<(), Failure> {
    sched_setaffinity(None, &only(core)?).during(&format!("stay on core {core}"))
}

/// Keeps a thread of any process of ours on `core`.
pub fn stay_on_with(thread: Pid, core: usize) -> Result<(), Failure> {
    let attempt = format!("keep thread {} on core {core}", thread.as_raw_pid());
    sched_setaffinity(Some(thread), &only(core)?).during(&attempt)
}

fn only(core: usize) -> Result<CpuSet, Failure> {
    if core >= CpuSet::MAX_CPU {
        return Err(Failure::new(format!("there is no core {core}, at most {} are known", CpuSet::MAX_CPU)));
    }
    let mut cores = CpuSet::new();
    cores.set(core);
    Ok(cores)
}
