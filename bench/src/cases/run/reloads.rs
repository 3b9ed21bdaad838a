//! Reload after reload, under clients with fresh connections and clients that keep theirs.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tokio::process::Child;

use super::super::{Settings, in_turn, progress};
use super::{fates, workers};
use crate::load::oracle::{Clients, Manner, Record};
use crate::peers::{Absent, Contender, Running, Side};
use crate::table::{Targets, median, number};

const CONTENDERS: [Contender; 4] = [Contender::Run, Contender::RunShared, Contender::RunPm2, Contender::RunPm2Asked];
const RELOADS: u32 = 20;
const QUICK_RELOADS: u32 = 3;
const FRESH_CLIENTS: usize = 8;
const KEPT_CLIENTS: usize = 8;
/// Between two requests on a kept connection.
const PAUSE: Duration = Duration::from_millis(20);
/// A reload that takes longer has failed.
const RELOAD_DEADLINE: Duration = Duration::from_secs(40);

struct Reloads {
    fresh: Record,
    kept: Record,
    milliseconds: Vec<f64>,
}

pub(super) async fn run(settings: &Settings, targets: &mut Targets) {
    let contenders = settings.contenders(&CONTENDERS);
    let reloads = settings.count_or_quick(RELOADS, QUICK_RELOADS);
    let mut results = Vec::new();
    for contender in in_turn(&contenders, 0) {
        let result = one(contender, settings, reloads).await;
        match &result {
            Ok(reloads) => progress(&format!(
                "{}: {} reloads, {} failed fresh, {} failed kept",
                contender.name(),
                reloads.milliseconds.len(),
                reloads.fresh.failed(),
                reloads.kept.failed()
            )),
            Err(absent) => progress(&format!("{}: {absent}", contender.name())),
        }
        results.push((contender, result));
    }
    println!(
        "\n- reloads: {reloads} one after the other; {FRESH_CLIENTS} clients with a connection for each request, {KEPT_CLIENTS} that keep theirs \
         and ask every {PAUSE:?}; given up after 5 s"
    );
    print(&results);
    aim(&results, targets);
}

async fn one(contender: Contender, settings: &Settings, reloads: u32) -> Result<Reloads, Absent> {
    let server = Running::start(contender, settings.workers)?;
    let fresh = Clients::start(server.address, FRESH_CLIENTS, Manner::Fresh);
    let kept = Clients::start(server.address, KEPT_CLIENTS, Manner::Kept(PAUSE));
    let mut milliseconds = Vec::new();
    for number in 1..=reloads {
        let old = workers::of(&server);
        let began = Instant::now();
        let asking = ask_for_a_reload(contender, &server)?;
        if !workers::are_new(|| workers::of(&server), old.len(), &old, RELOAD_DEADLINE).await {
            return Err(Absent(format!("reload {number} was not done within {RELOAD_DEADLINE:?}")));
        }
        milliseconds.push(began.elapsed().as_secs_f64() * 1e3);
        if let Some(mut command) = asking {
            let _ = command.wait().await;
        }
    }
    Ok(Reloads { fresh: fresh.finish().await, kept: kept.finish().await, milliseconds })
}

/// Ours by its signal; PM2 by its command, which ends a little later than the reload.
fn ask_for_a_reload(contender: Contender, server: &Running) -> Result<Option<Child>, Absent> {
    if contender.side() == Side::Ours {
        let root = Pid::from_raw(server.root()).ok_or_else(|| Absent("it has no pid".into()))?;
        rustix::process::kill_process(root, Signal::HUP).map_err(|error| Absent(format!("SIGHUP: {error}")))?;
        return Ok(None);
    }
    let mut command = tokio::process::Command::from(server.command(&["reload", "all"]));
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    child.map(Some).map_err(|error| Absent(format!("cannot ask for a reload: {error}")))
}

fn print(results: &[(Contender, Result<Reloads, Absent>)]) {
    let mut table = fates::table(&["server", "clients"], &["answers/s", "a reload takes, ms"]);
    for (contender, result) in results {
        let name = contender.name().to_owned();
        match result {
            Err(absent) => table.absent(vec![name], &absent.0),
            Ok(reloads) => {
                for (clients, record) in [("fresh", &reloads.fresh), ("kept", &reloads.kept)] {
                    let trailing =
                        vec![number(Some(record.answered_per_second())), number(median(&reloads.milliseconds))];
                    table.row(fates::row(vec![name.clone(), clients.to_owned()], record, trailing));
                }
            }
        }
    }
    table.print("reloads under load");
}

fn aim(results: &[(Contender, Result<Reloads, Absent>)], targets: &mut Targets) {
    for (contender, result) in results.iter().filter(|(contender, _)| contender.side() == Side::Ours) {
        let failed = result.as_ref().ok().map(|reloads| reloads.fresh.failed() as f64);
        targets.at_most(
            &format!("fresh connections that fail in reloads, {}", contender.name()),
            0.0,
            "connections",
            failed,
        );
    }
}
