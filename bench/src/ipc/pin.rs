//! Starting a program on one core. All its threads stay there.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::thread::{CpuSet, sched_setaffinity};

use crate::failure::{During, Failure};

/// Becomes `program`; returns only if that failed. Inherited descriptors stay as they are.
pub(crate) fn run(core: usize, program: &OsString, arguments: &[OsString]) -> Result<(), Failure> {
    if core >= CpuSet::MAX_CPU {
        return Err(Failure::new(format!("there is no core {core}, at most {} are known", CpuSet::MAX_CPU)));
    }
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).during(&format!("stay on core {core}"))?;
    let error = Command::new(program).args(arguments).exec();
    Err(error).during(&format!("run {}", program.display()))
}
