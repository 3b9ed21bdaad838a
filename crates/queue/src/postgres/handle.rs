//! [`Handle`]: what all parts of one connection share.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::job::{Revoked, Standing};
use crate::{Error, JobId, QueueName, Token, UnixMillis};

use super::bells::Bells;
use super::link::Failure;
use super::pool::Pool;
use super::schema::BACK_WITHIN;
use super::values::{Id, column};
use super::watching::Watching;

/// Revocations that wait for their runner; older ones are dropped: a heartbeat tells the same.
const MAX_REVOKED: usize = 10_000;

/// One connection of a program, shared by all its parts.
pub(super) struct Handle {
    pub(super) pool: Pool,
    pub(super) bells: Bells,
    pub(super) watching: Watching,
    /// Something is due earlier than the sweeper knows.
    pub(super) sweep: Notify,
    /// Turns true when the handle is closed.
    pub(super) closed: watch::Sender<bool>,
    /// The time as the program sees it.
    pub(super) clock: fn() -> UnixMillis,
    /// Jobs of this handle are announced by a broker.
    pub(super) announces: AtomicBool,
    session: AtomicI32,
    numbers: AtomicI64,
    runners: Mutex<HashMap<JobId, Arc<Runner>>>,
    /// Since when the connection that listens is there, if it is not the first.
    back_since: Mutex<Option<Instant>>,
}

/// A runner of this handle.
#[derive(Default)]
struct Runner {
    queues: Mutex<Vec<String>>,
    revoked: Mutex<VecDeque<Revoked>>,
    told: Notify,
}

impl Handle {
    pub(super) fn new(pool: Pool, clock: fn() -> UnixMillis) -> Handle {
        Handle {
            pool,
            bells: Bells::default(),
            watching: Watching::default(),
            sweep: Notify::new(),
            closed: watch::Sender::new(false),
            clock,
            announces: AtomicBool::new(false),
            session: AtomicI32::new(0),
            numbers: AtomicI64::new(0),
            runners: Mutex::default(),
            back_since: Mutex::default(),
        }
    }

    /// The number under which the server knows this handle.
    pub(super) fn session(&self) -> i32 {
        self.session.load(Ordering::Acquire)
    }

    pub(super) fn set_session(&self, session: i32) {
        self.session.store(session, Ordering::Release);
    }

    /// A number that this handle has not used.
    pub(super) fn number(&self) -> i64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// 1 if jobs are announced by a broker, else 0: the column `via`.
    pub(super) fn via(&self) -> i16 {
        i16::from(self.announces.load(Ordering::Relaxed))
    }

    /// The connection that listens is there again: what was said meanwhile was not heard.
    pub(super) fn is_back(&self) {
        *locked(&self.back_since) = Some(Instant::now());
        self.bells.ring_all();
        self.watching.look_at_all();
        self.sweep.notify_one();
    }

    /// Whether this handle may judge that others are gone: not while it has itself just come back.
    pub(super) fn may_judge(&self) -> bool {
        locked(&self.back_since).is_none_or(|since| since.elapsed() > BACK_WITHIN)
    }

    /// What the server says unasked.
    pub(super) fn hear(&self, said: &str) {
        match said.split_at_checked(1) {
            Some(("e", ids)) => self.watching.ended(ids.split(',').filter_map(|id| id.parse().ok())),
            Some(("x", what)) => {
                let mut parts = what.split(',');
                let mut id = || parts.next().and_then(|id| id.parse::<JobId>().ok());
                if let (Some(runner), Some(job)) = (id(), id())
                    && let Some(attempt) = parts.next().and_then(|number| number.parse().ok())
                {
                    self.revoke(runner, Revoked { token: Token { job, epoch: 0, attempt }, why: Standing::Cancelled });
                }
            }
            _ => self.bells.ring(said),
        }
    }

    fn revoke(&self, runner: JobId, revoked: Revoked) {
        if let Some(runner) = locked(&self.runners).get(&runner) {
            let mut waiting = locked(&runner.revoked);
            if waiting.len() == MAX_REVOKED {
                waiting.pop_front();
            }
            waiting.push_back(revoked);
            runner.told.notify_waiters();
        }
    }

    /// Waits until leases of this runner shall end, at most this long.
    pub(super) async fn revoked(&self, runner: JobId, wait: Duration) -> Vec<Revoked> {
        let runner = locked(&self.runners).entry(runner).or_default().clone();
        let deadline = Instant::now() + wait;
        loop {
            let told = runner.told.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            let all: Vec<Revoked> = locked(&runner.revoked).drain(..).collect();
            if !all.is_empty() || tokio::time::timeout_at(deadline, told).await.is_err() {
                return all;
            }
        }
    }

    /// Makes a runner known to the server, once for each of its queues.
    pub(super) async fn introduce(&self, runner: JobId, name: &str, queues: &[QueueName]) -> Result<(), Error> {
        let known = locked(&self.runners).entry(runner).or_default().clone();
        let new: Vec<String> = {
            let known = locked(&known.queues);
            queues.iter().map(|queue| queue.as_str().to_owned()).filter(|queue| !known.contains(queue)).collect()
        };
        if new.is_empty() {
            return Ok(());
        }
        self.record(runner, name, &new).await?;
        locked(&known.queues).extend(new);
        Ok(())
    }

    /// Records that this runner or consumer takes from these queues.
    pub(super) async fn record(&self, runner: JobId, name: &str, queues: &[String]) -> Result<(), Failure> {
        let sql = "INSERT INTO runners SELECT $1, q, $2, $3 FROM unnest($4::text[]) q \
            ON CONFLICT (id, queue) DO UPDATE SET session = excluded.session, name = excluded.name";
        self.pool.query(sql, &[&Id(runner), &self.session(), &name, &queues]).await.map(drop)
    }

    /// Tells the server for which queues to ring.
    pub(super) async fn tell_bells(&self) -> Result<(), Failure> {
        let names = self.bells.names();
        self.pool.query("SELECT set_asleep($1, $2)", &[&self.session(), &names]).await?;
        self.bells.are_told(&names);
        Ok(())
    }

    /// What the clock of the server says.
    pub(super) async fn server_time(&self) -> Result<UnixMillis, Error> {
        let rows = self.pool.query("SELECT now_ms()", &[]).await?;
        rows.first().map_or(Ok(UnixMillis(0)), |row| column(row, 0).map(super::values::moment))
    }
}

/// Whoever panicked with it has left it whole.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
