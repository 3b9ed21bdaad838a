//! [`Reports`]: outcomes on their way to the store, as many at once as there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};

use super::Shared;
use crate::job::{Finish, Heartbeat, Recorded};
use crate::{Error, Token};

/// Reports of one call.
const MOST_AT_ONCE: usize = 128;
/// The first wait after a report that was not taken, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long a report is repeated. Then somebody else has long begun anew.
const GIVE_UP: Duration = Duration::from_secs(300);

/// What is said of an attempt that is over.
pub(super) struct Report {
    /// The last progress, and details that were not told; before the outcome.
    pub(super) last_words: Option<Heartbeat>,
    pub(super) finish: Finish,
}

pub(super) struct Reports {
    line: mpsc::UnboundedSender<Report>,
    /// Not confirmed yet.
    unsaid: AtomicUsize,
    said: Notify,
}

impl Reports {
    pub(super) fn new() -> (Reports, mpsc::UnboundedReceiver<Report>) {
        let (line, reports) = mpsc::unbounded_channel();
        (Reports { line, unsaid: AtomicUsize::new(0), said: Notify::new() }, reports)
    }

    /// Says it soon, and until it is heard.
    pub(super) fn say(&self, report: Report) {
        self.unsaid.fetch_add(1, Ordering::Relaxed);
        if self.line.send(report).is_err() {
            self.were_said(1);
        }
    }

    /// How many the store has not confirmed.
    pub(super) fn unsaid(&self) -> usize {
        self.unsaid.load(Ordering::Relaxed)
    }

    fn were_said(&self, reports: usize) {
        self.unsaid.fetch_sub(reports, Ordering::Relaxed);
        self.said.notify_waiters();
    }

    pub(super) async fn all_said(&self) {
        loop {
            let said = self.said.notified();
            if self.unsaid() == 0 {
                return;
            }
            said.await;
        }
    }
}

pub(super) async fn run(shared: Arc<Shared>, mut reports: mpsc::UnboundedReceiver<Report>) {
    let mut batch = Vec::with_capacity(MOST_AT_ONCE);
    while reports.recv_many(&mut batch, 1).await > 0 {
        // Attempts that have ended too say so first: the pool wakes them one by one, each of which would have a call of its own.
        tokio::task::yield_now().await;
        while batch.len() < MOST_AT_ONCE
            && let Ok(another) = reports.try_recv()
        {
            batch.push(another);
        }
        let reports = std::mem::take(&mut batch);
        // The next ones do not wait for the confirmation of these.
        tokio::spawn(say(shared.clone(), reports));
    }
}

async fn say(shared: Arc<Shared>, reports: Vec<Report>) {
    let (mut last_words, mut finishes) = (Vec::new(), Vec::with_capacity(reports.len()));
    for report in reports {
        last_words.extend(report.last_words);
        finishes.push(report.finish);
    }
    if !last_words.is_empty() {
        // If they are lost, so be it: the outcome is what counts.
        let _ = shared.store.renew(shared.id, last_words).await;
    }
    let many = finishes.len();
    if let Err(error) = finish(&shared, finishes.clone()).await {
        if many > 1 {
            // One of them may be the reason.
            for one in finishes {
                let token = one.token;
                if let Err(error) = finish(&shared, vec![one]).await {
                    give_up(&shared, token, &error);
                }
            }
        } else if let Some(one) = finishes.first() {
            give_up(&shared, one.token, &error);
        }
    }
    shared.reports.were_said(many);
    shared.freed.notify_one();
}

/// Repeats it until there is an answer; an error that repeating does not help with is returned.
async fn finish(shared: &Shared, finishes: Vec<Finish>) -> Result<(), Error> {
    let (begun, mut pause) = (Instant::now(), FIRST_PAUSE);
    loop {
        match shared.store.finish(finishes.clone()).await {
            Ok(recorded) => {
                let stale = recorded.iter().filter(|recorded| **recorded == Recorded::Stale).count();
                shared.counters.stale.fetch_add(stale as u64, Ordering::Relaxed);
                return Ok(());
            }
            Err(error) if is_worth_repeating(&error) && begun.elapsed() < GIVE_UP => {
                shared.counters.was_not_answered(&error);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
}

fn is_worth_repeating(error: &Error) -> bool {
    // A disk that is full now may have room in a minute.
    error.is_passing() || matches!(error, Error::Store { .. } | Error::Refused { .. })
}

fn give_up(shared: &Shared, token: Token, error: &Error) {
    shared.counters.was_not_answered(error);
    tracing::error!(runner = %shared.name, attempt = %token, %error, "an outcome is lost; the job will be tried again");
}
