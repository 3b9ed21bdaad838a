//! [`Log`]: what an owner says to people: few lines, and never more than a megabyte in one life. One that was started on demand writes
//! them to its standard error, which is a file in its folder; one that is a part of a program leaves them to the program (`tracing`).

use std::fmt;
use std::io::Write;

use crate::UnixMillis;

/// Bytes that one life of an owner writes: 1 MiB. Whoever sends garbage for days fills no disk.
const LIMIT: usize = 1 << 20;

/// The log of this life.
#[derive(Debug, Default)]
pub(crate) struct Log {
    written: usize,
    way: Way,
}

/// Where lines go.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Way {
    #[default]
    StandardError,
    Program,
}

impl Log {
    /// Of an owner that is a part of a program, which has its own way with log lines.
    pub(crate) fn of_program() -> Log {
        Log { way: Way::Program, ..Log::default() }
    }

    /// Writes a line, while there is room for it.
    pub(crate) fn say(&mut self, line: impl fmt::Display) {
        if self.written > LIMIT {
            return;
        }
        if self.way == Way::Program {
            let line = line.to_string();
            self.written += line.len();
            tracing::info!("queue owner: {line}");
            return;
        }
        let seconds = UnixMillis::now().0 as f64 / 1000.0;
        let mut line = format!("{seconds:.3} queue owner {}: {line}\n", std::process::id());
        self.written += line.len();
        if self.written > LIMIT {
            line.push_str("(no more lines in this life)\n");
        }
        // Who reads it may be gone.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}
