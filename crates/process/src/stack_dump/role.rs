//! The role that asks, gathers and writes, so that the primary does not have to wait.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::collect;
use crate::{Error, Process, Role, Signal, TakenRole, die_now};

/// Name of the role. [`init`](crate::init) plays it: `main` never sees it.
pub const ROLE: &str = "stack-dumper";

/// Names of its descriptors.
const PROCESS: &str = "process";
const PIPE: &str = "pipe";
const OUTPUT: &str = "output";

/// How long to wait for answers, in milliseconds.
const WITHIN: &str = "PHALANX_STACK_DUMP_MS";

/// Where nothing was said, or nothing that makes sense.
const DEFAULT_WITHIN: Duration = Duration::from_secs(1);

/// How long the output may make us wait: nobody reads a dump that stands still for longer.
const OUTPUT_DEADLINE: Duration = Duration::from_secs(10);

/// A child that dumps the stacks of `process`, whose pipe this is the read end of, as text to `output`; ready to be
/// spawned. It waits for answers no longer than `within`, writes, and exits; 0 if it could write.
///
/// It ends with who spawns it, and is to be reaped like any other child.
pub fn dumper<'a>(
    process: &'a Process,
    read_end: BorrowedFd<'a>,
    output: BorrowedFd<'a>,
    within: Duration,
) -> Role<'a> {
    Role::new(ROLE)
        .descriptor(PROCESS, process.as_fd())
        .descriptor(PIPE, read_end)
        .descriptor(OUTPUT, output)
        .env(WITHIN, within.as_millis().to_string())
        .parent_death(Signal::Kill)
}

/// Plays the role.
pub(crate) fn play(mut role: TakenRole) -> ! {
    let code = match write_dump(&mut role) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("no stack dump: {error}");
            1
        }
    };
    die_now(code)
}

fn write_dump(role: &mut TakenRole) -> Result<(), Error> {
    let (process, pipe, output) = (role.take(PROCESS)?, role.take(PIPE)?, role.take(OUTPUT)?);
    let within = std::env::var(WITHIN).ok().and_then(|text| text.parse().ok());
    let within = within.map_or(DEFAULT_WITHIN, Duration::from_millis);
    // As long as the process is not reaped its number is its own; if it was, there is none here.
    let text = match pid_of(&process).and_then(|pid| collect(pid, pipe.as_fd(), within)) {
        Ok(mut dump) => {
            dump.symbolise();
            dump.to_string()
        }
        Err(error) => format!("no stack dump: {error}\n"),
    };
    write_all(&output, text.as_bytes()).map_err(|source| Error::system("write a stack dump", source))
}

/// The process that a pidfd stands for.
fn pid_of(pidfd: &OwnedFd) -> Result<u32, Error> {
    let attempt = "read the number of the process to dump";
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))
        .map_err(|source| Error::system(attempt, source))?;
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:")).and_then(|number| number.trim().parse().ok());
    // A reaped one has -1, which is no number here.
    pid.ok_or_else(|| Error::system(attempt, Errno::SRCH))
}

/// Writes it all; the output may be non-blocking.
fn write_all(output: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    let until = Instant::now() + OUTPUT_DEADLINE;
    while !bytes.is_empty() {
        match rustix::io::write(output, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let left = until.saturating_duration_since(Instant::now());
                let mut polled = [PollFd::new(output, PollFlags::OUT)];
                if left.is_zero() || rustix::event::poll(&mut polled, Some(&crate::time::timespec(left)))? == 0 {
                    return Err(Errno::TIMEDOUT.into());
                }
            }
            Err(source) => return Err(source.into()),
        }
    }
    Ok(())
}
