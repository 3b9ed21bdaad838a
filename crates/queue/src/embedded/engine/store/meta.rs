//! The tables `meta` and `holder`, in SQL.

use rusqlite::params;

use super::Store;
use super::item::{number, whole};
use crate::{Error, JobId};

const GET: &str = "SELECT value FROM meta WHERE name = ?1";
const SET: &str =
    "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
const HOLDERS: &str = "SELECT handle FROM holder";
const ADD_HOLDER: &str = "INSERT OR IGNORE INTO holder (handle) VALUES (?1)";
const REMOVE_HOLDER: &str = "DELETE FROM holder WHERE handle = ?1";
const REMOVE_HOLDERS: &str = "DELETE FROM holder";

/// A number of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::embedded::engine) enum Meta {
    /// Its life.
    Epoch,
    /// The last life in which a lease could be granted.
    Granted,
    /// 1 after a clean end.
    Clean,
}

impl Meta {
    fn name(self) -> &'static str {
        match self {
            Meta::Epoch => "epoch",
            Meta::Granted => "granted",
            Meta::Clean => "clean",
        }
    }
}

impl Store {
    /// 0 if it was never set.
    pub(in crate::embedded::engine) fn meta(&self, which: Meta) -> Result<u64, Error> {
        Ok(self.one(GET, [which.name()], |row| row.get(0))?.map_or(0, whole))
    }

    pub(in crate::embedded::engine) fn set_meta(&mut self, which: Meta, value: u64) -> Result<(), Error> {
        self.write(SET, params![which.name(), number(value)]).map(drop)
    }

    /// Clients that may have held leases when the last life ended.
    pub(in crate::embedded::engine) fn holders(&self) -> Result<Vec<JobId>, Error> {
        self.many(HOLDERS, [], |row| row.get(0).map(JobId::from_bytes))
    }

    pub(in crate::embedded::engine) fn add_holder(&mut self, handle: &JobId) -> Result<(), Error> {
        self.write(ADD_HOLDER, [handle.as_bytes()]).map(drop)
    }

    pub(in crate::embedded::engine) fn remove_holder(&mut self, handle: &JobId) -> Result<(), Error> {
        self.write(REMOVE_HOLDER, [handle.as_bytes()]).map(drop)
    }

    pub(in crate::embedded::engine) fn remove_holders(&mut self) -> Result<(), Error> {
        self.write(REMOVE_HOLDERS, []).map(drop)
    }
}
