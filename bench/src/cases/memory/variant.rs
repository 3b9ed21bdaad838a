//! An allocator with its settings: which build of `phalanx` it is, and what it is told through the environment.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::peers::{Absent, Launch, built_beside_us, phalanx_serve_of};

/// What serves the allocations of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum Variant {
    /// The system's (glibc) as it comes, up to eight arenas for each core: what `phalanx` is by default
    System,
    /// glibc with two arenas
    SystemTwoArenas,
    /// glibc with two arenas and fixed thresholds: what is larger than 128 KiB has a mapping of its own
    SystemThresholds,
    /// mimalloc
    Mimalloc,
    /// jemalloc
    Jemalloc,
    /// jemalloc with a thread that gives back after a second
    JemallocBackground,
}

impl Variant {
    pub(super) const ALL: [Self; 6] = [
        Self::System,
        Self::SystemTwoArenas,
        Self::SystemThresholds,
        Self::Mimalloc,
        Self::Jemalloc,
        Self::JemallocBackground,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::System => "glibc as it comes (the default)",
            Self::SystemTwoArenas => "glibc, 2 arenas",
            Self::SystemThresholds => "glibc, 2 arenas, thresholds of 128 KiB",
            Self::Mimalloc => "mimalloc",
            Self::Jemalloc => "jemalloc",
            Self::JemallocBackground => "jemalloc, background thread, decay 1 s",
        }
    }

    /// `cargo xtask bench memory` builds them; only the allocator differs.
    fn program(self) -> Result<PathBuf, Absent> {
        built_beside_us(match self {
            Self::System | Self::SystemTwoArenas | Self::SystemThresholds => "phalanx",
            Self::Mimalloc => "phalanx-with-mimalloc",
            Self::Jemalloc | Self::JemallocBackground => "phalanx-with-jemalloc",
        })
    }

    fn environment(self) -> Vec<(&'static str, OsString)> {
        let (arenas, threshold) = ("MALLOC_ARENA_MAX", 128 << 10);
        match self {
            Self::System | Self::Mimalloc | Self::Jemalloc => Vec::new(),
            Self::SystemTwoArenas => vec![(arenas, "2".into())],
            Self::SystemThresholds => vec![
                (arenas, "2".into()),
                ("MALLOC_MMAP_THRESHOLD_", threshold.to_string().into()),
                ("MALLOC_TRIM_THRESHOLD_", threshold.to_string().into()),
            ],
            Self::JemallocBackground => {
                vec![("_RJEM_MALLOC_CONF", "background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0".into())]
            }
        }
    }

    pub(super) fn launch(self, address: SocketAddr, workers: usize) -> Result<Launch, Absent> {
        let mut launch = phalanx_serve_of(self.program()?, address, workers, &[])?;
        launch.environment.extend(self.environment());
        Ok(launch)
    }
}
