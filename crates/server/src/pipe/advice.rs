//! What to do about a pipeline that failed, where the reason does not say it by itself.

use std::io;

use phalanx_stream::{DecodeError, Error, FileError};

use crate::ending::Ending;

impl From<Error> for Ending {
    fn from(error: Error) -> Ending {
        let told = error.to_string();
        Ending::failed(match advice(&error) {
            Some(advice) => format!("{told}; {advice}"),
            None => told,
        })
    }
}

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
