//! Where groups are made, and that nothing is left behind: on an imagined kernel of either version.
//!
//! Version 1 is tried on the real one in `tests/control_groups.rs`, where it lets itself be written.

use std::path::Path;
use std::sync::Arc;

use super::imagined::{Kernel, Mode};
use super::*;

fn kernel(version: Version, mode: Mode, own: &str) -> Arc<Kernel> {
    Arc::new(Kernel::new(version, mode, own))
}

fn ours(of: &str, kernel: &Kernel) -> String {
    Owner::this(kernel).unwrap().name(of)
}

#[test]
fn version_1_groups_are_made_in_our_own_and_we_stay_where_we_are() {
    let kernel = kernel(Version::V1, Mode::Writable, "job");
    let groups = find::find(Arc::clone(&kernel)).unwrap();
    assert_eq!(groups.to_string(), "control groups (version 1) in /sys/fs/cgroup/job");
    let group = groups.create("worker-1", 256 << 20).unwrap();
    assert_eq!(group.read("memory.limit_in_bytes").as_deref(), Some("268435456"));
    assert_eq!(kernel.processes("/sys/fs/cgroup/job"), [std::process::id()]);
    drop((group, groups));
    assert_eq!(kernel.groups(), ["job"]);
}

#[test]
fn version_2_groups_are_made_beside_one_that_we_move_into_and_at_the_end_all_is_as_before() {
    let kernel = kernel(Version::V2, Mode::Writable, "a.service");
    let groups = find::find(Arc::clone(&kernel)).unwrap();
    let leaf = format!("/sys/fs/cgroup/a.service/{}", ours("primary", &kernel));
    assert_eq!(kernel.processes(&leaf), [std::process::id()]);
    let group = groups.create("worker-1", 1 << 30).unwrap();
    assert_eq!(group.folder(), Path::new("/sys/fs/cgroup/a.service").join(ours("worker-1", &kernel)));
    let settings = ["memory.max", "memory.swap.max", "memory.oom.group"].map(|file| group.read(file).unwrap());
    assert_eq!(settings, ["1073741824", "0", "1"]);
    drop((group, groups));
    assert_eq!(kernel.groups(), ["a.service"]);
    assert_eq!(kernel.processes("/sys/fs/cgroup/a.service"), [std::process::id()]);
}

#[test]
fn after_an_exec_in_place_the_same_groups_are_found_again() {
    let kernel = kernel(Version::V2, Mode::Writable, "a.service");
    let groups = find::find(Arc::clone(&kernel)).unwrap();
    let group = groups.create("worker-1", 1 << 30).unwrap();
    kernel.enter(group.folder(), 4242);
    // Nothing is dropped by an exec.
    std::mem::forget(groups);
    std::mem::forget(group);
    let groups = find::find(Arc::clone(&kernel)).unwrap();
    assert_eq!(groups.folder(), Path::new("/sys/fs/cgroup/a.service"));
    std::mem::forget(groups);
    let groups = find::within(kernel.clone(), "/sys/fs/cgroup/a.service".into()).unwrap();
    let group = groups.adopt("worker-1").unwrap();
    assert_eq!(group.limit_bytes(), 1 << 30);
    assert!(groups.adopt("worker-9").is_none());
    assert!(!group.try_remove(), "its worker lives");
    kernel.leave(4242);
    drop((group, groups));
    assert_eq!(kernel.groups(), ["a.service"]);
}

#[test]
fn at_the_top_of_version_2_and_where_the_switch_is_on_nobody_has_to_move() {
    let top = kernel(Version::V2, Mode::Writable, "");
    assert_eq!(find::find(Arc::clone(&top)).unwrap().folder(), Path::new("/sys/fs/cgroup"));
    assert_eq!(top.processes("/sys/fs/cgroup"), [std::process::id()]);
}

#[test]
fn a_version_2_group_with_other_processes_is_not_divided_and_we_are_where_we_were() {
    let kernel = kernel(Version::V2, Mode::Writable, "user.slice");
    kernel.enter(Path::new("/sys/fs/cgroup/user.slice"), 4242);
    let why = find::find(Arc::clone(&kernel)).unwrap_err();
    assert!(matches!(&why, NoGroups::Occupied { folder } if folder == Path::new("/sys/fs/cgroup/user.slice")), "{why}");
    assert_eq!(kernel.groups(), ["user.slice"]);
    assert_eq!(kernel.processes("/sys/fs/cgroup/user.slice"), [4242, std::process::id()]);
}

#[test]
fn what_cannot_be_divided_says_why_and_what_to_do() {
    for version in [Version::V1, Version::V2] {
        let why = find::find(kernel(version, Mode::ReadOnly, "job")).unwrap_err().to_string();
        assert!(why.contains("/sys/fs/cgroup/job/") && why.contains("read-only") && why.contains("delegated"), "{why}");
        let why = find::find(kernel(version, Mode::Foreign, "job")).unwrap_err().to_string();
        assert!(why.contains("/sys/fs/cgroup/job/") && why.contains("denied") && why.contains("delegated"), "{why}");
    }
    let without = kernel(Version::V2, Mode::Writable, "job");
    without.set("/sys/fs/cgroup/job/cgroup.controllers", "cpu pids");
    assert!(matches!(find::find(without).unwrap_err(), NoGroups::NoController));
    let without = kernel(Version::V1, Mode::Writable, "job");
    without.set("/proc/self/mountinfo", "25 30 0:23 / /proc rw - proc proc rw\n");
    assert!(matches!(find::find(without).unwrap_err(), NoGroups::NoController));
    for hidden in ["/proc/self/cgroup", "/proc/self/mountinfo", "/proc/self/stat"] {
        let without = kernel(Version::V1, Mode::Writable, "job");
        without.forget(hidden);
        assert!(matches!(find::find(without).unwrap_err(), NoGroups::Hidden), "{hidden}");
    }
}

#[test]
fn the_groups_of_a_killed_owner_are_swept_and_those_of_the_living_stay() {
    let kernel = kernel(Version::V1, Mode::Writable, "job");
    let job = Path::new("/sys/fs/cgroup/job");
    // A number that was used again, one that is free, and one whose worker still leaves.
    let reused = format!("phalanx-{}-1-worker-1", std::process::id());
    for name in [&reused, "phalanx-99999999-5-worker-1", "phalanx-99999999-5-worker-2", "docker-1-2-x"] {
        kernel.make(&job.join(name)).unwrap();
    }
    kernel.enter(&job.join("phalanx-99999999-5-worker-2"), 4242);
    let groups = find::find(Arc::clone(&kernel)).unwrap();
    let group = groups.create("worker-1", 64 << 20).unwrap();
    assert_eq!(groups.sweep(), 2);
    let ours = format!("job/{}", ours("worker-1", &kernel));
    let mut left = vec!["job", "job/docker-1-2-x", "job/phalanx-99999999-5-worker-2", ours.as_str()];
    left.sort_unstable();
    assert_eq!(kernel.groups(), left);
    drop(group);
}

#[test]
fn a_group_that_is_busy_is_removed_when_its_last_process_is_gone() {
    let kernel = kernel(Version::V1, Mode::Writable, "job");
    let groups = find::find(Arc::clone(&kernel)).unwrap();
    let group = groups.create("worker-1", 64 << 20).unwrap();
    kernel.enter(group.folder(), 4242);
    assert!(!group.try_remove());
    kernel.leave(4242);
    assert!(group.try_remove() && group.try_remove(), "gone is gone");
    assert_eq!(group.current_bytes(), None);
}

#[test]
fn what_an_older_kernel_lacks_is_left_out() {
    let kernel = kernel(Version::V2, Mode::Writable, "job");
    let groups = find::find(Arc::clone(&kernel)).unwrap();
    let group = groups.create("worker-1", 64 << 20).unwrap();
    assert_eq!((group.peak_bytes(), group.kills(), group.current_bytes()), (None, Some(0), Some(0)));
    assert!(group.set("memory.zswap.max", "0").is_err());
    assert!(group.set_if_there("memory.zswap.max", "0").is_ok());
}
