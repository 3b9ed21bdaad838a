//! Reloads under load, in every listener mode and every manner of client.

use super::{Context, Scenario};
use crate::oracle::{Load, Mode, Plan};
use crate::report::{Report, Row};
use crate::subject::{Address, Settings, Subject};
use crate::trouble::Trouble;

use std::time::Duration;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "reload",
    promise: "a reload under load fails no request; kept connections see clean closes only",
    run,
};

/// Listener modes and addresses.
const LISTENERS: [(&str, Address); 6] = [
    ("shared", Address::AnyPort),
    ("shared", Address::Unix),
    ("reuseport", Address::AnyPort),
    ("round-robin", Address::AnyPort),
    ("least-loaded", Address::AnyPort),
    ("sticky", Address::AnyPort),
];

/// Manners of clients, and how many.
const CLIENTS: [(Mode, usize); 6] = [
    (Mode::NewConnections, 12),
    (Mode::KeepAlive, 8),
    (Mode::Lazy(Duration::from_millis(30)), 16),
    (Mode::SlowUpload, 12),
    (Mode::Http2, 8),
    (Mode::WebSocket, 8),
];

fn run(context: &mut Context, report: &mut Report) {
    let reloads = context.either(1, 20);
    for (listener, address) in LISTENERS {
        // A short run has every listener and every manner, but not every pair.
        let all = listener == "shared" && address == Address::AnyPort;
        for (mode, clients) in CLIENTS.into_iter().take(context.either(if all { 6 } else { 1 }, 6)) {
            let place = if address == Address::Unix { "Unix socket" } else { listener };
            report.row(&format!("{place}, {mode}, ×{reloads}"), |row| {
                let settings = Settings { listener, address: address.clone(), ..Settings::default() };
                under_load(context, row, &settings, mode, clients, reloads)
            });
        }
    }
}

fn under_load(
    context: &Context,
    row: &mut Row,
    settings: &Settings,
    mode: Mode,
    clients: usize,
    reloads: usize,
) -> Result<(), Trouble> {
    let mut subject = Subject::start(&context.victim, settings)?;
    let load = Load::start(&Plan::new(&subject.target(), mode, clients));
    let mut longest = Duration::ZERO;
    let mut outcome = Ok(());
    for _ in 0..reloads {
        match subject.reload() {
            Ok(took) => longest = longest.max(took),
            Err(trouble) => {
                outcome = Err(trouble);
                break;
            }
        }
    }
    row.tally(load.finish());
    outcome?;
    row.require_no_failure();
    row.figure(format!("longest reload {} ms", longest.as_millis()));
    subject.stop()
}
