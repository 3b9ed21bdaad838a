//! `bench upload`: one photo after the other, at most 800 px wide, JPEG quality 80.
//!
//! Each server gets a fresh start for each photo and round, so that its peak memory is that photo's.

use std::collections::BTreeMap;

use super::{Sample, Settings, closed_loop, in_turn, of_samples, progress};
use crate::load::closed::Clients;
use crate::load::{Outcome, Request, Reuse, exchange};
use crate::peers::{Absent, Contender, Running, Side};
use crate::table::{Table, median, number, print_environment};
use pictures::photos::Photo;
use pictures::quality::Judge;

const CONTENDERS: [Contender; 2] = [Contender::Phalanx, Contender::NodeUpload];
const ROUNDS: usize = 5;
const SECONDS: f64 = 4.0;
const CLIENTS: usize = 6;

/// One server and one photo: the rounds, and the picture that came back.
#[derive(Default)]
struct Cell {
    samples: Vec<Sample>,
    output_bytes: Option<f64>,
    score: Option<f64>,
    absent: Option<Absent>,
}

type Cells = BTreeMap<Contender, Cell>;

/// Runs the case and prints its tables.
pub(crate) async fn run(settings: &Settings) {
    let contenders = settings.contenders(&CONTENDERS);
    let mut results: Vec<(Photo, Cells)> = Vec::new();
    for photo in settings.photos() {
        let cells = measure(&photo, &contenders, settings).await;
        results.push((photo, cells));
    }
    println!("## upload: at most 800 px wide, JPEG quality 80");
    print_environment(&contenders);
    println!(
        "- closed loop of {} clients, medians of {} rounds of {:?}; every upload carries another comment segment",
        settings.clients(CLIENTS),
        settings.rounds(ROUNDS),
        settings.duration(SECONDS)
    );
    print_figures(&results);
    print_ratios(&results);
    print_phases(&results);
}

async fn measure(photo: &Photo, contenders: &[Contender], settings: &Settings) -> Cells {
    let mut cells = Cells::new();
    let mut judge = Judge::new(&photo.jpeg);
    if let Err(reason) = &judge {
        progress(&format!("{} is not scored: {reason}", photo.name));
    }
    let request = Request::upload("/upload", &photo.jpeg, Reuse::KeepAlive);
    let clients = Clients { count: settings.clients(CLIENTS), reuse: Reuse::KeepAlive };
    for round in 0..settings.rounds(ROUNDS) {
        for contender in in_turn(contenders, round) {
            let cell = cells.entry(contender).or_default();
            let server = match Running::start(contender, settings.workers) {
                Ok(server) => server,
                Err(absent) => {
                    progress(&format!("{}: {absent}", contender.name()));
                    cell.absent = Some(absent);
                    continue;
                }
            };
            if round == 0 {
                match download(&server, photo).await {
                    Ok(picture) => {
                        cell.output_bytes = Some(picture.len() as f64);
                        cell.score = judge.as_mut().ok().and_then(|judge| judge.score(&picture).ok());
                    }
                    Err(absent) => cell.absent = Some(absent),
                }
            }
            let sample = closed_loop(&server, &request, clients, settings.warm_up(), settings.duration(SECONDS)).await;
            progress(&format!(
                "{}, round {}, {}: {} req/s {}",
                photo.name,
                round + 1,
                contender.name(),
                number(sample.per_second()),
                sample.tally.trouble()
            ));
            cell.samples.push(sample);
        }
    }
    cells
}

async fn download(server: &Running, photo: &Photo) -> Result<Vec<u8>, Absent> {
    let request = Request::upload("/upload?download=1", &photo.jpeg, Reuse::OnePerRequest);
    match exchange(server.address, &request, &mut None).await {
        Ok(answer) if Outcome::of_status(answer.status) == Outcome::Accepted => Ok(answer.body),
        Ok(answer) => {
            let body = String::from_utf8_lossy(&answer.body).chars().take(200).collect::<String>();
            Err(Absent(format!("{} {body}", answer.status)))
        }
        Err(outcome) => Err(Absent(format!("{outcome:?}"))),
    }
}

fn print_figures(results: &[(Photo, Cells)]) {
    let mut table = Table::new(&[
        "photo",
        "server",
        "req/s",
        "CPU ms/req",
        "p50 ms",
        "p99 ms",
        "peak MiB (PSS)",
        "peak MiB (RSS)",
        "output bytes",
        "SSIMULACRA2",
    ]);
    for (photo, cells) in results {
        for (contender, cell) in cells {
            let leading = vec![photo.name.clone(), contender.name().to_owned()];
            if let Some(absent) = &cell.absent {
                table.absent(leading, &absent.0);
                continue;
            }
            let figure = |figure: fn(&Sample) -> Option<f64>| number(of_samples(&cell.samples, figure));
            let figures = vec![
                figure(Sample::per_second),
                figure(Sample::cpu_milliseconds),
                figure(Sample::p50),
                figure(Sample::p99),
                figure(Sample::peak_mebibytes),
                figure(Sample::peak_resident_mebibytes),
                number(cell.output_bytes),
                number(cell.score),
            ];
            table.row([leading, figures].concat());
        }
    }
    table.print("figures");
}

fn print_ratios(results: &[(Photo, Cells)]) {
    let mut table = Table::new(&[
        "ours / rival",
        "req/s",
        "CPU ms/req",
        "p99",
        "peak memory (PSS)",
        "output bytes",
        "SSIMULACRA2, difference",
    ]);
    let mut columns: Vec<Vec<f64>> = vec![Vec::new(); 6];
    for (photo, cells) in results {
        let Some((ours, rival)) = pair(cells) else { continue };
        let over = |figure: fn(&Sample) -> Option<f64>| {
            Some(of_samples(&ours.samples, figure)? / of_samples(&rival.samples, figure)?)
        };
        let ratios = [
            over(Sample::per_second),
            over(Sample::cpu_milliseconds),
            over(Sample::p99),
            over(Sample::peak_mebibytes),
            ours.output_bytes.zip(rival.output_bytes).map(|(ours, rival)| ours / rival),
            ours.score.zip(rival.score).map(|(ours, rival)| ours - rival),
        ];
        for (column, ratio) in columns.iter_mut().zip(ratios) {
            column.extend(ratio);
        }
        table.row([vec![photo.name.clone()], ratios.map(number).to_vec()].concat());
    }
    if columns[0].is_empty() {
        return;
    }
    table.row([vec!["median".to_owned()], columns.iter().map(|column| number(median(column))).collect()].concat());
    table.print("ours beside the rival");
}

fn pair(cells: &Cells) -> Option<(&Cell, &Cell)> {
    let of_side = |side| cells.iter().find(|(contender, cell)| contender.side() == side && cell.absent.is_none());
    Some((of_side(Side::Ours)?.1, of_side(Side::Rival)?.1))
}

/// Where our time goes, as our own server reports it in `Server-Timing`.
fn print_phases(results: &[(Photo, Cells)]) {
    let last_of_ours = |cells: &Cells| {
        let ours = cells.iter().find(|(contender, _)| contender.side() == Side::Ours)?;
        Some(ours.1.samples.last()?.tally.mean_phases())
    };
    let phases: Vec<(String, BTreeMap<String, f64>)> = results
        .iter()
        .filter_map(|(photo, cells)| Some((photo.name.clone(), last_of_ours(cells)?)))
        .filter(|(_, phases)| !phases.is_empty())
        .collect();
    let mut names: Vec<String> = phases.iter().flat_map(|(_, phases)| phases.keys().cloned()).collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return;
    }
    let columns: Vec<&str> = ["photo"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let mut table = Table::new(&columns);
    for (photo, phases) in &phases {
        let cells = names.iter().map(|name| number(phases.get(name).copied()));
        table.row([photo.clone()].into_iter().chain(cells).collect());
    }
    table.print("where our time goes: mean ms per request of the last round, as the server reports it");
}
