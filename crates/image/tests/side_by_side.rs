//! Restart intervals that are decoded side by side give what one thread gives, to the byte: samples, warnings, errors.
#![allow(clippy::unwrap_used)] // Also in the functions that make the files.

mod pictures;

use std::collections::HashSet;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

use jpeg_encoder::SamplingFactor;
use phalanx_image::jpeg::{Damage, Decoder, Scale, Warning};
use phalanx_image::{Error, Limits, Scratch, Size, Transform, plan, probe, process};
use pictures::*;

/// So small, and yet worth several jobs: noise takes more than a byte a pixel.
const SIZE: (u32, u32) = (393, 299);

fn noise() -> Vec<u8> {
    (0..SIZE.0 * SIZE.1 * 3).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8 ^ (i / 7919) as u8).collect()
}

fn scale(eighths: u32) -> Scale {
    Scale::eighths(eighths).unwrap()
}

/// Samples of each plane, and what was wrong.
type Outcome = Result<(Vec<Vec<u8>>, Vec<Warning>), Error>;

fn outcome(file: &[u8], eighths: u32, damage: Damage, threads: usize) -> Outcome {
    let decoder = Decoder::new(file)?.scale(scale(eighths)).damage(damage).threads(NonZero::new(threads).unwrap());
    let planes = decoder.decode(&mut Scratch::new())?;
    Ok((planes.iter().map(|plane| plane.samples().to_vec()).collect(), planes.warnings().to_vec()))
}

/// Restart intervals in units: one, a row, three rows, some that never meet the end of a row or only after many.
fn intervals(sampling: SamplingFactor) -> [u16; 5] {
    let unit = match sampling {
        SamplingFactor::F_1_1 | SamplingFactor::F_1_2 => 8,
        SamplingFactor::F_4_1 => 32,
        _ => 16,
    };
    let row = SIZE.0.div_ceil(unit) as u16;
    [1, row, 3 * row, 7, row + 1]
}

#[test]
fn whatever_the_sampling_the_interval_and_the_scale_threads_change_no_sample() {
    let pixels = noise();
    for sampling in [
        SamplingFactor::F_1_1,
        SamplingFactor::F_2_1,
        SamplingFactor::F_1_2,
        SamplingFactor::F_2_2,
        SamplingFactor::F_4_1,
    ] {
        for restart in intervals(sampling) {
            let file = Jpeg { sampling, restart, ..Jpeg::default() }.encode(&pixels, SIZE.0, SIZE.1);
            for eighths in [1, 3, 8] {
                let alone = outcome(&file, eighths, Damage::Refuse, 1);
                assert!(alone.is_ok());
                for threads in [2, 8] {
                    let many = outcome(&file, eighths, Damage::Refuse, threads);
                    assert!(many == alone, "{sampling:?}, restart {restart}, {eighths}/8, {threads} threads");
                }
            }
        }
    }
}

#[test]
fn each_component_in_a_scan_of_its_own_is_decoded_side_by_side_too() {
    let folder = std::env::temp_dir().join(format!("phalanx-side-by-side-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = Jpeg { sampling: SamplingFactor::F_2_2, ..Jpeg::default() }.encode(&noise(), SIZE.0, SIZE.1);
    let (from, to, script) = (folder.join("in.jpg"), folder.join("out.jpg"), folder.join("script"));
    std::fs::write(&from, &file).unwrap();
    std::fs::write(&script, "0; 1 2;").unwrap();
    let mut command = std::process::Command::new("jpegtran");
    let done = command.args(["-restart", "2", "-scans"]).arg(&script).arg("-outfile").arg(&to).arg(&from).status();
    let rescanned = std::fs::read(&to);
    std::fs::remove_dir_all(&folder).unwrap();
    if done.is_err() {
        eprintln!("skipped: no jpegtran on this machine");
        return;
    }
    let rescanned = rescanned.unwrap();
    for eighths in [2, 8] {
        let alone = outcome(&rescanned, eighths, Damage::Refuse, 1);
        assert!(alone.is_ok());
        assert!(outcome(&rescanned, eighths, Damage::Refuse, 4) == alone, "{eighths}/8");
    }
}

/// Positions of the restart markers.
fn markers(file: &[u8]) -> Vec<usize> {
    let pairs = file.windows(2).enumerate();
    pairs.filter(|(_, pair)| pair[0] == 0xFF && matches!(pair[1], 0xD0..=0xD7)).map(|(at, _)| at).collect()
}

#[test]
fn of_damaged_files_threads_change_neither_picture_nor_warnings_nor_the_error() {
    let pixels = noise();
    let mut seed = 4711u32;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed as usize
    };
    for sampling in [SamplingFactor::F_1_1, SamplingFactor::F_2_2] {
        for restart in intervals(sampling) {
            let file = Jpeg { sampling, restart, ..Jpeg::default() }.encode(&pixels, SIZE.0, SIZE.1);
            let markers = markers(&file);
            for round in 0..10 {
                let mut broken = file.clone();
                let marker = markers[next() % markers.len()];
                match round % 5 {
                    // Cut.
                    0 => broken.truncate(markers[0] + next() % (file.len() - markers[0])),
                    // Many flipped bits: more faults than are listed.
                    1 => (0..60).for_each(|_| {
                        let at = markers[0] + next() % (file.len() - markers[0] - 2);
                        broken[at] ^= 1 << (next() % 8);
                    }),
                    // A marker that is missing, one that comes twice, one of another number, all in one file.
                    2 => drop(broken.drain(marker..marker + 2)),
                    3 => {
                        let twice = [broken[marker], broken[marker + 1]];
                        broken.splice(marker..marker, twice);
                    }
                    _ => (0..3).for_each(|_| {
                        let at = markers[next() % markers.len()] + 1;
                        broken[at] = 0xD0 + (next() % 8) as u8;
                    }),
                }
                for damage in [Damage::Refuse, Damage::Keep] {
                    let alone = outcome(&broken, 2, damage, 1);
                    for threads in [2, 5] {
                        let many = outcome(&broken, 2, damage, threads);
                        let same = many == alone;
                        let told = |outcome: Outcome| outcome.map(|(_, warnings)| warnings);
                        assert!(
                            same,
                            "{sampling:?}, restart {restart}, round {round}, {damage:?}, {threads} threads: {:?}, alone {:?}",
                            told(many),
                            told(alone)
                        );
                    }
                }
            }
        }
    }
}

/// Which threads ask whether to stop. The first question waits until another thread has asked too, if one is expected.
fn askers(file: &[u8], threads: usize, expected: usize) -> usize {
    let (asked, changed) = (Mutex::new(HashSet::new()), Condvar::new());
    let question = || {
        let mut asked = asked.lock().unwrap();
        asked.insert(thread::current().id());
        changed.notify_all();
        let enough = changed.wait_timeout_while(asked, Duration::from_secs(60), |asked| asked.len() < expected);
        drop(enough.unwrap());
        false
    };
    let decoder = Decoder::new(file).unwrap().scale(scale(1)).threads(NonZero::new(threads).unwrap());
    decoder.decode_unless(&question, &mut Scratch::new()).unwrap();
    asked.into_inner().unwrap().len()
}

#[test]
fn as_many_threads_decode_as_are_allowed_and_only_where_there_are_restarts() {
    let row = intervals(SamplingFactor::F_1_1)[1];
    let file = |restart, progressive| Jpeg { restart, progressive, ..Jpeg::default() }.encode(&noise(), SIZE.0, SIZE.1);
    assert_eq!(askers(&file(row, false), 3, 3), 3);
    assert_eq!(askers(&file(row, false), 1, 1), 1);
    assert_eq!(askers(&file(0, false), 3, 1), 1, "no restarts");
    assert_eq!(askers(&file(row, true), 3, 1), 1, "progressive");
    let small = Jpeg { restart: 2, ..Jpeg::default() }.encode(&rgb(64, 64), 64, 64);
    assert_eq!(askers(&small, 3, 1), 1, "not worth a thread");
}

#[test]
fn a_yes_of_any_thread_ends_the_decoding() {
    let row = intervals(SamplingFactor::F_1_1)[1];
    let file = Jpeg { restart: row, ..Jpeg::default() }.encode(&noise(), SIZE.0, SIZE.1);
    let decoder = Decoder::new(&file).unwrap().threads(NonZero::new(4).unwrap());
    for stop_at in [1, 2, 9, 30] {
        let asked = AtomicUsize::new(0);
        let stop = || asked.fetch_add(1, Ordering::Relaxed) + 1 >= stop_at;
        let stopped = decoder.decode_unless(&stop, &mut Scratch::new());
        assert!(matches!(stopped, Err(Error::Cancelled)), "{stop_at}: {stopped:?}");
        assert!(asked.into_inner() < stop_at + 4, "each thread asks once after a yes");
    }
}

#[test]
fn the_threads_of_a_job_are_in_its_limits_and_in_its_announced_bytes() {
    let row = intervals(SamplingFactor::F_1_1)[1];
    let file = Jpeg { restart: row, ..Jpeg::default() }.encode(&noise(), SIZE.0, SIZE.1);
    let transform = Transform::default().size(Size::width(100));
    let planned = |threads| {
        let limits = Limits { threads: NonZero::new(threads).unwrap(), ..Limits::default() };
        plan(&probe(&file).unwrap(), &transform, &limits).unwrap()
    };
    let made = |threads| process(&file, &planned(threads), &mut Scratch::new(), &|| false).unwrap().bytes;
    assert!(made(1) == made(4));
    let announced = [1, 2, 3, 1000].map(|threads| planned(threads).estimated_bytes);
    assert_eq!(announced[2] - announced[1], announced[1] - announced[0]);
    assert!(announced[1] > announced[0]);
    assert!(announced[3] < announced[0] + 20 * (announced[1] - announced[0]), "no thread without a job is counted");
}
