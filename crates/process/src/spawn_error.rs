//! [`SpawnError`]: why a program could not be started, down to the file, the directory or the limit that it was.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::Error;

/// Why a program could not be started. Nothing of the child is left.
#[derive(Debug)]
#[non_exhaustive]
pub enum SpawnError {
    /// There is no such program.
    NotFound {
        /// As it was asked for.
        program: OsString,
        /// The directories of `PATH` that were searched; `None` if the program was named by its path.
        searched: Option<OsString>,
    },
    /// The file is there, but may not be executed (or a directory above it may not be entered).
    NotExecutable {
        /// The file.
        program: PathBuf,
    },
    /// It is a directory.
    IsDirectory {
        /// The directory.
        program: PathBuf,
    },
    /// It is neither a program for this machine nor a script.
    NotAProgram {
        /// The file.
        program: PathBuf,
    },
    /// The file is there, but what its `#!` line or its header says should run it is not.
    InterpreterNotFound {
        /// The file.
        program: PathBuf,
    },
    /// The *working directory* is not there. The program may well be.
    DirectoryNotFound {
        /// The directory.
        directory: PathBuf,
    },
    /// The working directory is none, or may not be entered.
    DirectoryUnusable {
        /// The directory.
        directory: PathBuf,
        /// What came back.
        source: io::Error,
    },
    /// A NUL byte, which no program can be given.
    NulByte {
        /// What holds it: "argument 2", "the program", "the variable NAME", "the working directory".
        what: String,
    },
    /// Arguments and environment are larger than the kernel allows together.
    ArgumentsTooLong {
        /// Bytes of arguments and environment.
        bytes: usize,
    },
    /// A limit of processes or threads is reached (`ulimit -u`, the pids limit of the container).
    TooManyProcesses,
    /// A limit of open files is reached: `ulimit -n`, or the system's.
    TooManyOpenFiles,
    /// A descriptor number that the child should have is not open here (inherit), or is above the limit of open files.
    BadDescriptor {
        /// The numbers that were asked for.
        numbers: Vec<i32>,
    },
    /// Something that was to be set inside the child could not be set.
    Setting {
        /// What: "the limit NOFILE", "the user 65534".
        what: String,
        /// What came back.
        source: io::Error,
    },
    /// The launcher role, which sets things inside a child, is not available in this process.
    Launcher(Error),
    /// Called outside a tokio runtime; `blocking` has forms that need none.
    NoRuntime,
    /// A forked part can only be named with letters, digits, `-`, `_` and `.`.
    BadName {
        /// The name.
        name: String,
    },
    /// The channel to a forked child could not be made.
    Channel(phalanx_channel::Error),
    /// The channel to a forked Node could not be made.
    NodeChannel(phalanx_channel::node::Error),
    /// The operating system refused something else.
    System {
        /// What was attempted.
        attempt: String,
        /// What came back.
        source: io::Error,
    },
}

impl SpawnError {
    /// An error of the system, with those that have a meaning of their own told apart.
    pub(crate) fn system(attempt: impl Into<String>, source: impl Into<io::Error>) -> SpawnError {
        let source = source.into();
        match source.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) => SpawnError::TooManyOpenFiles,
            Some(libc::EAGAIN) => SpawnError::TooManyProcesses,
            _ => SpawnError::System { attempt: attempt.into(), source },
        }
    }

    /// The usual name of the error number, as Node's `error.code`: `ENOENT`, `EACCES`, `EMFILE`, …
    ///
    /// `None` for what never reached the system.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            SpawnError::NotFound { .. }
            | SpawnError::InterpreterNotFound { .. }
            | SpawnError::DirectoryNotFound { .. } => Some("ENOENT"),
            SpawnError::NotExecutable { .. } | SpawnError::IsDirectory { .. } => Some("EACCES"),
            SpawnError::NotAProgram { .. } => Some("ENOEXEC"),
            SpawnError::ArgumentsTooLong { .. } => Some("E2BIG"),
            SpawnError::TooManyProcesses => Some("EAGAIN"),
            SpawnError::TooManyOpenFiles => Some("EMFILE"),
            SpawnError::BadDescriptor { .. } => Some("EBADF"),
            _ => None,
        }
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpawnError::NotFound { program, searched: None } => {
                write!(f, "cannot start {}: there is no such file", program.display())
            }
            SpawnError::NotFound { program, searched: Some(path) } => write!(
                f,
                "cannot start {}: no such program in PATH ({}); install it or name its path",
                program.display(),
                path.display()
            ),
            SpawnError::NotExecutable { program } => {
                write!(f, "cannot start {}: permission denied; is it executable (chmod +x)?", program.display())
            }
            SpawnError::IsDirectory { program } => {
                write!(f, "cannot start {}: it is a directory", program.display())
            }
            SpawnError::NotAProgram { program } => write!(
                f,
                "cannot start {}: it is no program for this machine, and no script (does its first line begin with \
                 #! and name an interpreter?)",
                program.display()
            ),
            SpawnError::InterpreterNotFound { program } => write!(
                f,
                "cannot start {}: the file is there, but the interpreter or loader that it names is not",
                program.display()
            ),
            SpawnError::DirectoryNotFound { directory } => write!(
                f,
                "cannot start a program in {}: there is no such working directory; create it first",
                directory.display()
            ),
            SpawnError::DirectoryUnusable { directory, source } => {
                write!(f, "cannot start a program in the working directory {}: {source}", directory.display())
            }
            SpawnError::NulByte { what } => write!(f, "{what} holds a NUL byte, which no program can be given"),
            SpawnError::ArgumentsTooLong { bytes } => write!(
                f,
                "arguments and environment have {bytes} bytes, more than the kernel takes; pass large data through \
                 standard input or a file"
            ),
            SpawnError::TooManyProcesses => {
                write!(f, "cannot start another process: a limit of processes is reached (ulimit -u, pids.max)")
            }
            SpawnError::TooManyOpenFiles => {
                write!(f, "cannot start a process: too many open files; close some or raise the limit (ulimit -n)")
            }
            SpawnError::BadDescriptor { numbers } => write!(
                f,
                "cannot give a child the descriptors {numbers:?}: an inherited one is not open here, or a number is \
                 above the limit of open files"
            ),
            SpawnError::Setting { what, source } => write!(f, "cannot set {what} for a child: {source}"),
            SpawnError::Launcher(source) => {
                write!(f, "this child needs something set inside it, which the launcher role does: {source}")
            }
            SpawnError::BadName { name } => {
                write!(f, "cannot fork a part called {name:?}: use letters, digits, '-', '_' and '.'")
            }
            SpawnError::Channel(source) => write!(f, "cannot make the channel to a child: {source}"),
            SpawnError::NodeChannel(source) => write!(f, "cannot make the channel to a child: {source}"),
            SpawnError::NoRuntime => {
                write!(f, "spawn() must be called inside a tokio runtime; process::blocking needs none")
            }
            SpawnError::System { attempt, source } => write!(f, "cannot {attempt}: {source}"),
        }
    }
}

impl std::error::Error for SpawnError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SpawnError::DirectoryUnusable { source, .. }
            | SpawnError::Setting { source, .. }
            | SpawnError::System { source, .. } => Some(source),
            SpawnError::Launcher(source) => Some(source),
            SpawnError::Channel(source) => Some(source),
            SpawnError::NodeChannel(source) => Some(source),
            _ => None,
        }
    }
}
