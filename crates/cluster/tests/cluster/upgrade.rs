//! Upgrades in place: the primary becomes another program, keeps its process id, its sockets and its workers; or nothing
//! has changed.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::Test;
use crate::client::{KeepAlive, body};
use crate::faults::Load;
use crate::orders::install;
use crate::process::{Running, lives, soon, until};

pub(crate) const TESTS: &[Test] = &[
    (
        "upgrade: ten in a row under load, no request fails, the process stays and holds no more than before",
        ten_in_a_row,
    ),
    ("upgrade: a file that is missing, no program, or broken in any way changes nothing", broken_files),
    ("upgrade: settings that the new program refuses change nothing", settings_refused),
    ("upgrade: a new program that cannot take up what it was handed gives it back, whole", given_back),
    ("upgrade: workers of the new program that fail bring the old program back", bad_workers),
    ("upgrade: a worker that crashes half-way is replaced by the program that it was", crash_half_way),
    ("upgrade: what was upgraded can be rolled back by hand, and forth again", rolled_back_by_hand),
    ("upgrade: kill -9 of the primary half-way leaves nothing behind", primary_killed_half_way),
    ("upgrade: a stop half-way stops the cluster", stopped_half_way),
];

/// A cluster whose executable can be replaced.
pub(crate) struct Installed {
    pub(crate) cluster: Running,
    pub(crate) program: PathBuf,
    settings: PathBuf,
    control: PathBuf,
    _taken: TcpListener,
    _folder: tempfile::TempDir,
}

impl Installed {
    pub(crate) fn ready(variant: &str) -> Installed {
        let folder = tempfile::tempdir().unwrap();
        let (program, settings) = (folder.path().join("program"), folder.path().join("settings"));
        let control = folder.path().join("control");
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        install(&program, "1");
        std::fs::write(&settings, "ok").unwrap();
        let mut cluster = Running::start_file(&program, &format!("orders{variant}"), |command| {
            command.env("TEST_SETTINGS", &settings).env("TEST_CONTROL", &control);
            command.env("TEST_TAKEN", taken.local_addr().unwrap().to_string());
        });
        cluster.wait_for("is ready");
        cluster.wait_for("is ready");
        Installed { cluster, program, settings, control, _taken: taken, _folder: folder }
    }

    /// Asks for an upgrade to what is on disk, and gives the line with which it ends.
    pub(crate) fn upgrade(&mut self) -> String {
        self.cluster.signal(Signal::USR2);
        self.end()
    }

    fn end(&mut self) -> String {
        self.cluster.wait_for_either("is done", "failed:")
    }

    fn version(&mut self) -> String {
        let mut client = KeepAlive::open(self.cluster.address());
        client.request("/version");
        body(&client.answer()).unwrap().to_owned()
    }

    /// The version of the primary itself.
    fn primary_version(&self) -> String {
        let file = std::fs::read(format!("/proc/{}/exe", self.cluster.primary())).unwrap();
        String::from_utf8_lossy(&file[file.len() - 40..]).rsplit(": ").next().unwrap().to_owned()
    }

    /// Asks over the control socket for what can begin.
    fn begin(&self, path: &str) {
        let answer = self.post(path);
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    }

    fn post(&self, path: &str) -> String {
        let mut socket = until(soon(), "the control socket", || UnixStream::connect(&self.control).ok());
        write!(socket, "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }
}

fn ten_in_a_row() {
    let mut installed = Installed::ready("-control");
    let (pid, address) = (installed.cluster.primary(), installed.cluster.address());
    let load = Load::start(address, 8, "/");
    let mut descriptors = Vec::new();
    for round in 2..=11 {
        let before = installed.cluster.workers();
        install(&installed.program, &round.to_string());
        let line = installed.upgrade();
        assert!(line.contains("upgrade") && line.contains("is done"), "{line}");
        until(soon(), "the old workers to be gone", || (!before.iter().any(|pid| lives(*pid))).then_some(()));
        // Two workers and the front; no zombie.
        installed.cluster.settle(3);
        assert_eq!((installed.version(), installed.primary_version()), (round.to_string(), round.to_string()));
        assert_eq!(installed.cluster.primary(), pid);
        descriptors.push(installed.cluster.descriptors());
    }
    let counts = load.finish();
    println!("  10 upgrades, {descriptors:?} descriptors, outcomes {counts:?}");
    assert_eq!(counts.keys().copied().collect::<Vec<_>>(), ["ok"], "{counts:?}");
    assert!(descriptors[1..].windows(2).all(|pair| pair[1] == pair[0]), "{descriptors:?}");
    installed.cluster.signal(Signal::TERM);
    assert_eq!(installed.cluster.wait().0.code(), Some(0));
}

fn broken_files() {
    let mut installed = Installed::ready("");
    let workers = installed.cluster.workers();
    let descriptors = installed.cluster.descriptors();
    let is_refused = |installed: &mut Installed, why: &str| {
        let line = installed.upgrade();
        assert!(line.contains("failed") && line.contains(why), "{line}");
        assert_eq!(installed.cluster.settle(2), workers);
        assert_eq!((installed.version().as_str(), installed.primary_version().as_str()), ("1", "1"));
        assert_eq!(installed.cluster.descriptors(), descriptors);
    };
    install(&installed.program, "crashes");
    is_refused(&mut installed, "SIGABRT");
    install(&installed.program, "complains");
    is_refused(&mut installed, "the store is of a later version");
    std::fs::remove_file(&installed.program).unwrap();
    is_refused(&mut installed, "find the program on disk");
    std::fs::write(&installed.program, "no program").unwrap();
    is_refused(&mut installed, "it is not executable");
    std::fs::set_permissions(&installed.program, std::fs::Permissions::from_mode(0o755)).unwrap();
    is_refused(&mut installed, "Exec format error");
    std::fs::remove_file(&installed.program).unwrap();
    std::fs::copy("/bin/true", &installed.program).unwrap();
    is_refused(&mut installed, "before it said that it could take over");
    install(&installed.program, "2");
    assert!(installed.upgrade().contains("is done"));
    assert_eq!((installed.version().as_str(), installed.primary_version().as_str()), ("2", "2"));
}

fn settings_refused() {
    let mut installed = Installed::ready("");
    let workers = installed.cluster.workers();
    install(&installed.program, "2");
    std::fs::write(&installed.settings, "refuse").unwrap();
    let line = installed.upgrade();
    assert!(line.contains("failed") && line.contains("line 1: no such word"), "{line}");
    assert_eq!(installed.cluster.settle(2), workers);
    assert_eq!(installed.primary_version(), "1");
}

fn given_back() {
    let mut installed = Installed::ready("-control");
    let workers = installed.cluster.workers();
    let load = Load::start(installed.cluster.address(), 4, "/");
    install(&installed.program, "greedy");
    let line = installed.upgrade();
    assert!(line.contains("failed") && line.contains("another program has this port"), "{line}");
    installed.cluster.settle(3);
    assert!(workers.iter().filter(|pid| lives(**pid)).count() >= 2);
    assert_eq!((installed.version().as_str(), installed.primary_version().as_str()), ("1", "1"));
    let counts = load.finish();
    assert_eq!(counts.keys().copied().collect::<Vec<_>>(), ["ok"], "{counts:?}");
    install(&installed.program, "2");
    installed.begin("/upgrade");
    assert!(installed.end().contains("is done"));
    assert_eq!(installed.primary_version(), "2");
}

fn bad_workers() {
    for (version, why) in [("bad-workers", "this version is no good"), ("hanging-workers", "ready")] {
        let mut installed = Installed::ready("");
        let workers = installed.cluster.workers();
        let load = Load::start(installed.cluster.address(), 4, "/");
        install(&installed.program, version);
        let line = installed.upgrade();
        assert!(line.contains("failed") && line.contains(why), "{line}");
        assert_eq!(installed.cluster.settle(2), workers);
        assert_eq!((installed.version().as_str(), installed.primary_version().as_str()), ("1", "1"));
        let counts = load.finish();
        assert_eq!(counts.keys().copied().collect::<Vec<_>>(), ["ok"], "{counts:?}");
        install(&installed.program, "3");
        assert!(installed.upgrade().contains("is done"));
        assert_eq!((installed.version().as_str(), installed.primary_version().as_str()), ("3", "3"));
    }
}

fn crash_half_way() {
    let mut installed = Installed::ready("");
    let before = installed.cluster.workers();
    install(&installed.program, "hanging-workers");
    installed.cluster.signal(Signal::USR2);
    installed.cluster.wait_for("goes on in the new program");
    installed.cluster.wait_for("started");
    crate::process::send(before[0], Signal::KILL);
    installed.cluster.wait_for("is ready");
    assert!((0..20).all(|_| installed.version() == "1"));
    let line = installed.end();
    assert!(line.contains("failed"), "{line}");
    installed.cluster.settle(2);
    assert!((0..20).all(|_| installed.version() == "1"));
}

fn rolled_back_by_hand() {
    let mut installed = Installed::ready("-control");
    let answer = installed.post("/rollback");
    let line = installed.end();
    assert!(line.contains("there is none to go back to"), "{line}; {answer}");
    install(&installed.program, "2");
    installed.begin("/upgrade");
    assert!(installed.end().contains("upgrade (operation 2) is done"));
    assert_eq!((installed.version().as_str(), installed.primary_version().as_str()), ("2", "2"));
    for expected in ["1", "2", "1"] {
        installed.begin("/rollback");
        let line = installed.end();
        assert!(line.contains("rollback") && line.contains("is done"), "{line}");
        installed.cluster.settle(3);
        assert_eq!((installed.version().as_str(), installed.primary_version().as_str()), (expected, expected));
    }
}

fn primary_killed_half_way() {
    let mut installed = Installed::ready("-control");
    let mut all = installed.cluster.workers();
    install(&installed.program, "hanging-workers");
    installed.cluster.signal(Signal::USR2);
    installed.cluster.wait_for("goes on in the new program");
    installed.cluster.wait_for("started");
    // The front of the new program answers, so it is there to clean up.
    let answer = installed.post("/status");
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    all.extend(installed.cluster.workers());
    let address = installed.cluster.address();
    installed.cluster.signal(Signal::KILL);
    until(soon(), "all to be gone", || (!all.iter().any(|pid| lives(*pid))).then_some(()));
    until(soon(), "the port to be free", || TcpListener::bind(address).ok());
    until(soon(), "the control socket to be gone", || (!installed.control.exists()).then_some(()));
}

fn stopped_half_way() {
    let mut installed = Installed::ready("");
    install(&installed.program, "hanging-workers");
    installed.cluster.signal(Signal::USR2);
    installed.cluster.wait_for("goes on in the new program");
    installed.cluster.signal(Signal::TERM);
    let (status, stderr) = installed.cluster.wait();
    assert_eq!(status.code(), Some(0), "{stderr}");
}
