//! What a server costs: the CPU time and the memory of its whole process tree.

mod memory;
mod tree;

pub(crate) use memory::{Peak, level, level_of};
pub(crate) use tree::{CpuTime, kill_tree, running};

use std::time::{Duration, Instant};

use memory::Sampler;

/// Often enough to see the peak of a request, rarely enough not to be a load itself.
const MEMORY_SAMPLING: Duration = Duration::from_millis(50);

/// A stretch of time over which the tree below `root` is measured.
pub(crate) struct Window {
    root: i32,
    cpu_before: CpuTime,
    generator_before: CpuTime,
    opened: Instant,
    sampler: Sampler,
}

/// What the tree used in a [`Window`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) cpu: CpuTime,
    pub(crate) peak: Peak,
    /// The share of one core that the load generator took: near 1 it was the bottleneck itself.
    pub(crate) generator_share: f64,
}

impl Window {
    pub(crate) fn open(root: i32) -> Self {
        let sampler = Sampler::start(root, MEMORY_SAMPLING);
        let (cpu_before, generator_before) = (CpuTime::of_tree(root), CpuTime::of_this_process());
        Self { root, cpu_before, generator_before, opened: Instant::now(), sampler }
    }

    pub(crate) fn close(self) -> Usage {
        let cpu = CpuTime::of_tree(self.root).since(self.cpu_before);
        let generator = CpuTime::of_this_process().since(self.generator_before).total();
        let generator_share = generator.as_secs_f64() / self.opened.elapsed().as_secs_f64();
        Usage { cpu, peak: self.sampler.stop(), generator_share }
    }
}
