//! Queues, jobs and messages for people.

use phalanx_queue::{JobStatus, Message, QueueStats, UnixMillis};
use serde_json::{Value, json};

use crate::config::quantity::ByteSize;
use crate::jobs::error_of;
use crate::text_table::aligned;

/// Characters of a body, or of an error in a list, that are shown.
const SHOWN: usize = 60;

/// One line for each queue.
pub(super) fn of_queues(queues: &[QueueStats]) -> String {
    if queues.is_empty() {
        return "there are no queues yet".to_owned();
    }
    let title =
        ["QUEUE", "READY", "SCHEDULED", "LEASED", "WAITING", "DONE", "DEAD", "BYTES", "OLDEST", "CONSUMERS", ""];
    let mut rows = vec![title.map(str::to_owned)];
    for its in queues {
        rows.push([
            its.queue.clone(),
            its.ready.to_string(),
            its.scheduled.to_string(),
            its.leased.to_string(),
            its.waiting_children.to_string(),
            its.done.to_string(),
            its.dead.to_string(),
            ByteSize(its.bytes).to_string(),
            if its.ready == 0 { "-".to_owned() } else { age(its.oldest_ms) },
            its.consumers.to_string(),
            if its.paused { "paused".to_owned() } else { String::new() },
        ]);
    }
    aligned(&rows).join("\n")
}

/// One line for each job.
pub(super) fn of_jobs(jobs: &[JobStatus]) -> String {
    if jobs.is_empty() {
        return "there are no such jobs".to_owned();
    }
    let now = UnixMillis::now();
    let title = ["JOB", "QUEUE", "TASK", "STATE", "AGE", "ATTEMPTS", "LAST ERROR"];
    let mut rows = vec![title.map(str::to_owned)];
    for its in jobs {
        rows.push([
            its.id.to_string(),
            its.queue.to_string(),
            its.kind.clone(),
            its.state.to_string(),
            age(now.since(its.submitted).as_millis() as u64),
            its.attempts.to_string(),
            its.error.as_deref().map(|error| clipped(&error_of(error))).unwrap_or_default(),
        ]);
    }
    aligned(&rows).join("\n")
}

/// One line for each thing that is known of it.
pub(super) fn of_job(job: &JobStatus) -> String {
    let now = UnixMillis::now();
    let ago = |moment: UnixMillis| format!("{} ago", age(now.since(moment).as_millis() as u64));
    let ahead = |moment: UnixMillis| format!("in {}", age(moment.since(now).as_millis() as u64));
    let mut rows = vec![
        ["job".to_owned(), job.id.to_string()],
        ["task".to_owned(), job.kind.clone()],
        ["queue".to_owned(), job.queue.to_string()],
        ["state".to_owned(), job.state.to_string()],
        ["priority".to_owned(), job.priority.to_string()],
        ["attempts".to_owned(), format!("{} ({} errors, {} crashes)", job.attempts, job.errors, job.crashes)],
        ["submitted".to_owned(), ago(job.submitted)],
    ];
    let mut add = |name: &str, value: Option<String>| rows.extend(value.map(|value| [name.to_owned(), value]));
    add("not before", Some(job.not_before).filter(|moment| *moment > now).map(ahead));
    add("ended", job.ended.map(ago));
    add("kept", job.expires.filter(|moment| *moment > now).map(ahead));
    add("progress", job.progress.map(|progress| format!("{} of {}", progress.done, progress.total)));
    add("runner", job.runner.clone());
    add("parent", job.parent.map(|parent| parent.to_string()));
    add("children", job.children.map(|(all, ended)| format!("{ended} of {all} have ended")));
    add("last error", job.error.as_deref().map(error_of));
    aligned(&rows).join("\n")
}

/// One line for each message.
pub(super) fn of_messages(messages: &[Message]) -> String {
    if messages.is_empty() {
        return "no message waits".to_owned();
    }
    let mut rows = vec![["MESSAGE", "BYTES", "PRIORITY", "BODY"].map(str::to_owned)];
    for its in messages {
        let body = String::from_utf8_lossy(&its.body);
        rows.push([its.id.to_string(), its.body.len().to_string(), its.priority.to_string(), clipped(&body)]);
    }
    aligned(&rows).join("\n")
}

/// A message as JSON; a body that is no text as `null`.
pub(super) fn message(message: &Message) -> Value {
    let headers = message.headers.iter().map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into()));
    json!({
        "id": message.id.to_string(),
        "bytes": message.body.len(),
        "priority": message.priority,
        "headers": headers.collect::<serde_json::Map<String, Value>>(),
        "body": std::str::from_utf8(&message.body).ok(),
    })
}

/// The first characters, without those that would move the cursor of a terminal.
fn clipped(text: &str) -> String {
    let mut shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// `93784000` milliseconds are `1d2h`: two units tell enough.
fn age(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds < 10 => format!("{:.1}s", milliseconds as f64 / 1e3),
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, ..) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_one_line_under_its_titles() {
        let stats = QueueStats {
            queue: "default".into(),
            ready: 3,
            oldest_ms: 93_784_000,
            paused: true,
            ..QueueStats::default()
        };
        let table = of_queues(&[stats]);
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].starts_with("QUEUE    READY"), "{table}");
        assert!(
            lines[1].starts_with("default  3 ") && lines[1].ends_with("paused") && lines[1].contains("1d2h"),
            "{table}"
        );
    }

    #[test]
    fn what_others_wrote_cannot_move_the_cursor() {
        let message = Message::new("\u{1b}[2Jhello\nworld".to_owned() + &"x".repeat(100));
        let table = of_messages(&[message]);
        assert_eq!(table.lines().count(), 2);
        assert!(!table.contains('\u{1b}') && table.ends_with('…'), "{table}");
    }
}
