//! One attempt at one job: from its lease to its outcome.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use phalanx_task::{Attempt, Packed, PackedTask, Phase, Progress, Submission, SubmitOptions, TaskError};
use tokio::sync::oneshot;
use tokio::time::Sleep;

use super::Shared;
use super::outcome::{self, Verdict};
use super::reports::Report;
use crate::job::{Finish, Heartbeat, Lease, Outcome};
use crate::jobs::gathered;
use crate::{Error, Token, UnixMillis, payload};

/// Between two words of progress of one job.
const BETWEEN_WORDS: Duration = Duration::from_millis(250);

/// Why an attempt is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Nobody wants it any more.
    Cancelled,
    /// Its lease is somebody else's.
    Lost,
    /// The runner stops.
    HandBack,
}

/// An attempt, as the others see it.
pub(super) struct Running {
    stop: Option<oneshot::Sender<Stop>>,
    pub(super) attempt: Arc<Attempt>,
}

impl Running {
    /// Only the first word counts.
    pub(super) fn tell(&mut self, why: Stop) {
        if let Some(stop) = self.stop.take() {
            // One that has just ended needs it no more.
            let _ = stop.send(why);
        }
    }
}

/// Begins to work on a lease.
pub(super) fn begin(shared: &Arc<Shared>, lease: Lease) {
    let attempt = Attempt::new(lease.attempt, lease.details.clone());
    let (stop, told) = oneshot::channel();
    let is_first = {
        let mut running = shared.running();
        running.insert(lease.token, Running { stop: Some(stop), attempt: attempt.clone() });
        running.len() == 1
    };
    shared.room.took();
    if is_first {
        shared.begun.notify_one();
    }
    tokio::spawn(run(shared.clone(), lease, attempt, told));
}

async fn run(shared: Arc<Shared>, mut lease: Lease, attempt: Arc<Attempt>, told: oneshot::Receiver<Stop>) {
    let (token, begun) = (lease.token, Instant::now());
    let (outcome, last_word) = work(&shared, &mut lease, &attempt, told).await;
    shared.room.gave(begun.elapsed());
    let is_empty = {
        let mut running = shared.running();
        running.remove(&token);
        running.is_empty()
    };
    match outcome {
        None => {
            shared.counters.lost.fetch_add(1, Ordering::Relaxed);
        }
        Some(outcome) => {
            shared.counters.count(&outcome);
            let details = if matches!(outcome, Outcome::Done(_)) { None } else { attempt.take_details() };
            let has_words = last_word.is_some() || details.is_some();
            let last_words = has_words.then_some(Heartbeat { token, progress: last_word, details });
            shared.reports.say(Report { last_words, finish: Finish { token, outcome } });
        }
    }
    shared.freed.notify_one();
    if is_empty {
        shared.emptied.notify_waiters();
    }
}

/// How it went (nothing, if the lease was lost), and what the task said last of its progress.
async fn work(
    shared: &Shared,
    lease: &mut Lease,
    attempt: &Arc<Attempt>,
    mut told: oneshot::Receiver<Stop>,
) -> (Option<Outcome>, Option<Progress>) {
    let left = lease.deadline.map(|deadline| deadline.since(UnixMillis::now()));
    if left.is_some_and(|left| left.is_zero()) {
        return (Some(outcome::hopeless(&TaskError::TimedOut(Phase::Queue))), None);
    }
    let input = tokio::select! {
        input = input_of(shared, lease) => input,
        stop = &mut told => return (outcome::of_stop(stop.unwrap_or(Stop::HandBack)), None),
    };
    let input = match input {
        Ok(input) => input,
        Err(error) => return (Some(outcome::of_unreadable(&error)), None),
    };
    let _held = match shared.gate.as_ref().map(|gate| (gate.0)(&lease.kind, &input)) {
        Some(None) => {
            shared.room.was_refused();
            return (Some(Outcome::Returned), None);
        }
        Some(held) => held,
        None => None,
    };
    let mut options = SubmitOptions::new().priority(shared.priority);
    (options.from_submit, options.from_start) = (left, lease.run_limit);
    let task = PackedTask { name: &lease.kind, id: lease.token.job.task_id(), input, attempt: attempt.clone() };
    let (end, last_word) = watch(shared, lease.token, shared.place.submit(task, options), told).await;
    let result = match end {
        End::Stopped(stop) => return (outcome::of_stop(stop), last_word),
        End::Result(result) => result,
    };
    let is_late = lease.deadline.is_some_and(|deadline| UnixMillis::now() >= deadline);
    let outcome = match outcome::of(result, attempt, is_late) {
        Verdict::Output(packed) => match payload::pack(packed, shared.blobs.as_ref()).await {
            Ok(result) => Outcome::Done(result),
            Err(error) => outcome::of_unwritable(&error),
        },
        Verdict::Not(outcome) => outcome,
        Verdict::NoRoom => {
            shared.room.was_refused();
            return (Some(Outcome::Returned), last_word);
        }
    };
    shared.room.was_accepted();
    (Some(outcome), last_word)
}

async fn input_of(shared: &Shared, lease: &mut Lease) -> Result<Packed, Error> {
    match lease.children.take() {
        Some(children) => gathered(&lease.payload, children, shared.blobs.as_ref()).await,
        None => payload::unpack(&lease.payload, shared.blobs.as_ref()).await,
    }
}

/// What a submission comes to.
enum End {
    Result(Result<Packed, TaskError>),
    Stopped(Stop),
}

/// Waits for the end of a submission; tells the store of its progress, the first word at once.
async fn watch(
    shared: &Shared,
    token: Token,
    mut submission: Submission<Packed>,
    mut told: oneshot::Receiver<Stop>,
) -> (End, Option<Progress>) {
    let mut words = submission.progress();
    let mut quiet: Option<std::pin::Pin<Box<Sleep>>> = None;
    let mut is_over = false;
    let end = loop {
        tokio::select! {
            biased;
            result = &mut submission => break End::Result(result),
            stop = &mut told => {
                submission.cancel();
                break End::Stopped(stop.unwrap_or(Stop::HandBack));
            }
            word = words.next(), if !is_over && quiet.is_none() => match word {
                None => is_over = true,
                Some(_) => {
                    shared.pulse.say(Heartbeat { token, progress: words.latest(), details: None });
                    quiet = Some(Box::pin(tokio::time::sleep(BETWEEN_WORDS)));
                }
            },
            () = async { if let Some(quiet) = &mut quiet { quiet.await } }, if quiet.is_some() => quiet = None,
        }
    };
    // Also if it was told: its end would overtake a heartbeat that is under way.
    (end, words.latest())
}
