//! What can go wrong between a program and its other parts.

use std::fmt;
use std::io;

use crate::Sandbox;

/// An error of starting this executable in a role, or of being started in one.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// `phalanx::init()` was not called, so a child would not know its role and would run the whole program again.
    NotInitialized,
    /// The process was spawned in a role, and that role was not taken: starting children here would multiply.
    RoleNotTaken {
        /// Name of the role.
        role: String,
    },
    /// The role in the environment makes no sense.
    BadRole {
        /// What is wrong with it.
        why: String,
    },
    /// A name or value holds a NUL byte, which no program can be given.
    NulByte {
        /// What holds it.
        what: String,
    },
    /// The kernel is too old.
    Kernel {
        /// The feature that is missing.
        missing: &'static str,
        /// Release of the running kernel.
        release: String,
    },
    /// Something that this process was to set for itself was refused: a limit, its niceness, its user.
    Setting {
        /// What: "the niceness by -5", "the user 65534".
        what: String,
        /// What came back.
        source: io::Error,
    },
    /// A part of the sandbox that this process was to be in is missing, and all of it was required.
    Sandbox {
        /// The level that was asked for.
        level: Sandbox,
        /// What is missing, with the reasons.
        missing: Vec<String>,
    },
    /// A process is no child of this one, or was reaped already.
    NotOurChild {
        /// Its number.
        pid: u32,
    },
    /// What a service manager or the image before this one handed over makes no sense.
    BadHandOver {
        /// The variable of the environment that says it.
        variable: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Only the main thread may execute another image in place: children follow the thread that spawned them.
    NotMainThread,
    /// Nobody forked this process, or its end of the channel was taken before.
    NoParent,
    /// The channel to or from a forked process failed.
    Channel(phalanx_channel::Error),
    /// The channel to or from Node failed.
    NodeChannel(phalanx_channel::node::Error),
    /// The operating system refused.
    System {
        /// What was attempted.
        attempt: String,
        /// What came back.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn system(attempt: impl Into<String>, source: impl Into<io::Error>) -> Error {
        Error::System { attempt: attempt.into(), source: source.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotInitialized => {
                write!(f, "phalanx::init() was not called; make it the first line of main, before any thread starts")
            }
            Error::RoleNotTaken { role } => write!(
                f,
                "this process was started in the role \"{role}\" and may not start others; main must reach the call \
                 that takes this role (for a worker: the cluster's run)"
            ),
            Error::BadRole { why } => write!(f, "PHALANX_ROLE in the environment is not valid: {why}; unset it"),
            Error::NulByte { what } => write!(f, "{what} holds a NUL byte, which no program can be given"),
            Error::Kernel { missing, release } => {
                write!(f, "Phalanx needs Linux 5.10 or newer: {missing} is missing in this kernel ({release})")
            }
            Error::Setting { what, source } => {
                let advice = match source.raw_os_error() {
                    Some(libc::EPERM | libc::EACCES) => "; run as root, or leave this setting out",
                    _ => "",
                };
                write!(f, "cannot set {what} for process {}: {source}{advice}", std::process::id())
            }
            Error::Sandbox { level, missing } => write!(
                f,
                "cannot confine process {} to the sandbox \"{level}\", which is required: no {}; run it where the kernel \
                 has that, or require less",
                std::process::id(),
                missing.join("; no ")
            ),
            Error::NotOurChild { pid } => {
                write!(f, "process {pid} is no child of process {}, or was reaped already", std::process::id())
            }
            Error::BadHandOver { variable, why } => {
                write!(f, "{variable} in the environment is not valid: {why}; unset it")
            }
            Error::NotMainThread => {
                write!(f, "another image can be executed in place only by the main thread; this is another one")
            }
            Error::NoParent => write!(
                f,
                "there is no channel to a parent: this process was not forked by Phalanx or Node.js, phalanx::init() was \
                 not the first line of main, or the channel was taken before"
            ),
            Error::Channel(source) => source.fmt(f),
            Error::NodeChannel(source) => source.fmt(f),
            Error::System { attempt, source } => write!(f, "cannot {attempt}: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Channel(source) => source.source(),
            Error::NodeChannel(source) => source.source(),
            Error::System { source, .. } | Error::Setting { source, .. } => Some(source),
            _ => None,
        }
    }
}
