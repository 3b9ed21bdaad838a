//! What happens in the cluster, one line each, for a reader that is a program.

use std::io::Write;

use phalanx_cluster::Event;

/// Writes the line of an event. A reader that is gone is no reason to stop.
pub(crate) fn tell(event: &Event) {
    let line = match event {
        Event::Fork { worker, pid, slot } => format!("fork worker={worker} pid={pid} slot={}", slot.0),
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
        Event::BackOff { slot, wait } => format!("back-off slot={} wait_ms={}", slot.0, wait.as_millis()),
        Event::BreakerOpen { slot, .. } => format!("breaker-open slot={}", slot.0),
        Event::ListenersClosed => "listeners-closed".to_owned(),
        Event::Stopping => "stopping".to_owned(),
        other => format!("other words={}", other.to_string().replace('\n', " ")),
    };
    let _ = writeln!(std::io::stdout().lock(), "event {line}");
}
