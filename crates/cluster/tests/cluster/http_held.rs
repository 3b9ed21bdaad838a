//! Workers that are held, and asked whether they are healthy, before any client reaches them.

use rustix::process::Signal;

use crate::Test;
use crate::client::{KeepAlive, Outcome, ask};
use crate::process::{Running, soon, until};

/// Connections made while a worker is held; if it accepted, it would get about half of them.
const ATTEMPTS: usize = 200;

pub(crate) const TESTS: &[Test] = &[
    ("a held worker answers the probe through its own server, and accepts nothing before it is admitted", held),
    ("a worker that is not healthy says why, and the one before it serves on", sick),
];

fn gated(folder: &std::path::Path) -> Running {
    let mut cluster = Running::start_with("http", |command| {
        command.env("TEST_GATE", "/readyz").env("TEST_FOLDER", folder).env("TEST_DRAIN", "300");
    });
    cluster.wait_for("listens on");
    cluster
}

fn held() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = gated(folder.path());
    let address = cluster.address();
    let old = cluster.workers()[0];
    std::fs::remove_file(folder.path().join("probed")).ok();
    std::fs::write(folder.path().join("wait"), "").unwrap();
    cluster.signal(Signal::HUP);
    until(soon(), "the probe", || folder.path().join("probed").exists().then_some(()));
    assert_eq!(cluster.workers().len(), 2, "the new worker is there");
    for _ in 0..ATTEMPTS {
        assert_eq!(ask(address, "/"), Outcome::Ok(old));
    }
    // Its clients cannot pretend to be the primary's probe by asking for the path alone.
    assert_eq!(ask(address, "/readyz"), Outcome::WrongAnswer);
    std::fs::remove_file(folder.path().join("wait")).unwrap();
    cluster.wait_for("is done");
    let new = until(soon(), "the end of the old worker", || {
        let workers = cluster.workers();
        (workers.len() == 1).then(|| workers[0])
    });
    assert_ne!(new, old);
    assert_eq!(ask(address, "/"), Outcome::Ok(new));
}

fn sick() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = gated(folder.path());
    let address = cluster.address();
    let old = cluster.workers();
    let mut kept = KeepAlive::open(address);
    kept.request("/");
    kept.pid();
    std::fs::write(folder.path().join("sick"), "").unwrap();
    cluster.signal(Signal::HUP);
    let line = cluster.wait_for("failed");
    assert!(line.contains("GET /readyz answered 503: no database"), "{line}");
    until(soon(), "the end of the new worker", || (cluster.workers() == old).then_some(()));
    kept.request("/");
    assert_eq!(kept.pid(), old[0]);
    assert_eq!(ask(address, "/"), Outcome::Ok(old[0]));
}
