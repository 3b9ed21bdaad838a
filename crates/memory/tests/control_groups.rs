//! Control groups on the real kernel: version 1 or 2, whichever lets itself be written here; else each test says that it
//! skips. Version 2 with its rule about groups that hold processes is rarely at hand on a machine for tests: the unit
//! tests imagine it, this file has met it only where somebody ran it in a delegated group.

#![allow(clippy::unwrap_used)]

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use phalanx_memory::Groups;

const MIB: u64 = 1 << 20;
const SIGKILL: i32 = 9;

/// The place for groups; without one, the reason is printed.
fn groups(test: &str) -> Option<Groups> {
    Groups::find().inspect_err(|why| println!("{test}: skipped, {why}")).ok()
}

/// A shell that enters the group and then does this.
fn inside(folder: &Path, script: &str) -> Child {
    let script = format!("echo 0 > \"$1/cgroup.procs\" && {script}");
    let arguments = ["-c", script.as_str(), "sh", folder.to_str().unwrap()];
    Command::new("sh").args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
}

#[test]
fn who_grows_beyond_the_limit_is_ended_by_the_kernel_and_the_kill_is_counted() {
    let Some(groups) = groups("who grows beyond the limit") else { return };
    let group = groups.create("grows", 32 * MIB).unwrap();
    assert_eq!(group.kills(), Some(0));
    // `tail` keeps the last lines, and this has no end of a line.
    let status = inside(group.folder(), "exec tail /dev/zero").wait().unwrap();
    assert_eq!(status.signal(), Some(SIGKILL));
    assert_eq!(group.kills(), Some(1));
    if let Some(peak) = group.peak_bytes() {
        assert!((16 * MIB..=32 * MIB).contains(&peak), "{peak}");
    }
    let folder = group.folder().to_path_buf();
    drop(group);
    assert!(!folder.exists(), "{} is left behind", folder.display());
}

#[test]
fn who_stays_below_the_limit_is_left_alone_and_its_children_count_with_it() {
    let Some(groups) = groups("who stays below the limit") else { return };
    let group = groups.create("modest", 64 * MIB).unwrap();
    let mut shell = inside(group.folder(), "head -c 8000000 /dev/zero | tail > /dev/null; read line; exit 7");
    drop(shell.stdin.take());
    assert_eq!(shell.wait().unwrap().code(), Some(7));
    assert_eq!(group.kills(), Some(0));
    assert!(group.peak_bytes().is_none_or(|peak| peak > 7 * MIB), "{:?}", group.peak_bytes());
}

#[test]
fn a_process_is_moved_in_and_its_group_stays_until_it_is_gone() {
    let Some(groups) = groups("a process is moved in") else { return };
    let group = groups.create("moved", 64 * MIB).unwrap();
    let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    group.add(child.id()).unwrap();
    let inside = std::fs::read_to_string(format!("/proc/{}/cgroup", child.id())).unwrap();
    assert!(inside.contains(group.folder().file_name().unwrap().to_str().unwrap()), "{inside}");
    assert!(!group.try_remove(), "it holds a process");
    drop(child.stdin.take());
    child.wait().unwrap();
    assert!(group.try_remove());
    assert!(group.add(std::process::id()).is_err(), "it is gone");
}

#[test]
fn a_name_is_used_once_and_what_lives_is_not_swept() {
    let Some(groups) = groups("a name is used once") else { return };
    let group = groups.create("once", 64 * MIB).unwrap();
    let error = groups.create("once", 64 * MIB).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists, "{error}");
    groups.sweep();
    assert!(group.folder().exists());
}
