//! Every command of `docs/run.md` is run, in the order of the page, with the real binary and real programs.
//!
//! Ports are replaced by free ones. What a block needs and is not installed is left out, but not where `CI=true`.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::app::PATIENCE;
use crate::http::{ask, free_port, is_ok};
use crate::page::{Block, Mark, blocks};

const PAGE: &str = include_str!("../../../../docs/run.md");
const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/run/programs");
/// Folder of gunicorn and uvicorn, if they are not on the PATH.
const PYTHON_PROGRAMS: &str = "PHALANX_TEST_PYTHON_PROGRAMS";
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
const REQUESTS: usize = 20;

#[test]
fn every_command_says_how_it_is_tested() {
    let commands = blocks(PAGE).into_iter().filter(|block| block.language == "sh");
    let untested: Vec<usize> = commands.filter(|block| block.mark.is_none()).map(|block| block.line).collect();
    assert!(untested.is_empty(), "docs/run.md, lines {untested:?}: commands without a word how they are tested");
}

#[test]
fn every_heading_with_commands_is_tested() {
    let tested = [FIRST, "Node", "From PM2", "Python", "Go", "A static binary", "Under systemd"];
    for block in blocks(PAGE) {
        let is_run = matches!(block.mark, Some(Mark::Serve { .. } | Mark::Then | Mark::Alone { .. } | Mark::File(_)));
        assert!(!is_run || tested.contains(&block.heading.as_str()), "no test runs what is below {:?}", block.heading);
    }
}

const FIRST: &str = "Any program as a cluster: `phalanx run`";

#[test]
fn the_first_minute() {
    follow(FIRST);
}

#[test]
fn node() {
    follow("Node");
}

#[test]
fn from_pm2() {
    follow("From PM2");
}

#[test]
fn python() {
    follow("Python");
}

#[test]
fn go() {
    follow("Go");
}

#[test]
fn a_static_binary() {
    follow("A static binary");
}

#[test]
fn under_systemd() {
    follow("Under systemd");
}

/// Does what stands below one heading.
fn follow(heading: &str) {
    let blocks: Vec<Block> = blocks(PAGE).into_iter().filter(|block| block.heading == heading).collect();
    assert!(!blocks.is_empty(), "there is nothing below {heading:?}");
    let desk = Desk::new();
    let mut running: Option<Served<'_>> = None;
    for block in &blocks {
        match &block.mark {
            Some(Mark::File(name)) => fs::write(desk.folder.path().join(name), &block.text).expect("a file"),
            Some(Mark::Serve { port, needs }) => {
                if let Some(before) = running.take() {
                    before.stop();
                }
                if desk.has(block, needs.as_deref()) {
                    running = Some(Served::start(&desk, block, *port));
                }
            }
            Some(Mark::Then) => {
                if let Some(beside) = &running {
                    succeed(block, desk.shell(&block.text, beside.port), &beside.log());
                }
            }
            Some(Mark::Alone { port }) => {
                if let Some(before) = running.take() {
                    before.stop();
                }
                if desk.has(block, None) {
                    let port = port.map(|of_the_page| (of_the_page, free_port()));
                    succeed(block, desk.shell(&block.text, port), "");
                }
            }
            Some(Mark::NotRun) | None => {}
        }
    }
    if let Some(last) = running {
        last.stop();
    }
}

/// Does what a block says, to its end.
fn succeed(block: &Block, mut shell: Command, beside: &str) {
    let output = shell.output().expect("a shell");
    assert!(
        output.status.success(),
        "docs/run.md, line {}: {}\n{}{}\nbeside it:\n{beside}",
        block.line,
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}

/// A folder with the programs of the page, in which its commands are given.
struct Desk {
    folder: TempDir,
    path: String,
}

impl Desk {
    fn new() -> Desk {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let here = folder.path();
        for part in ["node", "python", "rust", "go"] {
            let to = if part == "go" { here.join("go") } else { here.to_owned() };
            fs::create_dir_all(&to).expect("a folder");
            for entry in fs::read_dir(Path::new(PROGRAMS).join(part)).expect("the programs").flatten() {
                fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
            }
        }
        fs::create_dir(here.join("bin")).expect("a folder");
        symlink(env!("CARGO_BIN_EXE_phalanx"), here.join("bin/phalanx")).expect("a link");
        let inherited = std::env::var("PATH").expect("a PATH");
        let python = std::env::var(PYTHON_PROGRAMS).map_or_else(|_| String::new(), |folder| format!("{folder}:"));
        let path = format!("{}:{python}{inherited}", here.join("bin").display());
        Desk { folder, path }
    }

    /// Whether what a block runs is installed.
    fn has(&self, block: &Block, needs: Option<&str>) -> bool {
        let node = block.text.contains("node ").then_some("node");
        let python = block.text.contains("python3 ").then_some("python3");
        let missing = [needs, node, python].into_iter().flatten().find(|program| {
            let mut folders = std::env::split_paths(&self.path);
            !folders.any(|folder| folder.join(program).is_file())
        });
        if let Some(program) = missing {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "line {}: {program} is not installed", block.line);
            eprintln!("skipped: docs/run.md, line {}: {program} is not installed", block.line);
        }
        missing.is_none()
    }

    /// A shell that does what a block says, with `port` instead of the one of the page.
    fn shell(&self, text: &str, port: Option<(u16, u16)>) -> Command {
        let mut shell = Command::new("/bin/sh");
        let text = match port {
            Some((of_the_page, free)) => text.replace(&format!(":{of_the_page}"), &format!(":{free}")),
            None => text.to_owned(),
        };
        shell.args(["-eu", "-c", &text]).current_dir(self.folder.path()).stdin(Stdio::null());
        shell.env("PATH", &self.path).env("XDG_RUNTIME_DIR", self.folder.path());
        shell.env("XDG_STATE_HOME", self.folder.path());
        if let Some((_, free)) = port {
            shell.env("PORT", free.to_string());
        }
        shell
    }
}

/// A block that runs on.
struct Served<'a> {
    desk: &'a Desk,
    block: &'a Block,
    port: Option<(u16, u16)>,
    process: Child,
    log: PathBuf,
}

impl<'a> Served<'a> {
    fn start(desk: &'a Desk, block: &'a Block, port: Option<u16>) -> Served<'a> {
        let port = port.map(|of_the_page| (of_the_page, free_port()));
        // The shell becomes the last command, so that it can be ended as the page says.
        let text = block.text.replace("\nphalanx run", "\nexec phalanx run");
        let text = text.strip_prefix("phalanx run").map(|rest| format!("exec phalanx run{rest}")).unwrap_or(text);
        let log = desk.folder.path().join(format!("log-{}", block.line));
        let file = File::create(&log).expect("a log");
        let mut shell = desk.shell(&text, port);
        let process = shell.stdout(file.try_clone().expect("the log")).stderr(file).spawn().expect("a shell");
        let mut served = Served { desk, block, port, process, log };
        served.wait_until_ready();
        served
    }

    fn wait_until_ready(&mut self) {
        let begun = Instant::now();
        while !self.is_ready() {
            let ended = self.process.try_wait().expect("the state of a child");
            assert!(ended.is_none(), "{}: it ended with {ended:?}\n{}", self.words(), self.log());
            assert!(begun.elapsed() < PATIENCE, "{}: nothing within {PATIENCE:?}\n{}", self.words(), self.log());
            std::thread::sleep(BETWEEN_LOOKS);
        }
        if let Some((_, port)) = self.port {
            for number in 0..REQUESTS {
                let answer = ask(port);
                let right = answer.as_deref().is_ok_and(|answer| answer.contains("hello from "));
                assert!(right, "{}: request {number}: {answer:?}\n{}", self.words(), self.log());
            }
        }
    }

    fn is_ready(&self) -> bool {
        match self.port {
            Some((_, port)) => ask(port).is_ok_and(|answer| is_ok(&answer)),
            None => {
                let sockets = fs::read_dir(self.desk.folder.path().join("phalanx")).into_iter().flatten().flatten();
                sockets.into_iter().any(|socket| UnixStream::connect(socket.path()).is_ok())
            }
        }
    }

    /// Ends it as the page says, unless a block has done so already: with exit code 0.
    fn stop(mut self) {
        let pid = Pid::from_child(&self.process);
        if self.process.try_wait().expect("the state of a child").is_none() {
            let _ = kill_process(pid, Signal::TERM);
        }
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.process.try_wait().expect("the state of a child") {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "{}: it does not end\n{}", self.words(), self.log());
            std::thread::sleep(BETWEEN_LOOKS);
        };
        assert!(status.success(), "{}: it ended with {status}\n{}", self.words(), self.log());
    }

    fn words(&self) -> String {
        format!("docs/run.md, line {}", self.block.line)
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        // Only if a test has failed: its primary takes the workers along.
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}
