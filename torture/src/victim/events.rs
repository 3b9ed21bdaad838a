//! What happens in the cluster, one line each, for a reader that is a program.

use std::io::Write;

use phalanx_cluster::Event;

/// Writes the line of an event. A reader that is gone is no reason to stop.
pub(crate) fn tell(event: &Event) {
    let line = match event {
        Event::Fork { worker, pid, place } => format!("fork worker={worker} pid={pid} place={place}"),
        Event::Online { worker } => format!("online worker={worker}"),
        Event::Listening { worker, address } => format!("listening worker={worker} address={address}"),
        Event::Ready { worker, after } => format!("ready worker={worker} after_us={}", after.as_micros()),
        Event::Disconnect { worker } => format!("disconnect worker={worker}"),
        Event::Killed { worker, why } => format!("killed worker={worker} why={why}"),
        Event::Exit { worker, pid, reason, connections } => format!(
            "exit worker={worker} pid={pid} voluntary={} connections={connections} reason={}",
            reason.voluntary,
            reason.to_string().replace('\n', " ")
        ),
        Event::BackOff { place, wait } => format!("back-off place={place} wait_ms={}", wait.as_millis()),
        Event::BreakerOpen { place, .. } => format!("breaker-open place={place}"),
        Event::ListenersClosed => "listeners-closed".to_owned(),
        Event::Stopping => "stopping".to_owned(),
        Event::Hung { worker } => format!("hung worker={worker}"),
        Event::Began { operation, kind } => format!("began operation={operation} kind={kind}"),
        Event::Ended { operation, kind, failure } => {
            let failure = failure.as_deref().unwrap_or_default().replace('\n', " ");
            format!("ended operation={operation} kind={kind} ok={} why={failure}", failure.is_empty())
        }
        other => format!("other words={}", other.to_string().replace('\n', " ")),
    };
    let _ = writeln!(std::io::stdout().lock(), "event {line}");
}
