//! Starts `phalanx pipe` in a folder of its own. Every wait has a deadline.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use crate::harness::{PATIENCE, code, signal};

/// A folder for one test, and the command in it.
pub(crate) struct Folder(tempfile::TempDir);

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Folder {
    pub(crate) fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// All that is in it.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// `phalanx pipe` with these arguments, which are parted by blanks. Signals that were ignored where the tests were started
    /// (`nohup`) are not ignored there.
    pub(crate) fn pipe(&self, line: &str) -> Command {
        let mut command = self.program("env");
        command.args(["--default-signal=INT,TERM,HUP", env!("CARGO_BIN_EXE_phalanx"), "pipe"]);
        command.args(line.split_whitespace());
        command
    }

    /// Any program, in this folder.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.current_dir(self.0.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, line: &str) -> Ran {
        ended(self.pipe(line))
    }

    /// The same with this as standard input.
    pub(crate) fn run_with(&self, line: &str, input: &[u8]) -> Ran {
        fed(self.pipe(line), input)
    }

    /// Runs it and checks that it went well, without a word.
    #[track_caller]
    pub(crate) fn succeeds(&self, line: &str) -> Vec<u8> {
        self.run(line).succeeded()
    }

    /// A FIFO in it.
    pub(crate) fn fifo(&self, name: &str) -> PathBuf {
        let made = Command::new("mkfifo").arg(self.path(name)).status().unwrap();
        assert!(made.success());
        self.path(name)
    }
}

impl Ran {
    /// It went well, without a word; what was on standard output.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Vec<u8> {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""));
        self.stdout
    }

    /// One line on standard error that says all of this, and the code.
    #[track_caller]
    pub(crate) fn is_one_line(&self, code: i32, says: &[&str]) {
        assert_eq!(self.code, code, "{}", self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        assert!(self.stderr.starts_with("phalanx "), "{}", self.stderr);
        for words in says {
            assert!(self.stderr.contains(words), "{:?} lacks {words:?}", self.stderr);
        }
    }
}

/// Runs a program to its end.
pub(crate) fn ended(mut command: Command) -> Ran {
    gathered(command.spawn().unwrap())
}

/// The same with this as standard input; who does not read it all is no fault of the test.
pub(crate) fn fed(mut command: Command, input: &[u8]) -> Ran {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        gathered(child)
    })
}

/// The end of a child; one that does not end is killed and fails the test.
pub(crate) fn gathered(mut child: Child) -> Ran {
    let pid = child.id();
    let reader = |pipe: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut pipe) = pipe {
                pipe.read_to_end(&mut bytes).unwrap();
            }
            bytes
        })
    };
    let stdout = reader(child.stdout.take().map(|pipe| Box::new(pipe) as _));
    let stderr = reader(child.stderr.take().map(|pipe| Box::new(pipe) as _));
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || done.send(child.wait()));
    let Ok(status) = ended.recv_timeout(PATIENCE) else {
        signal(pid, rustix::process::Signal::KILL);
        panic!("it did not end: {}", String::from_utf8_lossy(&stderr.join().unwrap()));
    };
    let stderr = String::from_utf8(stderr.join().unwrap()).unwrap();
    Ran { code: code(status.unwrap()), stdout: stdout.join().unwrap(), stderr }
}

/// Bytes that compress about as text does, the same every time.
pub(crate) fn text(bytes: usize) -> Vec<u8> {
    let words = ["stream", "pipe", "chunk", "a", "the", "backpressure", "of", "2026-11-21", "lane", "\n"];
    let (mut text, mut state) = (Vec::with_capacity(bytes + 16), 88_172_645_463_325_252_u64);
    while text.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.extend_from_slice(words[(state % 10) as usize].as_bytes());
        text.push(b' ');
    }
    text.truncate(bytes);
    text
}

/// Whether a program of the system is there. Under `CI=true` it must be.
pub(crate) fn has(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        assert!(std::env::var_os("CI").is_none(), "{program} is missing");
        println!("skipped: {program} is not installed");
    }
    found
}
