//! What was aimed at.

use super::contender::Contender;
use super::plan::{Measure, Part};
use super::report::figure;
use super::{Key, QueueSettings, Samples};
use crate::table::{Targets, ratio};

/// What comes on top of two waits for the disk when a job is alone.
const LONE_MILLISECONDS: f64 = 1.0;

pub(super) fn print(settings: &QueueSettings, samples: &Samples) {
    let mut targets = Targets::new();
    for part in Part::ALL.into_iter().filter(|part| settings.has(*part)) {
        match part {
            Part::Embedded => embedded(&mut targets, samples),
            Part::Rabbitmq => {
                beside(&mut targets, samples, Measure::Messages, Contender::BareLapin, 0.9);
                beside(&mut targets, samples, Measure::Messages, Contender::Amqplib, 2.0);
            }
            Part::Kafka => beside(&mut targets, samples, Measure::Messages, Contender::BareRdkafka, 0.8),
            Part::Postgres => beside(&mut targets, samples, Measure::Crowd, Contender::BullmqPostgres, 1.0),
        }
    }
    targets.print();
}

fn embedded(targets: &mut Targets, samples: &Samples) {
    beside(targets, samples, Measure::Crowd, Contender::BareOwner, 0.8);
    beside(targets, samples, Measure::Crowd, Contender::BullmqAlways, 1.5);
    beside(targets, samples, Measure::Crowd, Contender::BullmqMemory, 1.0);
    let ours = |measure| Key::Of(measure, Contender::PhalanxEmbedded);
    let enqueue = samples.median(&ours(Measure::Crowd), |sample| Some(sample.enqueue_p99? / 1e3));
    targets.at_most("phalanx, embedded: added, p99, 4 × 8 clients", 5.0, "ms", enqueue);
    // Beyond the disk's own time: each round is compared with the disk before it.
    let beyond = samples
        .pairs(&ours(Measure::Lone), &Key::Disk(Part::Embedded), |lone, disk| Some((lone.p50 - 2.0 * disk.p50) / 1e3));
    let beyond = crate::table::median(&beyond);
    targets.at_most("phalanx, embedded: a lone job, p50, beyond two fdatasyncs", LONE_MILLISECONDS, "ms", beyond);
}

/// Ours is to be so many times the other.
fn beside(targets: &mut Targets, samples: &Samples, measure: Measure, other: Contender, aim: f64) {
    let ours = Contender::ours(other.part());
    let measured = ratio(figure(samples, measure, ours), figure(samples, measure, other));
    targets.at_least(&format!("{}: {} / {}", measure.name(), ours.name(), other.name()), aim, "×", measured);
}
