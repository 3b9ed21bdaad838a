//! What came out, as tables, and what was aimed at.

use super::contender::Contender;
use super::plan::Measure;
use super::{MEBIBYTE, Sample, Samples, StreamSettings};
use crate::table::{Table, Targets, mebibytes, number, print_environment_of, ratio, spread};

const KIBIBYTE: f64 = 1024.0;

pub(super) fn print(settings: &StreamSettings, samples: &Samples, rounds: usize) {
    println!("## stream: files through transforms");
    let mut contenders: Vec<Contender> = settings.measures().flat_map(|measure| settings.contenders(measure)).collect();
    contenders.sort();
    contenders.dedup();
    print_environment_of(contenders.iter().map(|contender| (contender.name(), contender.versions())));
    println!(
        "- {} MiB of log lines in the page cache, written to a new file on the same disk; medians of {rounds} rounds [quartiles]; \
         MiB/s of the plain text; CPU of user and kernel; memory is the highest resident size",
        settings.bytes() / MEBIBYTE
    );
    for measure in settings.measures() {
        print_measure(settings, samples, measure);
    }
    print_targets(settings, samples);
}

fn print_measure(settings: &StreamSettings, samples: &Samples, measure: Measure) {
    let plain = settings.bytes() as f64;
    let gibibytes = mebibytes(plain) / KIBIBYTE;
    let mut table = Table::new(&["program", "MiB/s", "CPU s/GiB", "cores busy", "peak MiB", "output / plain"]);
    for contender in settings.contenders(measure) {
        let key = (measure, contender);
        let name = vec![contender.name().to_owned()];
        if let Some(absent) = samples.absent(&key) {
            table.absent(name, &absent.0);
            continue;
        }
        let of = |figure: fn(&Sample) -> f64| samples.median(&key, |sample| Some(figure(sample)));
        let rates = samples.figures(&key, |sample| Some(mebibytes(plain) / sample.seconds));
        let size = of(|sample| sample.bytes).filter(|_| measure.is_written());
        let cells = vec![
            spread(&rates),
            number(of(|sample| sample.cpu).map(|cpu| cpu / gibibytes)),
            number(of(|sample| sample.cpu / sample.seconds)),
            number(of(|sample| sample.peak / KIBIBYTE)),
            size.map_or_else(|| "–".to_owned(), |bytes| format!("{:.4}", bytes / plain)),
        ];
        table.row([name, cells].concat());
    }
    table.print(measure.title());
}

fn print_targets(settings: &StreamSettings, samples: &Samples) {
    let mut targets = Targets::new();
    for measure in settings.measures() {
        add_targets(&mut targets, samples, measure);
    }
    targets.print();
}

fn add_targets(targets: &mut Targets, samples: &Samples, measure: Measure) {
    use Contender::{Aead, ByHand, Gzip, Node, OneCore, Phalanx, Pigz, Rage, ZstdTwo};
    let median =
        |contender, figure: fn(&Sample) -> f64| samples.median(&(measure, contender), |sample| Some(figure(sample)));
    let rate = |contender| median(contender, |sample| 1.0 / sample.seconds);
    let mut beside = |ours: Contender, other: Contender, aim: f64| {
        let what = format!("{}: {} / {}", measure.title(), ours.name(), other.name());
        targets.at_least(&what, aim, "×", ratio(rate(ours), rate(other)));
    };
    match measure {
        Measure::Upper => {
            beside(Phalanx, Node, 8.0);
            beside(Phalanx, ByHand, 0.9);
        }
        Measure::Gzip => beside(Phalanx, Pigz, 2.0),
        Measure::GzipAlone => {
            beside(OneCore, Gzip, 1.4);
            beside(OneCore, Node, 1.4);
        }
        Measure::Zstd => beside(Phalanx, ZstdTwo, 1.0),
        Measure::Encrypt | Measure::Decrypt => beside(Phalanx, Rage, 3.0),
        Measure::EncryptOnly => beside(Phalanx, Aead, 0.75),
        Measure::Gunzip | Measure::Unzstd | Measure::Chain | Measure::Hash => {}
    }
    let peak = median(Phalanx, |sample| sample.peak / KIBIBYTE);
    let bytes = |contender| median(contender, |sample| sample.bytes);
    match measure {
        Measure::Upper => targets.at_most("upper-case copy: peak memory", 8.0, "MiB", peak),
        Measure::Gzip => targets.at_most("gzip: output / pigz's", 1.0, "×", ratio(bytes(Phalanx), bytes(Pigz))),
        Measure::Chain => {
            let cores = median(Phalanx, |sample| sample.cpu / sample.seconds);
            targets.at_least("chain: cores busy", 1.8, "cores", cores);
            targets.at_most("chain: peak memory", 64.0, "MiB", peak);
        }
        _ => {}
    }
}
