//! SIGINT, SIGTERM, SIGHUP: nothing half-done is left, the exit code says which it was.

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::harness::{signal, wait_until};
use crate::runs::{Folder, gathered};

/// Whether the child has read something.
fn has_begun(child: &Child) -> bool {
    let figures = fs::read_to_string(format!("/proc/{}/io", child.id())).unwrap_or_default();
    let read = figures.lines().find_map(|line| line.strip_prefix("rchar: ")).map(|bytes| bytes.parse().unwrap());
    read.unwrap_or(0u64) > 128 << 10
}

/// One that works without an end into `out`.
fn endless(folder: &Folder, line: &str) -> Child {
    let running = folder.pipe(line).spawn().unwrap();
    wait_until("the first bytes", || has_begun(&running));
    running
}

#[test]
fn each_signal_has_its_exit_code_and_leaves_nothing() {
    for (which, name, code) in
        [(Signal::INT, "SIGINT", 130), (Signal::TERM, "SIGTERM", 143), (Signal::HUP, "SIGHUP", 129)]
    {
        let folder = Folder::new();
        for line in ["/dev/zero out --gzip=1", "/dev/zero out --throttle 20MB --tee more"] {
            let running = endless(&folder, line);
            signal(running.id(), which);
            gathered(running).is_one_line(code, &[name, "nothing half-done"]);
            assert!(folder.names().is_empty(), "{line} left {:?}", folder.names());
        }
    }
}

#[test]
fn an_existing_target_is_untouched() {
    let folder = Folder::new();
    folder.write("out", "the old content");
    let running = endless(&folder, "/dev/zero out --upper");
    signal(running.id(), Signal::INT);
    gathered(running).is_one_line(130, &["SIGINT"]);
    assert_eq!(folder.read("out"), b"the old content");
    assert_eq!(folder.names().len(), 1);
}

#[test]
fn while_it_waits_for_input() {
    let folder = Folder::new();
    let mut running = folder.pipe("- out --upper").stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = running.stdin.take().unwrap();
    // More than a pipe holds: when it is written, the source has begun.
    stdin.write_all(&vec![b'a'; 1 << 20]).unwrap();
    signal(running.id(), Signal::INT);
    gathered(running).is_one_line(130, &["SIGINT"]);
    assert!(folder.names().is_empty(), "{:?}", folder.names());
}

#[test]
fn while_nobody_reads() {
    let folder = Folder::new();
    let mut running = folder.pipe("/dev/zero --upper").spawn().unwrap();
    let held = running.stdout.take();
    wait_until("a full pipe", || has_begun(&running));
    signal(running.id(), Signal::TERM);
    gathered(running).is_one_line(143, &["SIGTERM"]);
    drop(held);
}

#[test]
fn while_a_fifo_has_no_other_end() {
    let folder = Folder::new();
    folder.fifo("fifo");
    folder.write("in", "words");
    for line in ["fifo out --gzip", "in fifo --gzip"] {
        let running = folder.pipe(line).spawn().unwrap();
        // The thread that hears signals is there once there is more than one.
        let threads = || fs::read_dir(format!("/proc/{}/task", running.id())).map_or(0, Iterator::count);
        wait_until("the watch for signals", || threads() >= 2);
        signal(running.id(), Signal::INT);
        gathered(running).is_one_line(130, &["SIGINT"]);
        assert!(!folder.path("out").exists());
    }
}

#[test]
fn kill_leaves_no_partial_file() {
    let folder = Folder::new();
    folder.write("out", "the old content");
    let mut running = endless(&folder, "/dev/zero out --upper");
    running.kill().unwrap();
    assert_eq!(gathered(running).code, -9);
    assert_eq!(folder.read("out"), b"the old content");
    assert_eq!(folder.names().len(), 1, "{:?}", folder.names());
}

#[test]
fn what_was_ignored_stays_ignored() {
    let folder = Folder::new();
    let mut shell = Command::new("sh");
    let line = format!("trap '' INT; exec {} pipe - out --upper", env!("CARGO_BIN_EXE_phalanx"));
    shell.args(["-c", &line]).current_dir(folder.path(""));
    let mut running = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = running.stdin.take().unwrap();
    stdin.write_all(&vec![b'a'; 1 << 20]).unwrap();
    signal(running.id(), Signal::INT);
    stdin.write_all(b"b").unwrap();
    drop(stdin);
    gathered(running).succeeded();
    assert_eq!(folder.read("out").len(), (1 << 20) + 1);
}
