//! The tables of `bench ipc`.

use super::joined::Joined;
use super::plan::{Measure, Measurement, Schedule};
use super::{IpcSettings, Samples};
use crate::cases::cores::Cores;
use crate::table::{Table, Targets, number, print_environment_of, ratio};

const PAYLOAD_BYTES: f64 = (1 << 20) as f64;
const MICROSECONDS: f64 = 1e6;

pub(super) fn print(settings: &IpcSettings, results: &Samples, rounds: usize, schedule: Schedule, cores: Cores) {
    println!("## ipc: two processes that exchange messages");
    print_environment_of(settings.joined().map(|joined| (joined.name(), joined.versions())));
    println!(
        "- both sides are pinned, to a core each or to one for both ({cores:?}); medians of {rounds} rounds of {:?} after \
         {:?} to warm up, all in turn",
        schedule.counted, schedule.warm_up
    );
    for measure in [Measure::PingPong, Measure::OneWay, Measure::Payload, Measure::Unread] {
        if settings.wants(measure) {
            match measure {
                Measure::PingPong => ping_pong(settings, results),
                Measure::OneWay => one_way(settings, results),
                Measure::Payload => payload(settings, results),
                Measure::Unread => unread(settings, results),
            }
        }
    }
    targets(results);
}

fn ping_pong(settings: &IpcSettings, results: &Samples) {
    let mut table = Table::new(&[
        "{u64, u8, \"job.run\", [4 integers], bool} and back",
        "round trips/s, a core each",
        "µs",
        "ours / it",
        "round trips/s, one core",
        "µs",
        "ours / it",
    ]);
    let (apart, together) = (Measurement::PING_PONG, Measurement::PING_PONG_ON_ONE_CORE);
    let microseconds = |per_second: Option<f64>| number(per_second.map(|per_second| MICROSECONDS / per_second));
    rows(&mut table, settings, results, &[apart, together], |joined| {
        let cells = [apart, together].map(|measurement| {
            let figure = figure(results, measurement, joined);
            [number(figure), microseconds(figure), ours_beside(results, measurement, joined)]
        });
        cells.concat()
    });
    table.print("ping-pong");
}

fn one_way(settings: &IpcSettings, results: &Samples) {
    let mut table = Table::new(&["{u64, 1 KiB of text}, one way", "messages/s", "ours / it"]);
    let measurement = Measurement::ONE_WAY;
    rows(&mut table, settings, results, &[measurement], |joined| {
        vec![number(figure(results, measurement, joined)), ours_beside(results, measurement, joined)]
    });
    table.print("one way, counted at the receiver after decoding");
}

fn payload(settings: &IpcSettings, results: &Samples) {
    let mut table = Table::new(&["1 MiB of bytes, one way", "payloads/s", "GB/s", "ours / it"]);
    let measurement = Measurement::PAYLOAD;
    rows(&mut table, settings, results, &[measurement], |joined| {
        let figure = figure(results, measurement, joined);
        vec![number(figure), number(gigabytes(figure)), ours_beside(results, measurement, joined)]
    });
    table.print("payloads, every byte read by the receiver");
}

fn unread(settings: &IpcSettings, results: &Samples) {
    let mut table = Table::new(&["1 KiB messages to a stopped receiver", "accepted of 100 000", "sender grows by MiB"]);
    let measurement = Measurement::UNREAD;
    rows(&mut table, settings, results, &[measurement], |joined| {
        vec![
            number(results.median(&(measurement, joined), |sample| Some(sample.messages))),
            number(figure(results, measurement, joined)),
        ]
    });
    table.print("a receiver that does not read (what lies in the kernel's buffers is no memory of the sender)");
}

/// A row for each contender that takes part, with the cells that `cells` makes.
fn rows(
    table: &mut Table,
    settings: &IpcSettings,
    results: &Samples,
    measurements: &[Measurement],
    cells: impl Fn(Joined) -> Vec<String>,
) {
    for joined in settings.contenders(measurements[0].measure) {
        let name = vec![joined.name().to_owned()];
        match measurements.iter().find_map(|measurement| results.absent(&(*measurement, joined))) {
            Some(absent) => table.absent(name, &absent.0),
            None => table.row([name, cells(joined)].concat()),
        }
    }
}

/// The median figure.
fn figure(results: &Samples, measurement: Measurement, joined: Joined) -> Option<f64> {
    results.median(&(measurement, joined), |sample| Some(sample.figure))
}

fn ours_beside(results: &Samples, measurement: Measurement, joined: Joined) -> String {
    number(ratio(figure(results, measurement, Joined::Phalanx), figure(results, measurement, joined)))
}

fn gigabytes(payloads_per_second: Option<f64>) -> Option<f64> {
    Some(payloads_per_second? * PAYLOAD_BYTES / 1e9)
}

fn targets(results: &Samples) {
    let mut targets = Targets::new();
    let ours = |measurement| figure(results, measurement, Joined::Phalanx);
    let beside = |measurement, joined| ratio(ours(measurement), figure(results, measurement, joined));
    let apart = Measurement::PING_PONG;
    targets.at_least("ping-pong, a core each / Node json", 10.0, "×", beside(apart, Joined::NodeJson));
    targets.at_least("ping-pong, a core each / ipc-channel", 3.0, "×", beside(apart, Joined::IpcChannel));
    let slower = ratio(figure(results, apart, Joined::Socketpair), ours(apart));
    targets.at_most("ping-pong, a core each: bare socket pair with the same spin / ours", 1.5, "×", slower);
    let together = Measurement::PING_PONG_ON_ONE_CORE;
    targets.at_least("ping-pong, one core / Node json", 1.0, "×", beside(together, Joined::NodeJson));
    let millions = ours(Measurement::ONE_WAY).map(|messages| messages / 1e6);
    targets.at_least("1 KiB one way", 3.0, "M/s", millions);
    targets.at_least("1 KiB one way / Node json", 10.0, "×", beside(Measurement::ONE_WAY, Joined::NodeJson));
    targets.at_least("1 MiB payloads", 8.0, "GB/s", gigabytes(ours(Measurement::PAYLOAD)));
    targets.at_least("1 MiB payloads / Node advanced", 5.0, "×", beside(Measurement::PAYLOAD, Joined::NodeAdvanced));
    targets.print();
}
