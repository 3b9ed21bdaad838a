//! Programs that threads start and wait for.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::pauses::Pauses;
use crate::{AnyError, Figures, PROGRAM};

/// Starts programs by `spawn_and_wait` on `threads` threads until the time is over.
pub(crate) fn run(
    threads: usize,
    until: Instant,
    spawn_and_wait: fn() -> Result<(), AnyError>,
) -> Result<Figures, AnyError> {
    let started = Instant::now();
    let one_after_the_other = || -> Result<u64, AnyError> {
        let mut count = 0;
        while Instant::now() < until {
            spawn_and_wait()?;
            count += 1;
        }
        Ok(count)
    };
    let mut spawned = 0;
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(one_after_the_other)).collect();
        for thread in running {
            spawned += thread.join().map_err(|_| "a spawning thread panicked")??;
        }
        Ok::<(), AnyError>(())
    })?;
    Ok(Figures { spawned, elapsed: started.elapsed(), pauses: Pauses::default() })
}

pub(crate) fn by_std() -> Result<(), AnyError> {
    let status =
        Command::new(PROGRAM).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?.wait()?;
    if status.success() { Ok(()) } else { Err(format!("{PROGRAM} ended with {status}").into()) }
}

pub(crate) fn by_phalanx() -> Result<(), AnyError> {
    use phalanx_process::{Command, Stdio, blocking};
    let command = Command::new(PROGRAM).stdin(Stdio::Null).stdout(Stdio::Null).stderr(Stdio::Null);
    let status = blocking::spawn(command)?.wait()?;
    if status.success() { Ok(()) } else { Err(format!("{PROGRAM} ended with {status}").into()) }
}
