//! Reloads: every worker is replaced, new first, and nobody notices; or it fails, and nothing has changed.

use std::path::PathBuf;

use rustix::process::Signal;

use crate::Test;
use crate::client::{KeepAlive, body};
use crate::faults::Load;
use crate::process::{Running, lives, soon, until};

pub(crate) const TESTS: &[Test] = &[
    ("a reload replaces every worker under load, and no request fails", nobody_notices),
    ("a reload gives new settings to all, and a worker that crashes later gets the same", settings_of_a_generation),
    ("settings that cannot be read refuse the reload with their words", settings_refused),
    ("new workers that fail at their start leave the old ones in place, with their words", fails_at_start),
    ("new workers that never become ready leave the old ones in place", never_ready),
    ("new workers that die right after they were ready do not replace what works", dies_when_ready),
    ("a health gate on a path keeps an unhealthy worker from replacing a healthy one", gate_on_a_path),
    ("a health gate with a command keeps an unhealthy worker from replacing a healthy one", gate_with_a_command),
    ("a reload that was asked for during a reload is done once, afterwards", asked_for_during_a_reload),
    ("kill -9 of the primary in the middle of a reload leaves nothing behind", primary_killed_half_way),
    ("a place that was given up is tried again by a reload", healed_by_a_reload),
];

/// A cluster whose workers do what its settings say.
pub(crate) struct Ordered {
    pub(crate) cluster: Running,
    pub(crate) file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Ordered {
    /// Starts the program `orders` in this variant, with these settings, and waits for both workers.
    pub(crate) fn ready(variant: &str, settings: &str) -> Ordered {
        let mut ordered = Ordered::start(variant, settings);
        ordered.cluster.wait_for("is ready");
        ordered.cluster.wait_for("is ready");
        ordered
    }

    pub(crate) fn start(variant: &str, settings: &str) -> Ordered {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings");
        std::fs::write(&file, settings).unwrap();
        let cluster = Running::start_with(&format!("orders{variant}"), |command| {
            command.env("TEST_SETTINGS", &file);
        });
        Ordered { cluster, file, _folder: folder }
    }

    pub(crate) fn order(&self, settings: &str) {
        std::fs::write(&self.file, settings).unwrap();
    }

    /// Reloads with these settings, and gives the line with which it ends.
    pub(crate) fn reload(&mut self, settings: &str) -> String {
        self.order(settings);
        self.cluster.signal(Signal::HUP);
        self.cluster.wait_for_either("is done", "failed:")
    }

    /// What the worker that answers has as its settings.
    pub(crate) fn settings(&mut self) -> String {
        let mut client = KeepAlive::open(self.cluster.address());
        client.request("/settings");
        body(&client.answer()).unwrap().to_owned()
    }
}

fn nobody_notices() {
    let mut ordered = Ordered::ready("", "ok 0");
    let address = ordered.cluster.address();
    let load = Load::start(address, 8, "/");
    for round in 1..=5 {
        let before = ordered.cluster.workers();
        let line = ordered.reload(&format!("ok {round}"));
        assert!(line.contains("is done"), "{line}");
        until(soon(), "the old workers to be gone", || (!before.iter().any(|pid| lives(*pid))).then_some(()));
        assert_eq!(ordered.cluster.workers().len(), 2);
        assert_eq!(ordered.settings(), format!("ok {round}"));
    }
    let counts = load.finish();
    println!("  5 reloads, outcomes {counts:?}");
    assert_eq!(counts.keys().copied().collect::<Vec<_>>(), ["ok"], "{counts:?}");
}

fn settings_of_a_generation() {
    let mut ordered = Ordered::ready("", "ok first");
    assert_eq!(ordered.settings(), "ok first");
    // A changed file changes nothing by itself.
    ordered.order("ok second");
    crate::process::send(ordered.cluster.workers()[0], Signal::KILL);
    ordered.cluster.wait_for("is ready");
    assert!((0..20).all(|_| ordered.settings() == "ok first"));
    let line = ordered.reload("ok third");
    assert!(line.contains("is done"), "{line}");
    ordered.order("ok fourth");
    until(soon(), "the old workers to be gone", || (ordered.cluster.workers().len() == 2).then_some(()));
    crate::process::send(ordered.cluster.workers()[0], Signal::KILL);
    ordered.cluster.wait_for("is ready");
    assert!((0..20).all(|_| ordered.settings() == "ok third"));
}

/// Nothing has changed: the same processes serve the same settings.
fn unchanged(ordered: &mut Ordered, before: &[u32], settings: &str) {
    until(soon(), "the new workers to be gone", || (ordered.cluster.workers() == before).then_some(()));
    assert_eq!(ordered.settings(), settings);
}

fn settings_refused() {
    let mut ordered = Ordered::ready("", "ok");
    let before = ordered.cluster.workers();
    let line = ordered.reload("refuse");
    assert!(line.contains("failed") && line.contains("line 1: no such word"), "{line}");
    unchanged(&mut ordered, &before, "ok");
    assert!(ordered.reload("ok again").contains("is done"));
    let refused = Ordered::start("", "refuse");
    let (status, stderr) = { refused }.cluster.wait();
    assert_eq!(status.code(), Some(64), "{stderr}");
    assert!(stderr.contains("line 1: no such word"), "{stderr}");
}

/// Such a generation does not replace what works; the end of the reload says why.
fn is_turned_away(variant: &str, settings: &str, why: &str) {
    let mut ordered = Ordered::ready(variant, "ok");
    let before = ordered.cluster.workers();
    let load = Load::start(ordered.cluster.address(), 4, "/");
    let line = ordered.reload(settings);
    assert!(line.contains("failed") && line.contains(why), "{line}");
    let counts = load.finish();
    // A worker that died had accepted what it lost.
    let expected: &[&str] = if settings == "die" { &["ok", "reset after send", "reset before send"] } else { &["ok"] };
    assert!(counts.keys().all(|outcome| expected.contains(outcome)), "{counts:?}");
    unchanged(&mut ordered, &before, "ok");
    // And what is good does.
    assert!(ordered.reload("ok again").contains("is done"));
    assert_eq!(ordered.settings(), "ok again");
}

fn fails_at_start() {
    is_turned_away("", "exit", "told to fail");
}

fn never_ready() {
    is_turned_away("", "hang", "ready");
}

fn dies_when_ready() {
    is_turned_away("", "die", "SIGABRT");
}

fn gate_on_a_path() {
    is_turned_away("-path", "unhealthy", "503");
}

fn gate_with_a_command() {
    is_turned_away("-command", "unhealthy", "code 1");
}

fn asked_for_during_a_reload() {
    let mut ordered = Ordered::ready("", "ok");
    ordered.cluster.signal(Signal::HUP);
    ordered.cluster.wait_for("begins");
    (0..50).for_each(|_| ordered.cluster.signal(Signal::HUP));
    ordered.cluster.wait_for("is done");
    let last = ordered.cluster.wait_for("is done");
    assert!(last.contains("operation 2"), "{last}");
    // Whatever was asked for before is answered by the second: scaling is the third.
    ordered.cluster.signal(Signal::TTIN);
    let line = ordered.cluster.wait_for("begins");
    assert!(line.contains("scale (operation 3)"), "{line}");
}

fn primary_killed_half_way() {
    let mut ordered = Ordered::ready("", "ok");
    let mut all = ordered.cluster.workers();
    ordered.order("hang");
    ordered.cluster.signal(Signal::HUP);
    ordered.cluster.wait_for("started");
    all.extend(ordered.cluster.workers());
    assert!(all.len() >= 5, "{all:?}");
    let address = ordered.cluster.address();
    ordered.cluster.signal(Signal::KILL);
    until(soon(), "all workers to be gone", || (!all.iter().any(|pid| lives(*pid))).then_some(()));
    until(soon(), "the port to be free", || std::net::TcpListener::bind(address).ok());
}

fn healed_by_a_reload() {
    let mut ordered = Ordered::start("", "give-up");
    let (status, stderr) = ordered.cluster.wait();
    assert_eq!(status.code(), Some(78), "{stderr}");
    assert!(stderr.contains("told to give up"), "{stderr}");
    let mut ordered = Ordered::ready("-one-gives-up", "ok");
    // It may have said so before the others were ready.
    let words = "asked not to be started again";
    if !ordered.cluster.lines().iter().any(|line| line.contains(words)) {
        ordered.cluster.wait_for(words);
    }
    assert_eq!(ordered.cluster.workers().len(), 2);
    assert!(ordered.reload("ok again").contains("is done"));
}
