//! A server that runs: in a process group of its own, reachable, and gone when its handle is.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use super::{Absent, Contender, Launch};
use crate::measure::kill_tree;

const START_DEADLINE: Duration = Duration::from_secs(30);
const STOP_DEADLINE: Duration = Duration::from_secs(3);
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
/// So much of its log stands in the error message when a server does not start.
const SHOWN_LOG_LINES: usize = 8;

/// A started server.
pub(crate) struct Running {
    process: Child,
    pub(crate) address: SocketAddr,
    /// Holds the server's files and its log; removed after the server has ended.
    _folder: TempDir,
}

impl Running {
    /// Starts `contender` on a free port of the loopback interface and waits until it answers.
    pub(crate) fn start(contender: Contender, workers: usize) -> Result<Self, Absent> {
        Self::launch(|address| contender.launch(address, workers))
    }

    /// The same for a server that is started as `launch` says.
    pub(crate) fn launch(launch: impl FnOnce(SocketAddr) -> Result<Launch, Absent>) -> Result<Self, Absent> {
        let address = free_address().map_err(|error| Absent(format!("no free port: {error}")))?;
        let launch = launch(address)?;
        let log = launch.folder.path().join("log");
        let to_log = || std::fs::File::options().create(true).append(true).open(&log);
        let (stdout, stderr) = to_log()
            .and_then(|stdout| Ok((stdout, to_log()?)))
            .map_err(|error| Absent(format!("cannot open its log: {error}")))?;
        let process = Command::new(&launch.program)
            .args(&launch.arguments)
            .envs(launch.environment.iter().map(|(name, value)| (*name, value)))
            .current_dir(launch.folder.path())
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0)
            .spawn()
            .map_err(|error| Absent(format!("cannot start {}: {error}", launch.program.display())))?;
        let mut running = Self { process, address, _folder: launch.folder };
        running.wait_until_ready(launch.ready_path, &log)?;
        Ok(running)
    }

    /// The first process of the server; all others are below it.
    pub(crate) fn root(&self) -> i32 {
        self.process.id().cast_signed()
    }

    fn wait_until_ready(&mut self, path: &str, log: &Path) -> Result<(), Absent> {
        let started = Instant::now();
        while !answers(self.address, path) {
            let ended = self.process.try_wait().ok().flatten();
            if let Some(status) = ended {
                return Err(Absent(format!("it ended with {status} before its first answer: {}", last_lines(log))));
            }
            if started.elapsed() > START_DEADLINE {
                return Err(Absent(format!("no answer to GET {path} within {START_DEADLINE:?}: {}", last_lines(log))));
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let root = self.root();
        if let Some(group) = Pid::from_raw(root) {
            let _ = rustix::process::kill_process_group(group, Signal::TERM);
        }
        let asked = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) {
            if asked.elapsed() > STOP_DEADLINE {
                kill_tree(root);
                let _ = self.process.wait();
                break;
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        // Those of the group that outlived their first process.
        if let Some(group) = Pid::from_raw(root) {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn answers(address: SocketAddr, path: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes())?;
        let mut status_line = [0; 12];
        stream.read_exact(&mut status_line)?;
        Ok(&status_line == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LOG_LINES)..].join(" / ")
}
