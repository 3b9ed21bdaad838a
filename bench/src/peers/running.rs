//! A server that runs: in a process group of its own, ready, and gone when its handle is.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use super::{Absent, Contender, Daemon, Launch, Output, Ready};
use crate::measure::{kill_tree, running};

const START_DEADLINE: Duration = Duration::from_secs(30);
const STOP_DEADLINE: Duration = Duration::from_secs(3);
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
/// So much of its log stands in the error message when a server does not start.
const SHOWN_LOG_LINES: usize = 8;

/// A started server.
pub(crate) struct Running {
    process: Child,
    daemon: Option<Daemon>,
    program: PathBuf,
    environment: Vec<(&'static str, OsString)>,
    pub(crate) address: SocketAddr,
    /// Holds the server's files and its log; removed after the server has ended.
    folder: TempDir,
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
        let (stdout, stderr) = match launch.output {
            Output::Log => to_log()
                .and_then(|stdout| Ok((Stdio::from(stdout), Stdio::from(to_log()?))))
                .map_err(|error| Absent(format!("cannot open its log: {error}")))?,
            // Both ends stay open, and nobody reads.
            Output::Unread => (Stdio::piped(), Stdio::piped()),
        };
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
        let Launch { program, environment, ready, daemon, folder, .. } = launch;
        let mut running = Self { process, daemon, program, environment, address, folder };
        running.wait_until(ready, &log)?;
        Ok(running)
    }

    /// The first process of the server; all others are below it.
    pub(crate) fn root(&self) -> i32 {
        let daemon = self.daemon.as_ref().and_then(Daemon::pid);
        daemon.unwrap_or_else(|| self.process.id().cast_signed())
    }

    /// Where the server has its files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The program that was started, to say `arguments` to the server.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).envs(self.environment.iter().map(|(name, value)| (*name, value)));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    fn wait_until(&mut self, ready: Ready, log: &Path) -> Result<(), Absent> {
        let started = Instant::now();
        while !self.is(ready) {
            if let Some(status) = self.ended_too_early() {
                return Err(Absent(format!("it ended with {status} before it was ready: {}", last_lines(log))));
            }
            if started.elapsed() > START_DEADLINE {
                return Err(Absent(format!("no {ready} within {START_DEADLINE:?}: {}", last_lines(log))));
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        Ok(())
    }

    fn is(&self, ready: Ready) -> bool {
        match ready {
            Ready::Answers(path) => answers(self.address, path),
            Ready::Processes(program, count) => running(self.root(), program).len() == count,
        }
    }

    /// The command that starts a daemon may end, if it says that all is well.
    fn ended_too_early(&mut self) -> Option<ExitStatus> {
        let status = self.process.try_wait().ok().flatten()?;
        (self.daemon.is_none() || !status.success()).then_some(status)
    }

    fn end_daemon(&self, daemon: &Daemon) {
        let root = daemon.pid();
        let _ = self.command(daemon.end).stdout(Stdio::null()).stderr(Stdio::null()).status();
        // It takes its file away when it ends as it was told.
        if root.is_some() && root == daemon.pid() {
            kill_tree(self.root());
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(daemon) = &self.daemon {
            self.end_daemon(daemon);
        }
        let started = self.process.id().cast_signed();
        if let Some(group) = Pid::from_raw(started) {
            let _ = rustix::process::kill_process_group(group, Signal::TERM);
        }
        let asked = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) {
            if asked.elapsed() > STOP_DEADLINE {
                kill_tree(started);
                let _ = self.process.wait();
                break;
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        // Those of the group that outlived their first process.
        if let Some(group) = Pid::from_raw(started) {
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
