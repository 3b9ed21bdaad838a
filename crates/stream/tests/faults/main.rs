//! What goes wrong around a pipeline: one clear error each, an existing target untouched, no partial file, no thread and no
//! descriptor left.
//!
//! No test harness: the scenarios count the threads and descriptors of this process, so they run one by one; and those with
//! signals and limits start this program again.
//!
//! `cargo test -p phalanx-stream --test faults [-- PART_OF_A_NAME]`

#![allow(clippy::unwrap_used)]

mod child;
mod ends;
mod middle;
mod processes;
mod waits;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::exit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use phalanx_stream::{Chunk, Source};

type Scenario = (&'static str, fn());

/// A scenario that takes longer hangs.
const DEADLINE: Duration = Duration::from_secs(60);
/// A thread that was joined may be listed for a moment more: on a machine under load, for seconds.
const LINGERING: Duration = Duration::from_secs(20);

/// The number of the scenario that runs.
static CURRENT: AtomicU64 = AtomicU64::new(0);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let part = arguments.next().unwrap_or_default();
    if part == "child" {
        child::main(&arguments.collect::<Vec<_>>());
    }
    let part = if part.starts_with("--") { String::new() } else { part };
    thread::spawn(watch);
    let all = [ends::ALL, middle::ALL, waits::ALL, processes::ALL].concat();
    let chosen = all.iter().filter(|(name, _)| name.contains(&part));
    for (number, (name, scenario)) in chosen.enumerate() {
        CURRENT.store(number as u64 + 1, Ordering::Relaxed);
        let before = (listed("/proc/self/task"), listed("/proc/self/fd"));
        let begun = Instant::now();
        print!("fault {name} ... ");
        scenario();
        let since = Instant::now();
        loop {
            let after = (listed("/proc/self/task"), listed("/proc/self/fd"));
            if after == before {
                break;
            }
            assert!(since.elapsed() < LINGERING, "{name}: threads, descriptors: {before:?} before, {after:?} after");
            thread::sleep(Duration::from_millis(1));
        }
        println!("ok, {} ms", begun.elapsed().as_millis());
    }
}

fn watch() {
    let (mut seen, mut since) = (0, Instant::now());
    loop {
        thread::sleep(Duration::from_millis(200));
        let current = CURRENT.load(Ordering::Relaxed);
        if current != seen {
            (seen, since) = (current, Instant::now());
        }
        if since.elapsed() > DEADLINE {
            println!("it hangs");
            exit(1);
        }
    }
}

fn listed(folder: &str) -> Vec<String> {
    let mut names = names(Path::new(folder));
    names.sort();
    names
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A folder with the file that must survive.
struct Folder(tempfile::TempDir);

const OLD: &str = "what was there before";
const OLD_MODE: u32 = 0o640;

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        fs::write(folder.target(), OLD).unwrap();
        fs::set_permissions(folder.target(), fs::Permissions::from_mode(OLD_MODE)).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn target(&self) -> PathBuf {
        self.path("target")
    }

    /// The target is as it was, and beside it are only these.
    #[track_caller]
    fn assert_untouched(&self, others: &[&str]) {
        let mut expected = [others, &["target"]].concat();
        expected.sort_unstable();
        assert_eq!(names(self.0.path()), expected);
        assert_eq!(fs::read_to_string(self.target()).unwrap(), OLD);
        assert_eq!(fs::metadata(self.target()).unwrap().permissions().mode() & 0o7777, OLD_MODE);
    }
}

/// More than all marks together: so many chunks of 256 KiB.
const MANY: usize = 64;

fn chunk(number: usize) -> Chunk {
    Chunk::from(vec![u8::try_from(number % 251).unwrap(); 256 << 10])
}

/// 16 MiB.
fn large() -> Source<Chunk> {
    Source::iter((0..MANY).map(chunk))
}

/// Without an end.
fn endless() -> Source<Chunk> {
    Source::file("/dev/zero").unwrap()
}
