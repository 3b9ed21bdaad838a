//! The memory of the supervisor: with 16 programs, after restarts, after much output.

use std::time::Duration;

use super::super::progress;
use super::{output, workers};
use crate::measure::{Peak, level_of};
use crate::peers::{Absent, Output, Running, Supervisor};
use crate::table::{Table, Targets, mebibytes, number};

const PROGRAMS: usize = 16;
const RESTARTS: usize = 100;
const RESTARTS_LONG: usize = 1_000;
/// Each program lives for more than a second before its turn comes again, or PM2 would call it unstable.
const BETWEEN_RESTARTS: Duration = Duration::from_millis(75);
const RESTART_DEADLINE: Duration = Duration::from_secs(20);

/// What the processes of one supervisor held.
struct Held {
    processes: usize,
    with_programs: Peak,
    after_restarts: Peak,
    before_output: Peak,
    after_output: Peak,
}

pub(super) async fn run(long: bool, targets: &mut Targets) {
    let restarts = if long { RESTARTS_LONG } else { RESTARTS };
    let bytes = output::bytes(long);
    let mut results = Vec::new();
    for supervisor in Supervisor::ALL {
        let held = measure(supervisor, restarts, bytes).await;
        if let Err(absent) = &held {
            progress(&format!("{}: {absent}", supervisor.name()));
        }
        results.push((supervisor, held));
    }
    println!(
        "\n- memory: {PROGRAMS} shells that became `sleep`; {restarts} of them killed one after the other, each time the oldest, \
         {BETWEEN_RESTARTS:?} apart; then one program that writes {} MiB in lines of 80 bytes",
        bytes >> 20
    );
    print(&results);
    aim(&results, targets);
}

async fn measure(supervisor: Supervisor, restarts: usize, bytes: u64) -> Result<Held, Absent> {
    let server = Running::launch(|_| supervisor.of_sleepers(PROGRAMS))?;
    let level = |server: &Running| level_of(&supervisor.processes(server.root()));
    tokio::time::sleep(output::SETTLING).await;
    let (processes, with_programs) = (supervisor.processes(server.root()).len(), level(&server));
    for number in 1..=restarts {
        restart_the_oldest(&server).await.map_err(|Absent(why)| Absent(format!("restart {number}: {why}")))?;
    }
    tokio::time::sleep(output::SETTLING).await;
    let after_restarts = level(&server);
    drop(server);

    let server = Running::launch(|_| supervisor.of_writer(bytes, Output::Log))?;
    tokio::time::sleep(output::SETTLING).await;
    let before_output = level(&server);
    if output::all_of_it(&server).await?.is_none() {
        return Err(Absent(format!("the program was blocked for {:?}", output::DEADLINE)));
    }
    tokio::time::sleep(output::SETTLING).await;
    Ok(Held { processes, with_programs, after_restarts, before_output, after_output: level(&server) })
}

async fn restart_the_oldest(server: &Running) -> Result<(), Absent> {
    let sleepers = || crate::measure::running(server.root(), "sleep");
    let oldest = *sleepers().first().ok_or_else(|| Absent("no program is left".into()))?;
    workers::kill(oldest);
    if !workers::are_new(sleepers, PROGRAMS, &[oldest], RESTART_DEADLINE).await {
        return Err(Absent(format!("{} of {PROGRAMS} programs after {RESTART_DEADLINE:?}", sleepers().len())));
    }
    tokio::time::sleep(BETWEEN_RESTARTS).await;
    Ok(())
}

fn print(results: &[(Supervisor, Result<Held, Absent>)]) {
    let mut table = Table::new(&[
        "supervisor",
        "processes of its own",
        "16 programs, MiB (PSS / RSS / anonymous)",
        "after the restarts",
        "one program",
        "after its output",
    ]);
    let cell = |peak: Peak| {
        let bytes = [peak.proportional, peak.resident, peak.anonymous];
        bytes.map(|bytes| number(Some(mebibytes(bytes as f64)))).join(" / ")
    };
    for (supervisor, held) in results {
        let name = supervisor.name().to_owned();
        match held {
            Err(absent) => table.absent(vec![name], &absent.0),
            Ok(held) => table.row(vec![
                name,
                held.processes.to_string(),
                cell(held.with_programs),
                cell(held.after_restarts),
                cell(held.before_output),
                cell(held.after_output),
            ]),
        }
    }
    table.print("memory of the supervisor");
}

fn aim(results: &[(Supervisor, Result<Held, Absent>)], targets: &mut Targets) {
    let ours = results.iter().find(|(supervisor, _)| *supervisor == Supervisor::Phalanx);
    let ours = ours.and_then(|(_, held)| held.as_ref().ok());
    let proportional = ours.map(|held| mebibytes(held.with_programs.proportional as f64));
    targets.at_most("supervisor of 16 programs, PSS", 8.0, "MiB", proportional);
    // Code that runs for the first time comes from the page cache: only what is no file's can leak.
    let grown = |before: Peak, after: Peak| mebibytes(after.anonymous as f64) - mebibytes(before.anonymous as f64);
    let restarts = ours.map(|held| grown(held.with_programs, held.after_restarts));
    targets.at_most("its growth over the restarts, anonymous", 0.5, "MiB", restarts);
    let output = ours.map(|held| grown(held.before_output, held.after_output));
    targets.at_most("its growth over the output, anonymous", 2.0, "MiB", output);
}
