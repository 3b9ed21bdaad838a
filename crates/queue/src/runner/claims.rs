//! The loop that claims jobs, as many as there is room for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Shared;
use super::attempt;
use super::reports::Report;
use crate::Error;
use crate::job::{Claim, Finish, Lease, Outcome};

/// How long one claim waits for a job.
const LONGEST_CLAIM: Duration = Duration::from_secs(5);
/// The first wait after a claim that was not answered; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

pub(super) async fn run(shared: Arc<Shared>) {
    tokio::select! {
        () = claim(shared.clone()) => {}
        () = shared.stopping() => {}
    }
}

async fn claim(shared: Arc<Shared>) {
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(until) = shared.room.rests_until() {
            tokio::time::sleep(until.saturating_duration_since(Instant::now())).await;
        }
        let most = has_room(&shared).await;
        let claim = Claim {
            runner: shared.id,
            name: shared.name.clone(),
            queues: shared.queues.clone(),
            kinds: shared.kinds.clone(),
            most,
            wait: LONGEST_CLAIM,
        };
        // A task of its own: if the runner stops meanwhile, what comes of it is handed back.
        let claimed = tokio::spawn(claimed(shared.clone(), claim));
        match claimed.await {
            Ok(true) => pause = FIRST_PAUSE,
            Ok(false) => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            // The thread ends.
            Err(_) => return,
        }
    }
}

async fn has_room(shared: &Shared) -> usize {
    loop {
        match shared.room.free(shared.reports.unsaid()) {
            0 => shared.freed.notified().await,
            most => return most,
        }
    }
}

/// Whether there was an answer.
async fn claimed(shared: Arc<Shared>, claim: Claim) -> bool {
    match shared.store.claim(claim).await {
        Ok(leases) => {
            let is_stopping = *shared.stopping.borrow();
            for lease in leases {
                shared.counters.claimed.fetch_add(1, Ordering::Relaxed);
                if is_stopping { hand_back(&shared, &lease) } else { attempt::begin(&shared, lease) }
            }
            true
        }
        Err(Error::Closed) => {
            // Nothing will ever come of it.
            shared.stopping.send_replace(true);
            true
        }
        Err(error) => {
            shared.counters.was_not_answered(&error);
            tracing::warn!(runner = %shared.name, %error, "no jobs can be claimed; trying again");
            false
        }
    }
}

fn hand_back(shared: &Shared, lease: &Lease) {
    let finish = Finish { token: lease.token, outcome: Outcome::Returned };
    shared.counters.count(&finish.outcome);
    shared.reports.say(Report { last_words: None, finish });
}
