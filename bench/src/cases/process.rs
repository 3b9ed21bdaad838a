//! `bench process`: four numbers a request, all cores busy; meanwhile a health check 50 times a second.

use std::collections::BTreeMap;

use super::{Sample, Settings, in_turn, of_samples, progress};
use crate::load::closed::{self, Clients};
use crate::load::{Outcome, Request, Reuse, Tally, exchange, probe};
use crate::measure::Window;
use crate::peers::{Absent, Contender, Running};
use crate::table::{Table, number, print_environment};

const CONTENDERS: [Contender; 3] = [Contender::Phalanx, Contender::NodeThread, Contender::NodePiscina];
const ROUNDS: usize = 5;
const SECONDS: f64 = 5.0;
const CLIENTS: usize = 16;
const QUESTION: &str = r#"{"numbers":[10,20,30,40]}"#;
const RESULT: [u64; 4] = [75306, 75596, 75886, 76176];

struct Round {
    work: Sample,
    livez: Tally,
}

/// Runs the case and prints its table.
pub(crate) async fn run(settings: &Settings) {
    let contenders = settings.contenders(&CONTENDERS);
    let mut results: BTreeMap<Contender, Result<Vec<Round>, Absent>> = BTreeMap::new();
    for round in 0..settings.rounds(ROUNDS) {
        for contender in in_turn(&contenders, round) {
            let rounds = results.entry(contender).or_insert_with(|| Ok(Vec::new()));
            match one_round(contender, settings).await {
                Ok(done) => {
                    let (per_second, livez) = (done.work.per_second(), done.livez.milliseconds_at(0.99));
                    progress(&format!(
                        "round {}, {}: {} req/s, /livez p99 {} ms {}",
                        round + 1,
                        contender.name(),
                        number(per_second),
                        number(livez),
                        done.work.tally.trouble()
                    ));
                    if let Ok(rounds) = rounds {
                        rounds.push(done);
                    }
                }
                Err(absent) => {
                    progress(&format!("{}: {absent}", contender.name()));
                    *rounds = Err(absent);
                }
            }
        }
    }
    print(&contenders, &results, settings);
}

async fn one_round(contender: Contender, settings: &Settings) -> Result<Round, Absent> {
    let server = Running::start(contender, settings.workers)?;
    check_the_answer(&server).await?;
    let request = Request::post_json("/process", QUESTION, Reuse::KeepAlive);
    let clients = Clients { count: settings.clients(CLIENTS), reuse: Reuse::KeepAlive };
    let duration = settings.duration(SECONDS);
    closed::run(server.address, &request, clients, settings.warm_up()).await;
    let window = Window::open(server.root());
    let (tally, livez) =
        tokio::join!(closed::run(server.address, &request, clients, duration), probe::run(server.address, duration));
    Ok(Round { work: Sample { tally, usage: window.close() }, livez })
}

async fn check_the_answer(server: &Running) -> Result<(), Absent> {
    let request = Request::post_json("/process", QUESTION, Reuse::OnePerRequest);
    let answer = exchange(server.address, &request, &mut None).await;
    let answer = answer.map_err(|outcome| Absent(format!("POST /process: {outcome:?}")))?;
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if json["result"] == serde_json::json!(RESULT) {
        return Ok(());
    }
    Err(Absent(format!("POST /process answered {} {}", answer.status, String::from_utf8_lossy(&answer.body))))
}

fn print(contenders: &[Contender], results: &BTreeMap<Contender, Result<Vec<Round>, Absent>>, settings: &Settings) {
    println!("## process: {QUESTION}, 1 000 000 steps a number");
    print_environment(contenders);
    println!(
        "- closed loop of {} clients, medians of {} rounds of {:?}; /livez asked 50 times a second on its own connection",
        settings.clients(CLIENTS),
        settings.rounds(ROUNDS),
        settings.duration(SECONDS)
    );
    let columns = [
        "server",
        "req/s",
        "CPU ms/req",
        "p50 ms",
        "p99 ms",
        "503",
        "/livez p50 ms",
        "/livez p99 ms",
        "/livez max ms",
        "peak MiB (PSS)",
    ];
    let mut table = Table::new(&columns);
    for (contender, rounds) in results {
        let name = contender.name().to_owned();
        let rounds = match rounds {
            Ok(rounds) => rounds,
            Err(absent) => {
                table.absent(vec![name], &absent.0);
                continue;
            }
        };
        let work = |figure: fn(&Sample) -> Option<f64>| number(of_samples(rounds, |round| figure(&round.work)));
        let livez = |share: f64| number(of_samples(rounds, |round| round.livez.milliseconds_at(share)));
        let refused = of_samples(rounds, |round| Some(round.work.tally.count(Outcome::Refused) as f64));
        table.row(vec![
            name,
            work(Sample::per_second),
            work(Sample::cpu_milliseconds),
            work(Sample::p50),
            work(Sample::p99),
            number(refused),
            livez(0.5),
            livez(0.99),
            livez(1.0),
            work(Sample::peak_mebibytes),
        ]);
    }
    table.print("figures");
}
