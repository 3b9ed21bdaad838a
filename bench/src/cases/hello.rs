//! `bench hello`: the cost of one constant answer, 64 connections that stay open.
//!
//! Requests per second say more about the generator than about the servers, which share its cores; CPU per request of
//! the server's process tree is the figure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Sample, Settings, in_turn, of_samples, progress};
use crate::load::closed::{self, Clients};
use crate::load::{Request, Reuse, wrk};
use crate::measure::Window;
use crate::peers::{Absent, Contender, Running};
use crate::table::{Table, number, print_environment};

const CONTENDERS: [Contender; 5] =
    [Contender::PhalanxHello, Contender::ByHand, Contender::Nginx, Contender::NodeHello, Contender::NodeHelloNone];
const ROUNDS: usize = 5;
const SECONDS: f64 = 5.0;
const CONNECTIONS: usize = 64;

/// Runs the case and prints its table.
pub(crate) async fn run(settings: &Settings) {
    let contenders = settings.contenders(&CONTENDERS);
    let mut results: BTreeMap<Contender, Result<Vec<Sample>, Absent>> = BTreeMap::new();
    for round in 0..settings.rounds(ROUNDS) {
        for contender in in_turn(&contenders, round) {
            let samples = results.entry(contender).or_insert_with(|| Ok(Vec::new()));
            match one_round(contender, settings).await {
                Ok(sample) => {
                    progress(&format!(
                        "round {}, {}: {} req/s, {} µs CPU {}",
                        round + 1,
                        contender.name(),
                        number(sample.per_second()),
                        number(sample.cpu_milliseconds().map(|milliseconds| milliseconds * 1e3)),
                        sample.tally.trouble()
                    ));
                    if let Ok(samples) = samples {
                        samples.push(sample);
                    }
                }
                Err(absent) => {
                    progress(&format!("{}: {absent}", contender.name()));
                    *samples = Err(absent);
                }
            }
        }
    }
    println!("## hello: GET / with a constant answer");
    print_environment(&contenders);
    println!(
        "- closed loop of {} keep-alive connections from {}, medians of {} rounds of {:?}",
        settings.clients(CONNECTIONS),
        wrk::version().unwrap_or_else(|| "our own generator (wrk is not installed)".into()),
        settings.rounds(ROUNDS),
        settings.duration(SECONDS)
    );
    let mut table = Table::new(&[
        "server",
        "CPU µs/req",
        "user",
        "system",
        "req/s",
        "p50 ms",
        "p99 ms",
        "peak MiB (PSS)",
        "generator, cores",
    ]);
    for (contender, samples) in &results {
        let name = contender.name().to_owned();
        match samples {
            Err(absent) => table.absent(vec![name], &absent.0),
            Ok(samples) => {
                let figure = |figure: fn(&Sample) -> Option<f64>| number(of_samples(samples, figure));
                table.row(vec![
                    name,
                    number(of_samples(samples, |sample| Some(sample.cpu_milliseconds()? * 1e3))),
                    figure(Sample::user_microseconds),
                    figure(Sample::system_microseconds),
                    figure(Sample::per_second),
                    figure(Sample::p50),
                    figure(Sample::p99),
                    figure(Sample::peak_mebibytes),
                    number(of_samples(samples, |sample| Some(sample.usage.generator_share))),
                ]);
            }
        }
    }
    table.print("figures");
}

async fn one_round(contender: Contender, settings: &Settings) -> Result<Sample, Absent> {
    let server = Running::start(contender, settings.workers)?;
    keep_alive(&server, settings.clients(CONNECTIONS), settings.warm_up(), settings.duration(SECONDS)).await
}

/// Many requests over few connections, from wrk if it is there.
pub(super) async fn keep_alive(
    server: &Running,
    connections: usize,
    warm_up: Duration,
    duration: Duration,
) -> Result<Sample, Absent> {
    let clients = Clients { count: connections, reuse: Reuse::KeepAlive };
    let request = Request::get("/", Reuse::KeepAlive);
    closed::run(server.address, &request, clients, warm_up).await;
    let window = Window::open(server.root());
    let tally = match wrk::version() {
        Some(_) => wrk::run(server.address, connections, duration).await.map_err(Absent)?,
        None => closed::run(server.address, &request, clients, duration).await,
    };
    Ok(Sample { tally, usage: window.close() })
}
