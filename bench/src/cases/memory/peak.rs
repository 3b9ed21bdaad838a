//! The largest photo from all clients at once: the most that the server held, beside express + multer + sharp + cluster.

use std::time::Duration;

use super::burst::{Burst, Load, burst};
use super::{MemorySettings, progress};
use crate::cases::in_turn;
use crate::cases::results::Results;
use crate::load::{Outcome, Request, Reuse, exchange};
use crate::peers::{Absent, Contender, Running};
use crate::table::{Table, Targets, mebibytes, number, print_environment, ratio, spread};
use pictures::photos::Photo;

const CONTENDERS: [Contender; 2] = [Contender::Phalanx, Contender::NodeUpload];
const ROUNDS: usize = 3;
const AT_MOST_OF_NODE: f64 = 0.5;
/// The level after the burst is the other table's.
const REST: Duration = Duration::from_secs(1);

/// Measures and prints.
pub(super) async fn run(settings: &MemorySettings, photos: &[Photo]) {
    let Some(photo) = photos.iter().max_by_key(|photo| photo.jpeg.len()) else { return };
    let load = Load { rest: REST, ..settings.load(std::slice::from_ref(photo)) };
    let rounds = settings.timing.rounds(ROUNDS);
    let mut bursts: Results<Contender, Burst> = Results::new();
    for round in 0..rounds {
        for contender in in_turn(&CONTENDERS, round) {
            let result = match burst(&load, |address| contender.launch(address, settings.workers)).await {
                Ok(burnt) => Ok(burnt.rest().await),
                Err(absent) => Err(absent),
            };
            if let Ok(burst) = &result {
                progress(&format!(
                    "round {}, {}: {} req/s, peak {} MiB {}",
                    round + 1,
                    contender.name(),
                    number(burst.sample.per_second()),
                    number(burst.sample.peak_mebibytes()),
                    burst.sample.tally.trouble()
                ));
            }
            bursts.add(contender, result);
        }
    }
    let budget = budget_mebibytes(settings.workers).await;
    println!("\n### {} clients upload {} ({} bytes) at once", load.clients.count, photo.name, photo.jpeg.len());
    print_environment(&CONTENDERS);
    println!(
        "- medians of {rounds} rounds of {:?} [quartiles]; MiB of the whole tree; our budget for pictures is {} MiB for all \
         workers together (`/readyz`)",
        load.duration,
        budget.as_ref().map_or_else(Absent::to_string, |budget| number(Some(*budget)))
    );
    print(&bursts, budget.ok());
}

fn print(bursts: &Results<Contender, Burst>, budget: Option<f64>) {
    let mut table = Table::new(&["server", "req/s", "503", "p99 ms", "at rest", "peak", "peak (group)"]);
    for contender in CONTENDERS {
        let name = vec![contender.name().to_owned()];
        if let Some(absent) = bursts.absent(&contender) {
            table.absent(name, &absent.0);
            continue;
        }
        let of = |figure: fn(&Burst) -> Option<f64>| number(bursts.median(&contender, figure));
        let cells = vec![
            of(|burst| burst.sample.per_second()),
            of(|burst| Some(burst.sample.tally.count(Outcome::Refused) as f64)),
            of(|burst| burst.sample.p99()),
            of(Burst::resting_mebibytes),
            spread(&bursts.figures(&contender, |burst| burst.sample.peak_mebibytes())),
            spread(&bursts.figures(&contender, Burst::group_peak_mebibytes)),
        ];
        table.row([name, cells].concat());
    }
    table.print("peak");
    let peak = |contender| bursts.median(&contender, |burst| burst.sample.peak_mebibytes());
    let [ours, theirs] = CONTENDERS.map(peak);
    let mut targets = Targets::new();
    targets.at_most("peak / theirs", AT_MOST_OF_NODE, "×", ratio(ours, theirs));
    targets.at_most("peak / budget", 1.0, "×", ratio(ours, budget));
    targets.print();
}

/// What all workers together may use for pictures.
async fn budget_mebibytes(workers: usize) -> Result<f64, Absent> {
    let server = Running::start(Contender::Phalanx, workers)?;
    let request = Request::get("/readyz", Reuse::OnePerRequest);
    let answer =
        exchange(server.address, &request, &mut None).await.map_err(|why| Absent(format!("/readyz: {why:?}")))?;
    let ready: serde_json::Value =
        serde_json::from_slice(&answer.body).map_err(|error| Absent(format!("/readyz: {error}")))?;
    let bytes = ready["memory"]["limit_bytes"].as_f64().ok_or_else(|| Absent("/readyz tells no budget".into()))?;
    Ok(mebibytes(bytes))
}
