//! The tables `queue` and `line`, in SQL.

use rusqlite::params;

use super::Store;
use super::item::{number, whole};
use crate::embedded::engine::item::LineId;
use crate::embedded::engine::line::Contents;
use crate::job::KindLimits;
use crate::{Error, QueueOptions};

const QUEUES: &str =
    "SELECT id, name, declared, paused, ready, scheduled, waiting, done, dead, cancelled, bytes FROM queue ORDER BY id";
const LINES: &str = "SELECT id, queue, kind, paused, limits FROM line ORDER BY id";
const ADD_QUEUE: &str = "INSERT INTO queue (id, name) VALUES (?1, ?2)";
const ADD_LINE: &str = "INSERT INTO line (id, queue, kind) VALUES (?1, ?2, ?3)";
const DECLARE: &str = "UPDATE queue SET declared = ?2 WHERE id = ?1";
const PAUSE_QUEUE: &str = "UPDATE queue SET paused = ?2 WHERE id = ?1";
const PAUSE_LINE: &str = "UPDATE line SET paused = ?2 WHERE id = ?1";
const LIMIT: &str = "UPDATE line SET limits = ?2 WHERE id = ?1";
const COUNT: &str = "UPDATE queue SET ready = ?2, scheduled = ?3, waiting = ?4, done = ?5, dead = ?6, cancelled = ?7, bytes = ?8 \
     WHERE id = ?1";

/// A row of `queue`.
pub(in crate::embedded::engine) struct StoredQueue {
    pub(in crate::embedded::engine) id: u32,
    pub(in crate::embedded::engine) name: String,
    pub(in crate::embedded::engine) declared: Option<QueueOptions>,
    pub(in crate::embedded::engine) is_paused: bool,
    pub(in crate::embedded::engine) contents: Contents,
}

/// A row of `line`.
pub(in crate::embedded::engine) struct StoredLine {
    pub(in crate::embedded::engine) id: LineId,
    pub(in crate::embedded::engine) queue: u32,
    pub(in crate::embedded::engine) kind: Option<String>,
    pub(in crate::embedded::engine) is_paused: bool,
    pub(in crate::embedded::engine) limits: Option<KindLimits>,
}

impl Store {
    pub(in crate::embedded::engine) fn queues(&self) -> Result<Vec<StoredQueue>, Error> {
        let rows = self.many(QUEUES, [], |row| {
            let declared: Option<Vec<u8>> = row.get(2)?;
            let count = |column: usize| row.get::<_, i64>(column).map(whole);
            let contents = Contents {
                ready: count(4)?,
                scheduled: count(5)?,
                waiting_children: count(6)?,
                done: count(7)?,
                dead: count(8)?,
                cancelled: count(9)?,
                bytes: count(10)?,
            };
            let queue =
                StoredQueue { id: row.get(0)?, name: row.get(1)?, declared: None, is_paused: row.get(3)?, contents };
            Ok((queue, declared))
        })?;
        let mut queues = Vec::with_capacity(rows.len());
        for (mut queue, declared) in rows {
            queue.declared = self.unpacked(declared, "the declaration of a queue")?;
            queues.push(queue);
        }
        Ok(queues)
    }

    pub(in crate::embedded::engine) fn lines(&self) -> Result<Vec<StoredLine>, Error> {
        let rows = self.many(LINES, [], |row| {
            let limits: Option<Vec<u8>> = row.get(4)?;
            let line = StoredLine {
                id: LineId(row.get(0)?),
                queue: row.get(1)?,
                kind: row.get(2)?,
                is_paused: row.get(3)?,
                limits: None,
            };
            Ok((line, limits))
        })?;
        let mut lines = Vec::with_capacity(rows.len());
        for (mut line, limits) in rows {
            line.limits = self.unpacked(limits, "the limits of a kind")?;
            lines.push(line);
        }
        Ok(lines)
    }

    pub(in crate::embedded::engine) fn add_queue(&mut self, id: u32, name: &str) -> Result<(), Error> {
        self.write(ADD_QUEUE, params![id, name]).map(drop)
    }

    pub(in crate::embedded::engine) fn add_line(
        &mut self,
        id: LineId,
        queue: u32,
        kind: Option<&str>,
    ) -> Result<(), Error> {
        self.write(ADD_LINE, params![id.0, queue, kind]).map(drop)
    }

    pub(in crate::embedded::engine) fn declare(
        &mut self,
        queue: u32,
        options: Option<&QueueOptions>,
    ) -> Result<(), Error> {
        let options = options.map(|options| self.packed(options)).transpose()?;
        self.write(DECLARE, params![queue, options]).map(drop)
    }

    pub(in crate::embedded::engine) fn pause_queue(&mut self, queue: u32, is_paused: bool) -> Result<(), Error> {
        self.write(PAUSE_QUEUE, params![queue, is_paused]).map(drop)
    }

    pub(in crate::embedded::engine) fn pause_line(&mut self, line: LineId, is_paused: bool) -> Result<(), Error> {
        self.write(PAUSE_LINE, params![line.0, is_paused]).map(drop)
    }

    pub(in crate::embedded::engine) fn limit(
        &mut self,
        line: LineId,
        limits: Option<&KindLimits>,
    ) -> Result<(), Error> {
        let limits = limits.map(|limits| self.packed(limits)).transpose()?;
        self.write(LIMIT, params![line.0, limits]).map(drop)
    }

    /// What is in a queue.
    pub(in crate::embedded::engine) fn count(&mut self, queue: u32, contents: &Contents) -> Result<(), Error> {
        let Contents { ready, scheduled, waiting_children, done, dead, cancelled, bytes } = *contents;
        let [ready, scheduled, waiting, done, dead, cancelled, bytes] =
            [ready, scheduled, waiting_children, done, dead, cancelled, bytes].map(number);
        self.write(COUNT, params![queue, ready, scheduled, waiting, done, dead, cancelled, bytes]).map(drop)
    }

    /// What a blob in a row says.
    pub(super) fn unpacked<T: serde::de::DeserializeOwned>(
        &self,
        bytes: Option<Vec<u8>>,
        what: &str,
    ) -> Result<Option<T>, Error> {
        bytes.map(|bytes| postcard::from_bytes(&bytes).map_err(|_| self.damaged(what))).transpose()
    }
}
