//! `bench overload`: what a server does with three times the load that it can carry.
//!
//! The capacity of each server is measured first (closed loop), then its clients come at 0.9 and at 3 times that rate
//! whatever it answers. Good: the accepted requests are hardly later than at 0.9, as many as the capacity, the memory is
//! bounded, and the health check answers.

use std::time::Duration;

use super::{Sample, Settings, closed_loop, progress};
use crate::load::closed::Clients;
use crate::load::open::{self, MOST_IN_FLIGHT};
use crate::load::{ANSWER_DEADLINE, Outcome, Request, Reuse, Tally, probe};
use crate::measure::Window;
use crate::peers::{Absent, Contender, Running};
use crate::table::{Table, number, print_environment};
use pictures::photos::Photo;

const CONTENDERS: [Contender; 2] = [Contender::Phalanx, Contender::NodeUpload];
const SECONDS: f64 = 30.0;
const QUICK_SECONDS: f64 = 10.0;
const CLIENTS: usize = 8;
const BELOW_CAPACITY: f64 = 0.9;
const OVERLOAD: f64 = 3.0;

struct Phase {
    uploads: Sample,
    livez: Tally,
}

struct Phases {
    capacity: Sample,
    below: Phase,
    overload: Phase,
}

/// Runs the case and prints its tables.
pub(crate) async fn run(settings: &Settings) {
    let contenders = settings.contenders(&CONTENDERS);
    let Some(photo) = middle_by_size(settings.photos()) else {
        progress("there is no photo of that name");
        return;
    };
    let duration = settings.duration_or_quick(SECONDS, QUICK_SECONDS);
    let mut results = Vec::new();
    for contender in &contenders {
        let phases = phases(*contender, &photo, settings, duration).await;
        results.push((*contender, phases));
    }
    println!("## overload: POST /upload of {} ({} bytes)", photo.name, photo.jpeg.len());
    print_environment(&contenders);
    println!(
        "- capacity: closed loop of {} clients; then Poisson arrivals for {duration:?}, a connection for each request, \
         at most {MOST_IN_FLIGHT} under way, given up after {ANSWER_DEADLINE:?}; latency from the moment a request was due",
        settings.clients(CLIENTS)
    );
    print_phases(&results);
    print_verdicts(&results);
}

/// The photo with as many smaller ones as larger ones.
fn middle_by_size(mut photos: Vec<Photo>) -> Option<Photo> {
    photos.sort_by_key(|photo| photo.jpeg.len());
    let middle = photos.len() / 2;
    (middle < photos.len()).then(|| photos.swap_remove(middle))
}

async fn phases(
    contender: Contender,
    photo: &Photo,
    settings: &Settings,
    duration: Duration,
) -> Result<Phases, Absent> {
    let clients = Clients { count: settings.clients(CLIENTS), reuse: Reuse::OnePerRequest };
    let request = Request::upload("/upload", &photo.jpeg, clients.reuse);
    let server = Running::start(contender, settings.workers)?;
    let capacity = closed_loop(&server, &request, clients, settings.warm_up(), duration / 3).await;
    let per_second = capacity.tally.per_second();
    progress(&format!(
        "{}: capacity {} req/s {}",
        contender.name(),
        number(Some(per_second)),
        capacity.tally.trouble()
    ));
    if capacity.tally.count(Outcome::Accepted) == 0 {
        return Err(Absent(format!("no upload was accepted: {}", capacity.tally.trouble())));
    }
    let below = phase(&server, &request, per_second * BELOW_CAPACITY, duration).await;
    // A server of its own for the overload: its peak memory is not that of the phase before.
    drop(server);
    let server = Running::start(contender, settings.workers)?;
    closed_loop(&server, &request, clients, settings.warm_up(), settings.warm_up()).await;
    let overload = phase(&server, &request, per_second * OVERLOAD, duration).await;
    Ok(Phases { capacity, below, overload })
}

async fn phase(server: &Running, request: &Request, per_second: f64, duration: Duration) -> Phase {
    let window = Window::open(server.root());
    let (tally, livez) =
        tokio::join!(open::run(server.address, request, per_second, duration), probe::run(server.address, duration));
    progress(&format!(
        "offered {}/s: {}/s accepted {}",
        number(Some(per_second)),
        number(Some(tally.per_second())),
        tally.trouble()
    ));
    Phase { uploads: Sample { tally, usage: window.close() }, livez }
}

fn print_phases(results: &[(Contender, Result<Phases, Absent>)]) {
    let mut table = Table::new(&[
        "server",
        "offered/s",
        "goodput/s",
        "p50 ms",
        "p99 ms",
        "503/s",
        "otherwise ended",
        "/livez p99 ms",
        "peak MiB (PSS)",
        "generator, cores",
    ]);
    for (contender, phases) in results {
        let name = contender.name().to_owned();
        let phases = match phases {
            Ok(phases) => phases,
            Err(absent) => {
                table.absent(vec![name], &absent.0);
                continue;
            }
        };
        let row = |offered: String, uploads: &Sample, livez: Option<f64>| {
            let tally = &uploads.tally;
            let refused = tally.count(Outcome::Refused) as f64 / tally.elapsed.as_secs_f64();
            vec![
                name.clone(),
                offered,
                number(uploads.per_second()),
                number(uploads.p50()),
                number(uploads.p99()),
                number(Some(refused)),
                tally.trouble(),
                number(livez),
                number(uploads.peak_mebibytes()),
                number(Some(uploads.usage.generator_share)),
            ]
        };
        table.row(row("closed loop".into(), &phases.capacity, None));
        for phase in [&phases.below, &phases.overload] {
            table.row(row(
                number(Some(phase.uploads.tally.offered_per_second())),
                &phase.uploads,
                phase.livez.milliseconds_at(0.99),
            ));
        }
    }
    table.print("figures");
}

fn print_verdicts(results: &[(Contender, Result<Phases, Absent>)]) {
    let mut table = Table::new(&["server", "p99 at 3× / p99 at 0.9×", "goodput at 3× / capacity"]);
    for (contender, phases) in results {
        let Ok(phases) = phases else { continue };
        let lateness = phases.overload.uploads.p99().zip(phases.below.uploads.p99()).map(|(over, below)| over / below);
        let goodput = phases.overload.uploads.tally.per_second() / phases.capacity.tally.per_second();
        table.row(vec![contender.name().to_owned(), number(lateness), number(Some(goodput))]);
    }
    table.print("at three times the capacity");
}
