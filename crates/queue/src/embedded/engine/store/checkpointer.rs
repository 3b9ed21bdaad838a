//! [`Checkpointer`]: brings the log over into the file while commits go on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{LOG_PAGES, fault};
use crate::Error;

/// A second connection to the store, for a thread of its own. Writing some thousand pages into the file and waiting for the disk takes
/// tens of milliseconds, which no commit has to wait for.
#[derive(Debug)]
pub struct Checkpointer {
    connection: Connection,
    path: PathBuf,
}

impl Checkpointer {
    /// How often to look. At 20 000 jobs a second the log fills in about a second.
    pub const EVERY: Duration = Duration::from_millis(50);

    pub(super) fn open(path: &Path) -> Result<Checkpointer, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(Duration::ZERO)?;
            connection
                .execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = 16;")?;
            Ok(connection)
        };
        let connection = open().map_err(|error| fault::explained(path, &error))?;
        Ok(Checkpointer { connection, path: path.to_owned() })
    }

    /// Brings the log over if half of its length has come together since the last time; whether it did. What it does not succeed with
    /// stays in the log: an error is worth a line, no more.
    pub fn run(&mut self) -> Result<bool, Error> {
        let pages = |sql: &str| {
            let read = self.connection.prepare_cached(sql).and_then(|mut statement| {
                statement.query_row([], |row| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)))
            });
            read.map_err(|error| fault::explained(&self.path, &error))
        };
        let (log, brought_over) = pages("PRAGMA wal_checkpoint(NOOP)")?;
        if log - brought_over < LOG_PAGES / 2 {
            return Ok(false);
        }
        pages("PRAGMA wal_checkpoint(PASSIVE)").map(|_| true)
    }
}
