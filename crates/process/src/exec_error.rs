//! [`ExecError`]: why `exec` or `exec_file` gave no [`Output`](crate::Output).

use std::fmt;

use crate::{Error, ExitStatus, SpawnError};

/// Why a program that was run to its end did not succeed, with everything that it said until then.
#[derive(Debug)]
pub struct ExecError {
    /// What went wrong.
    pub failure: ExecFailure,
    /// The command, as a person would type it.
    pub command: String,
    /// How the program ended; `None` if it was never started, or its end could not be learned.
    pub status: Option<ExitStatus>,
    /// Its standard output until then.
    pub stdout: Vec<u8>,
    /// Its standard error until then.
    pub stderr: Vec<u8>,
}

/// What went wrong with a program that was run to its end.
#[derive(Debug)]
#[non_exhaustive]
pub enum ExecFailure {
    /// It could not be started.
    Spawn(SpawnError),
    /// It ended with a code other than 0, or by a signal that was not ours.
    Status(ExitStatus),
    /// It ran longer than allowed, and was ended with everything below it.
    Timeout,
    /// It was cancelled, and was ended with everything below it.
    Cancelled,
    /// It wrote more than allowed, and was ended with everything below it. What is collected is exactly the limit.
    MaxBuffer {
        /// Where it wrote too much.
        stream: OutputStream,
        /// The limit in bytes.
        limit: usize,
    },
    /// The operating system refused something on the way.
    System(Error),
}

/// One of the two output streams of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl ExecError {
    /// The exit code; `None` if a signal ended it or it was never started.
    pub fn code(&self) -> Option<i32> {
        self.status.and_then(ExitStatus::code)
    }

    /// Number of the signal that ended it.
    pub fn signal(&self) -> Option<i32> {
        self.status.and_then(ExitStatus::signal)
    }

    /// Whether we ended it.
    pub fn killed(&self) -> bool {
        matches!(self.failure, ExecFailure::Timeout | ExecFailure::Cancelled | ExecFailure::MaxBuffer { .. })
    }

    /// Its standard error as text; what is no UTF-8 is replaced.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command failed: {} (", self.command)?;
        match &self.failure {
            ExecFailure::Spawn(why) => write!(f, "{why}")?,
            ExecFailure::Status(status) => write!(f, "{status}")?,
            ExecFailure::Timeout => write!(f, "it ran longer than allowed and was ended")?,
            ExecFailure::Cancelled => write!(f, "it was cancelled")?,
            ExecFailure::MaxBuffer { stream, limit } => {
                let name = match stream {
                    OutputStream::Stdout => "stdout",
                    OutputStream::Stderr => "stderr",
                };
                write!(f, "it wrote more than {limit} bytes to {name} and was ended; raise max_buffer, or stream")?;
            }
            ExecFailure::System(why) => write!(f, "{why}")?,
        }
        write!(f, ")")?;
        let said = self.stderr_text();
        if said.trim().is_empty() { Ok(()) } else { write!(f, "\n{}", said.trim_end()) }
    }
}

impl std::error::Error for ExecError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.failure {
            ExecFailure::Spawn(source) => Some(source),
            ExecFailure::System(source) => Some(source),
            _ => None,
        }
    }
}
