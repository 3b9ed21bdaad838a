//! The connection that listens: what is said unasked comes by it, and by its advisory lock everybody sees that the handle lives.

use std::sync::Arc;
use std::time::Duration;

use crate::Error;

use super::handle::Handle;
use super::link::{Failure, Link};
use super::pool::Backoff;
use super::schema::Schema;

/// How long a former connection of the same handle, which the server takes for alive, may hold the lock.
const BETWEEN_TRIES: Duration = Duration::from_millis(100);
const MOST_TRIES: u32 = 50;

/// Opens it for the first time: makes the schema, if it is not there, and the session.
pub(super) async fn open(handle: &Arc<Handle>) -> Result<Link, Failure> {
    let mut link = connect(handle).await?;
    let schema: &Schema = &handle.pool.address().schema;
    schema.prepare(&link.client).await?;
    let name = format!("{}:{}", host(), std::process::id());
    let sql = "INSERT INTO sessions (id, name) VALUES (nextval('session_ids'), $1) RETURNING id";
    let session = link.query(sql, &[&name]).await?.first().map_or(0, |row| row.get(0));
    handle.set_session(session);
    listen(handle, &mut link).await?;
    Ok(link)
}

/// Keeps it open, until the handle is closed or dropped.
pub(super) async fn keep(handle: Arc<Handle>, first: Link) {
    let mut closed = handle.closed.subscribe();
    let mut link = first;
    let mut backoff = Backoff::default();
    loop {
        tokio::select! {
            () = link.ended() => {}
            _ = closed.wait_for(|closed| *closed) => return,
        }
        tracing::warn!("PostgreSQL: the connection that listens was lost; connecting again");
        loop {
            tokio::select! {
                () = backoff.wait() => {}
                _ = closed.wait_for(|closed| *closed) => return,
            }
            match again(&handle).await {
                Ok(new) => {
                    link = new;
                    handle.is_back();
                    backoff = Backoff::default();
                    break;
                }
                Err(why) => tracing::debug!(%why, "PostgreSQL: cannot connect yet"),
            }
        }
    }
}

async fn again(handle: &Arc<Handle>) -> Result<Link, Failure> {
    let mut link = connect(handle).await?;
    // Another handle may have given it up meanwhile; it comes back under the same number.
    let sql = "INSERT INTO sessions (id, name, asleep) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET gone = NULL, \
        asleep = excluded.asleep";
    let name = format!("{}:{}", host(), std::process::id());
    listen(handle, &mut link).await?;
    let bells = handle.bells.names();
    link.query(sql, &[&handle.session(), &name, &bells]).await?;
    handle.bells.are_told(&bells);
    Ok(link)
}

async fn connect(handle: &Arc<Handle>) -> Result<Link, Failure> {
    let heard = Arc::downgrade(handle);
    let hear = move |said: &str| {
        if let Some(handle) = heard.upgrade() {
            handle.hear(said);
        }
    };
    handle.pool.address().open(hear).await
}

async fn listen(handle: &Arc<Handle>, link: &mut Link) -> Result<(), Failure> {
    link.client.batch_execute(&format!("LISTEN {}", handle.pool.address().schema.channel())).await?;
    for _ in 0..MOST_TRIES {
        let taken = link.query("SELECT pg_try_advisory_lock(session_class(), $1)", &[&handle.session()]).await?;
        if taken.first().is_some_and(|row| row.get(0)) {
            return Ok(());
        }
        // A half-open connection of ours: the server has not noticed yet that it is gone.
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted \
            AND classid::bigint = session_class() AND objid::bigint = $1::int::bigint \
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        link.query(sql, &[&handle.session()]).await?;
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
    Err(Failure::Lost("a former connection of this handle still holds its lock".to_owned()))
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Leaves in good order: leases and deliveries go back, uncounted.
pub(super) async fn leave(handle: &Handle) -> Result<(), Error> {
    handle.pool.query("SELECT leave($1)", &[&handle.session()]).await?;
    Ok(())
}
