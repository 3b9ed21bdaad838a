//! What the launcher is told, and what it reports.

use std::fmt;
use std::os::fd::RawFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What is set inside a child before its program runs. Nothing, usually; then there is no launcher.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inside {
    pub(crate) limits: Vec<(Limit, u64)>,
    pub(crate) nice: Option<i32>,
    pub(crate) affinity: Option<Vec<usize>>,
    pub(crate) cgroup: Option<PathBuf>,
    pub(crate) user: Option<u32>,
    pub(crate) group: Option<u32>,
    pub(crate) die_with_parent: bool,
    pub(crate) listen_pid: bool,
    pub(crate) keeper: bool,
}

impl Inside {
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Inside::default()
    }
}

/// Everything that the launcher must know; its own environment is already that of the program.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// Files to try, best first.
    pub(crate) candidates: Vec<Vec<u8>>,
    pub(crate) arguments: Vec<Vec<u8>>,
    /// Descriptors above the standard streams that the program shall have.
    pub(crate) keep: Vec<RawFd>,
    pub(crate) inside: Inside,
    /// The role that the program is started in, if it is one of ours.
    pub(crate) role: Option<String>,
    /// Process id of who asked.
    pub(crate) parent: u32,
}

/// What went wrong between the start of the launcher and the program. No report is good news.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// Something could not be set.
    Setting { what: String, errno: i32 },
    /// No candidate could be executed; this one says why.
    Exec { candidate: usize, errno: i32 },
    /// The parent ended meanwhile, so nothing was started.
    ParentGone,
}

/// Most bytes of an encoded [`Report`], so that it goes into a pipe in one piece.
pub(crate) const MAX_REPORT: usize = 4096;

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
    /// Bytes of a core dump.
    Core,
    /// Seconds of processor time.
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
