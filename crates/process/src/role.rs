//! [`Role`]: this executable as a child with a part to play.
//!
//! Children are started by `posix_spawn`, which shares the parent's memory until the exec, so it costs the same for a
//! small parent and for one of many gigabytes; nothing runs in the child before the exec. What a child must set inside
//! itself, it does in [`init`](crate::init).
//!
//! The role travels in one variable: `PHALANX_ROLE=NAME;parent=PID;NAME=FD;NAME=FD…`.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::posix_spawn::{Attributes, FileActions, Place, posix_spawn};
use crate::{Error, Process, init};

/// The variable that carries the role.
pub(crate) const ROLE_VARIABLE: &str = "PHALANX_ROLE";

/// The running executable, even if its file was replaced or removed.
pub(crate) const THIS_EXECUTABLE: &std::ffi::CStr = c"/proc/self/exe";

/// Where the given descriptors begin in the child: 0, 1 and 2 stay the standard streams.
const FIRST_DESCRIPTOR: RawFd = 3;

/// A child that is this executable in another role: its name, its descriptors, additions to its environment.
///
/// The child gets the arguments of this process, its environment with the additions, its standard streams, and of
/// all other descriptors exactly those that were named.
#[derive(Debug)]
pub struct Role<'a> {
    name: &'static str,
    descriptors: Vec<(&'static str, BorrowedFd<'a>)>,
    environment: Vec<(OsString, OsString)>,
}

impl<'a> Role<'a> {
    /// A role of this name (letters and digits).
    pub fn new(name: &'static str) -> Role<'a> {
        Role { name, descriptors: Vec::new(), environment: Vec::new() }
    }

    /// Gives the child a copy of `descriptor` under `name`. Names may repeat; order is kept.
    pub fn descriptor(mut self, name: &'static str, descriptor: BorrowedFd<'a>) -> Self {
        self.descriptors.push((name, descriptor));
        self
    }

    /// Sets a variable in the child's environment.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Starts the child.
    ///
    /// Call it on a thread that lives as long as the child should: the kernel's parent-death signal follows the
    /// *thread* that spawned, not the process.
    pub fn spawn(self) -> Result<Process, Error> {
        init::check_may_spawn()?;
        let arguments = c_strings(std::env::args_os(), "an argument of this program")?;
        let environment = self.environment_block()?;
        let above = FIRST_DESCRIPTOR + self.descriptors.len() as RawFd;
        // Copies above the target numbers, so that placing one never overwrites another that is still to be placed.
        let copies = self
            .descriptors
            .iter()
            .map(|(name, descriptor)| {
                rustix::io::fcntl_dupfd_cloexec(descriptor, above)
                    .map_err(|source| Error::system(format!("copy the descriptor \"{name}\" for a child"), source))
            })
            .collect::<Result<Vec<OwnedFd>, Error>>()?;
        let pid = start(&copies, &arguments, &environment)
            .map_err(|source| Error::system(format!("start this program as \"{}\"", self.name), source))?;
        Process::of(pid)
    }

    fn environment_block(&self) -> Result<Vec<CString>, Error> {
        let mut role = format!("{};parent={}", self.name, std::process::id());
        for (number, (name, _)) in (FIRST_DESCRIPTOR..).zip(&self.descriptors) {
            role.push_str(&format!(";{name}={number}"));
        }
        let additions = self.environment.iter().cloned().chain([(ROLE_VARIABLE.into(), role.into())]);
        let mut all: Vec<(OsString, OsString)> = std::env::vars_os()
            .filter(|(name, _)| name != ROLE_VARIABLE && !self.environment.iter().any(|(ours, _)| ours == name))
            .collect();
        all.extend(additions);
        c_strings(
            all.into_iter().map(|(mut name, value)| {
                name.push(OsStr::from_bytes(b"="));
                name.push(value);
                name
            }),
            "a variable of the environment",
        )
    }
}

fn c_strings(strings: impl Iterator<Item = OsString>, what: &str) -> Result<Vec<CString>, Error> {
    strings.map(|s| CString::new(s.into_vec()).map_err(|_| Error::NulByte { what: what.into() })).collect()
}

fn start(copies: &[OwnedFd], arguments: &[CString], environment: &[CString]) -> std::io::Result<rustix::process::Pid> {
    let mut actions = FileActions::new()?;
    for (target, copy) in (FIRST_DESCRIPTOR..).zip(copies) {
        actions.place(copy.as_raw_fd(), target)?;
    }
    posix_spawn(
        THIS_EXECUTABLE,
        &actions,
        &Attributes::with_default_signals(Place::WithParent)?,
        arguments,
        environment,
    )
}
