//! How `phalanx pipe` and `phalanx image` end when they do not end well: one line that says what failed, on what, why and what to do,
//! and an exit code.

use std::process::ExitCode;

/// Something failed.
const FAILED: u8 = 1;
/// A wrong command line.
const USAGE: u8 = 2;
/// Nobody reads standard output any more: what a shell says of a program that SIGPIPE ended.
const READER_GONE: u8 = 141;

/// Why it did not end well.
#[derive(Debug)]
pub(crate) struct Ending {
    line: Option<String>,
    code: u8,
}

impl Ending {
    pub(crate) fn new(code: u8, line: String) -> Ending {
        Ending { line: Some(line), code }
    }

    /// Something failed.
    pub(crate) fn failed(line: impl Into<String>) -> Ending {
        Ending::new(FAILED, line.into())
    }

    /// A wrong command line; the line ends with where help is.
    pub(crate) fn usage(line: impl std::fmt::Display) -> Ending {
        Ending::new(USAGE, line.to_string())
    }

    /// Something failed, and it was told already.
    pub(crate) fn told_already() -> Ending {
        Ending { line: None, code: FAILED }
    }

    /// Whoever read standard output is gone: no news for anybody.
    pub(crate) fn reader_gone() -> Ending {
        Ending { line: None, code: READER_GONE }
    }

    /// Writes the line of `phalanx COMMAND`, if there is one, and gives the code.
    pub(crate) fn report(&self, command: &str) -> ExitCode {
        match &self.line {
            Some(line) if self.code == USAGE => eprintln!("phalanx {command}: {line}; see phalanx {command} --help"),
            Some(line) => eprintln!("phalanx {command}: {line}"),
            None => {}
        }
        ExitCode::from(self.code)
    }
}
