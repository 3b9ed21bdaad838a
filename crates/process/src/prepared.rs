//! [`Prepared`]: everything that the system needs to start a program, checked and in the form that it takes.

use std::ffi::CString;
use std::io;
use std::os::fd::RawFd;

use crate::lookup::{Program, SHELL};
use crate::posix_spawn::{Attributes, FileActions, Place, posix_spawn};
use crate::stdio::Placements;
use crate::{Process, SpawnError};

/// A program that can be started from any thread, once.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) program: Program,
    pub(crate) arguments: Vec<CString>,
    pub(crate) environment: Vec<CString>,
    pub(crate) directory: Option<CString>,
    pub(crate) placements: Placements,
    pub(crate) place: Place,
}

impl Prepared {
    /// Starts the program. Blocks this thread until the child has executed it: about half a millisecond, however much
    /// memory this process has.
    pub(crate) fn start(mut self) -> Result<Process, SpawnError> {
        let (actions, attributes) =
            self.rules().map_err(|source| SpawnError::system("prepare the start of a child", source))?;
        let mut last = (0, io::Error::from_raw_os_error(libc::ENOENT));
        for index in 0..self.program.candidates.len() {
            match self.try_candidate(index, &actions, &attributes) {
                Ok(pid) => {
                    return Process::of(pid).map_err(|error| {
                        // The child runs, but we could neither wait for it nor end it without its descriptor.
                        end_unheld(pid);
                        match error {
                            crate::Error::System { attempt, source } => SpawnError::system(attempt, source),
                            other => SpawnError::Launcher(other),
                        }
                    });
                }
                // "Permission denied" in one directory says more than "not found" in the next.
                Err(error) if Program::may_go_on(&error) => {
                    if index == 0 || error.raw_os_error() == Some(libc::EACCES) {
                        last = (index, error);
                    }
                }
                Err(error) => return Err(self.explain(index, error)),
            }
        }
        Err(self.explain(last.0, last.1))
    }

    fn rules(&self) -> io::Result<(FileActions, Attributes)> {
        let mut actions = FileActions::new()?;
        for (source, target) in &self.placements.pairs {
            actions.place(*source, *target)?;
        }
        if let Some(directory) = &self.directory {
            actions.change_directory(directory)?;
        }
        Ok((actions, Attributes::with_default_signals(self.place)?))
    }

    fn try_candidate(
        &mut self,
        index: usize,
        actions: &FileActions,
        attributes: &Attributes,
    ) -> io::Result<rustix::process::Pid> {
        let file = &self.program.candidates[index];
        match posix_spawn(file, actions, attributes, &self.arguments, &self.environment) {
            Err(error) if error.raw_os_error() == Some(libc::ENOEXEC) && self.program.is_script(file) => {
                // As `execvp` does: the shell runs a script without a `#!` line.
                let script = [SHELL.to_owned(), file.clone()];
                let arguments: Vec<CString> = script.into_iter().chain(self.arguments.drain(1..)).collect();
                posix_spawn(SHELL, actions, attributes, &arguments, &self.environment)
            }
            result => result,
        }
    }

    /// Tells what is behind an error of starting `candidate`.
    pub(crate) fn explain(&self, candidate: usize, error: io::Error) -> SpawnError {
        let numbers: Vec<RawFd> = self.placements.pairs.iter().map(|(_, target)| *target).collect();
        self.program.explain(candidate, error, numbers, self.bytes())
    }

    fn bytes(&self) -> usize {
        self.arguments.iter().chain(&self.environment).map(|string| string.as_bytes_with_nul().len()).sum()
    }
}

/// Ends and reaps a child of ours by its number, which nobody can have reused: it was not waited for yet.
fn end_unheld(pid: rustix::process::Pid) {
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
}
