//! What a server costs: the CPU time and the memory of its whole process tree.

mod memory;
mod tree;

pub(crate) use memory::Peak;
pub(crate) use tree::{CpuTime, kill_tree};

use std::time::Duration;

use memory::Sampler;

/// Often enough to see the peak of a request, rarely enough not to be a load itself.
const MEMORY_SAMPLING: Duration = Duration::from_millis(50);

/// A stretch of time over which the tree below `root` is measured.
pub(crate) struct Window {
    root: i32,
    cpu_before: CpuTime,
    sampler: Sampler,
}

/// What the tree used in a [`Window`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) cpu: CpuTime,
    pub(crate) peak: Peak,
}

impl Window {
    pub(crate) fn open(root: i32) -> Self {
        let sampler = Sampler::start(root, MEMORY_SAMPLING);
        Self { root, cpu_before: CpuTime::of_tree(root), sampler }
    }

    pub(crate) fn close(self) -> Usage {
        let cpu = CpuTime::of_tree(self.root).since(self.cpu_before);
        Usage { cpu, peak: self.sampler.stop() }
    }
}
