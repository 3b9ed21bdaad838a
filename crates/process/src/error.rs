//! What can go wrong between a program and its other parts.

use std::fmt;
use std::io;

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
            Error::System { source, .. } => Some(source),
            _ => None,
        }
    }
}
