//! [`Running`]: one server beside ours, from its start to the end of the last of its processes.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use super::catalogue::{Peer, Place};
use super::install::Installed;
use crate::oracle::{Target, ask};
use crate::system;

const START_DEADLINE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(5);
/// A server that was told to reload has its new workers after this at the latest.
const RELOAD_DEADLINE: Duration = Duration::from_secs(40);
/// So many answers of new workers in a row mean that the old ones take nothing any more.
const NEW_IN_A_ROW: usize = 60;

pub(super) struct Running {
    peer: Peer,
    place: Place,
    child: Child,
    root: u32,
    mark: String,
    _folder: TempDir,
}

impl Running {
    /// Starts it on a free port and waits until it answers.
    pub(super) fn start(peer: Peer, victim: &Path) -> Result<Running, String> {
        let folder =
            tempfile::Builder::new().prefix("phalanx-torture-").tempdir().map_err(|error| error.to_string())?;
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let address = free.map_err(|error| format!("no free port: {error}"))?;
        let installed = Installed::find()?;
        let place = Place { address, folder: folder.path().into(), installed, victim: victim.into() };
        Self::start_at(peer, place, folder)
    }

    fn start_at(peer: Peer, place: Place, folder: TempDir) -> Result<Running, String> {
        let value = format!("peer-{}-{}", std::process::id(), place.address.port());
        let log =
            std::fs::File::create(place.folder.join("log")).map_err(|error| format!("cannot open a log: {error}"))?;
        let to_log = || log.try_clone().map_or_else(|_| Stdio::null(), Stdio::from);
        let mut command = peer.command(&place)?;
        command.env("TORTURE_ID", &value).stdin(Stdio::null()).stdout(to_log()).stderr(to_log()).process_group(0);
        let child = command.spawn().map_err(|error| format!("cannot start it: {error}"))?;
        let root = child.id();
        let mark = format!("TORTURE_ID={value}");
        let mut running = Running { peer, place, child, root, mark, _folder: folder };
        running.wait_until_it_answers()?;
        if let Some(file) = peer.pid_file(&running.place) {
            let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            running.root = text.trim().parse().map_err(|_| format!("{text:?} is no pid"))?;
        }
        Ok(running)
    }

    fn wait_until_it_answers(&mut self) -> Result<(), String> {
        let began = Instant::now();
        while ask(&self.target(), "/").is_err() {
            let ended = self.child.try_wait().ok().flatten().filter(|status| !status.success());
            if ended.is_some() || began.elapsed() > START_DEADLINE {
                let log = std::fs::read_to_string(self.place.folder.join("log")).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(4).collect();
                return Err(format!("it does not answer: {}", last.join(" / ")));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    pub(super) fn target(&self) -> Target {
        Target::Tcp(self.place.address)
    }

    /// The first process: what an operator would call the server.
    pub(super) fn root(&self) -> u32 {
        self.root
    }

    /// All its processes that live. Some overwrite their environment, so its process group and its tree count, too.
    pub(super) fn processes(&self) -> BTreeSet<u32> {
        let mut all = system::with_variable(&self.mark);
        all.extend(system::in_group(self.child.id()));
        all
    }

    /// A worker that answers now.
    pub(super) fn some_worker(&self) -> Option<u32> {
        ask(&self.target(), "/").ok().map(|answer| answer.pid)
    }

    /// Reloads, and waits until only new workers answer. How long that took; `None` if it never was so.
    pub(super) fn reload(&mut self) -> Option<Duration> {
        let old: BTreeSet<u32> = (0..NEW_IN_A_ROW).filter_map(|_| self.some_worker()).collect();
        let began = Instant::now();
        match self.peer.reload_command(&self.place) {
            Some(mut command) => {
                command.env("TORTURE_ID", self.mark.trim_start_matches("TORTURE_ID="));
                let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
            }
            None => system::send(self.root, Signal::HUP),
        }
        let mut in_a_row = 0;
        while in_a_row < NEW_IN_A_ROW && began.elapsed() < RELOAD_DEADLINE {
            match self.some_worker() {
                Some(pid) if !old.contains(&pid) => in_a_row += 1,
                _ => {
                    in_a_row = 0;
                    std::thread::sleep(LOOK);
                }
            }
        }
        (in_a_row == NEW_IN_A_ROW).then(|| began.elapsed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut command) = self.peer.end_command(&self.place) {
            let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            let left = self.processes();
            left.iter().for_each(|pid| system::send(*pid, Signal::KILL));
            let _ = self.child.try_wait();
            if left.is_empty() || Instant::now() >= deadline {
                break;
            }
            std::thread::sleep(LOOK);
        }
        if let Some(group) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}
