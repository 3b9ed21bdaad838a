//! What a fault of the file means, and what to do about it.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::Error;

/// The fault in words, with the next step.
pub(super) fn explained(path: &Path, error: &rusqlite::Error) -> Error {
    let advice = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            "the disk is full; nothing confirmed is lost, and requests are taken again as soon as there is room: free some"
        }
        Some(ErrorCode::ReadOnly) => "it cannot be written; make the folder and its files writable for this user",
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "it cannot be opened; make the folder and its files readable and writable for this user"
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "it is damaged, or no queue; stop its owner, keep a copy, and restore a backup or take out what is readable with \
             `sqlite3 queue.db .recover`"
        }
        Some(ErrorCode::SystemIoFailure) => {
            "the disk reports a failure; nothing confirmed before it is lost as long as the disk keeps it: look at the kernel's log"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "another program has it open; close that",
        _ => "this should not happen; please report it",
    };
    Error::Store { path: path.to_owned(), reason: format!("{error}: {advice}") }
}
