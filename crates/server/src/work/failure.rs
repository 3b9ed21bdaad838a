//! What it means to a client that a task has no output, and what is counted and logged of it.

use crate::problem::{Code, Problem};
use phalanx::TaskError;
use phalanx::shared::Field;
use phalanx::task::{Crash, Refusal};
use std::time::Duration;

/// When nothing says when to come back.
const USUAL_RETRY: Duration = Duration::from_secs(1);

/// What is counted of it.
pub(super) fn fields(error: &TaskError) -> &'static [Field] {
    match error {
        TaskError::Refused(Refusal::Poison { .. }) => &[Field::JobsFailed],
        TaskError::Refused(_) => &[Field::JobsRefused, Field::Shed],
        TaskError::TimedOut(_) => &[Field::JobsRefused],
        TaskError::Cancelled => &[Field::JobsRefused, Field::Shed],
        _ => &[Field::JobsFailed],
    }
}

/// What the client is told.
pub(crate) fn problem(error: &TaskError, deadline: Duration) -> Problem {
    match error {
        TaskError::Refused(refusal) => refused(refusal),
        TaskError::TimedOut(_) => Problem::new(
            Code::DeadlinePassed,
            format!("the work was not done within {deadline:?} and was stopped; send less"),
        )
        .limit(deadline.as_millis() as u64, "milliseconds"),
        TaskError::Cancelled => refused(&Refusal::ShuttingDown),
        TaskError::Crashed(crash) => crashed(crash),
        _ => {
            tracing::error!("{error}");
            Problem::new(Code::Internal, "the server made a mistake at work on this request; it is logged")
        }
    }
}

/// The crash itself is logged where it is noticed, with its process.
fn crashed(crash: &Crash) -> Problem {
    Problem::new(
        Code::CrashedDecoder,
        format!(
            "the decoder crashed at work on this picture ({}); no other request was harmed; send another picture",
            crash.ending
        ),
    )
}

/// What the client is told of a task that was not begun.
pub(super) fn refused(refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::TooLongWait { predicted, limit, retry_after } => {
            let detail = format!("the server is full: the wait would be {predicted:.1?}, and {limit:?} is the limit");
            Problem::new(Code::Overloaded, detail).retry_after(*retry_after)
        }
        Refusal::Full { queued, .. } => {
            let detail = format!("the server is full: {queued} requests wait already");
            Problem::new(Code::Overloaded, detail).retry_after(USUAL_RETRY)
        }
        Refusal::Poison { crashes } => Problem::new(
            Code::CrashedDecoder,
            format!(
                "this picture has crashed the decoder {crashes} times; it is not tried again; send another picture"
            ),
        ),
        Refusal::NotStarted { reason } => {
            tracing::error!(reason, "nothing can be started to do the work");
            let detail = "the server could not start a process for the work; try again later";
            Problem::new(Code::Overloaded, detail).retry_after(USUAL_RETRY)
        }
        Refusal::ShuttingDown => {
            Problem::new(Code::Draining, "this worker is about to stop; send the request again, another one serves on")
                .retry_after(USUAL_RETRY)
        }
        other => {
            tracing::error!("{other}");
            Problem::new(Code::Internal, "the server made a mistake at work on this request; it is logged")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx::task::{Ending, Phase};

    #[test]
    fn each_end_of_a_task_has_its_status() {
        let crash = Crash { ending: Ending::Signal(11), stderr_tail: String::new() };
        for (error, code) in [
            (TaskError::Crashed(crash), Code::CrashedDecoder),
            (Refusal::Poison { crashes: 3 }.into(), Code::CrashedDecoder),
            (TaskError::TimedOut(Phase::Run), Code::DeadlinePassed),
            (TaskError::TimedOut(Phase::Queue), Code::DeadlinePassed),
            (Refusal::Full { queued: 1, limit: 1 }.into(), Code::Overloaded),
            (Refusal::NotStarted { reason: "no".into() }.into(), Code::Overloaded),
            (Refusal::ShuttingDown.into(), Code::Draining),
            (TaskError::Cancelled, Code::Draining),
            (TaskError::failed("no"), Code::Internal),
            (TaskError::Panicked { message: "no".into(), location: None }, Code::Internal),
            (Refusal::TooBig { bytes: 2, limit: 1 }.into(), Code::Internal),
        ] {
            let told = problem(&error, Duration::from_secs(1));
            assert_eq!(told.code(), code, "{error}");
        }
    }
}
