//! What primary and worker say to each other. User messages never travel here.

use std::time::Duration;

use phalanx_memory::Leak;
use serde::{Deserialize, Serialize};

use crate::secret::ClusterSecret;
use crate::{ListenAddress, Place, WorkerId};

/// Name of the role that a worker process is spawned in.
pub(crate) const WORKER_ROLE: &str = "worker";

/// Names of the descriptors that a worker is given.
pub(crate) mod descriptor {
    /// The control connection; its end is the life-line.
    pub(crate) const CONTROL: &str = "control";
    /// The line for user messages; only if the primary has a hub.
    pub(crate) const MESSAGES: &str = "messages";
    /// The worker's own slot of the scoreboard, writable.
    pub(crate) const SLOT: &str = "slot";
    /// Where the stacks of the worker's threads are written, if it hangs.
    pub(crate) const STACKS: &str = "stacks";
    /// The page of the cluster, read-only.
    pub(crate) const CLUSTER: &str = "cluster";
    /// The permits of the cluster.
    pub(crate) const PERMITS: &str = "permits";
    /// A listening socket that the cluster opened; one for each address, in order.
    pub(crate) const LISTENER: &str = "listener";
    /// A listening socket that was given to the cluster.
    pub(crate) const GIVEN_LISTENER: &str = "given-listener";
    /// The settings of the worker's generation, sealed; only if the cluster has any.
    pub(crate) const SETTINGS: &str = "settings";
    /// To a worker that is a program: who it is, sealed.
    #[cfg(feature = "program")]
    pub(crate) const BIRTH: &str = "birth";
    /// To a program of Node: its end of Node's own channel.
    #[cfg(feature = "program")]
    pub(crate) const NODE_CHANNEL: &str = "node-channel";
}

/// Longest text that a worker can say of its failure, in bytes; the rest is cut.
pub(crate) const MAX_FAILURE_TEXT: usize = 8 * 1024;

/// From the primary to a worker. Workers of an older image hear it after an upgrade: variants and fields are only added, at the
/// end.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToWorker {
    /// Who the worker is: the first message.
    Welcome {
        worker: WorkerId,
        place: Place,
        /// Its page of the scoreboard, and its name on the permits.
        page: u16,
        /// Which settings it got.
        generation: u32,
        /// Whether it accepts nothing before [`ToWorker::Admit`].
        held: bool,
        drain_deadline: Duration,
        gate: crate::Gate,
        /// What all workers of the cluster derive their common keys from.
        secret: ClusterSecret,
        /// Where a dispatcher accepts for the workers.
        dispatched: Vec<ListenAddress>,
    },
    /// The scoreboard slots of other workers; their read-only descriptors come along, in this order.
    Siblings(Vec<u16>),
    /// Leave within the time.
    Leave { with_all: bool, within: Duration },
    /// A held worker may accept connections now.
    Admit,
    /// Ask yourself for this path, through your own HTTP server, and say how it was.
    Probe { path: String },
    /// The line for messages is another one now, which comes along: the primary was replaced.
    Line,
    /// Accept from the sockets of another place as well, which come along; these begin at this index, and at 0 they replace
    /// what was borrowed of that place before.
    Borrow { place: Place, from: usize },
    /// Accept from those no more.
    GiveBack { place: Place },
    /// Write a profile of the heap into the file that comes along; answered by [`ToPrimary::HeapProfiled`].
    HeapProfile { request: u64, worker: WorkerId, wish: HeapProfile },
}

/// What a worker shall do about the profile of its heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum HeapProfile {
    /// Begin to sample.
    On,
    /// Stop sampling.
    Off,
    /// What lives now, as pprof reads it.
    Pprof,
    /// The same as a flame graph.
    FlameGraph,
}

impl HeapProfile {
    /// Whether only sampling is switched: nothing is written.
    pub(crate) fn is_switch(self) -> bool {
        matches!(self, HeapProfile::On | HeapProfile::Off)
    }
}

/// Most bytes of a profile that are handed on (64 MiB): those of large programs have some hundred KiB.
pub(crate) const MOST_PROFILE_BYTES: u64 = 64 << 20;

/// What is in a profile of the heap.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeapFigures {
    pub(crate) live_bytes: u64,
    /// Allocations that were sampled.
    pub(crate) samples: u64,
    /// Bytes that were written.
    pub(crate) length: u64,
}

/// From a worker to the primary; as above.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToPrimary {
    /// Our code runs.
    Online,
    /// Connections on this address are accepted.
    Listening(ListenAddress),
    /// The worker can serve.
    Ready,
    /// The worker cannot go on and will exit.
    Failed(String),
    /// How the probe went.
    Probed(Result<(), String>),
    /// It accepts nothing more: somebody else than the primary has told it to leave.
    Leaves,
    /// It seems to leak.
    Leaks(Leak),
    /// The profile is written, or why not.
    HeapProfiled { request: u64, result: Result<HeapFigures, String> },
    /// A program shall get this signal, with its process group: who speaks for it may not know that it is still the same.
    Signal(i32),
    /// A program says this of itself, or to the primary of its own kind.
    Said(String),
}
