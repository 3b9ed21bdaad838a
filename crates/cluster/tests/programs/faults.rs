//! Programs that misbehave.

use rustix::process::Signal;

use crate::Test;
use crate::client::{Outcome, ask};
use crate::process::{Running, lives, send, soon, until};
use crate::serving::listening_on;

pub(crate) const TESTS: &[Test] = &[
    ("a_program_that_is_not_there_is_named_at_once", a_program_that_is_not_there_is_named_at_once),
    ("a_directory_that_is_not_there_is_named", a_directory_that_is_not_there_is_named),
    ("a_program_that_exits_at_once_fails_the_first_start", a_program_that_exits_at_once_fails_the_first_start),
    ("a_program_that_dies_when_ready_is_backed_off", a_program_that_dies_when_ready_is_backed_off),
    ("a_program_that_is_never_ready_is_given_up", a_program_that_is_never_ready_is_given_up),
    ("a_program_that_ignores_sigterm_is_killed", a_program_that_ignores_sigterm_is_killed),
    ("what_a_program_left_in_its_group_ends_with_it", what_a_program_left_in_its_group_ends_with_it),
    ("a_daemon_that_a_program_left_is_ended_and_told", a_daemon_that_a_program_left_is_ended_and_told),
    ("nothing_stays_behind_a_killed_primary", nothing_stays_behind_a_killed_primary),
    ("a_chatty_program_serves_on", a_chatty_program_serves_on),
];

fn a_program_that_is_not_there_is_named_at_once() {
    let mut running = Running::start_with("silent", |command| {
        command.env("TEST_FILE", "no-such-program-anywhere");
    });
    let (status, stderr) = running.wait();
    assert_eq!(status.code(), Some(64), "{stderr}");
    assert!(stderr.contains("no-such-program-anywhere"), "{stderr}");
}

fn a_directory_that_is_not_there_is_named() {
    let mut running = Running::start_with("silent", |command| {
        command.env("TEST_CWD", "/nowhere/at/all");
    });
    let (status, stderr) = running.wait();
    assert_eq!(status.code(), Some(64), "{stderr}");
    assert!(stderr.contains("/nowhere/at/all"), "{stderr}");
}

fn a_program_that_exits_at_once_fails_the_first_start() {
    let mut running = Running::start("exits");
    let (status, stderr) = running.wait();
    assert!(!status.success(), "{stderr}");
    assert!(stderr.contains("code 3"), "{stderr}");
}

fn a_program_that_dies_when_ready_is_backed_off() {
    let mut running = Running::start("exits-when-ready");
    running.wait_for("starts its next worker in");
    running.signal(Signal::TERM);
    assert!(running.wait().0.success());
}

fn a_program_that_is_never_ready_is_given_up() {
    let mut running = Running::start_with("never-ready", |command| {
        command.env("TEST_BOOT_MS", "300");
    });
    let (status, stderr) = running.wait();
    assert!(!status.success(), "{stderr}");
    assert!(running.lines().iter().any(|line| line.contains("did not become ready in time")), "{:#?}", running.lines());
}

fn a_program_that_ignores_sigterm_is_killed() {
    let mut running = Running::start_with("ignores-term", |command| {
        command.env("TEST_DRAIN_MS", "200");
    });
    running.wait_for_count("is ready", 2);
    running.signal(Signal::TERM);
    let (status, stderr) = running.wait();
    assert!(status.success(), "{stderr}");
    assert!(running.lines().iter().any(|line| line.contains("did not finish in time")), "{:#?}", running.lines());
}

fn what_a_program_left_in_its_group_ends_with_it() {
    let mut running = Running::start_with("leaves-children", |command| {
        command.env("TEST_WORKERS", "1");
    });
    running.wait_for("is ready");
    let address = until(soon(), "a listening socket", || listening_on(running.primary()));
    let Outcome::Ok(pid) = ask(address, "/") else { panic!("no answer") };
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let children: Vec<u32> = children.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(children.len(), 2);
    send(pid, Signal::KILL);
    until(soon(), "its children to end", || children.iter().all(|pid| !lives(*pid)).then_some(()));
}

/// Processes that carry the number of this worker, by their environment.
fn of_worker(worker: u32) -> Vec<u32> {
    let mark = format!("PHALANX_WORKER={worker}");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let carries = |pid: &u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
            && environment.split(|byte| *byte == 0).any(|variable| variable == b"TEST_PLAIN=forks-daemon")
            && lives(*pid)
    };
    numbers.filter(carries).collect()
}

fn a_daemon_that_a_program_left_is_ended_and_told() {
    let mut running = Running::start_with("forks-daemon", |command| {
        command.env("TEST_WORKERS", "1");
    });
    running.wait_for("is ready");
    until(soon(), "the daemons", || (of_worker(1).len() >= 3).then_some(()));
    let address = until(soon(), "a listening socket", || listening_on(running.primary()));
    let Outcome::Ok(pid) = ask(address, "/") else { panic!("no answer") };
    send(pid, Signal::KILL);
    running.wait_for("worker 1 has left process");
    until(soon(), "the daemons to end", || of_worker(1).is_empty().then_some(()));
    // Those of the next one end with the cluster.
    running.wait_for_count("is ready", 2);
    until(soon(), "the daemons of the next one", || (of_worker(2).len() >= 3).then_some(()));
    running.signal(Signal::TERM);
    running.wait();
    assert!(of_worker(2).is_empty(), "{:?}", of_worker(2));
}

fn nothing_stays_behind_a_killed_primary() {
    let mut running = Running::start_with("forks-daemon", |command| {
        command.env("TEST_WORKERS", "2");
    });
    running.wait_for_count("is ready", 2);
    let left = || [of_worker(1), of_worker(2)].concat();
    until(soon(), "the daemons", || (left().len() >= 2 * 3).then_some(()));
    running.signal(Signal::KILL);
    until(soon(), "all of them to end", || left().is_empty().then_some(()));
}

fn a_chatty_program_serves_on() {
    let mut running = Running::start_with("chats", |command| {
        command.env("TEST_WORKERS", "1").stderr(std::process::Stdio::null());
    });
    running.wait_for("is ready");
    let address = until(soon(), "a listening socket", || listening_on(running.primary()));
    for _ in 0..50 {
        assert!(matches!(ask(address, "/"), Outcome::Ok(_)));
    }
}
