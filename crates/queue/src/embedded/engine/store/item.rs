//! The table `item`, in SQL.

use rusqlite::{Row, ToSql, params};

use super::Store;
use crate::embedded::engine::item::{Counts, Item, LineId, Seq, State, Terms};
use crate::{Error, JobId, UnixMillis};

/// What [`item`] reads.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT seq, id, line, state, rank, due, parent, version, not_before, epoch, leases, attempts, errors, crashes, \
             settled, ended, bytes, terms, details, ",
            $rest
        )
    };
}

const INSERT: &str = "INSERT OR IGNORE INTO item (seq, id, space, line, state, rank, due, parent, version, not_before, epoch, \
     leases, attempts, errors, crashes, settled, held, ended, bytes, terms, details, outcome, payload) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, 0, 0, 0, 0, 0, 0, NULL, ?11, ?12, NULL, NULL, ?13)";
const BY_SEQ: &str = select!("NULL FROM item WHERE seq = ?1");
const BY_ID: &str = select!("NULL FROM item WHERE id = ?1 AND space = ?2");
const HEAD: &str = select!(
    "CASE WHEN bytes <= 4096 THEN payload END FROM item WHERE state = 0 AND line = ?1 AND rank >= ?2 \
     AND (rank > ?2 OR seq > ?3) ORDER BY rank, seq LIMIT ?4"
);
const NEWEST: &str = select!("NULL FROM item WHERE space = 0 AND id < ?1 ORDER BY id DESC LIMIT ?2");
const ROWS: &str = select!("NULL FROM item WHERE seq >= ?1 ORDER BY seq LIMIT ?2");
const CHILDREN: &str = select!("NULL FROM item WHERE parent = ?1");
const DUE: &str = select!("NULL FROM item WHERE due <= ?1 ORDER BY due LIMIT ?2");
const OLDEST_ENDED: &str = select!("NULL FROM item WHERE due IS NOT NULL AND state = 3 ORDER BY due LIMIT ?1");
const OLDEST_DEAD: &str = select!("NULL FROM item WHERE line = ?1 AND state = 4 ORDER BY ended LIMIT 1");
const HELD: &str = select!("NULL FROM item WHERE held = 1");
const NEXT_DUE: &str = "SELECT min(due) FROM item WHERE due IS NOT NULL";
const LAST_SEQ: &str = "SELECT max(seq) FROM item";
const PAYLOAD: &str = "SELECT payload FROM item WHERE seq = ?1";
const OUTCOME: &str = "SELECT outcome FROM item WHERE seq = ?1";
const WAITING: &str = "SELECT seq, payload FROM item WHERE state = 0 AND line = ?1 ORDER BY rank, seq LIMIT ?2";
const END_DONE: &str = "UPDATE item SET state = ?2, due = ?3, version = ?4, epoch = ?5, leases = ?6, attempts = ?7, errors = ?8, \
     crashes = ?9, settled = ?10, held = 0, ended = ?11, outcome = ?12, details = NULL, payload = x'' WHERE seq = ?1";
const END_OTHER: &str = "UPDATE item SET state = ?2, due = ?3, version = ?4, epoch = ?5, leases = ?6, attempts = ?7, errors = ?8, \
     crashes = ?9, settled = ?10, held = 0, ended = ?11, outcome = ?12, details = NULL WHERE seq = ?1";
const RETURN: &str = "UPDATE item SET state = ?2, rank = ?3, due = ?4, not_before = ?5, version = ?6, epoch = ?7, leases = ?8, \
     attempts = ?9, errors = ?10, crashes = ?11, settled = ?12, held = 0, ended = NULL, details = ?13, \
     outcome = coalesce(?14, outcome) WHERE seq = ?1";
const MARK_HELD: &str =
    "UPDATE item SET epoch = ?2, leases = ?3, attempts = ?4, settled = 0, held = 1, details = ?5 WHERE seq = ?1";
const CLEAR_DUE: &str = "UPDATE item SET due = NULL WHERE seq = ?1";
const REPLACE: &str =
    "UPDATE OR IGNORE item SET id = ?2, space = ?3, line = ?4, bytes = ?5, payload = ?6 WHERE seq = ?1";
const MOVE: &str = "UPDATE OR IGNORE item SET space = ?2, line = ?3 WHERE seq = ?1";
const DELETE: &str = "DELETE FROM item WHERE seq = ?1";

/// How a row ends.
pub(in crate::embedded::engine) struct Ending<'a> {
    pub(in crate::embedded::engine) state: State,
    pub(in crate::embedded::engine) outcome: Option<&'a [u8]>,
}

impl Store {
    /// Puts a new row in; `false` if its id is there already.
    pub(in crate::embedded::engine) fn insert(
        &mut self,
        item: &Item,
        space: i64,
        payload: &[u8],
    ) -> Result<bool, Error> {
        let terms = self.packed(&item.terms)?;
        let changed = self.write(
            INSERT,
            params![
                item.seq,
                item.id.as_bytes(),
                space,
                item.line.0,
                item.state as i64,
                item.rank,
                item.due.map(number),
                item.parent,
                number(item.version),
                number(item.not_before.0),
                number(item.bytes),
                terms,
                payload
            ],
        )?;
        Ok(changed == 1)
    }

    pub(in crate::embedded::engine) fn by_seq(&self, seq: Seq) -> Result<Option<Item>, Error> {
        self.an_item(BY_SEQ, &[&seq])
    }

    pub(in crate::embedded::engine) fn by_id(&self, id: &JobId, space: i64) -> Result<Option<Item>, Error> {
        self.an_item(BY_ID, &[id.as_bytes(), &space])
    }

    /// The next ready rows of a line after this place, in order.
    pub(in crate::embedded::engine) fn head(
        &self,
        line: LineId,
        after: (i64, Seq),
        most: usize,
    ) -> Result<Vec<Item>, Error> {
        self.items(HEAD, &[&line.0, &after.0, &after.1, &most_of(most)])
    }

    /// Jobs of smaller ids, largest first.
    pub(in crate::embedded::engine) fn newest(&self, before: &[u8], most: usize) -> Result<Vec<Item>, Error> {
        self.items(NEWEST, &[&before, &most_of(most)])
    }

    /// Rows from this one on, in their order.
    pub(in crate::embedded::engine) fn rows(&self, from: Seq, most: usize) -> Result<Vec<Item>, Error> {
        self.items(ROWS, &[&from, &most_of(most)])
    }

    pub(in crate::embedded::engine) fn children(&self, parent: Seq) -> Result<Vec<Item>, Error> {
        self.items(CHILDREN, &[&parent])
    }

    /// Rows to which something is due.
    pub(in crate::embedded::engine) fn due(&self, now: UnixMillis, most: usize) -> Result<Vec<Item>, Error> {
        self.items(DUE, &[&number(now.0), &most_of(most)])
    }

    pub(in crate::embedded::engine) fn next_due(&self) -> Result<Option<u64>, Error> {
        let least: Option<Option<i64>> = self.one(NEXT_DUE, [], |row| row.get(0))?;
        Ok(least.flatten().map(whole))
    }

    /// Results that end their time first.
    pub(in crate::embedded::engine) fn oldest_results(&self, most: usize) -> Result<Vec<Item>, Error> {
        self.items(OLDEST_ENDED, &[&most_of(most)])
    }

    pub(in crate::embedded::engine) fn oldest_dead(&self, line: LineId) -> Result<Option<Item>, Error> {
        self.an_item(OLDEST_DEAD, &[&line.0])
    }

    /// Rows that were leased when the last life ended, as far as it was written.
    pub(in crate::embedded::engine) fn held(&self) -> Result<Vec<Item>, Error> {
        self.items(HELD, &[])
    }

    pub(in crate::embedded::engine) fn last_seq(&self) -> Result<Seq, Error> {
        let last: Option<Option<Seq>> = self.one(LAST_SEQ, [], |row| row.get(0))?;
        Ok(last.flatten().unwrap_or(0))
    }

    pub(in crate::embedded::engine) fn payload(&self, seq: Seq) -> Result<Vec<u8>, Error> {
        self.one(PAYLOAD, [seq], |row| row.get(0))?.ok_or_else(|| self.damaged("a row that should be there"))
    }

    pub(in crate::embedded::engine) fn outcome(&self, seq: Seq) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.one(OUTCOME, [seq], |row| row.get(0))?.flatten())
    }

    /// The first ready rows of a line, with their payloads.
    pub(in crate::embedded::engine) fn waiting(&self, line: LineId, most: usize) -> Result<Vec<(Seq, Vec<u8>)>, Error> {
        self.many(WAITING, params![line.0, most_of(most)], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Ends a row. Its payload stays if it can be revived.
    pub(in crate::embedded::engine) fn end(&mut self, item: &Item, ending: &Ending<'_>) -> Result<(), Error> {
        let keeps_payload = matches!(ending.state, State::Dead | State::Cancelled);
        let Counts { epoch, leases, attempts, errors, crashes, is_settled } = item.counts;
        self.write(
            if keeps_payload { END_OTHER } else { END_DONE },
            params![
                item.seq,
                ending.state as i64,
                item.due.map(number),
                number(item.version),
                number(epoch),
                leases,
                attempts,
                errors,
                crashes,
                is_settled,
                item.ended.map(|ended| number(ended.0)),
                ending.outcome
            ],
        )?;
        Ok(())
    }

    /// Writes a row that is to be given out again, now or later. `error` replaces what it says of the last one.
    pub(in crate::embedded::engine) fn give_back(&mut self, item: &Item, error: Option<&[u8]>) -> Result<(), Error> {
        let Counts { epoch, leases, attempts, errors, crashes, is_settled } = item.counts;
        self.write(
            RETURN,
            params![
                item.seq,
                item.state as i64,
                item.rank,
                item.due.map(number),
                number(item.not_before.0),
                number(item.version),
                number(epoch),
                leases,
                attempts,
                errors,
                crashes,
                is_settled,
                item.details,
                error
            ],
        )?;
        Ok(())
    }

    /// Writes that this row is leased, so that a lease that takes the machine down is counted.
    pub(in crate::embedded::engine) fn mark_held(&mut self, item: &Item) -> Result<(), Error> {
        let Counts { epoch, leases, attempts, .. } = item.counts;
        self.write(MARK_HELD, params![item.seq, number(epoch), leases, attempts, item.details])?;
        Ok(())
    }

    pub(in crate::embedded::engine) fn clear_due(&mut self, seq: Seq) -> Result<(), Error> {
        self.write(CLEAR_DUE, [seq])?;
        Ok(())
    }

    /// Another message in the place of this one, in this line; `false` if its id is there already.
    pub(in crate::embedded::engine) fn replace(
        &mut self,
        item: &Item,
        space: i64,
        payload: &[u8],
    ) -> Result<bool, Error> {
        let row = params![item.seq, item.id.as_bytes(), space, item.line.0, number(item.bytes), payload];
        Ok(self.write(REPLACE, row)? == 1)
    }

    /// The message stands in this line from now on; `false` if its id is there already.
    pub(in crate::embedded::engine) fn move_to(&mut self, item: &Item, space: i64) -> Result<bool, Error> {
        Ok(self.write(MOVE, params![item.seq, space, item.line.0])? == 1)
    }

    pub(in crate::embedded::engine) fn delete(&mut self, seq: Seq) -> Result<(), Error> {
        self.write(DELETE, [seq])?;
        Ok(())
    }

    fn an_item(&self, sql: &str, values: &[&dyn ToSql]) -> Result<Option<Item>, Error> {
        Ok(self.items(sql, values)?.pop())
    }

    fn items(&self, sql: &str, values: &[&dyn ToSql]) -> Result<Vec<Item>, Error> {
        let items = self.many(sql, values, item)?;
        items.into_iter().collect::<Option<Vec<Item>>>().ok_or_else(|| self.damaged("a job"))
    }

    /// For a blob in a row.
    pub(super) fn packed(&self, value: &impl serde::Serialize) -> Result<Vec<u8>, Error> {
        postcard::to_allocvec(value)
            .map_err(|error| Error::Malformed { what: "what is to be stored".to_owned(), reason: error.to_string() })
    }
}

/// `None` if what is in it cannot be.
fn item(row: &Row<'_>) -> rusqlite::Result<Option<Item>> {
    let terms: Result<Terms, _> = postcard::from_bytes(row.get_ref(17)?.as_blob()?);
    let (Some(state), Ok(terms)) = (State::from_number(row.get(3)?), terms) else { return Ok(None) };
    Ok(Some(Item {
        seq: row.get(0)?,
        id: JobId::from_bytes(row.get(1)?),
        line: LineId(row.get(2)?),
        state,
        rank: row.get(4)?,
        due: row.get::<_, Option<i64>>(5)?.map(whole),
        parent: row.get(6)?,
        version: whole(row.get(7)?),
        not_before: UnixMillis(whole(row.get(8)?)),
        counts: Counts {
            epoch: whole(row.get(9)?),
            leases: row.get(10)?,
            attempts: row.get(11)?,
            errors: row.get(12)?,
            crashes: row.get(13)?,
            is_settled: row.get(14)?,
        },
        ended: row.get::<_, Option<i64>>(15)?.map(|ended| UnixMillis(whole(ended))),
        bytes: whole(row.get(16)?),
        terms: Box::new(terms),
        details: row.get(18)?,
        payload: row.get(19)?,
        hold: None,
    }))
}

/// Times and counts as SQLite has them. Beyond its range (in 292 million years) they stay at its end.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn whole(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn most_of(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}
