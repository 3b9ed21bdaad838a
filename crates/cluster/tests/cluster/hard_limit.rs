//! The hard limit of memory: by the kernel where control groups can be made, by a look each second where not. And too little
//! memory for two workers at once.
//!
//! What needs groups that can be made says so where they cannot, and is skipped.

use std::path::{Path, PathBuf};
use std::process::Command;

use phalanx_memory::{Group, Groups};
use rustix::process::Signal;

use crate::Test;
use crate::client::{Outcome, ask};
use crate::faults::Load;
use crate::orders::install;
use crate::process::{Running, lives, soon, until};
use crate::upgrade::Installed;

pub(crate) const TESTS: &[Test] = &[
    ("hard limit: the kernel ends a worker that grows without end, it is replaced, and the others serve", grows),
    ("hard limit: a child of a worker that grows without end costs that child, and is told", grows_in_a_child),
    ("hard limit: too low for a worker to begin, the cluster says so and ends", too_low_to_begin),
    ("hard limit: with control groups read-only it is looked at, and said so", read_only),
    ("hard limit: without control groups it is looked at, and said so", without_groups),
    ("hard limit: the groups of a primary that was killed are swept by the next one", swept),
    ("hard limit: an upgrade keeps the groups of the workers, and leaves none behind", upgraded),
    ("short of memory: a reload does not hang, one worker leaves before its successor starts", short_of_memory),
];

/// The limit of the program `orders-hard-memory`.
pub(crate) const BYTES: u64 = 64 << 20;

/// The place for groups; without one, the reason is printed.
fn groups() -> Option<Groups> {
    Groups::find().inspect_err(|why| println!("skipped: {why}")).ok()
}

/// Those that this process has made, or its successor.
fn groups_of(primary: u32) -> Vec<PathBuf> {
    let Some(groups) = groups() else { return Vec::new() };
    let entries = std::fs::read_dir(groups.folder()).unwrap().flatten().map(|entry| entry.path());
    let ours = format!("/phalanx-{primary}-");
    entries.filter(|path| path.to_str().is_some_and(|path| path.contains(&ours))).collect()
}

/// The program `orders` in a variant, started by a shell that does this first.
fn start(shell: &[&str], first: &str, variant: &str, settings: &Path) -> Running {
    let (program, arguments) = shell.split_first().unwrap();
    let mut command = Command::new(program);
    command.args(arguments).args(["-c", &format!("{first} && exec \"$0\"")]).arg(std::env::current_exe().unwrap());
    command.env("TEST_SETTINGS", settings).stdin(std::process::Stdio::null());
    Running::start_command(command, &format!("orders-{variant}"))
}

/// As `start`, with a view of the file system of its own; `None` where that is not allowed.
fn start_with_mounts(first: &str, settings: &Path) -> Option<Running> {
    let flags = if rustix::process::geteuid().is_root() { "-m" } else { "-Urm" };
    let tried = Command::new("unshare").args([flags, "sh", "-c", first]).output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        println!("skipped: `unshare {flags}` and then `{first}` is not possible here");
        return None;
    }
    Some(start(&["unshare", flags, "sh"], first, "hard-memory", settings))
}

fn ready(mut cluster: Running) -> Running {
    cluster.wait_for("is ready");
    cluster.wait_for("is ready");
    cluster
}

fn plain(variant: &str, settings: &Path) -> Running {
    start(&["sh"], "true", variant, settings)
}

/// Ends as it should; nothing stays.
fn end(mut cluster: Running) {
    let primary = cluster.primary();
    cluster.signal(Signal::TERM);
    assert_eq!(cluster.wait().0.code(), Some(0));
    assert_eq!(groups_of(primary), [] as [PathBuf; 0], "left behind");
}

fn settings() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings");
    std::fs::write(&file, "ok").unwrap();
    (folder, file)
}

fn grows() {
    let Some(_) = groups() else { return };
    let (_folder, file) = settings();
    let mut cluster = plain("hard-memory", &file);
    let line = cluster.wait_for("each worker may use at most 64 MiB of memory, with its job processes");
    assert!(line.contains("the kernel holds it there: control groups (version"), "{line}");
    let mut cluster = ready(cluster);
    assert!(groups_of(cluster.primary()).len() >= 2, "one for each worker");
    let address = cluster.address();
    let clients = 4;
    let load = Load::start(address, clients, "/");
    let Outcome::Ok(fat) = ask(address, "/grow") else { panic!("no answer") };
    let told = cluster.wait_for("the kernel ended");
    assert!(told.contains("of the processes of worker"), "{told}");
    let line = cluster.wait_for("died with");
    assert!(line.contains(&format!("(pid {fat})")), "{line}");
    assert!(line.contains("it and its job processes used more than their limit of 64 MiB"), "{line}");
    cluster.wait_for("is ready");
    let counts = load.finish();
    // Nobody is refused or kept waiting; what the dead one had accepted is lost.
    let lost = counts.get("reset after send").copied().unwrap_or(0);
    assert!(
        lost <= clients as u64 && counts.keys().all(|kind| ["ok", "reset after send"].contains(kind)),
        "{counts:?}"
    );
    assert!(!cluster.lines().iter().any(|line| line.contains("is killed")));
    end(cluster);
}

fn grows_in_a_child() {
    let Some(groups) = groups() else { return };
    if !groups.to_string().contains("version 1") {
        return println!("skipped: version 2 ends the worker with its children");
    }
    let (_folder, file) = settings();
    let mut cluster = ready(plain("hard-memory", &file));
    let Outcome::Ok(worker) = ask(cluster.address(), "/grow-in-a-child") else { panic!("no answer") };
    let told = cluster.wait_for("the kernel ended 1 of the processes of worker");
    assert!(told.contains("their limit of 64 MiB"), "{told}");
    assert!(lives(worker) && cluster.workers().contains(&worker));
    end(cluster);
}

fn too_low_to_begin() {
    let Some(_) = groups() else { return };
    let (_folder, file) = settings();
    std::fs::write(&file, "eat").unwrap();
    let mut cluster = plain("hard-memory", &file);
    let primary = cluster.primary();
    let (status, stderr) = cluster.wait();
    assert!(!status.success());
    assert!(stderr.contains("used more than their limit of 64 MiB"), "{stderr}");
    assert_eq!(groups_of(primary), [] as [PathBuf; 0], "left behind");
}

/// The primary looks each second, and kills.
fn is_looked_at(cluster: Running, why: &str) {
    let mut cluster = cluster;
    let line = cluster.wait_for("each worker may use at most 64 MiB of memory; it is looked at once a second");
    assert!(line.to_lowercase().contains(why), "{line}");
    let mut cluster = ready(cluster);
    let Outcome::Ok(fat) = ask(cluster.address(), "/eat") else { panic!("no answer") };
    let line = cluster.wait_for("is killed");
    assert!(line.contains("more memory than the hard limit"), "{line}");
    cluster.wait_for("is ready");
    assert!(!lives(fat));
    end(cluster);
}

/// Whatever is mounted below `/sys/fs/cgroup`, one by one.
const READ_ONLY: &str = "for at in $(awk '$3 ~ /^cgroup/ { print $2 }' /proc/mounts); do \
                         mount --bind $at $at && mount -o remount,ro,bind $at || exit 1; done";

fn read_only() {
    let (_folder, file) = settings();
    // On a machine where nobody may make groups the words are others.
    let Some(_) = groups() else { return };
    if let Some(cluster) = start_with_mounts(READ_ONLY, &file) {
        is_looked_at(cluster, "read-only");
    }
}

fn without_groups() {
    let (_folder, file) = settings();
    if let Some(cluster) = start_with_mounts("mount -t tmpfs none /sys/fs/cgroup", &file) {
        is_looked_at(cluster, "no control group with the memory controller");
    }
}

fn swept() {
    let Some(_) = groups() else { return };
    let (_folder, file) = settings();
    let cluster = ready(plain("hard-memory", &file));
    let (first, workers) = (cluster.primary(), cluster.workers());
    drop(cluster);
    until(soon(), "the workers to be gone", || (!workers.iter().any(|pid| lives(*pid))).then_some(()));
    assert!(!groups_of(first).is_empty(), "nobody was there to remove them");
    let cluster = ready(plain("hard-memory", &file));
    assert_eq!(groups_of(first), [] as [PathBuf; 0]);
    end(cluster);
}

fn upgraded() {
    let Some(_) = groups() else { return };
    let mut installed = Installed::ready("-hard-memory");
    let primary = installed.cluster.primary();
    let before = groups_of(primary);
    install(&installed.program, "2");
    let line = installed.upgrade();
    assert!(line.contains("is done"), "{line}");
    let gone = || groups_of(primary).iter().all(|group| !before.contains(group)).then_some(());
    until(soon(), "the groups of the old workers to be gone", gone);
    // The new ones are bound as well, and the new image knows.
    let Outcome::Ok(_) = ask(installed.cluster.address(), "/grow") else { panic!("no answer") };
    let line = installed.cluster.wait_for("died with");
    assert!(line.contains("used more than their limit of 64 MiB"), "{line}");
    installed.cluster.wait_for("is ready");
    installed.cluster.signal(Signal::TERM);
    assert_eq!(installed.cluster.wait().0.code(), Some(0));
    assert_eq!(groups_of(primary), [] as [PathBuf; 0], "left behind");
}

fn short_of_memory() {
    let Some(groups) = groups() else { return };
    // Two workers, one with 100 MiB and a little more, fit in; a third with as much would not.
    let around: Group = groups.create("around", 190 << 20).unwrap();
    let (_folder, file) = settings();
    let enter = format!("echo 0 > {}/cgroup.procs", around.folder().display());
    let mut cluster = ready(start(&["sh"], &enter, "plain", &file));
    let address = cluster.address();
    let Outcome::Ok(fat) = ask(address, "/eat") else { panic!("no answer") };
    let load = Load::start(address, 1, "/slow?200");
    let reload = || cluster.signal(Signal::HUP);
    // Without a limit on memory the primary looks every fifth second, and nothing tells of it: twice that.
    std::thread::sleep(std::time::Duration::from_secs(10));
    reload();
    let line = cluster.wait_for("is to be replaced");
    assert!(line.contains("beside it and"), "{line}");
    let line = cluster.wait_for_either("is done", "failed:");
    assert!(line.contains("is done"), "{line}");
    let lines = cluster.lines().to_vec();
    let at = |part: &str| lines.iter().position(|line| line.contains(part));
    let (left, gone) = (format!("(pid {fat}) left with"), at("is to be replaced").unwrap());
    let left = at(&left).unwrap();
    assert!(lines[left..].iter().any(|line| line.contains("started (pid")), "old first: {lines:#?}");
    assert!(gone < left);
    let counts = load.finish();
    assert_eq!(counts.keys().copied().collect::<Vec<_>>(), ["ok"], "{counts:?}");
    assert_eq!(around.kills(), Some(0));
    end(cluster);
    drop(around);
}
