//! Starts the real binary and speaks plain HTTP/1.1 to it. Every wait has a deadline; a server ends with its guard.

#![allow(dead_code, unused_imports, reason = "each test file uses a part of the harness")]

mod http;
pub(crate) mod pictures;

pub(crate) use http::{Answer, Connection, multipart};

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// For anything that a healthy server does at once; long because the machines that test are busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; it ends when this is dropped.
pub(crate) struct Server {
    primary: Child,
    pub(crate) address: SocketAddr,
    folder: tempfile::TempDir,
}

/// Where pictures are decoded if the test does not say it: `tests/on_threads.rs` runs the tests of other files once more.
pub(crate) fn isolation() -> &'static str {
    if env!("CARGO_CRATE_NAME") == "on_threads" { "thread" } else { "process" }
}

/// What a server that did not start left behind.
pub(crate) struct Refusal {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Server {
    /// Two workers with one thread and one job process each on a free port, and its own store.
    pub(crate) fn start() -> Server {
        Self::start_with(&[])
    }

    /// The same with more flags.
    pub(crate) fn start_with(flags: &[&str]) -> Server {
        Self::start_in(flags, |_, _| {})
    }

    /// The same after `prepare` changed its folder, in which it starts, or its environment.
    pub(crate) fn start_in(flags: &[&str], prepare: impl FnOnce(&Path, &mut Command)) -> Server {
        let server = Self::start_unchecked(flags, prepare);
        let workers = flags.windows(2).find(|pair| pair[0] == "--workers").map_or(Ok(2), |pair| pair[1].parse());
        let workers = workers.expect("a number of workers");
        assert_eq!(server.answering_pids(workers).len(), workers, "not all workers answer; log:\n{}", server.log());
        server
    }

    /// The same without a look at all workers, for a server that speaks no plain HTTP.
    pub(crate) fn start_unchecked(flags: &[&str], prepare: impl FnOnce(&Path, &mut Command)) -> Server {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = command(folder.path());
        command.args(["serve", "--listen", "127.0.0.1:0", "--threads", "1", "--log-format", "json"]);
        if !flags.contains(&"--workers") {
            command.args(["--workers", "2"]);
        }
        if !flags.contains(&"--isolate") {
            command.args(["--isolate", isolation()]);
        }
        command.arg("--store").arg(folder.path().join("store")).args(flags);
        if !flags.contains(&"--job-processes") {
            command.args(["--job-processes", "1"]);
        }
        prepare(folder.path(), &mut command);
        let log = fs::File::create(folder.path().join("log")).expect("a log file");
        let mut primary = command.stdout(Stdio::piped()).stderr(log).spawn().expect("the binary starts");
        let stdout = primary.stdout.take().expect("a pipe");
        let (line, first_line) = mpsc::channel();
        std::thread::spawn(move || {
            // Reads on until the end, so that the server never writes into a closed pipe.
            for (number, text) in BufReader::new(stdout).lines().map_while(Result::ok).enumerate() {
                if number == 0 {
                    let _ = line.send(text);
                }
            }
        });
        let mut server = Server { primary, address: ([127, 0, 0, 1], 0).into(), folder };
        let first =
            first_line.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no first line; log:\n{}", server.log()));
        let address = first
            .strip_prefix("listening on http")
            .map(|rest| rest.trim_start_matches(['s', ':', '/']))
            .unwrap_or_else(|| panic!("first line {first:?}"));
        server.address = address.parse().unwrap_or_else(|_| panic!("address {address:?}"));
        server
    }

    /// Runs the binary with flags that it must refuse, in a folder of its own, and waits for its end.
    pub(crate) fn refused(flags: &[&str], prepare: impl FnOnce(&Path, &mut Command)) -> Refusal {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = command(folder.path());
        command.args(flags).stdout(Stdio::piped()).stderr(Stdio::piped());
        prepare(folder.path(), &mut command);
        let child = command.spawn().expect("the binary starts");
        let pid = child.id();
        let (done, ended) = mpsc::channel();
        std::thread::spawn(move || done.send(child.wait_with_output()));
        let Ok(output) = ended.recv_timeout(PATIENCE) else {
            signal(pid, rustix::process::Signal::KILL);
            panic!("{flags:?} did not end");
        };
        let output = output.expect("the output");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Refusal { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    pub(crate) fn primary_pid(&self) -> u32 {
        self.primary.id()
    }

    /// The workers that live: the children of the primary but its front.
    pub(crate) fn worker_pids(&self) -> BTreeSet<u32> {
        let children = children_of(self.primary.id());
        let workers = self.status()["workers"].as_array().cloned().unwrap_or_default();
        workers
            .iter()
            .filter_map(|worker| Some(worker["pid"].as_u64()? as u32))
            .filter(|pid| children.contains(pid))
            .collect()
    }

    /// What the control socket says of the cluster.
    pub(crate) fn status(&self) -> serde_json::Value {
        self.control("GET", "/status").1
    }

    /// Asks the control socket; the front may just be replaced, so it is tried again for a while.
    pub(crate) fn control(&self, method: &str, path: &str) -> (u16, serde_json::Value) {
        let begun = Instant::now();
        loop {
            match http::over_unix(&self.store().join("control.sock"), method, path) {
                Ok(answer) => return (answer.status, answer.json()),
                Err(error) => assert!(begun.elapsed() < PATIENCE, "control socket: {error}; log:\n{}", self.log()),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Runs `phalanx ctl` on this server.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> Refusal {
        let mut all = vec!["ctl", "--control"];
        let socket = self.store().join("control.sock");
        all.push(socket.to_str().expect("UTF-8"));
        all.extend(arguments);
        Self::refused(&all, |_, _| {})
    }

    /// The processes that answer until `wanted` different ones were seen, or patience ends.
    fn answering_pids(&self, wanted: usize) -> BTreeSet<u32> {
        let mut seen = BTreeSet::new();
        let begun = Instant::now();
        while seen.len() < wanted && begun.elapsed() < PATIENCE {
            // Connections held open push the next one to the other worker.
            let mut held = Vec::new();
            for _ in 0..8 {
                let Ok(mut connection) = Connection::try_open(self.address) else { break };
                let Ok(answer) = connection.try_send("GET /whoami HTTP/1.1\r\nhost: test\r\n\r\n", b"") else { break };
                if let Some(pid) = answer.json()["pid"].as_u64() {
                    seen.insert(pid as u32);
                }
                held.push(connection);
            }
        }
        seen
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.get_with(path, "")
    }

    /// `headers` are lines, each with its line end.
    pub(crate) fn get_with(&self, path: &str, headers: &str) -> Answer {
        self.connect().send(&format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}\r\n"), b"")
    }

    pub(crate) fn post(&self, path: &str, headers: &str, body: &[u8]) -> Answer {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n"
        );
        self.connect().send(&head, body)
    }

    /// Tasks that run in the worker that answers, on threads and in job processes.
    pub(crate) fn busy(&self) -> u64 {
        let ready = self.get("/readyz").json();
        let running = |pool: &serde_json::Value| pool["running"].as_u64();
        running(&ready["pool"]).expect("a number") + running(&ready["decoders"]["jobs"]).unwrap_or(0)
    }

    /// What the server logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// The stored files; unfinished ones included, the queue not.
    pub(crate) fn stored(&self) -> Vec<String> {
        let entries = fs::read_dir(self.store()).expect("the store");
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        names.filter(|name| name != "control.sock" && name != "queue").collect()
    }

    /// Runs `misuse` and checks that afterwards the same workers serve on.
    pub(crate) fn survives<T>(&self, misuse: impl FnOnce(&Server) -> T) -> T {
        let before = self.worker_pids();
        let outcome = misuse(self);
        let answer = self.post("/process", "content-type: application/json\r\n", br#"{"numbers":[10]}"#);
        assert_eq!((answer.status, answer.text()), (200, r#"{"result":[75306]}"#.to_owned()), "log:\n{}", self.log());
        assert_eq!(self.answering_pids(before.len()), before, "other workers serve; log:\n{}", self.log());
        outcome
    }

    /// Asks it to stop and gives its exit status.
    pub(crate) fn stop(mut self) -> ExitStatus {
        signal(self.primary.id(), rustix::process::Signal::TERM);
        wait_for(&mut self.primary).unwrap_or_else(|| panic!("it did not stop; log:\n{}", self.log()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !matches!(self.primary.try_wait(), Ok(None)) {
            return;
        }
        signal(self.primary.id(), rustix::process::Signal::TERM);
        if wait_for(&mut self.primary).is_none() {
            let _ = self.primary.kill();
            let _ = self.primary.wait();
        }
    }
}

/// The binary, without the settings of whoever runs the tests.
fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_phalanx"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PHALANX_") {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// Sends a signal to one process that the test started.
pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

fn wait_for(child: &mut Child) -> Option<ExitStatus> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

/// Looks again and again until it is so; fails with `what` after [`PATIENCE`].
pub(crate) fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The living children of a process, from the process table (zombies are not alive).
pub(crate) fn children_of(parent: u32) -> BTreeSet<u32> {
    let mut children = BTreeSet::new();
    for entry in fs::read_dir("/proc").expect("the process table").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        // pid (name) state parent …: the name may contain anything, so from its last bracket on.
        let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        let (state, of) = (fields.next(), fields.next());
        if of == Some(&parent.to_string()) && state != Some("Z") {
            children.insert(pid);
        }
    }
    children
}

/// A port on which somebody else listens as long as the listener lives.
pub(crate) fn taken_port() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    (listener, address)
}

/// The exit code, or the signal as a negative number.
pub(crate) fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| -status.signal().unwrap_or(0))
}
