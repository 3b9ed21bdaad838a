//! A program that writes, while nobody reads what the supervisor writes on.

use std::time::Duration;

use super::super::progress;
use super::output;
use crate::peers::{Absent, LINE, Output, Running, Supervisor};
use crate::table::{Table, Targets, number};

/// The count is in the metrics by then.
const COUNTING: Duration = Duration::from_secs(2);
/// The series that counts lines which were not written on.
const DROPPED: &str = "phalanx_log_lines_dropped_total";

struct Written {
    /// None if it was blocked.
    took: Option<Duration>,
    dropped: Option<f64>,
}

pub(super) async fn run(long: bool, targets: &mut Targets) {
    let bytes = output::bytes(long);
    let lines = bytes / (LINE.len() as u64 + 1);
    let mut results = Vec::new();
    for supervisor in Supervisor::ALL {
        let written = measure(supervisor, bytes).await;
        if let Err(absent) = &written {
            progress(&format!("{}: {absent}", supervisor.name()));
        }
        results.push((supervisor, written));
    }
    println!(
        "\n- chatty: one program writes {} MiB, {lines} lines; what the supervisor writes goes into a pipe that nobody reads (PM2 writes to \
         files)",
        bytes >> 20
    );
    let mut table = Table::new(&["supervisor", "the program took, s", "MiB/s", "lines dropped and counted"]);
    for (supervisor, written) in &results {
        let name = supervisor.name().to_owned();
        match written {
            Err(absent) => table.absent(vec![name], &absent.0),
            Ok(written) => {
                let seconds = written.took.map(|took| took.as_secs_f64());
                let took = seconds.map_or_else(|| "blocked".to_owned(), |seconds| number(Some(seconds)));
                let speed = number(seconds.map(|seconds| (bytes >> 20) as f64 / seconds));
                table.row(vec![name, took, speed, number(written.dropped)]);
            }
        }
    }
    table.print("a chatty program");
    let ours = results.iter().find(|(supervisor, _)| *supervisor == Supervisor::Phalanx);
    let ours = ours.and_then(|(_, written)| written.as_ref().ok());
    let blocked = ours.map(|written| if written.took.is_none() { 1.0 } else { 0.0 });
    targets.at_most("programs that are blocked because nobody reads", 0.0, "", blocked);
    let dropped = ours.and_then(|written| written.dropped);
    targets.at_least("of its lines dropped and counted", 0.9, "of all", dropped.map(|dropped| dropped / lines as f64));
}

async fn measure(supervisor: Supervisor, bytes: u64) -> Result<Written, Absent> {
    let server = Running::launch(|_| supervisor.of_writer(bytes, Output::Unread))?;
    let took = output::all_of_it(&server).await?;
    tokio::time::sleep(COUNTING).await;
    let dropped = supervisor.metrics(server.folder()).and_then(|metrics| dropped(&metrics));
    Ok(Written { took, dropped })
}

/// What the supervisor counted.
fn dropped(metrics: &str) -> Option<f64> {
    let series = metrics.lines().filter(|line| line.starts_with(DROPPED));
    series.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).reduce(|sum, count| sum + count)
}
