//! What signals do, however many come, and what the service manager hears of it.

use std::os::unix::net::UnixDatagram;

use rustix::process::Signal;

use crate::Test;
use crate::client::{Outcome, ask};
use crate::faults::Load;
use crate::process::{DEADLINE, Running, lives, soon, until};
use crate::reload::Ordered;

pub(crate) const TESTS: &[Test] = &[
    ("signals: TTIN and TTOU add and remove a worker, and never the last", scaling),
    ("signals: a storm of all of them drops no request, and TERM still ends it", storm),
    ("signals: QUIT ends it at once", quit),
    ("signals: TERM in the middle of a reload ends it", stop_in_a_reload),
    ("service: a second cluster with the same pid file is refused, and the file goes with the first", pid_file),
    ("service: the manager hears of ready, reloading and stopping, and the watchdog is fed", manager),
];

fn scaling() {
    let mut ordered = Ordered::ready("", "ok");
    ordered.cluster.signal(Signal::TTIN);
    ordered.cluster.wait_for("scale (operation 1) is done");
    assert_eq!(ordered.cluster.settle(3).len(), 3);
    for operation in 2..=3 {
        ordered.cluster.signal(Signal::TTOU);
        ordered.cluster.wait_for(&format!("scale (operation {operation}) is done"));
    }
    ordered.cluster.settle(1);
    ordered.cluster.signal(Signal::TTOU);
    ordered.cluster.signal(Signal::HUP);
    // The reload is the next operation: there was nothing to scale.
    ordered.cluster.wait_for("reload (operation 4) is done");
    ordered.cluster.settle(1);
}

fn storm() {
    let mut ordered = Ordered::ready("", "ok");
    let address = ordered.cluster.address();
    let load = Load::start(address, 4, "/");
    let kinds = [Signal::HUP, Signal::USR1, Signal::TTIN, Signal::TTOU, Signal::WINCH, Signal::CHILD];
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..1000 {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        ordered.cluster.signal(kinds[(seed % kinds.len() as u64) as usize]);
        let until_then = std::time::Instant::now() + std::time::Duration::from_micros(seed % 2000);
        until(soon(), "the next signal", || (std::time::Instant::now() >= until_then).then_some(()));
    }
    let counts = load.finish();
    assert_eq!(counts.keys().copied().collect::<Vec<_>>(), ["ok"], "{counts:?}");
    ordered.cluster.signal(Signal::TERM);
    assert_eq!(ordered.cluster.wait().0.code(), Some(0));
}

fn quit() {
    let mut cluster = Running::ready("server");
    let workers = cluster.workers();
    cluster.signal(Signal::QUIT);
    cluster.wait();
    assert!(!workers.iter().any(|pid| lives(*pid)));
}

fn stop_in_a_reload() {
    let mut ordered = Ordered::ready("", "ok");
    ordered.order("hang");
    ordered.cluster.signal(Signal::HUP);
    ordered.cluster.wait_for("started");
    ordered.cluster.signal(Signal::TERM);
    ordered.cluster.wait_for("reload (operation 1) failed");
    assert_eq!(ordered.cluster.wait().0.code(), Some(0));
}

fn pid_file() {
    let folder = tempfile::tempdir().unwrap();
    let (settings, file) = (folder.path().join("settings"), folder.path().join("pid"));
    std::fs::write(&settings, "ok").unwrap();
    let start = || {
        Running::start_with("orders-pid-file", |command| {
            command.env("TEST_SETTINGS", &settings).env("TEST_PID_FILE", &file);
        })
    };
    let mut first = start();
    first.wait_for("is ready");
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), first.primary().to_string());
    let (status, stderr) = start().wait();
    assert!(!status.success() && stderr.contains(&first.primary().to_string()), "{stderr}");
    assert!(file.exists());
    first.signal(Signal::USR2);
    first.wait_for("upgrade (operation 1) is done");
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), first.primary().to_string());
    let (status, _) = start().wait();
    assert!(!status.success(), "the lock was lost in the upgrade");
    first.signal(Signal::TERM);
    first.wait();
    assert!(!file.exists());
}

fn manager() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let settings = folder.path().join("settings");
    std::fs::write(&settings, "ok").unwrap();
    let hear = |wanted: &str| loop {
        let mut notice = [0; 4096];
        let length = socket.recv(&mut notice).unwrap();
        let notice = String::from_utf8_lossy(&notice[..length]).into_owned();
        if notice.contains(wanted) {
            return notice;
        }
        let is_watchdog = notice.starts_with("WATCHDOG=1");
        assert!(is_watchdog || notice.starts_with("STATUS="), "heard {notice:?}, not {wanted}");
    };
    let mut cluster = Running::start_with("orders", |command| {
        command.env("TEST_SETTINGS", &settings).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
    });
    let ready = hear("READY=1");
    assert!(ready.contains("STATUS=") && ready.contains("workers serve"), "{ready}");
    (0..3).for_each(|_| drop(hear("WATCHDOG=1")));
    cluster.signal(Signal::HUP);
    assert!(hear("RELOADING=1").contains("MONOTONIC_USEC="));
    hear("READY=1");
    std::fs::write(&settings, "refuse").unwrap();
    cluster.signal(Signal::HUP);
    hear("RELOADING=1");
    assert!(hear("READY=1").contains("the last reload failed"));
    std::fs::write(&settings, "ok").unwrap();
    cluster.signal(Signal::USR2);
    hear("RELOADING=1");
    hear("READY=1");
    assert!(matches!(ask(cluster.address(), "/"), Outcome::Ok(_)));
    cluster.signal(Signal::TERM);
    hear("STOPPING=1");
    assert_eq!(cluster.wait().0.code(), Some(0));
}
