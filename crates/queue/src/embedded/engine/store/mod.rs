//! [`Store`]: the file, and transactions over it. What is said in SQL is in the modules of its tables.
//!
//! WAL with `synchronous=FULL`: a commit is one append to the log and one fsync. The log is kept long (so that commits overwrite it
//! in place) and is brought over into the file by the [`Checkpointer`], on a thread of its owner's, while commits go on. What came
//! meanwhile, or all of it if nobody drives a checkpointer, follows between two commits when the log has become long. Where commits
//! are faster than the checkpointer they wait for it: the log is bounded.

mod checkpointer;
mod fault;
mod item;
mod line;
mod meta;
mod part;
mod schedule;
mod schema;
mod unique;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, Params, Row};

use crate::Error;

pub use checkpointer::Checkpointer;
pub(super) use item::Ending;
pub(super) use meta::Meta;

/// The name of the file in the folder.
const FILE: &str = "queue.db";

/// The log is brought over when it has so many pages: a file of 8 MiB, written again and again in place.
const LOG_PAGES: i64 = 2048;

/// At so many pages a commit waits for a checkpointer that is slower than they are, and no longer than this.
const MOST_LOG_PAGES: i64 = 3 * LOG_PAGES;
const LONGEST_WAIT: Duration = Duration::from_secs(1);
const BETWEEN_TRIES: Duration = Duration::from_millis(1);

/// Bytes of that file: a frame is a page of 4 KiB with its header.
pub(super) const LOG_BYTES: u64 = 32 + LOG_PAGES as u64 * (24 + 4096);

/// How often the length of the log is looked at.
const COMMITS_BETWEEN_LOOKS: u32 = 15;

static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// After an unclean end a file of up to so many bytes is checked whole, which takes less than a tenth of a second. A larger one
/// is not: each page that is read is checked as far as SQLite does it anyway.
const CHECKED_BYTES: u64 = 16 << 20;

/// The open file.
pub(super) struct Store {
    connection: Connection,
    path: PathBuf,
    is_writing: bool,
    /// Commits until the length of the log is looked at, which costs a microsecond.
    unlooked: u32,
}

impl Store {
    /// Opens or makes it, and brings it to the present format.
    pub(super) fn open(folder: &Path) -> Result<Store, Error> {
        let path = folder.join(FILE);
        let fault = |error: &rusqlite::Error| fault::explained(&path, error);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags).map_err(|error| fault(&error))?;
        let number = |pragma: &str| connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0));
        connection.set_prepared_statement_cache_capacity(128);
        // Nobody is waited for in a commit.
        connection.busy_timeout(Duration::ZERO).map_err(|error| fault(&error))?;
        let (application, version) = (number("application_id"), number("user_version"));
        let (application, version) = (application.map_err(|e| fault(&e))?, version.map_err(|e| fault(&e))?);
        let is_empty = version == 0 && number("schema_version").map_err(|e| fault(&e))? == 0;
        if !is_empty && application != schema::APPLICATION {
            let reason = "it is a database of something else; give the queue a folder of its own".to_owned();
            return Err(Error::Store { path, reason });
        }
        if version > schema::FORMAT {
            let reason = format!(
                "its format is {version}, written by a newer Phalanx, and this one reads up to {}: use the newer program; \
                 nothing was changed",
                schema::FORMAT
            );
            return Err(Error::Store { path, reason });
        }
        // Not in exclusive mode: the [`Checkpointer`] has the file open too, and people may look at it.
        let settings = format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
             PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = {}; PRAGMA cache_size = -8192; \
             PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = OFF;",
            2 * LOG_PAGES * 4096
        );
        connection.execute_batch(&settings).map_err(|error| fault(&error))?;
        schema::migrate(&connection, version).map_err(|error| fault(&error))?;
        Ok(Store { connection, path, is_writing: false, unlooked: 0 })
    }

    /// Makes the log as long as it becomes, of zeros, which SQLite takes for its end: a commit that overwrites a file is some times
    /// faster than one that makes it longer. Without room for it commits do that by themselves.
    pub(super) fn lengthen_log(&self, bytes: u64) {
        let lengthen = || {
            let mut log = OpenOptions::new().append(true).open(self.log())?;
            let mut missing = bytes.saturating_sub(log.metadata()?.len());
            while missing > 0 {
                let part = missing.min(ZEROS.len() as u64);
                log.write_all(&ZEROS[..part as usize])?;
                missing -= part;
            }
            log.sync_all()
        };
        let _: std::io::Result<()> = lengthen();
    }

    fn log(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push("-wal");
        name.into()
    }

    /// Checks a small file for damage.
    pub(super) fn check(&self) -> Result<(), Error> {
        if std::fs::metadata(&self.path).map_or(0, |file| file.len()) > CHECKED_BYTES {
            return Ok(());
        }
        let said: Option<String> = self.one("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        match said.as_deref() {
            None | Some("ok") => Ok(()),
            Some(fault) => Err(Error::Store {
                path: self.path.clone(),
                reason: format!(
                    "it is damaged: {fault}; keep a copy, and restore a backup or take out what is readable with \
                     `sqlite3 queue.db .recover`"
                ),
            }),
        }
    }

    /// What brings the log over beside the commits.
    pub(super) fn checkpointer(&self) -> Result<Checkpointer, Error> {
        Checkpointer::open(&self.path)
    }

    /// Whether something waits for a commit.
    pub(super) fn is_writing(&self) -> bool {
        self.is_writing
    }

    /// Makes what was written durable.
    pub(super) fn commit(&mut self) -> Result<(), Error> {
        if self.is_writing {
            self.run("COMMIT", [])?;
            self.is_writing = false;
        }
        Ok(())
    }

    /// Forgets what was written since the last commit.
    pub(super) fn roll_back(&mut self) {
        self.is_writing = false;
        // SQLite may have done so itself (a full disk): then there is nothing to roll back, and it says so.
        if !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }

    /// Undoes what `work` wrote if it fails, and nothing else.
    pub(super) fn all_or_nothing<T>(&mut self, work: impl FnOnce(&mut Store) -> Result<T, Error>) -> Result<T, Error> {
        self.write("SAVEPOINT one", [])?;
        let done = work(self);
        if done.is_err() && !self.connection.is_autocommit() {
            self.run("ROLLBACK TO one", [])?;
        }
        if !self.connection.is_autocommit() {
            self.run("RELEASE one", [])?;
        }
        done
    }

    /// Brings the log over into the file if it has grown long, or in any case. Between commits only.
    pub(super) fn checkpoint(&mut self, how: Checkpoint) -> Result<(), Error> {
        let sql = match how {
            Checkpoint::IfLong => return self.bound_log(),
            Checkpoint::Now => "PRAGMA wal_checkpoint(PASSIVE)",
            Checkpoint::Whole => "PRAGMA wal_checkpoint(TRUNCATE)",
        };
        self.checkpointed(sql).map(drop)
    }

    /// Looks after every 16th commit. While the checkpointer is at work nothing more can be brought over: then the next commit looks
    /// again, and if it is too far behind, waits for it.
    fn bound_log(&mut self) -> Result<(), Error> {
        if self.unlooked > 0 {
            self.unlooked -= 1;
            return Ok(());
        }
        let pages = self.checkpointed("PRAGMA wal_checkpoint(NOOP)")?.pages;
        let is_busy = pages >= LOG_PAGES && !self.bring_over(pages)?;
        self.unlooked = if is_busy { 0 } else { COMMITS_BETWEEN_LOOKS };
        Ok(())
    }

    /// Brings a log of so many pages over. Whether nobody else was at it.
    fn bring_over(&self, pages: i64) -> Result<bool, Error> {
        let begun = Instant::now();
        loop {
            let is_busy = self.checkpointed("PRAGMA wal_checkpoint(PASSIVE)")?.is_busy;
            if !is_busy || pages < MOST_LOG_PAGES || begun.elapsed() >= LONGEST_WAIT {
                return Ok(!is_busy);
            }
            std::thread::sleep(BETWEEN_TRIES);
        }
    }

    fn checkpointed(&self, sql: &str) -> Result<Checkpointed, Error> {
        let row = self.one(sql, [], |row| Ok(Checkpointed { is_busy: row.get::<_, i64>(0)? != 0, pages: row.get(1)? }));
        Ok(row?.unwrap_or_default())
    }

    /// Writes, in the open transaction; opens one if there is none. How many rows there were.
    fn write(&mut self, sql: &str, values: impl Params) -> Result<usize, Error> {
        if !self.is_writing {
            self.run("BEGIN IMMEDIATE", [])?;
            self.is_writing = true;
        }
        self.run(sql, values)
    }

    fn run(&self, sql: &str, values: impl Params) -> Result<usize, Error> {
        let done = self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute(values));
        done.map_err(|error| fault::explained(&self.path, &error))
    }

    /// The first row.
    fn one<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Error> {
        Ok(self.many(sql, values, read)?.pop())
    }

    /// All rows.
    fn many<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let rows = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_map(values, read)?.collect::<rusqlite::Result<Vec<T>>>());
        rows.map_err(|error| fault::explained(&self.path, &error))
    }

    /// So many pages the file may have: as if the disk were full beyond.
    #[cfg(test)]
    pub(super) fn set_room(&mut self, pages: u64) -> Result<(), Error> {
        self.one(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).map(|_: Option<()>| ())
    }

    /// What is in the file cannot be understood.
    pub(super) fn damaged(&self, what: &str) -> Error {
        let reason = format!("it is damaged: {what} cannot be read; restore a backup");
        Error::Store { path: self.path.clone(), reason }
    }
}

/// What SQLite says of a checkpoint.
#[derive(Default)]
struct Checkpointed {
    /// Somebody else brings the log over.
    is_busy: bool,
    /// Of the log; unknown if it is busy.
    pages: i64,
}

/// When the log is brought over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checkpoint {
    /// If it has grown long.
    IfLong,
    /// In any case, as far as it goes.
    Now,
    /// In any case, and leaves an empty log.
    Whole,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.path).finish()
    }
}
