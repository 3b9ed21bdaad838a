//! [`Station`]: a job process as the keeper holds it, and how one is started.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use phalanx_process::{Limit, Process, Role, Sandbox, SandboxPolicy, Signal};
use rustix::pipe::PipeFlags;

use crate::desk::{Desk, DeskLimits};
use crate::pool::state::Why;
use crate::pool::stderr::Stderr;

pub(super) struct Station {
    pub(super) serial: u64,
    pub(super) process: Process,
    pub(super) stderr: Stderr,
    /// Whether it has said hello.
    pub(super) is_ready: bool,
    /// Why it was killed by us.
    pub(super) why: Option<Why>,
}

/// What every process of the pool is started with.
pub(super) struct Outfit {
    pub(super) name: String,
    pub(super) niceness: u8,
    pub(super) data_limit: u64,
    pub(super) cpu_limit: Option<Duration>,
    pub(super) open_files: u64,
    pub(super) policy: SandboxPolicy,
    pub(super) max_input: u64,
    pub(super) max_output: u64,
    /// For its standard input and output.
    pub(super) nothing: File,
}

impl Outfit {
    /// Starts a process. An error says what failed, for logs and for the tasks that wait.
    pub(super) fn start(&self, serial: u64, sandbox: Sandbox) -> Result<(Station, Desk), String> {
        let limits = DeskLimits { max_input: self.max_input, max_output: self.max_output, ..DeskLimits::default() };
        let (desk, ends) = Desk::create(&limits).map_err(|error| error.to_string())?;
        let (ours, theirs) =
            stderr_pipe().map_err(|source| format!("create a pipe for its standard error: {source}"))?;
        let mut role = ends
            .role()
            .parent_death(Signal::Kill)
            .env_clear()
            .arguments([format!("phalanx: job {}", self.name)])
            .stdin(self.nothing.as_fd())
            .stdout(self.nothing.as_fd())
            .stderr(theirs.as_fd())
            // 1: nor does a collector of dumps hold up the news of a crash.
            .rlimit(Limit::Core, 1)
            .rlimit(Limit::Data, self.data_limit)
            .rlimit(Limit::OpenFiles, self.open_files)
            .sandbox(sandbox)
            .sandbox_policy(self.policy);
        if self.niceness > 0 {
            role = role.nice(self.niceness.into());
        }
        if let Some(time) = self.cpu_limit {
            role = role.rlimit(Limit::ProcessorSeconds, time.as_secs() + u64::from(time.subsec_nanos() > 0));
        }
        let process = spawn(role)?;
        let stderr = Stderr::new(ours, format!("{}[{}]: ", self.name, process.pid()));
        Ok((Station { serial, process, stderr, is_ready: false, why: None }, desk))
    }
}

fn spawn(role: Role<'_>) -> Result<Process, String> {
    role.spawn().map_err(|error| error.to_string())
}

/// Our end does not block; that of the process does, as programs expect it.
fn stderr_pipe() -> Result<(OwnedFd, OwnedFd), rustix::io::Errno> {
    let (ours, theirs) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    Ok((ours, theirs))
}
