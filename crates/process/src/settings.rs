//! [`Settings`]: what a process sets for itself before anything else happens in it.
//!
//! A child in a [role](crate::Role) does it in [`init`](crate::init); for any other program the launcher does it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::{Gid, Rlimit, Uid};
use rustix::thread::CpuSet;
use serde::{Deserialize, Serialize};

use crate::sandbox::SandboxOrder;

/// Limits, priority, processors, control group, user, sandbox. Nothing, usually.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) limits: Vec<(Limit, u64)>,
    pub(crate) nice: Option<i32>,
    pub(crate) affinity: Option<Vec<usize>>,
    pub(crate) cgroup: Option<PathBuf>,
    pub(crate) user: Option<u32>,
    pub(crate) group: Option<u32>,
    /// For a role only: it is the last thing that `init` does.
    pub(crate) sandbox: Option<SandboxOrder>,
}

/// A setting that was refused: which one, and what came back.
pub(crate) type Refused = (String, io::Error);

impl Settings {
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Settings::default()
    }

    /// Sets all but the sandbox for this process, which must have a single thread. The user comes last: it may take away the right
    /// to set the others. A change of user clears the parent-death signal, so that is set after this.
    pub(crate) fn apply(&self) -> Result<(), Refused> {
        if let Some(directory) = &self.cgroup {
            join(directory).map_err(|source| (format!("the control group {}", directory.display()), source))?;
        }
        for (limit, most) in &self.limits {
            set_limit(*limit, *most).map_err(|source| (format!("the limit {limit} to {most}"), source.into()))?;
        }
        if let Some(increment) = self.nice {
            set_nice(increment).map_err(|source| (format!("the niceness by {increment}"), source))?;
        }
        if let Some(processors) = &self.affinity {
            set_affinity(processors).map_err(|source| (format!("the processors {processors:?}"), source.into()))?;
        }
        self.set_user()
    }

    fn set_user(&self) -> Result<(), Refused> {
        // One thread, so what is said of the thread holds for the process.
        if self.user.is_some() || self.group.is_some() {
            rustix::thread::set_thread_groups(&[])
                .map_err(|source| ("no supplementary groups".to_owned(), source.into()))?;
        }
        if let Some(group) = self.group {
            rustix::thread::set_thread_gid(Gid::from_raw(group))
                .map_err(|source| (format!("the group {group}"), source.into()))?;
        }
        if let Some(user) = self.user {
            rustix::thread::set_thread_uid(Uid::from_raw(user))
                .map_err(|source| (format!("the user {user}"), source.into()))?;
        }
        Ok(())
    }
}

fn join(directory: &Path) -> io::Result<()> {
    std::fs::OpenOptions::new().write(true).open(directory.join("cgroup.procs")).and_then(|mut file| {
        // 0 is who writes.
        io::Write::write_all(&mut file, b"0")
    })
}

fn set_limit(limit: Limit, most: u64) -> Result<(), Errno> {
    let maximum = match limit {
        // At the soft limit the kernel sends SIGXCPU, which tells what happened; at the hard one SIGKILL, and it looks at that first.
        Limit::ProcessorSeconds => {
            let allowed = rustix::process::getrlimit(limit.resource()).maximum.unwrap_or(u64::MAX);
            most.saturating_add(1).min(allowed.max(most))
        }
        _ => most,
    };
    rustix::process::setrlimit(limit.resource(), Rlimit { current: Some(most), maximum: Some(maximum) })
}

fn set_nice(increment: i32) -> io::Result<()> {
    rustix::process::nice(increment).map(drop).map_err(io::Error::from)
}

fn set_affinity(processors: &[usize]) -> Result<(), Errno> {
    let mut set = CpuSet::new();
    for processor in processors {
        if *processor >= CpuSet::MAX_CPU {
            return Err(Errno::INVAL);
        }
        set.set(*processor);
    }
    rustix::thread::sched_setaffinity(None, &set)
}

/// A limit of resources that a child can be given, as `setrlimit(2)` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Limit {
    /// Number of open files, plus one.
    OpenFiles,
    /// Bytes of address space.
    AddressSpace,
    /// Bytes of the heap and private mappings.
    Data,
    /// Bytes of the stack.
    Stack,
    /// Bytes of a core dump. Neither 0 nor 1 leaves one in a file. Where the kernel pipes dumps to a collecting program, 0 does
    /// not keep it from that, and the end of the process waits for the program; exactly 1 does (`core(5)`, `fs/coredump.c`).
    Core,
    /// Seconds of processor time. Then SIGXCPU ends the process; SIGKILL a second later, if it does not let itself be ended.
    ProcessorSeconds,
    /// Bytes of a file that is written.
    FileSize,
    /// Processes and threads of the user.
    Processes,
    /// Bytes locked in memory.
    LockedMemory,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Limit::OpenFiles => "RLIMIT_NOFILE",
            Limit::AddressSpace => "RLIMIT_AS",
            Limit::Data => "RLIMIT_DATA",
            Limit::Stack => "RLIMIT_STACK",
            Limit::Core => "RLIMIT_CORE",
            Limit::ProcessorSeconds => "RLIMIT_CPU",
            Limit::FileSize => "RLIMIT_FSIZE",
            Limit::Processes => "RLIMIT_NPROC",
            Limit::LockedMemory => "RLIMIT_MEMLOCK",
        })
    }
}

impl Limit {
    pub(crate) fn resource(self) -> rustix::process::Resource {
        use rustix::process::Resource;
        match self {
            Limit::OpenFiles => Resource::Nofile,
            Limit::AddressSpace => Resource::As,
            Limit::Data => Resource::Data,
            Limit::Stack => Resource::Stack,
            Limit::Core => Resource::Core,
            Limit::ProcessorSeconds => Resource::Cpu,
            Limit::FileSize => Resource::Fsize,
            Limit::Processes => Resource::Nproc,
            Limit::LockedMemory => Resource::Memlock,
        }
    }
}
