//! Workers whose event loop stands still.

use rustix::process::Signal;

use crate::Test;
use crate::client::{KeepAlive, Outcome, ask};
use crate::process::{lives, soon, until};
use crate::reload::Ordered;

pub(crate) const TESTS: &[Test] = &[
    ("hung: the stacks of a worker that stands still name the function, and it is killed and replaced", stacks),
    ("hung: a worker that was stopped is replaced, and what it was is told", stopped),
    ("hung: a primary that was stopped for longer than the liveness time kills nobody", primary_stopped),
];

fn stacks() {
    let mut ordered = Ordered::ready("-hurried", "ok");
    let address = ordered.cluster.address();
    let before = ordered.cluster.workers();
    let mut client = KeepAlive::open(address);
    client.request("/hang");
    ordered.cluster.wait_for("its event loop stands still");
    ordered.cluster.wait_for_either("stuck_for_ever", "stuck_for_ever");
    // Every thread is told of, the main one first.
    ordered.cluster.wait_for("life-line");
    let lines = ordered.cluster.lines();
    assert!(lines.iter().any(|line| line.contains("the threads of worker")), "{lines:#?}");
    let still = || before.iter().filter(|pid| lives(**pid)).count();
    until(soon(), "one of them to be replaced", || (still() == 1).then_some(()));
    ordered.cluster.settle(2);
    assert!(matches!(ask(address, "/"), Outcome::Ok(_)));
    assert!(client.rest().is_err() || client.rest() == Ok(String::new()));
}

fn stopped() {
    let mut ordered = Ordered::ready("-hurried", "ok");
    let worker = ordered.cluster.workers()[0];
    crate::process::send(worker, Signal::STOP);
    let line = ordered.cluster.wait_for("is killed");
    assert!(line.contains("stands still"), "{line}");
    ordered.cluster.wait_for("is ready");
    assert!(!lives(worker));
    ordered.cluster.settle(2);
}

fn primary_stopped() {
    let mut ordered = Ordered::ready("-hurried", "ok");
    let before = ordered.cluster.workers();
    let address = ordered.cluster.address();
    ordered.cluster.signal(Signal::STOP);
    let begun = std::time::Instant::now();
    // Longer than the liveness time; the workers serve on meanwhile.
    until(soon(), "five seconds of service", || {
        assert!(matches!(ask(address, "/"), Outcome::Ok(_)));
        (begun.elapsed().as_secs() >= 5).then_some(())
    });
    ordered.cluster.signal(Signal::CONT);
    // It has looked at them again when it does what it is told.
    ordered.cluster.signal(Signal::TTIN);
    ordered.cluster.wait_for("is done");
    let after = ordered.cluster.settle(3);
    assert!(before.iter().all(|pid| after.contains(pid)), "{before:?} {after:?}");
    assert!(!ordered.cluster.lines().iter().any(|line| line.contains("killed")));
}
