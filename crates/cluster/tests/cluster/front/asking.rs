//! A cluster with a front, and how to ask it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;

use crate::process::{DEADLINE, Running, soon, until};

/// A running cluster with a control socket in a folder of its own.
pub(super) struct Controlled {
    pub(super) running: Running,
    pub(super) folder: tempfile::TempDir,
}

/// An answer of the control socket.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(super) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_else(|| panic!("no error in {self:?}")).to_owned()
    }
}

impl Controlled {
    pub(super) fn start(program: &str) -> Controlled {
        Controlled::start_with(program, 2, |_| {})
    }

    /// Starts a program with so many workers, after the folder was prepared.
    pub(super) fn start_with(program: &str, workers: usize, prepare: impl FnOnce(&Path)) -> Controlled {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let running = Running::start_with(program, |command| {
            command.env("TEST_FOLDER", folder.path()).env("TEST_WORKERS", workers.to_string());
        });
        Controlled { running, folder }
    }

    /// Starts a program and waits until its two workers and its front are there.
    pub(super) fn ready(program: &str) -> Controlled {
        let mut cluster = Controlled::start(program);
        cluster.running.wait_for("is ready");
        cluster.running.wait_for("is ready");
        cluster.until_status("two workers", |status| status["cluster"]["serving"] == 2);
        cluster
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub(super) fn get(&self, path: &str) -> Answer {
        ask(&self.socket(), "GET", path).unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    pub(super) fn post(&self, path: &str) -> Answer {
        ask(&self.socket(), "POST", path).unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    /// Asks again until the status is like this. A front that is just being started is no answer.
    pub(super) fn until_status(&self, what: &str, good: impl Fn(&Value) -> bool) -> Value {
        until(soon(), what, || {
            let status = ask(&self.socket(), "GET", "/status").ok()?.json();
            good(&status).then_some(status)
        })
    }

    pub(super) fn front(&self) -> u32 {
        self.get("/status").json()["front"]["pid"].as_u64().unwrap() as u32
    }

    /// Waits for the end of an operation; tries again when the front is gone.
    pub(super) fn until_over(&self, begun: &Answer) -> Value {
        assert_eq!(begun.status, 202, "{begun:?}");
        let number = begun.json()["operation"].as_u64().unwrap();
        until(soon(), "the end of the operation", || {
            let state = ask(&self.socket(), "GET", &format!("/operations/{number}?wait=10")).ok()?;
            assert_eq!(state.status, 200, "{state:?}");
            Some(state.json()).filter(|state| state["state"] != "running")
        })
    }

    /// A figure of the whole cluster.
    pub(super) fn figure(&self, series: &str) -> f64 {
        let text = self.get("/metrics").body;
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in {text}")).parse().unwrap()
    }
}

/// One request on a connection of its own.
pub(super) fn ask(socket: &Path, method: &str, path: &str) -> io::Result<Answer> {
    let mut stream = open(socket, method, path)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    parse(&text).ok_or_else(|| io::Error::other(format!("cut off: {text:?}")))
}

/// The head and whole body of an answer.
pub(super) fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    (length.parse() == Ok(body.len())).then(|| Answer { status, body: body.to_owned() })
}

pub(super) fn open(socket: &Path, method: &str, path: &str) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.write_all(format!("{method} {path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes())?;
    Ok(stream)
}

/// An answer without an end.
pub(super) struct Lines(BufReader<UnixStream>);

impl Lines {
    /// Sends the request and reads the head.
    pub(super) fn open(socket: &Path, path: &str) -> Lines {
        let mut lines = Lines(BufReader::new(open(socket, "GET", path).unwrap()));
        let head = lines.raw();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        while !lines.raw().is_empty() {}
        lines
    }

    /// The next line with this in it. Chunks are separated by lines with their length, which say nothing here.
    pub(super) fn until(&mut self, part: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            let line = self.raw();
            if line.contains(part) {
                return line;
            }
        }
        panic!("no line with {part:?}")
    }

    fn raw(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the stream has ended");
        line.trim_end().to_owned()
    }
}
