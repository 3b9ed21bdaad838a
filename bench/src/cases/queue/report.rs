//! The tables of `bench queue`.

use std::collections::BTreeMap;

use super::contender::Contender;
use super::plan::{Measure, Part, Schedule};
use super::{Key, QueueSettings, Sample, Samples, targets};
use crate::table::{Table, number, print_environment_of, ratio, spread};

pub(super) fn print(settings: &QueueSettings, samples: &Samples, brokers: &BTreeMap<Part, String>, schedule: Schedule) {
    println!("## queue: durable jobs and messages");
    let parts = || Part::ALL.into_iter().filter(|part| settings.has(*part));
    let versions = parts().flat_map(|part| settings.contenders(part)).map(|contender| {
        let broker = brokers.get(&contender.part()).map(|version| format!(", {version}")).unwrap_or_default();
        (contender.name(), contender.versions() + &redis_version(contender) + &broker)
    });
    print_environment_of(versions);
    println!(
        "- medians of {} rounds of {:?} after {:?} to warm up, all in turn, each in a new queue; in brackets the \
         quartiles; brokers and clients share the cores",
        schedule.rounds, schedule.counted, schedule.warm_up
    );
    for part in parts() {
        println!(
            "- the disk meanwhile ({}): {} records of 256 bytes appended and `fdatasync`ed a second, p50 {} µs",
            title(part),
            spread(&samples.figures(&Key::Disk(part), |sample| Some(sample.figure))),
            spread(&samples.figures(&Key::Disk(part), |sample| Some(sample.p50))),
        );
    }
    for part in parts() {
        match part {
            Part::Embedded | Part::Postgres => jobs(settings, samples, part),
            Part::Rabbitmq | Part::Kafka => messages(settings, samples, part),
        }
    }
    targets::print(settings, samples);
}

fn redis_version(contender: Contender) -> String {
    let is_on_redis = matches!(contender, Contender::BullmqAlways | Contender::BullmqMemory);
    match crate::peers::first_line(std::process::Command::new("redis-server").arg("--version")) {
        Some(line) if is_on_redis => {
            let version = line.split_whitespace().find_map(|word| word.strip_prefix("v=")).unwrap_or_default();
            format!(", Redis {version}")
        }
        _ => String::new(),
    }
}

fn title(part: Part) -> &'static str {
    match part {
        Part::Embedded => "jobs on one machine",
        Part::Rabbitmq => "messages through RabbitMQ",
        Part::Kafka => "messages through Kafka",
        Part::Postgres => "jobs in PostgreSQL",
    }
}

/// A job: added, run, its result recorded and received.
fn jobs(settings: &QueueSettings, samples: &Samples, part: Part) {
    let mut table = Table::new(&[
        "256 bytes, an empty task",
        "4 × 8 clients, jobs/s",
        "ours / it",
        "job p50 ms",
        "job p99 ms",
        "added p50 ms",
        "added p99 ms",
        "one client, jobs/s",
        "job p50 ms",
        "added p50 ms",
    ]);
    rows(settings, samples, part, &mut table, |contender| {
        let of = |measure, figure: fn(&Sample) -> Option<f64>| {
            spread(&samples.figures(&Key::Of(measure, contender), figure))
        };
        vec![
            of(Measure::Crowd, per_second),
            ours_beside(samples, Measure::Crowd, contender),
            of(Measure::Crowd, |sample| milliseconds(sample.p50)),
            of(Measure::Crowd, |sample| milliseconds(sample.p99)),
            of(Measure::Crowd, |sample| milliseconds(sample.enqueue_p50?)),
            of(Measure::Crowd, |sample| milliseconds(sample.enqueue_p99?)),
            of(Measure::Lone, per_second),
            of(Measure::Lone, |sample| milliseconds(sample.p50)),
            of(Measure::Lone, |sample| milliseconds(sample.enqueue_p50?)),
        ]
    });
    table.print(title(part));
}

/// A message: sent and confirmed, delivered, acknowledged.
fn messages(settings: &QueueSettings, samples: &Samples, part: Part) {
    let mut table = Table::new(&[
        "256 bytes, 32 senders, one consumer, at most 256 under way",
        "messages/s",
        "ours / it",
        "to the ack p50 ms",
        "p99 ms",
        "confirmed p50 ms",
        "p99 ms",
    ]);
    rows(settings, samples, part, &mut table, |contender| {
        let of = |figure: fn(&Sample) -> Option<f64>| {
            spread(&samples.figures(&Key::Of(Measure::Messages, contender), figure))
        };
        vec![
            of(per_second),
            ours_beside(samples, Measure::Messages, contender),
            of(|sample| milliseconds(sample.p50)),
            of(|sample| milliseconds(sample.p99)),
            of(|sample| milliseconds(sample.enqueue_p50?)),
            of(|sample| milliseconds(sample.enqueue_p99?)),
        ]
    });
    table.print(title(part));
}

/// A row for each contender; one failure is enough for a row without figures.
fn rows(
    settings: &QueueSettings,
    samples: &Samples,
    part: Part,
    table: &mut Table,
    cells: impl Fn(Contender) -> Vec<String>,
) {
    for contender in settings.contenders(part) {
        let name = vec![contender.name().to_owned()];
        match part.measures().iter().find_map(|measure| samples.absent(&Key::Of(*measure, contender))) {
            Some(absent) => table.absent(name, &absent.0),
            None => table.row([name, cells(contender)].concat()),
        }
    }
}

fn per_second(sample: &Sample) -> Option<f64> {
    Some(sample.figure)
}

fn milliseconds(microseconds: f64) -> Option<f64> {
    Some(microseconds / 1e3)
}

fn ours_beside(samples: &Samples, measure: Measure, contender: Contender) -> String {
    let ours = Contender::ours(contender.part());
    number(ratio(figure(samples, measure, ours), figure(samples, measure, contender)))
}

/// The median of jobs or messages a second.
pub(super) fn figure(samples: &Samples, measure: Measure, contender: Contender) -> Option<f64> {
    samples.median(&Key::Of(measure, contender), per_second)
}
