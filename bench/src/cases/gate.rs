//! `bench gate`: how evenly the workers share one listener, and what evenness costs.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::hello::keep_alive;
use super::{Sample, Settings, closed_loop, in_turn, of_samples, progress};
use crate::load::closed::Clients;
use crate::load::{Connection, Request, Reuse, exchange};
use crate::peers::{Absent, Contender, Running};
use crate::table::{Table, median, number, print_environment};

const CONTENDERS: [Contender; 3] = [Contender::PhalanxHello, Contender::PhalanxUngated, Contender::ByHand];
const ROUNDS: usize = 3;
const SECONDS: f64 = 4.0;
const LASTING_CONNECTIONS: usize = 64;
const BURSTS: usize = 30;
/// So long the server has to notice that the connections of the last burst are closed.
const BETWEEN_BURSTS: Duration = Duration::from_millis(50);
const ONE_REQUEST_CLIENTS: usize = 24;

#[derive(Default)]
struct Figures {
    /// The larger worker's connections of each burst.
    larger_shares: Vec<f64>,
    one_request: Vec<Sample>,
    one_request_beside_a_stopped_worker: Vec<Sample>,
    keep_alive: Vec<Sample>,
    absent: Option<Absent>,
}

/// Runs the case and prints its table.
pub(crate) async fn run(settings: &Settings) {
    let contenders = settings.contenders(&CONTENDERS);
    let mut results: BTreeMap<Contender, Figures> = BTreeMap::new();
    for round in 0..settings.rounds(ROUNDS) {
        for contender in in_turn(&contenders, round) {
            let figures = results.entry(contender).or_default();
            progress(&format!("round {}, {}", round + 1, contender.name()));
            if let Err(absent) = one_round(contender, settings, round, figures).await {
                progress(&format!("{}: {absent}", contender.name()));
                figures.absent = Some(absent);
            }
        }
    }
    println!("## gate: {} workers, one listener", settings.workers);
    print_environment(&contenders);
    println!(
        "- bursts: {LASTING_CONNECTIONS} connections at once, {BURSTS} times; one request a connection: {ONE_REQUEST_CLIENTS} clients; \
         keep-alive: {LASTING_CONNECTIONS} connections; medians of {} rounds of {:?}",
        settings.rounds(ROUNDS),
        settings.duration(SECONDS)
    );
    print(&results);
}

fn print(results: &BTreeMap<Contender, Figures>) {
    let mut table = Table::new(&[
        "listener",
        "larger share of 64, median / max",
        "one request a connection: req/s",
        "CPU µs",
        "p99 ms",
        "generator, cores",
        "a worker stopped: req/s",
        "p99 ms",
        "keep-alive: req/s",
        "CPU µs",
    ]);
    let cpu = |samples: &[Sample]| number(of_samples(samples, |sample| Some(sample.cpu_milliseconds()? * 1e3)));
    for (contender, figures) in results {
        let name = contender.name().to_owned();
        if let Some(absent) = &figures.absent {
            table.absent(vec![name], &absent.0);
            continue;
        }
        let largest = figures.larger_shares.iter().copied().reduce(f64::max);
        let whole = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.0}"));
        table.row(vec![
            name,
            format!("{} / {}", whole(median(&figures.larger_shares)), whole(largest)),
            number(of_samples(&figures.one_request, Sample::per_second)),
            cpu(&figures.one_request),
            number(of_samples(&figures.one_request, Sample::p99)),
            number(of_samples(&figures.one_request, |sample| Some(sample.usage.generator_share))),
            number(of_samples(&figures.one_request_beside_a_stopped_worker, Sample::per_second)),
            number(of_samples(&figures.one_request_beside_a_stopped_worker, Sample::p99)),
            number(of_samples(&figures.keep_alive, Sample::per_second)),
            cpu(&figures.keep_alive),
        ]);
    }
    table.print("figures");
}

async fn one_round(
    contender: Contender,
    settings: &Settings,
    round: usize,
    figures: &mut Figures,
) -> Result<(), Absent> {
    let server = Running::start(contender, settings.workers)?;
    if round == 0 {
        for _ in 0..BURSTS {
            let shares = burst(&server, LASTING_CONNECTIONS).await?;
            figures.larger_shares.extend(shares.values().max().map(|share| *share as f64));
            tokio::time::sleep(BETWEEN_BURSTS).await;
        }
    }
    let clients = Clients { count: ONE_REQUEST_CLIENTS, reuse: Reuse::OnePerRequest };
    let request = Request::get("/", clients.reuse);
    let (warm_up, duration) = (settings.warm_up(), settings.duration(SECONDS));
    figures.one_request.push(closed_loop(&server, &request, clients, warm_up, duration).await);
    figures.keep_alive.push(keep_alive(&server, LASTING_CONNECTIONS, warm_up, duration).await?);

    // With one socket for each worker a stopped one would take every other client with it: only the shared listener is asked.
    if contender != Contender::ByHand {
        let stopped = Stopped::one_worker(&server).await?;
        let sample = closed_loop(&server, &request, clients, warm_up, duration).await;
        drop(stopped);
        figures.one_request_beside_a_stopped_worker.push(sample);
    }
    Ok(())
}

/// Opens `count` connections at once, each with one request, and counts them by the worker that answered.
async fn burst(server: &Running, count: usize) -> Result<BTreeMap<i32, usize>, Absent> {
    let address = server.address;
    let clients: Vec<_> = (0..count)
        .map(|_| {
            tokio::spawn(async move {
                let mut kept = None;
                let answer = exchange(address, &Request::get("/whoami", Reuse::KeepAlive), &mut kept).await;
                (answer, kept)
            })
        })
        .collect();
    let mut open: Vec<Option<Connection>> = Vec::with_capacity(count);
    let mut shares = BTreeMap::new();
    for client in clients {
        let (answer, kept) = client.await.map_err(|error| Absent(error.to_string()))?;
        let answer = answer.map_err(|outcome| Absent(format!("GET /whoami: {outcome:?}")))?;
        let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let pid = json["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.ok_or_else(|| Absent(format!("GET /whoami named no pid, status {}", answer.status)))?;
        *shares.entry(pid).or_default() += 1;
        open.push(kept);
    }
    if open.iter().any(Option::is_none) {
        return Err(Absent("the server did not keep the connections open".into()));
    }
    Ok(shares)
}

/// A worker that is stopped, and goes on when this goes.
struct Stopped(Pid);

impl Stopped {
    async fn one_worker(server: &Running) -> Result<Self, Absent> {
        let workers = burst(server, LASTING_CONNECTIONS).await?;
        let pid = workers.keys().next().copied().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| Absent("no worker told its pid".into()))?;
        rustix::process::kill_process(pid, Signal::STOP)
            .map_err(|error| Absent(format!("cannot stop a worker: {error}")))?;
        Ok(Self(pid))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(self.0, Signal::CONT);
    }
}
