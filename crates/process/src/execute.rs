//! [`Command::execute`]: this process becomes the program.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::io::Errno;

use crate::launcher::execute_any;
use crate::posix_spawn::Place;
use crate::prepared::Prepared;
use crate::stdio::{STDERR, STDIN, STDOUT};
use crate::{Command, Error, SpawnError, Stdio};

impl Command {
    /// This process becomes the program, as with `exec`: same process id, same parent, same limits. Returns only if that
    /// failed; then every descriptor is what it was, but the working directory and the process group may be the program's.
    ///
    /// For a process that was started for nothing else, early in `main`, while it has a single thread: errors:
    /// besides those of [`spawn`](Command::spawn), [`SpawnError::Launcher`] if there are more. Standard streams are ours
    /// unless they are said otherwise. [`own_tree`](Command::own_tree), [`die_with_parent`](Command::die_with_parent), timeouts
    /// and cancellation mean nothing here.
    pub fn execute(mut self) -> SpawnError {
        for number in [STDIN, STDOUT, STDERR] {
            self.default_stdio(number, Stdio::Inherit);
        }
        match self.try_execute() {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    fn try_execute(mut self) -> Result<std::convert::Infallible, SpawnError> {
        if !has_one_thread() {
            return Err(SpawnError::Launcher(Error::BadRole {
                why: "a process with several threads cannot become a program".into(),
            }));
        }
        if std::mem::take(&mut self.inside.listen_pid) {
            self.environment.set("LISTEN_PID".into(), std::process::id().to_string().into());
        }
        let settings = std::mem::take(&mut self.inside.settings);
        settings.apply().map_err(|(what, source)| SpawnError::Setting { what, source })?;
        let (prepared, _ours, _ending) = self.prepare_plainly()?;
        enter(&prepared)?;
        let mut placed = Placed::begin(&prepared.placements.pairs)?;
        // The program's defaults, where Rust's runtime has its own.
        // SAFETY: sets the default action of a signal; nothing here writes to a pipe that could be closed until it is undone.
        let before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let (candidate, error) = placed.place().map_or_else(
            |error| (0, error),
            |()| execute_any(&prepared.program.candidates, &prepared.arguments, Some(&prepared.environment)),
        );
        // SAFETY: restores what was there.
        unsafe { libc::signal(libc::SIGPIPE, before) };
        drop(placed);
        Err(prepared.explain(candidate, error))
    }
}

/// Whether this process has no second thread. (Where nobody can tell, `init` as the first line of `main` is believed.)
fn has_one_thread() -> bool {
    std::fs::read_dir("/proc/self/task").map_or(true, |tasks| tasks.count() == 1)
}

/// Where the program will be: its directory, its process group.
fn enter(prepared: &Prepared) -> Result<(), SpawnError> {
    if let Some(directory) = &prepared.directory {
        rustix::process::chdir(directory.as_c_str())
            .map_err(|source| SpawnError::system(format!("enter {}", directory.to_string_lossy()), source))?;
    }
    match prepared.place {
        Place::WithParent => Ok(()),
        Place::OwnGroup => {
            rustix::process::setpgid(None, None).map_err(|source| SpawnError::system("make a process group", source))
        }
        Place::OwnSession => {
            rustix::process::setsid().map(drop).map_err(|source| SpawnError::system("make a session", source))
        }
    }
}

/// Descriptors at the program's numbers, until it is dropped: then at those numbers is what was there before.
struct Placed<'a> {
    pairs: &'a [(RawFd, RawFd)],
    /// What was open at a target, by the target.
    before: Vec<(RawFd, Option<OwnedFd>)>,
    begun: bool,
}

impl<'a> Placed<'a> {
    fn begin(pairs: &'a [(RawFd, RawFd)]) -> Result<Placed<'a>, SpawnError> {
        let above = pairs.iter().map(|(source, target)| source.max(target) + 1).max().unwrap_or(STDERR + 1);
        let mut before = Vec::with_capacity(pairs.len());
        for (_, target) in pairs {
            // SAFETY: only copies what is behind the number; a closed one is told.
            let number = unsafe { BorrowedFd::borrow_raw(*target) };
            let copy = match rustix::io::fcntl_dupfd_cloexec(number, above) {
                Ok(copy) => Some(copy),
                Err(Errno::BADF) => None,
                Err(source) => return Err(SpawnError::system("keep a descriptor", source)),
            };
            before.push((*target, copy));
        }
        Ok(Placed { pairs, before, begun: false })
    }

    /// Places them, not closed on exec.
    fn place(&mut self) -> io::Result<()> {
        self.begun = true;
        for (source, target) in self.pairs {
            put(*source, *target, 0)?;
        }
        Ok(())
    }
}

impl Drop for Placed<'_> {
    fn drop(&mut self) {
        if !self.begun {
            return;
        }
        for (target, before) in &self.before {
            match before {
                // The standard streams were not closed on exec before, whatever else was.
                Some(copy) => drop(put(copy.as_raw_fd(), *target, if *target > STDERR { libc::O_CLOEXEC } else { 0 })),
                // SAFETY: nobody owns it: nothing was open there, and what we placed is ours to close.
                None => drop(unsafe { libc::close(*target) }),
            }
        }
    }
}

/// A copy of `source` at the number `target`.
fn put(source: RawFd, target: RawFd, flags: libc::c_int) -> io::Result<()> {
    let result = if source == target {
        // SAFETY: changes a flag of a number; the owner goes on owning it.
        unsafe { libc::fcntl(target, libc::F_SETFD, if flags == 0 { 0 } else { libc::FD_CLOEXEC }) }
    } else {
        // SAFETY: what is open at `target` was copied and is put back if the program does not begin; this process has one
        // thread, so nobody uses the number meanwhile.
        unsafe { libc::dup3(source, target, flags) }
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
