//! A worker is killed every second, while clients open a connection for each request.

use std::time::{Duration, Instant};

use super::super::{Settings, in_turn, progress};
use super::{fates, workers};
use crate::load::oracle::{Clients, Fate, Manner, Record};
use crate::peers::{Absent, Contender, Running};
use crate::table::{Targets, number};

const CONTENDERS: [Contender; 4] = [Contender::Run, Contender::RunShared, Contender::RunCluster, Contender::RunPm2];
const ROUNDS: usize = 1;
const SECONDS: f64 = 10.0;
const QUICK_SECONDS: f64 = 3.0;
const CLIENTS: usize = 24;
const BETWEEN_KILLS: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Kills {
    record: Record,
    times: Vec<Instant>,
    absent: Option<Absent>,
}

pub(super) async fn run(settings: &Settings, targets: &mut Targets) {
    let contenders = settings.contenders(&CONTENDERS);
    let mut results: Vec<(Contender, Kills)> =
        contenders.iter().map(|contender| (*contender, Kills::default())).collect();
    for round in 0..settings.rounds(ROUNDS) {
        for contender in in_turn(&contenders, round) {
            let Some((_, kills)) = results.iter_mut().find(|(of, _)| *of == contender) else { continue };
            match one_round(contender, settings, kills).await {
                Ok(()) => progress(&format!(
                    "{}: {} kills, {} failed",
                    contender.name(),
                    kills.times.len(),
                    kills.record.failed()
                )),
                Err(absent) => {
                    progress(&format!("{}: {absent}", contender.name()));
                    kills.absent = Some(absent);
                }
            }
        }
    }
    println!(
        "\n- kills: SIGKILL to the oldest worker every {BETWEEN_KILLS:?} for {:?}, {} clients with a connection for each \
         request, given up after 5 s; {} rounds, added up",
        duration(settings),
        settings.clients(CLIENTS),
        settings.rounds(ROUNDS)
    );
    print(&results);
    aim(&results, targets);
}

fn duration(settings: &Settings) -> Duration {
    settings.duration_or_quick(SECONDS, QUICK_SECONDS)
}

async fn one_round(contender: Contender, settings: &Settings, kills: &mut Kills) -> Result<(), Absent> {
    let server = Running::start(contender, settings.workers)?;
    let clients = Clients::start(server.address, settings.clients(CLIENTS), Manner::Fresh);
    let end = Instant::now() + duration(settings);
    while Instant::now() + BETWEEN_KILLS <= end {
        tokio::time::sleep(BETWEEN_KILLS).await;
        // The load goes on from other tasks of this thread: looking for the victim must not take long, and does not.
        if let Some(victim) = workers::of(&server).first() {
            workers::kill(*victim);
            kills.times.push(Instant::now());
        }
    }
    tokio::time::sleep(BETWEEN_KILLS).await;
    kills.record.add(clients.finish().await);
    Ok(())
}

fn print(results: &[(Contender, Kills)]) {
    let mut table = fates::table(&["server", "kills"], &["resets that no kill explains", "answers/s"]);
    for (contender, kills) in results {
        let name = contender.name().to_owned();
        match &kills.absent {
            Some(absent) => table.absent(vec![name], &absent.0),
            None => table.row(fates::row(
                vec![name, kills.times.len().to_string()],
                &kills.record,
                vec![
                    fates::unexplained_resets(&kills.record, &kills.times).to_string(),
                    number(Some(kills.record.answered_per_second())),
                ],
            )),
        }
    }
    table.print("a worker killed every second");
}

fn aim(results: &[(Contender, Kills)], targets: &mut Targets) {
    let ours = results.iter().filter(|(contender, _)| contender.name().starts_with("phalanx"));
    for (contender, kills) in ours {
        let measured = |figure: u64| kills.absent.is_none().then_some(figure as f64);
        let name = contender.name();
        for (fate, words) in [(Fate::Hung, "hung"), (Fate::Refused, "refused"), (Fate::Wrong, "wrong")] {
            targets.at_most(
                &format!("{words} while workers are killed, {name}"),
                0.0,
                "connections",
                measured(kills.record.count(fate)),
            );
        }
        let unexplained = fates::unexplained_resets(&kills.record, &kills.times);
        targets.at_most(
            &format!("resets that no kill explains, {name}"),
            0.0,
            "connections",
            measured(unexplained as u64),
        );
    }
}
