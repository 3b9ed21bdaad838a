//! The queue in `/metrics`, as Prometheus reads it.

use super::connection::Connection;
use phalanx_queue::QueueStats;
use std::fmt::Write;
use std::time::Duration;
use tokio::time::timeout;

/// Longest time that a look at the queue may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Name, help, and what is told of each queue under which labels.
type Family = (&'static str, &'static str, fn(&QueueStats) -> Vec<(&'static str, f64)>);

const FAMILIES: [Family; 4] = [
    ("phalanx_queue_jobs", "Jobs and messages of each queue, by state.", |stats| {
        vec![
            ("state=\"ready\"", stats.ready as f64),
            ("state=\"scheduled\"", stats.scheduled as f64),
            ("state=\"leased\"", stats.leased as f64),
            ("state=\"waiting-children\"", stats.waiting_children as f64),
            ("state=\"done\"", stats.done as f64),
            ("state=\"dead\"", stats.dead as f64),
        ]
    }),
    ("phalanx_queue_bytes", "Bytes that wait in each queue.", |stats| vec![("", stats.bytes as f64)]),
    ("phalanx_queue_oldest_seconds", "How long the oldest job that could run has waited.", |stats| {
        vec![("", stats.oldest_ms as f64 / 1e3)]
    }),
    ("phalanx_queue_consumers", "Consumers and runners of each queue.", |stats| vec![("", stats.consumers as f64)]),
];

/// The figures; empty without a queue. A queue that does not answer is down.
pub(crate) async fn figures(connection: &Connection) -> String {
    if !connection.is_wanted() {
        return String::new();
    }
    let stats = match connection.present() {
        Some(queue) => timeout(PATIENCE, queue.store().stats(None)).await.ok(),
        None => None,
    };
    let up = match &stats {
        // One that cannot count is there all the same.
        Some(Ok(_) | Err(phalanx_queue::Error::Unsupported { .. })) => 1,
        _ => 0,
    };
    let mut text = format!(
        "# HELP phalanx_queue_up Whether the queue answers.\n# TYPE phalanx_queue_up gauge\nphalanx_queue_up {up}\n"
    );
    if let Some(Ok(stats)) = stats {
        write_families(&mut text, &stats);
    }
    text
}

fn write_families(text: &mut String, queues: &[QueueStats]) {
    for (name, help, values) in FAMILIES {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
        for stats in queues {
            // A name of a queue has no character that would have to be escaped.
            for (label, value) in values(stats) {
                let comma = if label.is_empty() { "" } else { "," };
                let _ = writeln!(text, "{name}{{queue=\"{}\"{comma}{label}}} {value}", stats.queue);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_queue_is_in_every_family() {
        let mut text = String::new();
        let stats =
            |queue: &str| QueueStats { queue: queue.into(), ready: 3, oldest_ms: 1500, ..QueueStats::default() };
        write_families(&mut text, &[stats("default"), stats("slow")]);
        for line in [
            "phalanx_queue_jobs{queue=\"default\",state=\"ready\"} 3",
            "phalanx_queue_jobs{queue=\"slow\",state=\"dead\"} 0",
            "phalanx_queue_oldest_seconds{queue=\"slow\"} 1.5",
            "phalanx_queue_bytes{queue=\"default\"} 0",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
        }
    }
}
