//! The table `part`, in SQL: which children of a flow have ended, and how.

use rusqlite::params;

use super::Store;
use super::item::whole;
use crate::Error;
use crate::embedded::engine::item::Seq;
use crate::job::ChildEnd;

const ADD: &str = "INSERT OR IGNORE INTO part (parent, child, failed, bytes) VALUES (?1, ?2, ?3, ?4)";
const REMOVE: &str = "DELETE FROM part WHERE parent = ?1 AND child = ?2";
const REMOVE_ALL: &str = "DELETE FROM part WHERE parent = ?1";
const WHICH: &str = "SELECT child FROM part WHERE parent = ?1";
const ENDS: &str = "SELECT failed, bytes FROM part WHERE parent = ?1 ORDER BY child";
const FAILED: &str = "SELECT child FROM part WHERE parent = ?1 AND failed";
const BYTES: &str = "SELECT coalesce(sum(length(bytes)), 0) FROM part WHERE parent = ?1";

impl Store {
    /// A child has ended. Said twice it counts once.
    pub(in crate::embedded::engine) fn add_part(
        &mut self,
        parent: Seq,
        child: u32,
        end: &ChildEnd,
    ) -> Result<(), Error> {
        let (failed, bytes) = match end {
            ChildEnd::Done(bytes) => (false, bytes),
            ChildEnd::Failed(bytes) => (true, bytes),
        };
        self.write(ADD, params![parent, child, failed, bytes]).map(drop)
    }

    pub(in crate::embedded::engine) fn remove_part(&mut self, parent: Seq, child: u32) -> Result<(), Error> {
        self.write(REMOVE, params![parent, child]).map(drop)
    }

    pub(in crate::embedded::engine) fn remove_parts(&mut self, parent: Seq) -> Result<(), Error> {
        self.write(REMOVE_ALL, [parent]).map(drop)
    }

    /// The children that have ended.
    pub(in crate::embedded::engine) fn parts(&self, parent: Seq) -> Result<Vec<u32>, Error> {
        self.many(WHICH, [parent], |row| row.get(0))
    }

    /// The children that have failed.
    pub(in crate::embedded::engine) fn failed_parts(&self, parent: Seq) -> Result<Vec<u32>, Error> {
        self.many(FAILED, [parent], |row| row.get(0))
    }

    /// How the children ended, in order.
    pub(in crate::embedded::engine) fn child_ends(&self, parent: Seq) -> Result<Vec<ChildEnd>, Error> {
        self.many(ENDS, [parent], |row| {
            let bytes = row.get(1)?;
            Ok(if row.get(0)? { ChildEnd::Failed(bytes) } else { ChildEnd::Done(bytes) })
        })
    }

    /// Bytes of all their results.
    pub(in crate::embedded::engine) fn part_bytes(&self, parent: Seq) -> Result<u64, Error> {
        Ok(self.one(BYTES, [parent], |row| row.get(0))?.map_or(0, whole))
    }
}
