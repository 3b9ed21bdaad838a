//! A program that behaves: it serves, is replaced when it dies, is reloaded without a request that fails.

use std::collections::HashSet;

use rustix::process::Signal;

use crate::Test;
use crate::client::{Outcome, ask};
use crate::process::{Running, send, soon, until};

pub(crate) const TESTS: &[Test] = &[
    ("programs_inherit_the_listener_and_serve", programs_inherit_the_listener_and_serve),
    ("a_killed_program_is_replaced_and_nothing_waits_in_vain", a_killed_program_is_replaced_and_nothing_waits_in_vain),
    ("a_program_is_told_who_it_is", a_program_is_told_who_it_is),
    ("a_reload_replaces_every_program_without_a_failure", a_reload_replaces_every_program_without_a_failure),
    ("a_stop_ends_programs_by_their_signal", a_stop_ends_programs_by_their_signal),
    ("a_killed_attendant_costs_nothing", a_killed_attendant_costs_nothing),
    ("a_killed_primary_leaves_nothing_behind", a_killed_primary_leaves_nothing_behind),
    ("what_a_program_says_of_itself_is_an_event", what_a_program_says_of_itself_is_an_event),
    ("a_program_that_lives_for_a_while_is_ready", a_program_that_lives_for_a_while_is_ready),
    ("a_program_that_answers_its_health_check_is_ready", a_program_that_answers_its_health_check_is_ready),
    ("a_line_says_that_a_program_is_ready", a_line_says_that_a_program_is_ready),
];

/// The process of a program that answers.
fn answering(address: std::net::SocketAddr) -> u32 {
    match ask(address, "/") {
        Outcome::Ok(pid) => pid,
        other => panic!("{other:?}"),
    }
}

/// Processes of the two programs, by asking until both have answered.
fn both(address: std::net::SocketAddr) -> HashSet<u32> {
    let mut seen = HashSet::new();
    until(soon(), "both programs to answer", || {
        seen.insert(answering(address));
        (seen.len() == 2).then_some(())
    });
    seen
}

fn address_of(running: &mut Running) -> std::net::SocketAddr {
    // The programs do not say where they listen: the primary's socket is theirs.
    let pid = running.primary();
    until(soon(), "a listening socket", || listening_on(pid))
}

/// The address of the first TCP socket that this process listens on, by the kernel's own table.
pub(crate) fn listening_on(pid: u32) -> Option<std::net::SocketAddr> {
    let sockets: HashSet<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .ok()?
        .flatten()
        .filter_map(|entry| {
            std::fs::read_link(entry.path())
                .ok()?
                .to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')
                .map(str::to_owned)
        })
        .collect();
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    let line = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mine = line.into_iter().find(|columns| columns[3] == "0A" && sockets.contains(columns[9]))?;
    let port = u16::from_str_radix(mine[1].split_once(':')?.1, 16).ok()?;
    Some(([127, 0, 0, 1], port).into())
}

fn programs_inherit_the_listener_and_serve() {
    let mut running = Running::ready("notifies");
    let address = address_of(&mut running);
    assert_eq!(both(address).len(), 2);
}

fn a_killed_program_is_replaced_and_nothing_waits_in_vain() {
    let mut running = Running::ready("notifies");
    let address = address_of(&mut running);
    let before = both(address);
    for pid in &before {
        send(*pid, Signal::KILL);
    }
    // No request fails but those that a killed one had accepted, and it had none.
    running.wait_for("is ready");
    running.wait_for("is ready");
    let after = both(address);
    assert!(before.is_disjoint(&after));
}

fn a_program_is_told_who_it_is() {
    let mut running = Running::start_with("told", |command| {
        command.env("TEST_ARGUMENTS", "--fd={fd} --place={instance} {}").env("MARKER", "kept").env("TEST_WORKERS", "1");
    });
    running.wait_for("is ready");
    running.signal(Signal::TERM);
    let (_, stderr) = running.wait();
    let line = stderr.lines().find(|line| line.contains("told: ")).unwrap_or_else(|| panic!("{stderr}"));
    assert!(line.contains(r#"["--fd=3", "--place=0", "{}"] instance 0 fds 1 names "#), "{line}");
    assert!(line.contains("pid ok true socket 3 marker kept parent variable None"), "{line}");
}

fn a_reload_replaces_every_program_without_a_failure() {
    let mut running = Running::ready("notifies");
    let address = address_of(&mut running);
    let before = both(address);
    running.signal(Signal::HUP);
    let over = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut outcomes = Vec::new();
            until(soon(), "the new programs alone", || {
                let outcome = ask(address, "/");
                outcomes.push(outcome);
                let recent: Vec<_> = outcomes.iter().rev().take(50).collect();
                (recent.len() == 50
                    && recent.iter().all(|outcome| matches!(outcome, Outcome::Ok(pid) if !before.contains(pid))))
                .then_some(())
            });
            outcomes
        });
        asking.join().unwrap()
    });
    running.wait_for("reload (operation 1) is done");
    // A program that does nothing about SIGTERM dies with what it had accepted; everything else is answered.
    let lost = over.iter().filter(|outcome| !matches!(outcome, Outcome::Ok(_))).count();
    assert!(lost <= before.len(), "{over:?}");
    assert!(!over.contains(&Outcome::Refused) && !over.contains(&Outcome::TimedOut), "{over:?}");
}

fn a_stop_ends_programs_by_their_signal() {
    let mut running = Running::ready("notifies");
    running.signal(Signal::TERM);
    let (status, stderr) = running.wait();
    assert!(status.success(), "{stderr}");
    assert!(running.lines().iter().filter(|line| line.contains("SIGTERM")).count() >= 2, "{:#?}", running.lines());
}

/// The process of the attendant: the child of the primary in that role.
pub(crate) fn attendant(running: &Running, besides: &[u32]) -> Option<u32> {
    running.workers().into_iter().find(|pid| {
        let ends = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        let plain = std::fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|all| all.windows(11).any(|part| part == b"TEST_PLAIN="));
        let role = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let role = String::from_utf8_lossy(&role).into_owned();
        !plain && ends > 0 && role.contains("PHALANX_ROLE=attendant") && !besides.contains(pid)
    })
}

fn a_killed_attendant_costs_nothing() {
    let mut running = Running::ready("notifies");
    let address = address_of(&mut running);
    let before = both(address);
    let first = until(soon(), "the attendant", || attendant(&running, &[]));
    send(first, Signal::KILL);
    let second = until(soon(), "another attendant", || attendant(&running, &[first]));
    assert_ne!(first, second);
    assert_eq!(both(address), before, "the programs serve on");
    // The new one speaks for those that it took over, and for new ones.
    send(*before.iter().next().unwrap(), Signal::KILL);
    running.wait_for("is ready");
    running.signal(Signal::TERM);
    assert!(running.wait().0.success());
}

fn a_killed_primary_leaves_nothing_behind() {
    let mut running = Running::ready("ignores-term");
    let address = address_of(&mut running);
    let mut all: Vec<u32> = both(address).into_iter().collect();
    all.extend(running.workers());
    running.signal(Signal::KILL);
    until(soon(), "everything to end", || all.iter().all(|pid| !crate::process::lives(*pid)).then_some(()));
}

fn what_a_program_says_of_itself_is_an_event() {
    let mut running = Running::start("notifies");
    running.wait_for("says: warming up");
}

fn a_program_that_lives_for_a_while_is_ready() {
    let mut running = Running::start_with("silent", |command| {
        command.env("TEST_READY", "50");
    });
    running.wait_for_count("is ready", 2);
    let address = address_of(&mut running);
    assert_eq!(both(address).len(), 2);
}

fn a_program_that_answers_its_health_check_is_ready() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut running = Running::start_with("binds", |command| {
        command
            .env("TEST_NO_LISTEN", "1")
            .env("TEST_WORKERS", "1")
            .env("TEST_ARGUMENTS", free.to_string())
            .env("TEST_HEALTH", format!("http://{free}/"))
            .env("TEST_READY", "health");
    });
    running.wait_for("is ready");
    let pid = answering(free);
    send(pid, Signal::KILL);
    running.wait_for("is ready");
    assert_ne!(answering(free), pid);
}

fn a_line_says_that_a_program_is_ready() {
    let mut running = Running::start_with("says-line", |command| {
        command.env("TEST_READY", "accepting connections");
    });
    running.wait_for_count("is ready", 2);
}
