//! What becomes of damaged JPEG files: refused, or kept as far as they can be read, with the same outcome as libjpeg's programs give.
#![allow(clippy::unwrap_used)] // Also in the functions that make the files.

mod pictures;

use phalanx_image::jpeg::{Damage, Decoder, Scale};
use phalanx_image::{Error, Scratch, Size, Transform, Warning};
use pictures::*;

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Whole,
    Warned,
    Refused,
}

fn outcome(file: &[u8], damage: Damage) -> Outcome {
    let planes = Decoder::new(file).and_then(|decoder| decoder.damage(damage).decode(&mut Scratch::new()));
    match planes {
        Ok(planes) if planes.warnings().is_empty() => Outcome::Whole,
        Ok(_) => Outcome::Warned,
        Err(_) => Outcome::Refused,
    }
}

/// The mean of luma in the upper and in the lower half, when damage is kept.
fn halves(file: &[u8]) -> (f64, f64) {
    let planes = Decoder::new(file).unwrap().damage(Damage::Keep).decode(&mut Scratch::new()).unwrap();
    assert!(!planes.warnings().is_empty());
    let luma = &planes[0];
    let mean = |rows: std::ops::Range<usize>| {
        let samples = rows.len() * luma.width();
        let sum: u64 = rows
            .flat_map(|y| &luma.samples()[y * luma.stride()..][..luma.width()])
            .map(|&sample| u64::from(sample))
            .sum();
        sum as f64 / samples as f64
    };
    (mean(0..luma.height() / 4), mean(luma.height() * 3 / 4..luma.height()))
}

fn white(options: Jpeg) -> Vec<u8> {
    // Not quite plain, so that the data has some length.
    let pixels: Vec<u8> = (0..128 * 128u32).flat_map(|i| [(235 + (i * 7 + i / 128) % 20) as u8; 3]).collect();
    options.encode(&pixels, 128, 128)
}

/// Position of the first marker of this kind.
fn find(file: &[u8], marker: u8) -> usize {
    file.windows(2).position(|pair| pair == [0xFF, marker]).unwrap()
}

/// Position behind the header of the first scan.
fn data_start(file: &[u8]) -> usize {
    let scan = find(file, 0xDA);
    scan + 2 + usize::from(file[scan + 3])
}

#[test]
fn what_was_read_before_the_end_is_kept_and_the_rest_is_grey() {
    let file = white(Jpeg::default());
    let start = data_start(&file);
    let half = &file[..start + (file.len() - start) / 2];
    assert_eq!(outcome(half, Damage::Refuse), Outcome::Refused);
    let (above, below) = halves(half);
    assert!(above > 225.0 && (below - 128.0).abs() < 1.0, "{above} {below}");
}

#[test]
fn a_warning_says_what_and_where() {
    let file = white(Jpeg::default());
    let cut = file.len() - 100;
    let planes = Decoder::new(&file[..cut]).unwrap().damage(Damage::Keep).decode(&mut Scratch::new()).unwrap();
    let warning = planes.warnings()[0];
    assert_eq!(warning.at, cut as u64);
    assert!(warning.to_string().contains("truncated") && warning.to_string().contains(&cut.to_string()), "{warning}");
}

#[test]
fn a_whole_file_has_no_warning() {
    for progressive in [false, true] {
        for restart in [0, 3] {
            let file = white(Jpeg { progressive, restart, ..Jpeg::default() });
            assert_eq!(outcome(&file, Damage::Keep), Outcome::Whole, "{progressive} {restart}");
        }
    }
}

#[test]
fn of_a_truncated_progressive_file_the_scans_so_far_are_shown() {
    let file = white(Jpeg { progressive: true, ..Jpeg::default() });
    let scans: Vec<usize> =
        file.windows(2).enumerate().filter(|(_, pair)| *pair == [0xFF, 0xDA]).map(|(at, _)| at).collect();
    assert!(scans.len() > 2);
    // Within the second scan: the means are there already.
    let (above, below) = halves(&file[..(scans[1] + scans[2]) / 2]);
    assert!(above > 225.0 && below > 225.0, "{above} {below}");
}

#[test]
fn damage_between_two_restart_markers_stays_there() {
    let file = white(Jpeg { restart: 16, ..Jpeg::default() });
    let (first, second) = (find(&file, 0xD0), find(&file, 0xD1));
    let mut broken = file.clone();
    // Ones are in no table of ours: the all-ones code is reserved.
    broken[first + 2..second].fill(0x7F);
    for byte in (first + 3..second).step_by(2) {
        broken[byte] = 0xFE;
    }
    assert_eq!(outcome(&broken, Damage::Refuse), Outcome::Refused);
    let (above, below) = halves(&broken);
    assert!(above > 150.0 && below > 225.0, "{above} {below}");
}

#[test]
fn a_missing_restart_marker_costs_one_interval() {
    let file = white(Jpeg { restart: 16, ..Jpeg::default() });
    let (first, second) = (find(&file, 0xD0), find(&file, 0xD1));
    let without = [&file[..first], &file[second..]].concat();
    assert_eq!(outcome(&without, Damage::Refuse), Outcome::Refused);
    let planes = Decoder::new(&without).unwrap().damage(Damage::Keep).decode(&mut Scratch::new()).unwrap();
    assert_eq!(planes.warnings().len(), 1, "{:?}", planes.warnings());
    let row = |y: usize| planes[0].samples()[y * planes[0].stride()];
    assert!(row(4) > 225 && row(12) == 128 && row(20) > 225 && row(124) > 225, "{} {}", row(12), row(20));
}

#[test]
fn broken_headers_and_tables_are_errors_whatever_is_wished() {
    let file = white(Jpeg::default());
    let bent = |at: usize, value: u8| {
        let mut bent = file.clone();
        bent[at] = value;
        bent
    };
    let scan = find(&file, 0xDA);
    for (name, file) in [
        ("no scan", file[..scan].to_vec()),
        ("a scan of an unknown component", bent(scan + 5, 77)),
        ("a scan of five components", bent(scan + 4, 5)),
        ("an impossible Huffman table", bent(find(&file, 0xC4) + 5, 3)),
        ("a table that is not there", bent(find(&file, 0xDB) + 4, 3)),
        ("a second frame", [&file[..scan], &file[find(&file, 0xC0)..]].concat()),
    ] {
        for damage in [Damage::Refuse, Damage::Keep] {
            let refused = Decoder::new(&file).and_then(|decoder| decoder.damage(damage).decode(&mut Scratch::new()));
            assert!(matches!(refused, Err(Error::Damaged { .. })), "{name}: {refused:?}");
        }
    }
}

#[test]
fn a_small_file_that_claims_a_large_picture_is_refused_before_any_memory_is_taken() {
    for progressive in [false, true] {
        let mut file = white(Jpeg { progressive, ..Jpeg::default() });
        let frame = find(&file, if progressive { 0xC2 } else { 0xC0 });
        file[frame + 5..frame + 9].copy_from_slice(&[0x17, 0x70, 0x1F, 0x40]);
        let mut scratch = Scratch::new();
        let decoder = Decoder::new(&file).unwrap();
        assert_eq!((decoder.info().width, decoder.info().height), (8000, 6000));
        assert!(matches!(decoder.decode(&mut scratch), Err(Error::Damaged { .. })));
        assert_eq!(scratch.bytes(), 0, "buffers of a picture were taken");
    }
}

#[test]
fn whatever_is_flipped_nothing_panics_and_what_is_refused_is_never_more_with_damage_kept() {
    let mut seed = 99u32;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed as usize
    };
    let files = [
        white(Jpeg::default()),
        white(Jpeg { restart: 5, ..Jpeg::default() }),
        white(Jpeg { progressive: true, ..Jpeg::default() }),
        include_bytes!("data/progressive-420.jpg").to_vec(),
    ];
    for file in &files {
        let start = data_start(file);
        for _ in 0..200 {
            let mut flipped = file.clone();
            let at = start + next() % (file.len() - start);
            flipped[at] ^= 1 << (next() % 8);
            flipped.truncate(if next() % 4 == 0 { start + next() % (file.len() - start) } else { file.len() });
            let (refused, kept) = (outcome(&flipped, Damage::Refuse), outcome(&flipped, Damage::Keep));
            assert!(kept != Outcome::Refused || refused == Outcome::Refused, "refused only when damage is to be kept");
            assert!(kept != Outcome::Whole || refused == Outcome::Whole, "no warning of what is refused otherwise");
        }
    }
}

#[test]
fn all_scales_of_a_component_are_offered() {
    let file = white(Jpeg::default());
    for eighths in [1, 2, 3, 4, 5, 6, 7, 8] {
        let scale = Scale::eighths(eighths).unwrap();
        let planes = Decoder::new(&file).unwrap().component_scale(1, scale).decode(&mut Scratch::new()).unwrap();
        let sizes: Vec<usize> = planes.iter().map(|plane| plane.width()).collect();
        assert_eq!(sizes, [128, 16 * eighths as usize, 128]);
    }
}

#[test]
fn a_picture_can_be_made_of_a_damaged_upload_when_it_is_asked_for() {
    let file = white(Jpeg::default());
    let cut = &file[..file.len() - file.len() / 4];
    let small = Transform::default().size(Size::width(64));
    assert!(matches!(convert(cut, &small), Err(Error::Damaged { .. })), "refused unless it is asked for");
    let picture = convert(cut, &small.damage(Damage::Keep)).unwrap();
    assert_eq!((picture.width, picture.height), (64, 64));
    assert!(picture.warnings.contains(&Warning::DamagedData));
}

/// The outcome of Debian's `djpeg`, if it is there.
fn djpeg(file: &[u8]) -> Option<Outcome> {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let path = std::env::temp_dir().join(format!("phalanx-damage-{}.jpg", std::process::id()));
    std::fs::File::create(&path).and_then(|mut to| to.write_all(file)).unwrap();
    let run = Command::new("djpeg").arg("-outfile").arg("/dev/null").arg(&path).stderr(Stdio::piped()).output();
    std::fs::remove_file(&path).unwrap();
    let run = run.ok()?;
    Some(match run.status.code() {
        Some(0) if run.stderr.is_empty() => Outcome::Whole,
        // 2 is its code for warnings.
        Some(0 | 2) => Outcome::Warned,
        _ => Outcome::Refused,
    })
}

/// Truncated anywhere, a file has libjpeg's outcome; with flipped bits, nearly always: how many bytes may be left over before somebody
/// notices is up to the size of a bit buffer.
#[test]
fn outcomes_are_those_of_djpeg() {
    let whole = white(Jpeg::default());
    if djpeg(&whole).is_none() {
        eprintln!("skipped: no djpeg on this machine");
        return;
    }
    let mut files = vec![
        ("baseline", whole),
        ("restarts", white(Jpeg { restart: 5, ..Jpeg::default() })),
        ("progressive", white(Jpeg { progressive: true, ..Jpeg::default() })),
        ("refined", include_bytes!("data/progressive-420.jpg").to_vec()),
    ];
    if let Ok(folder) = std::env::var("PHALANX_PHOTOS") {
        for name in ["a-china-0.3mp-base.jpg", "b-picture1a-1.5mp-prog444.jpg"] {
            files.extend(std::fs::read(format!("{folder}/{name}")).ok().map(|file| ("photo", file)));
        }
    }
    let mut seed = 4711u32;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed as usize
    };
    let (mut tried, mut other) = (0, Vec::new());
    for (name, file) in &files {
        let start = data_start(file);
        for _ in 0..if *name == "photo" { 6 } else { 40 } {
            let cut = start + next() % (file.len() - start - 2);
            let (theirs, ours) = (djpeg(&file[..cut]).unwrap(), outcome(&file[..cut], Damage::Keep));
            // Cut within a table, libjpeg reads end markers as its content: both outcomes are right.
            assert!(theirs == ours || theirs.max(ours) == Outcome::Refused, "{name} cut at {cut}: {theirs:?} {ours:?}");
            let mut flipped = file.clone();
            let at = start + next() % (file.len() - start - 2);
            flipped[at] ^= 1 << (next() % 8);
            let (theirs, ours) = (djpeg(&flipped).unwrap(), outcome(&flipped, Damage::Keep));
            tried += 1;
            // A run that points beyond its block is passed over by libjpeg without a word; we tell.
            if theirs != ours && (theirs, ours) != (Outcome::Whole, Outcome::Warned) {
                other.push(format!("{name}, byte {at} of {}: djpeg {theirs:?}, ours {ours:?}", file.len()));
            }
        }
    }
    eprintln!("{} of {tried} flips have another outcome:\n{}", other.len(), other.join("\n"));
    assert!(other.len() * 20 <= tried, "{} of {tried} have another outcome:\n{}", other.len(), other.join("\n"));
}
