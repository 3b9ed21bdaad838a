//! Requests on connections that stay, and connections with one request each.

use super::super::hello::keep_alive;
use super::super::results::Results;
use super::super::{Sample, Settings, closed_loop, in_turn, progress};
use crate::load::closed::Clients;
use crate::load::{Request, Reuse, wrk};
use crate::peers::{Absent, Contender, Running};
use crate::table::{Table, Targets, median, number, spread};

const CONTENDERS: [Contender; 4] = [Contender::Run, Contender::RunShared, Contender::RunCluster, Contender::RunPm2];
const ROUNDS: usize = 5;
const SECONDS: f64 = 4.0;
const KEPT_CONNECTIONS: usize = 64;
const FRESH_CLIENTS: usize = 24;

/// What one round found of one server.
struct Round {
    kept: Sample,
    fresh: Sample,
}

pub(super) async fn run(settings: &Settings, targets: &mut Targets) {
    let contenders = settings.contenders(&CONTENDERS);
    let mut results: Results<Contender, Round> = Results::new();
    for round in 0..settings.rounds(ROUNDS) {
        for contender in in_turn(&contenders, round) {
            let sample = one_round(contender, settings).await;
            match &sample {
                Ok(sample) => progress(&format!(
                    "round {}, {}: kept {} req/s {}, fresh {} connections/s {}",
                    round + 1,
                    contender.name(),
                    number(sample.kept.per_second()),
                    sample.kept.tally.trouble(),
                    number(sample.fresh.per_second()),
                    sample.fresh.tally.trouble()
                )),
                Err(absent) => progress(&format!("{}: {absent}", contender.name())),
            }
            results.add(contender, sample);
        }
    }
    println!(
        "\n- kept: closed loop of {KEPT_CONNECTIONS} keep-alive connections from {}; fresh: {FRESH_CLIENTS} clients of our own, a \
         connection for each request; medians of {} rounds of {:?}, contenders in turn; [quartiles]",
        wrk::version().unwrap_or_else(|| "our own generator (wrk is not installed)".into()),
        settings.rounds(ROUNDS),
        settings.duration(SECONDS)
    );
    print(&contenders, &results);
    aim(&results, targets);
}

async fn one_round(contender: Contender, settings: &Settings) -> Result<Round, Absent> {
    let server = Running::start(contender, settings.workers)?;
    let (warm_up, duration) = (settings.warm_up(), settings.duration(SECONDS));
    let kept = keep_alive(&server, settings.clients(KEPT_CONNECTIONS), warm_up, duration).await?;
    let clients = Clients { count: settings.clients(FRESH_CLIENTS), reuse: Reuse::OnePerRequest };
    let fresh = closed_loop(&server, &Request::get("/", clients.reuse), clients, warm_up, duration).await;
    Ok(Round { kept, fresh })
}

fn print(contenders: &[Contender], results: &Results<Contender, Round>) {
    let mut table = Table::new(&[
        "server",
        "kept: req/s",
        "CPU µs",
        "p99 ms",
        "fresh: connections/s",
        "CPU µs",
        "p99 ms",
        "generator, cores",
        "otherwise ended",
    ]);
    for contender in contenders {
        let name = contender.name().to_owned();
        if let Some(absent) = results.absent(contender) {
            table.absent(vec![name], &absent.0);
            continue;
        }
        let median = |figure: fn(&Round) -> Option<f64>| number(results.median(contender, figure));
        let trouble: Vec<String> = results
            .each(contender)
            .flat_map(|round| [round.kept.tally.trouble(), round.fresh.tally.trouble()])
            .filter(|trouble| !trouble.is_empty())
            .collect();
        table.row(vec![
            name,
            spread(&results.figures(contender, |round| round.kept.per_second())),
            median(|round| Some(round.kept.cpu_milliseconds()? * 1e3)),
            median(|round| round.kept.p99()),
            spread(&results.figures(contender, |round| round.fresh.per_second())),
            median(|round| Some(round.fresh.cpu_milliseconds()? * 1e3)),
            median(|round| round.fresh.p99()),
            median(|round| Some(round.fresh.usage.generator_share)),
            trouble.join("; "),
        ]);
    }
    table.print("speed");
}

fn aim(results: &Results<Contender, Round>, targets: &mut Targets) {
    let ratio = |rival: Contender, figure: fn(&Round) -> Option<f64>| {
        median(&results.pairs(&Contender::Run, &rival, |ours, theirs| Some(figure(ours)? / figure(theirs)?)))
    };
    let kept: fn(&Round) -> Option<f64> = |round| round.kept.per_second();
    let fresh: fn(&Round) -> Option<f64> = |round| round.fresh.per_second();
    for rival in [Contender::RunCluster, Contender::RunPm2] {
        let what = format!("keep-alive requests/s / {}", rival.name());
        targets.at_least(&what, 1.0, "×", ratio(rival, kept));
    }
    for rival in [Contender::RunCluster, Contender::RunPm2] {
        let what = format!("fresh connections/s in round-robin / {}", rival.name());
        targets.at_least(&what, 1.5, "×", ratio(rival, fresh));
    }
}
