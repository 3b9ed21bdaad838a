//! [`Part`]: a producer or a worker, as a process of its own that is this program in another role.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use crate::ledger::Word;

/// A running producer or worker. Killed and reaped when it is dropped.
pub(crate) struct Part {
    child: Child,
}

impl Part {
    /// Starts this program with these arguments; the words that it says go to `ear`. Its standard input is its life-line.
    pub(crate) fn start(arguments: &[String], ear: Sender<Word>) -> Result<Part, String> {
        let program = std::env::current_exe().map_err(|error| format!("cannot find own file: {error}"))?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", arguments.join(" ")))?;
        if let Some(out) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(out).lines() {
                    let Ok(line) = line else { return };
                    if let Some(word) = Word::parse(&line) {
                        // Nobody listens any more: the run is over.
                        if ear.send(word).is_err() {
                            return;
                        }
                    }
                }
            });
        }
        Ok(Part { child })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// It shall submit nothing more.
    pub(crate) fn calm(&mut self) {
        if let Some(line) = self.child.stdin.as_mut() {
            // One that is dead submits nothing.
            let _ = writeln!(line, "{CALM}");
        }
    }

    /// Whether it has ended by itself.
    pub(crate) fn is_over(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGKILL, and reaps it.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What is said to a part that shall submit nothing more.
const CALM: &str = "calm";
/// Whether that was said.
static CALMED: AtomicBool = AtomicBool::new(false);

/// Listens to the arbiter, in the role of a part: ends this process when it is gone. Called once.
pub(crate) fn obey_the_arbiter() {
    std::thread::spawn(|| {
        for line in std::io::stdin().lines() {
            match line {
                Ok(line) if line == CALM => CALMED.store(true, Ordering::Relaxed),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        std::process::exit(0);
    });
}

/// Whether nothing more shall be submitted.
pub(crate) fn is_calm() -> bool {
    CALMED.load(Ordering::Relaxed)
}
