//! The table of the allocators, and what was aimed at.

use super::burst::Burst;
use super::variant::Variant;
use super::{Bursts, MemorySettings};
use crate::cases::Sample;
use crate::load::Outcome;
use crate::peers::phalanx_version;
use crate::table::{Table, Targets, number, print_environment_of, spread};
use pictures::photos::Photo;

/// What is left 30 s after a burst, over what was held before it.
const MOST_LEFT: f64 = 1.2;

pub(super) fn print(settings: &MemorySettings, photos: &[Photo], bursts: &Bursts) {
    let load = settings.load(photos);
    print_environment_of([("phalanx", phalanx_version())].into_iter());
    println!(
        "- {} clients upload {} photos in turn for {:?} to {} workers; medians of {} rounds [quartiles]; memory is of the \
         whole tree in MiB: sums of proportional sets at 20 Hz, and the kernel's peak for the control group (with file cache \
         and kernel memory); after {:?} of rest",
        load.clients.count,
        photos.len(),
        load.duration,
        settings.workers,
        settings.rounds(),
        load.rest,
    );
    let mut table = Table::new(&[
        "allocator",
        "req/s",
        "req per CPU s",
        "p99 ms",
        "503",
        "at rest",
        "peak",
        "peak (group)",
        "3 s after",
        "rested",
        "rested / at rest",
    ]);
    let mut targets = Targets::new();
    for variant in settings.variants() {
        let name = vec![variant.name().to_owned()];
        if let Some(absent) = bursts.absent(&variant) {
            table.absent(name, &absent.0);
            continue;
        }
        let of = |figure: fn(&Burst) -> Option<f64>| number(bursts.median(&variant, figure));
        let spread_of = |figure: fn(&Burst) -> Option<f64>| spread(&bursts.figures(&variant, figure));
        let cells = vec![
            spread_of(|burst| burst.sample.per_second()),
            spread_of(|burst| per_cpu_second(&burst.sample)),
            of(|burst| burst.sample.p99()),
            of(|burst| Some(burst.sample.tally.count(Outcome::Refused) as f64)),
            of(Burst::resting_mebibytes),
            spread_of(|burst| burst.sample.peak_mebibytes()),
            of(Burst::group_peak_mebibytes),
            of(Burst::shortly_after_mebibytes),
            spread_of(Burst::rested_mebibytes),
            of(Burst::returned),
        ];
        table.row([name, cells].concat());
        if variant == Variant::System {
            targets.at_most("rested / at rest", MOST_LEFT, "×", bursts.median(&variant, Burst::returned));
        }
    }
    table.print("allocators");
    targets.print();
}

fn per_cpu_second(sample: &Sample) -> Option<f64> {
    Some(1e3 / sample.cpu_milliseconds()?)
}
