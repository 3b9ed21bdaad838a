//! Companions: processes beside the workers, there before them and gone after them.

use phalanx_cluster::{Cluster, Companion};
use phalanx_process::{Signal as Taken, Signals};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;

use crate::Test;
use crate::orders::install;
use crate::process::{Running, lives, send, soon, until};
use crate::programs::AnyError;
use crate::reload::Ordered;
use crate::upgrade::Installed;

pub(crate) const TESTS: &[Test] = &[
    ("a companion is started before the workers, and ended after the last of them", first_and_last),
    ("a companion is killed: another one runs soon, and no worker notices", killed),
    ("a terminal's ^C to everybody ends the companion last all the same", interrupted),
    ("a companion that does not end by itself is killed, and the cluster ends", stubborn),
    ("a companion outlives reloads", over_a_reload),
    ("a companion is replaced by that of the new program in an upgrade", over_an_upgrade),
    ("a companion that fails again and again is told of, and the workers serve", fails),
    ("a companion dies with a primary that was killed", orphaned),
    ("two companions of one name are refused", twice),
];

/// Adds a companion that tells of its life, until SIGTERM.
pub(crate) fn with_helper(cluster: Cluster) -> Cluster {
    cluster.companion("helper", help)
}

fn help(companion: Companion) -> Result<(), AnyError> {
    let signals = Signals::take(&[Taken::Terminate, Taken::Interrupt])?;
    let (name, settings) = (companion.name(), String::from_utf8_lossy(companion.settings()).into_owned());
    println!("companion {name} runs as {} with {settings}", std::process::id());
    let stubborn = std::env::var_os("TEST_STUBBORN").is_some();
    loop {
        match poll(&mut [PollFd::new(&signals, PollFlags::IN)], None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if signals.next() == Some(Taken::Terminate) && !stubborn {
            println!("companion {name} ends");
            return Ok(());
        }
    }
}

/// Waits for the helper that was started as number `count`, and gives its process id.
fn helper(cluster: &mut Running, count: usize) -> u32 {
    let line = cluster.wait_for_count("companion helper runs", count);
    line.split(' ').nth(4).unwrap().parse().unwrap()
}

/// Waits for the helper and for both workers, in whatever order they tell of themselves; gives the helper.
fn all_up(cluster: &mut Running) -> u32 {
    cluster.wait_for_count("is ready", 2);
    helper(cluster, 1)
}

fn place_of(lines: &[String], part: &str) -> usize {
    lines.iter().position(|line| line.contains(part)).unwrap_or_else(|| panic!("no {part}: {lines:#?}"))
}

fn first_and_last() {
    let mut ordered = Ordered::start("-companion", "ok");
    let pid = all_up(&mut ordered.cluster);
    let shown = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(shown.starts_with(b"phalanx: helper\0"), "{}", String::from_utf8_lossy(&shown));
    ordered.cluster.signal(Signal::TERM);
    let (status, stderr) = ordered.cluster.wait();
    assert!(status.success(), "{status} {stderr}");
    let lines = ordered.cluster.lines().to_vec();
    assert!(lines[place_of(&lines, "companion helper runs")].ends_with("with ok"), "{lines:#?}");
    let last_exit = lines.iter().rposition(|line| line.contains(" left with ")).unwrap();
    assert!(place_of(&lines, "companion helper ends") > last_exit, "{lines:#?}");
    assert!(!lives(pid));
}

fn killed() {
    let mut ordered = Ordered::start("-companion", "ok");
    let first = all_up(&mut ordered.cluster);
    let before = ordered.cluster.workers();
    send(first, Signal::KILL);
    let second = helper(&mut ordered.cluster, 2);
    let now = ordered.cluster.settle(3);
    let mut expected: Vec<u32> = before.into_iter().filter(|pid| *pid != first).chain([second]).collect();
    expected.sort_unstable();
    let mut now = now;
    now.sort_unstable();
    assert_eq!(now, expected);
}

fn interrupted() {
    let mut ordered = Ordered::start("-companion", "ok");
    let pid = all_up(&mut ordered.cluster);
    for process in ordered.cluster.workers().into_iter().chain([ordered.cluster.primary()]) {
        send(process, Signal::INT);
    }
    let (status, stderr) = ordered.cluster.wait();
    assert!(status.success(), "{status} {stderr}");
    let lines = ordered.cluster.lines().to_vec();
    let last_exit = lines.iter().rposition(|line| line.contains(" left with ")).unwrap();
    assert!(place_of(&lines, "companion helper ends") > last_exit, "{lines:#?}");
    assert!(!lives(pid));
}

fn stubborn() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings");
    std::fs::write(&file, "ok").unwrap();
    let mut cluster = Running::start_with("orders-companion", |command| {
        command.env("TEST_SETTINGS", &file).env("TEST_STUBBORN", "1");
    });
    let pid = all_up(&mut cluster);
    cluster.signal(Signal::TERM);
    let (status, _) = cluster.wait();
    assert!(status.success() && !lives(pid), "{status}");
}

fn over_a_reload() {
    let mut ordered = Ordered::start("-companion", "ok");
    let pid = all_up(&mut ordered.cluster);
    assert!(ordered.reload("ok, changed").contains("is done"));
    assert!(lives(pid));
    assert!(ordered.cluster.workers().contains(&pid));
}

fn over_an_upgrade() {
    let mut installed = Installed::ready("-companion");
    let first = all_up(&mut installed.cluster);
    install(&installed.program, "2");
    let end = installed.upgrade();
    assert!(end.contains("is done"), "{end}");
    let second = helper(&mut installed.cluster, 2);
    until(soon(), "the first helper to end", || (!lives(first)).then_some(()));
    assert!(lives(second) && installed.cluster.workers().contains(&second));
}

fn fails() {
    let mut ordered = Ordered::ready("-bad-companion", "ok");
    assert_eq!(ordered.settings(), "ok");
    ordered.cluster.signal(Signal::TERM);
    let (status, stderr) = ordered.cluster.wait();
    assert!(status.success(), "{status}");
    let told = stderr.lines().filter(|line| line.contains("the companion \"helper\" fails: no luck today")).count();
    assert!(told >= 1, "{stderr}");
}

fn orphaned() {
    let mut ordered = Ordered::start("-companion", "ok");
    let pid = all_up(&mut ordered.cluster);
    ordered.cluster.signal(Signal::KILL);
    until(soon(), "the helper to end", || (!lives(pid)).then_some(()));
}

fn twice() {
    let mut ordered = Ordered::start("-two-companions", "ok");
    let (status, stderr) = ordered.cluster.wait();
    assert!(!status.success() && stderr.contains("two companions are called \"helper\""), "{status} {stderr}");
}
