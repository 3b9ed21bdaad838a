//! A control group for one server: the kernel remembers the most that was charged to it, mapped or not, file cache and
//! kernel memory included. Only where the groups can be written, which takes root or a delegated group.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::peers::Launch;

/// Processes leave their group a moment after they were waited for.
const REMOVAL_DEADLINE: Duration = Duration::from_secs(2);
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
/// Version 1, then version 2.
const PEAKS: [&str; 2] = ["memory.max_usage_in_bytes", "memory.peak"];

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A group of its own; removed when this goes, which must be after its processes went.
pub(super) struct Group {
    folder: PathBuf,
}

impl Group {
    /// `None` where none can be made that tells its peak.
    pub(super) fn new() -> Option<Self> {
        let name = format!("phalanx-bench-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = own_group()?.join(name);
        std::fs::create_dir(&folder).ok()?;
        let group = Self { folder };
        group.peak_bytes().map(|_| group)
    }

    /// The same server, started inside: a shell joins the group and becomes the server.
    pub(super) fn around(&self, mut launch: Launch) -> Launch {
        const JOIN: &str = r#"echo $$ > "$0" && exec "$@""#;
        let mut arguments: Vec<OsString> =
            vec!["-c".into(), JOIN.into(), self.folder.join("cgroup.procs").into(), launch.program.into()];
        arguments.append(&mut launch.arguments);
        Launch { program: "/bin/sh".into(), arguments, ..launch }
    }

    /// The most bytes that were charged to it at once.
    pub(super) fn peak_bytes(&self) -> Option<u64> {
        PEAKS.iter().find_map(|name| std::fs::read_to_string(self.folder.join(name)).ok()?.trim().parse().ok())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let begun = Instant::now();
        while std::fs::remove_dir(&self.folder).is_err() && begun.elapsed() < REMOVAL_DEADLINE {
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }
}

/// Where this process stands: below version 1's memory controller, or in version 2.
fn own_group() -> Option<PathBuf> {
    let membership = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path_of = |controllers: &str| {
        membership.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (names, path) = rest.split_once(':')?;
            names.split(',').any(|name| name == controllers).then(|| path.trim_start_matches('/'))
        })
    };
    let top = Path::new("/sys/fs/cgroup");
    let version_1 = path_of("memory").map(|path| top.join("memory").join(path));
    version_1.or_else(|| path_of("").map(|path| top.join(path))).filter(|folder| folder.is_dir())
}
