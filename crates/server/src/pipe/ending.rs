//! How `phalanx pipe` ends when it does not end well: one line that says what failed, on what, why and what to do, and an
//! exit code.

use std::io;
use std::process::ExitCode;

use phalanx_stream::{DecodeError, Error, FileError};

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
    pub(super) fn new(code: u8, line: String) -> Ending {
        Ending { line: Some(line), code }
    }

    /// Something failed.
    pub(super) fn failed(line: impl Into<String>) -> Ending {
        Ending::new(FAILED, line.into())
    }

    /// A wrong command line.
    pub(crate) fn usage(line: impl std::fmt::Display) -> Ending {
        Ending::new(USAGE, format!("{line}; see phalanx pipe --help"))
    }

    /// Whoever read standard output is gone: no news for anybody.
    pub(super) fn reader_gone() -> Ending {
        Ending { line: None, code: READER_GONE }
    }

    /// Writes the line, if there is one, and gives the code.
    pub(crate) fn report(&self) -> ExitCode {
        if let Some(line) = &self.line {
            eprintln!("phalanx pipe: {line}");
        }
        ExitCode::from(self.code)
    }
}

impl From<Error> for Ending {
    fn from(error: Error) -> Ending {
        let told = error.to_string();
        Ending::failed(match advice(&error) {
            Some(advice) => format!("{told}; {advice}"),
            None => told,
        })
    }
}

/// What to do about it, where the reason does not say it by itself.
fn advice(error: &Error) -> Option<&'static str> {
    if let Some(error) = error.cause_as::<DecodeError>() {
        return about_data(error);
    }
    if let Some(FileError::NoFolder { .. }) = error.cause_as() {
        return Some("make its folder first");
    }
    let kind = error.cause_as::<io::Error>()?.kind();
    Some(match (error, kind) {
        (_, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => "make room there, or write elsewhere",
        (Error::Source { .. }, io::ErrorKind::NotFound) => "is the name right?",
        (Error::Source { .. }, io::ErrorKind::PermissionDenied) => "you may not read it",
        (Error::Sink { .. }, io::ErrorKind::PermissionDenied) => "you may not write there",
        (Error::Sink { .. }, io::ErrorKind::BrokenPipe) => "whoever read it is gone",
        _ => return None,
    })
}

fn about_data(error: &DecodeError) -> Option<&'static str> {
    Some(match error {
        DecodeError::Truncated { .. } => "get the whole of it",
        DecodeError::Malformed { offset: 0, .. } => "is this the right stage for this input, and the right place?",
        DecodeError::Malformed { .. } | DecodeError::Checksum { .. } => "it was damaged on its way: get it anew",
        DecodeError::TooLarge { .. } => "if you trust it, allow more with --max-size",
        DecodeError::RatioTooHigh { .. } => "if you trust it, allow more with --max-ratio",
        DecodeError::WrongKey { .. } => "give the key that it was encrypted to with -i, or its passphrase with -p",
        DecodeError::Tampered { .. } => "do not trust any of it",
        _ => return None,
    })
}
