//! What became of an attempt, as the store is told: the table of the [module](super).

use std::sync::Arc;

use phalanx_task::{Attempt, Packed, Phase, Refusal, TaskError};

use super::attempt::Stop;
use crate::executor::as_task_error;
use crate::job::Outcome;
use crate::{Error, payload};

/// What the end of a submission means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The output, to be packed.
    Output(Packed),
    /// None, but this.
    Not(Outcome),
    /// The pool has no room, or cannot work: the job goes back, and the runner takes a rest.
    NoRoom,
}

/// `is_late`: the deadline of the job has passed.
pub(super) fn of(result: Result<Packed, TaskError>, attempt: &Arc<Attempt>, is_late: bool) -> Verdict {
    let error = match result {
        Ok(output) => return Verdict::Output(output),
        Err(error) => error,
    };
    let is_own_word = attempt.has_answered();
    Verdict::Not(match &error {
        TaskError::Refused(Refusal::Unreadable { .. } | Refusal::TooBig { .. } | Refusal::Unknown { .. }) => {
            hopeless(&error)
        }
        TaskError::TimedOut(_) if is_late => hopeless(&error),
        _ if is_own_word => failed(&error),
        TaskError::Crashed(_) => Outcome::Crashed { error: payload::error(&error) },
        TaskError::Refused(Refusal::Poison { .. }) => hopeless(&error),
        // Nobody told it so: the pool was given up.
        TaskError::Refused(_) | TaskError::Cancelled => return Verdict::NoRoom,
        // By the clock of the pool it is late, by that of the machine not yet.
        TaskError::TimedOut(Phase::Queue) => hopeless(&error),
        _ => failed(&error),
    })
}

pub(super) fn of_stop(stop: Stop) -> Option<Outcome> {
    match stop {
        Stop::Cancelled => Some(Outcome::Cancelled),
        Stop::HandBack => Some(Outcome::Returned),
        Stop::Lost => None,
    }
}

/// The input could not be fetched or understood.
pub(super) fn of_unreadable(error: &Error) -> Outcome {
    match error {
        Error::Malformed { .. } => hopeless(&Refusal::Unreadable { reason: error.to_string() }.into()),
        // Another machine may see the blob, or this one later.
        _ => failed(&TaskError::failed(error)),
    }
}

/// The output could not be handed over.
pub(super) fn of_unwritable(error: &Error) -> Outcome {
    match as_task_error(error.clone()) {
        error @ TaskError::Refused(Refusal::TooBig { .. }) => hopeless(&error),
        error => failed(&error),
    }
}

pub(super) fn hopeless(error: &TaskError) -> Outcome {
    Outcome::Failed { error: payload::error(error), hopeless: true }
}

fn failed(error: &TaskError) -> Outcome {
    Outcome::Failed { error: payload::error(error), hopeless: false }
}

#[cfg(test)]
mod tests {
    use phalanx_task::{Crash, Ending};

    use super::*;

    fn verdict(error: TaskError) -> Verdict {
        of(Err(error), &Attempt::new(1, None), false)
    }

    fn is_hopeless(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Not(Outcome::Failed { hopeless: true, .. }))
    }

    #[test]
    fn each_end_is_reported_as_the_table_says() {
        let crash = TaskError::Crashed(Crash { ending: Ending::Signal(11), stderr_tail: String::new() });
        assert!(matches!(verdict(crash), Verdict::Not(Outcome::Crashed { .. })));
        let panic = TaskError::Panicked { message: String::new(), location: None };
        for error in [panic, TaskError::failed("no"), TaskError::TimedOut(Phase::Run)] {
            assert!(matches!(verdict(error), Verdict::Not(Outcome::Failed { hopeless: false, .. })));
        }
        for refusal in [
            Refusal::Unreadable { reason: String::new() },
            Refusal::TooBig { bytes: 2, limit: 1 },
            Refusal::Unknown { task: String::new() },
            Refusal::Poison { crashes: 3 },
        ] {
            assert!(is_hopeless(&verdict(refusal.into())));
        }
        for refusal in [
            Refusal::Full { queued: 1, limit: 1 },
            Refusal::ShuttingDown,
            Refusal::NotStarted { reason: String::new() },
            Refusal::Duplicate,
        ] {
            assert_eq!(verdict(refusal.into()), Verdict::NoRoom);
        }
        assert_eq!(verdict(TaskError::Cancelled), Verdict::NoRoom);
        let late = of(Err(TaskError::TimedOut(Phase::Run)), &Attempt::new(1, None), true);
        assert!(is_hopeless(&late));
    }

    #[test]
    fn what_only_the_queue_knows_is_reported_too() {
        assert_eq!(of_stop(Stop::Lost), None);
        let newer = Error::Malformed { what: String::new(), reason: String::new() };
        assert!(matches!(of_unreadable(&newer), Outcome::Failed { hopeless: true, .. }));
        let missing = Error::Blob { hash: String::new(), reason: String::new() };
        assert!(matches!(of_unreadable(&missing), Outcome::Failed { hopeless: false, .. }));
        assert!(matches!(of_unwritable(&Error::TooBig { bytes: 2, limit: 1 }), Outcome::Failed { hopeless: true, .. }));
    }
}
