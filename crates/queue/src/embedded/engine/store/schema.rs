//! The format of the file: what is in `queue.db`, and how an older one becomes a newer one.
//!
//! Jobs and messages share one table: a message is a job without a kind. Both stand in a line, by rank; both are leased, come back,
//! end, are remembered for a while, and are counted against the same bounds.
//!
//! | table | holds | written |
//! |---|---|---|
//! | `meta` | epoch, the last life that granted a lease, whether the end was clean | once in a life |
//! | `queue` | names, declarations, pauses, and what is in each (so nothing has to be counted) | once per commit that touched it |
//! | `line` | a kind within a queue (no kind: its messages), its pause and limits | when a kind is seen first |
//! | `item` | jobs and messages, in all their states | at submission, at the end, and when they come back |
//! | `part` | how children of a flow ended: the *set* of those that have | with the end of a child |
//! | `unique_key` | who holds a key | with jobs that have one |
//! | `schedule` | what is submitted again and again | by people |
//! | `holder` | clients that may hold leases: whom the next life has to wait for | once per connection of a runner |

use rusqlite::Connection;

/// `application_id`: "Phlx".
pub(super) const APPLICATION: i64 = 0x5068_6c78;

/// `user_version`. Whatever changes a table or what is inside of a blob (`Terms`, `QueueOptions`, `KindLimits`, `NewJob`, `Message`)
/// makes it one more and adds a step to [`STEPS`].
pub(super) const FORMAT: i64 = 1;

/// What makes version n+1 of version n; version 0 is an empty file.
const STEPS: [&str; FORMAT as usize] = [
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE queue (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, declared BLOB, paused INTEGER NOT NULL DEFAULT 0,
        ready INTEGER NOT NULL DEFAULT 0, scheduled INTEGER NOT NULL DEFAULT 0, waiting INTEGER NOT NULL DEFAULT 0,
        done INTEGER NOT NULL DEFAULT 0, dead INTEGER NOT NULL DEFAULT 0, cancelled INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE line (
        id INTEGER PRIMARY KEY, queue INTEGER NOT NULL, kind TEXT, paused INTEGER NOT NULL DEFAULT 0, limits BLOB
    );
    CREATE TABLE item (
        seq INTEGER PRIMARY KEY, id BLOB NOT NULL, space INTEGER NOT NULL, line INTEGER NOT NULL, state INTEGER NOT NULL,
        rank INTEGER NOT NULL, due INTEGER, parent INTEGER, version INTEGER NOT NULL, not_before INTEGER NOT NULL,
        epoch INTEGER NOT NULL, leases INTEGER NOT NULL, attempts INTEGER NOT NULL, errors INTEGER NOT NULL,
        crashes INTEGER NOT NULL, settled INTEGER NOT NULL, held INTEGER NOT NULL, ended INTEGER, bytes INTEGER NOT NULL,
        terms BLOB NOT NULL, details BLOB, outcome BLOB, payload BLOB NOT NULL
    );
    CREATE UNIQUE INDEX item_id ON item (id, space);
    CREATE INDEX item_ready ON item (line, rank) WHERE state = 0;
    CREATE INDEX item_due ON item (due) WHERE due IS NOT NULL;
    CREATE INDEX item_parent ON item (parent) WHERE parent IS NOT NULL;
    CREATE INDEX item_dead ON item (line, ended) WHERE state = 4;
    CREATE INDEX item_held ON item (held) WHERE held = 1;
    CREATE TABLE part (
        parent INTEGER NOT NULL, child INTEGER NOT NULL, failed INTEGER NOT NULL, bytes BLOB NOT NULL,
        PRIMARY KEY (parent, child)
    ) WITHOUT ROWID;
    CREATE TABLE unique_key (
        queue INTEGER NOT NULL, key TEXT NOT NULL, job BLOB NOT NULL, until INTEGER, PRIMARY KEY (queue, key)
    ) WITHOUT ROWID;
    CREATE INDEX unique_until ON unique_key (until) WHERE until IS NOT NULL;
    CREATE TABLE schedule (name TEXT PRIMARY KEY, cron TEXT NOT NULL, next INTEGER NOT NULL, job BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE holder (handle BLOB PRIMARY KEY) WITHOUT ROWID;",
];

/// Brings a file of version `from` to [`FORMAT`], all or nothing.
pub(super) fn migrate(connection: &Connection, from: i64) -> rusqlite::Result<()> {
    let steps = STEPS.get(usize::try_from(from).unwrap_or(usize::MAX)..).unwrap_or_default();
    if steps.is_empty() {
        return Ok(());
    }
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; {} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT}; COMMIT;",
        steps.join("\n")
    ))
}
