//! What is known of a job, as JSON.

use super::submission::path;
use crate::problem::Problem;
use phalanx::TaskError;
use phalanx_queue::{JobState, JobStatus, QueueStats, payload};
use serde_json::{Value, json};

/// All states, by name.
const STATES: [JobState; 7] = [
    JobState::Scheduled,
    JobState::Ready,
    JobState::Leased,
    JobState::WaitingChildren,
    JobState::Done,
    JobState::Dead,
    JobState::Cancelled,
];

/// A job, for clients. Times are in milliseconds since 1970, in UTC.
pub(crate) fn described(status: &JobStatus) -> Value {
    let path = path(status.id);
    let mut told = json!({
        "id": status.id.to_string(),
        "path": path,
        "result": format!("{path}/result"),
        "events": format!("{path}/events"),
        "task": status.kind,
        "queue": status.queue.as_str(),
        "state": status.state.to_string(),
        "version": status.version,
        "priority": status.priority,
        "attempts": status.attempts,
        "errors": status.errors,
        "crashes": status.crashes,
        "submitted_ms": status.submitted.0,
    });
    if status.state == JobState::Scheduled {
        told["not_before_ms"] = status.not_before.0.into();
    }
    if let Some(ended) = status.ended {
        told["ended_ms"] = ended.0.into();
    }
    if let Some(expires) = status.expires {
        told["expires_ms"] = expires.0.into();
    }
    if let Some(progress) = status.progress {
        told["progress"] = json!({ "done": progress.done, "total": progress.total });
    }
    if let Some(error) = &status.error {
        told["error"] = error_for_clients(&payload::as_error(error)).into();
    }
    if let Some(runner) = &status.runner {
        told["runner"] = runner.as_str().into();
    }
    if let Some(parent) = status.parent {
        told["parent"] = parent.to_string().into();
    }
    if let Some((all, ended)) = status.children {
        told["children"] = json!({ "total": all, "ended": ended });
    }
    told
}

/// A job, for whoever looks after the queue: with the whole error.
pub(crate) fn described_whole(status: &JobStatus) -> Value {
    let mut told = described(status);
    if let Some(error) = &status.error {
        told["error"] = error_of(error).into();
    }
    told
}

/// What a client is told of an error: not where in our code it was, nor what a process said last.
fn error_for_clients(error: &TaskError) -> String {
    match error {
        TaskError::Panicked { .. } => "the task panicked".to_owned(),
        TaskError::Crashed(crash) => format!("the task killed its process: {}", crash.ending),
        other => other.to_string(),
    }
}

/// The words of a packed error.
pub(crate) fn error_of(packed: &[u8]) -> String {
    payload::as_error(packed).to_string()
}

/// A queue.
pub(crate) fn of_queue(stats: &QueueStats) -> Value {
    json!({
        "queue": stats.queue,
        "ready": stats.ready,
        "scheduled": stats.scheduled,
        "leased": stats.leased,
        "waiting_children": stats.waiting_children,
        "done": stats.done,
        "dead": stats.dead,
        "bytes": stats.bytes,
        "oldest_ms": stats.oldest_ms,
        "consumers": stats.consumers,
        "paused": stats.paused,
    })
}

/// The state of this name.
pub(crate) fn state_of(name: &str) -> Result<JobState, String> {
    STATES.into_iter().find(|state| state.to_string() == name).ok_or_else(|| {
        let names: Vec<String> = STATES.iter().map(ToString::to_string).collect();
        format!("there is no state {name:?}; the states are {}", names.join(", "))
    })
}

/// As [`state_of`], for a parameter.
pub(crate) fn state_parameter(name: &str) -> Result<JobState, Problem> {
    state_of(name).map_err(|why| Problem::parameter("state", why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx::task::{Crash, Ending};

    #[test]
    fn clients_are_not_told_where_in_our_code_it_was() {
        let panicked = TaskError::Panicked { message: "secret".into(), location: Some("/secret/x.rs:1:1".into()) };
        let crashed = TaskError::Crashed(Crash { ending: Ending::Signal(11), stderr_tail: "secret".into() });
        for error in [panicked, crashed] {
            assert!(!error_for_clients(&error).contains("secret"), "{error}");
            assert!(error_of(&payload::error(&error)).contains("secret"));
        }
    }

    #[test]
    fn states_are_read_as_they_are_written() {
        for state in STATES {
            assert_eq!(state_of(&state.to_string()), Ok(state));
        }
        assert!(state_of("finished").unwrap_err().contains("waiting-children"));
    }
}
