//! [`Server`]: `phalanx serve` as it runs, with a store of its own; asked through its control socket.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::deed::Keys;
use crate::exchange;
use crate::system;

/// Longest wait for anything that a sound server does at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(10);
/// An owner of the queue that was started on demand stays that long after its last client.
const AN_OWNER_STAYS: Duration = Duration::from_secs(5);
/// Workers, but while it is scaled up.
pub(crate) const WORKERS: u64 = 2;
/// The store deletes the oldest beyond it: a day's uploads do not fit.
const STORE: &str = "48MiB";
/// In the environment of all its processes.
const MARK: &str = "SOAK_ID";

/// A running server. Dropping it kills it, and everything that it left behind.
pub(crate) struct Server {
    primary: Child,
    pub(crate) address: SocketAddr,
    executable: PathBuf,
    original: PathBuf,
    mark: String,
    folder: TempDir,
}

/// One process in a place of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Worker {
    pub(crate) place: u16,
    pub(crate) pid: u32,
}

impl Server {
    /// Starts a copy of `original`, which can then be replaced by an upgrade; what it says goes into `log`.
    pub(crate) fn start(original: &Path, log: &Path) -> Result<Server, String> {
        let io = |what: &'static str| move |error: std::io::Error| format!("cannot {what}: {error}");
        let folder = tempfile::Builder::new().prefix("phalanx-soak-").tempdir().map_err(io("make a folder"))?;
        let executable = folder.path().join("phalanx");
        std::fs::copy(original, &executable).map_err(io("copy the program"))?;
        let id = std::process::id().to_string();
        let words = File::create(log.with_extension("stderr")).map_err(io("make the log"))?;
        let _ = std::fs::remove_file(log);
        let mut command = without_settings(&executable, folder.path());
        command.args(["serve", "--listen", "127.0.0.1:0", "--workers", &WORKERS.to_string()]);
        command.args(["--threads", "1", "--job-processes", "1", "--isolate", "process", "--log-format", "json"]);
        // Late is no failure here: what is measured is memory, on machines that do other things too.
        command.args(["--max-wait", "10s", "--standing-wait", "10s", "--job-deadline", "60s", "--store-limit", STORE]);
        command.arg("--store").arg(folder.path().join("store")).arg("--log-file").arg(log);
        command.env(MARK, &id).stdout(Stdio::piped()).stderr(words);
        let mut primary = command.spawn().map_err(io("start the program"))?;
        let first_line = first_line_of(&mut primary);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mark = format!("{MARK}={id}");
        let mut server = Server { primary, address: any, executable, original: original.to_owned(), mark, folder };
        let line = first_line.recv_timeout(PATIENCE).unwrap_or_default();
        server.address = line
            .strip_prefix("listening on http://")
            .and_then(|address| address.parse().ok())
            .ok_or_else(|| format!("the server did not begin; it said {line:?}, and more in {}", log.display()))?;
        server.wait("two workers that serve", |status| serving(status).len() as u64 == WORKERS)?;
        Ok(server)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.primary.id()
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    pub(crate) fn control(&self) -> PathBuf {
        self.store().join("control.sock")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        system::send(self.pid(), signal);
    }

    /// A new pair of keys.
    pub(crate) fn keys(&self) -> Result<Keys, String> {
        let file = self.folder.path().join("key.txt");
        let output =
            without_settings(&self.executable, self.folder.path()).args(["pipe", "--keygen"]).arg(&file).output();
        let output = output.map_err(|error| format!("cannot make keys: {error}"))?;
        let text = std::fs::read_to_string(&file).map_err(|error| format!("no keys were made: {error}"))?;
        let said = [&output.stdout[..], &output.stderr[..], text.as_bytes()].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        let find = |prefix: &str| said.split_whitespace().find(|word| word.starts_with(prefix)).map(str::to_owned);
        match (find("age1"), find("AGE-SECRET-KEY-1")) {
            (Some(recipient), Some(identity)) => Ok(Keys { recipient, identity }),
            _ => Err(format!("the program made no keys: {said}")),
        }
    }

    /// A new copy of the program in the place of the one that runs, for an upgrade.
    pub(crate) fn renew_executable(&self) -> Result<(), String> {
        let new = self.executable.with_extension("new");
        let renewed = std::fs::copy(&self.original, &new).and_then(|_| std::fs::rename(&new, &self.executable));
        renewed.map_err(|error| format!("cannot replace the program: {error}"))
    }

    /// What the cluster is like; `None` while the front is being replaced.
    pub(crate) fn status(&self) -> Option<Value> {
        let reply = exchange::over_unix(&self.control(), "GET", "/status").ok()?;
        (reply.status == 200).then(|| reply.json())
    }

    /// Looks until it is so.
    pub(crate) fn wait(&mut self, what: &str, so: impl Fn(&Value) -> bool) -> Result<Value, String> {
        let began = Instant::now();
        let mut last = Value::Null;
        while began.elapsed() < PATIENCE {
            if let Some(status) = self.status() {
                if so(&status) {
                    return Ok(status);
                }
                last = status;
            }
            if let Ok(Some(status)) = self.primary.try_wait() {
                return Err(format!("the primary ended ({status}) while we waited for {what}"));
            }
            std::thread::sleep(LOOK);
        }
        Err(format!("waited in vain for {what}; last: {last}"))
    }

    /// A command to the control socket; again, if the front was just being replaced.
    pub(crate) fn command(&self, path: &str) -> Result<u16, String> {
        let began = Instant::now();
        loop {
            match exchange::over_unix(&self.control(), "POST", path) {
                Ok(reply) => return Ok(reply.status),
                Err(failure) if began.elapsed() > PATIENCE => return Err(format!("POST {path}: {}", failure.seen)),
                Err(_) => std::thread::sleep(LOOK),
            }
        }
    }

    /// SIGTERM, an exit code of 0, and nothing left behind.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        self.signal(Signal::TERM);
        let began = Instant::now();
        let status = loop {
            match self.primary.try_wait() {
                Ok(Some(status)) => break status,
                _ if began.elapsed() > PATIENCE => return Err("it did not end after SIGTERM".into()),
                _ => std::thread::sleep(LOOK),
            }
        };
        if !status.success() {
            return Err(format!("SIGTERM ended it with {status}"));
        }
        let began = Instant::now();
        loop {
            let left = system::with_variable(&self.mark);
            if left.is_empty() {
                return Ok(());
            }
            if began.elapsed() > AN_OWNER_STAYS * 2 {
                return Err(format!("processes outlived it: {left:?}"));
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// The workers that serve.
pub(crate) fn serving(status: &Value) -> Vec<Worker> {
    let workers = status["workers"].as_array().into_iter().flatten();
    let worker = |worker: &Value| {
        let place = u16::try_from(worker["place"].as_u64()?).ok()?;
        let pid = u32::try_from(worker["pid"].as_u64()?).ok()?;
        (worker["state"] == "serving").then_some(Worker { place, pid })
    };
    workers.filter_map(worker).collect()
}

/// Who has the queue in hands. The owner that the cluster supervises stands by while another one has the folder, which a worker has
/// started: at the very first, or when the last one was killed.
pub(crate) fn owner(store: &Path, status: &Value) -> Option<u32> {
    let asked_for = format!("phalanx: queue\0{}\0", store.join("queue").display());
    let has_it =
        |pid: &u32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == asked_for.as_bytes());
    let companions = status["companions"].as_array().into_iter().flatten();
    let mut supervised = companions.filter(|companion| companion["name"] == "queue");
    let supervised = || u32::try_from(supervised.next()?["pid"].as_u64()?).ok();
    system::parents().into_keys().find(has_it).or_else(supervised)
}

/// Whether nothing is being replaced.
pub(crate) fn is_settled(status: &Value) -> bool {
    let whole = status["workers"].as_array().is_some_and(|all| all.len() == serving(status).len());
    whole && !serving(status).is_empty() && status["operation"]["state"] != "running"
}

/// The line that tells the address; everything after it is read too, so that nobody writes into a closed pipe.
fn first_line_of(primary: &mut Child) -> mpsc::Receiver<String> {
    let (line, first_line) = mpsc::channel();
    if let Some(stdout) = primary.stdout.take() {
        std::thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).for_each(|text| drop(line.send(text)));
        });
    }
    first_line
}

/// The settings of whoever runs us are not those of the soak.
fn without_settings(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PHALANX_") {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).stdin(Stdio::null());
    command
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.primary.kill();
        let _ = self.primary.wait();
        let began = Instant::now();
        loop {
            let left = system::with_variable(&self.mark);
            if left.is_empty() || began.elapsed() > PATIENCE {
                return;
            }
            left.into_iter().for_each(|pid| system::send(pid, Signal::KILL));
            std::thread::sleep(LOOK);
        }
    }
}
