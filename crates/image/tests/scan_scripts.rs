//! However the scans of a file are cut, its samples are the same: the scripts are made by Debian's `jpegtran`, where it is there.
#![allow(clippy::unwrap_used)] // Also in the functions that make the files.

mod pictures;

use std::process::Command;

use jpeg_encoder::SamplingFactor;
use phalanx_image::Scratch;
use phalanx_image::jpeg::{Decoder, Refinement, Scale};
use pictures::*;

/// Approximations of up to five bits, refined in other bands than they began in.
const ODD_BANDS: &str = "0,1,2: 0-0, 0, 3; 0: 1-2, 0, 4; 0: 3-9, 0, 3; 0: 10-63, 0, 5; 1: 1-63, 0, 2; 2: 1-20, 0, 2; 2: 21-63, 0, 0;
    0,1,2: 0-0, 3, 2; 0: 1-2, 4, 3; 0: 10-63, 5, 4; 0: 10-63, 4, 3; 0: 1-63, 3, 2; 0: 0-0, 2, 1; 1,2: 0-0, 2, 1; 0: 1-5, 2, 1; 0: 6-63, 2, 1;
    0: 1-63, 1, 0; 1: 1-63, 2, 1; 1: 1-63, 1, 0; 2: 1-20, 2, 1; 2: 1-20, 1, 0; 0,1,2: 0-0, 1, 0;";
/// Bands without approximation, each component by itself.
const BANDS_ALONE: &str =
    "0: 0-0, 0, 0; 1: 0-0, 0, 0; 2: 0-0, 0, 0; 0: 1-63, 0, 0; 1: 1-8, 0, 0; 1: 9-63, 0, 0; 2: 1-63, 0, 0;";
/// Sequential, each component by itself.
const SEQUENTIAL_ALONE: &str = "0; 1; 2;";

/// All samples that belong to the picture.
fn samples(file: &[u8], eighths: u32) -> Vec<Vec<u8>> {
    let scale = Scale::eighths(eighths).unwrap();
    let planes = Decoder::new(file).unwrap().scale(scale).decode(&mut Scratch::new()).unwrap();
    let rows = planes.iter().map(|plane| {
        let rows = plane.samples().chunks(plane.stride()).take(plane.height());
        rows.flat_map(|row| row[..plane.width()].to_vec()).collect()
    });
    rows.collect()
}

/// The file with its coefficients in other scans; `None` without `jpegtran`.
fn rescanned(file: &[u8], script: Option<&str>, options: &[&str]) -> Option<Vec<u8>> {
    let folder = std::env::temp_dir().join(format!("phalanx-scans-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("in.jpg"), file).unwrap();
    let mut command = Command::new("jpegtran");
    if let Some(script) = script {
        std::fs::write(folder.join("script"), script).unwrap();
        command.arg("-scans").arg(folder.join("script"));
    }
    let done =
        command.args(options).arg("-outfile").arg(folder.join("out.jpg")).arg(folder.join("in.jpg")).output().ok();
    let out = done.map(|done| {
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        std::fs::read(folder.join("out.jpg")).unwrap()
    });
    std::fs::remove_dir_all(&folder).unwrap();
    out
}

#[test]
fn the_order_of_the_scans_changes_no_sample_at_any_scale() {
    let (width, height) = (173, 131);
    let wild: Vec<u8> = rgb(width, height)
        .iter()
        .enumerate()
        .map(|(i, &value)| value.wrapping_add((i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0] >> 3))
        .collect();
    for sampling in [
        SamplingFactor::F_1_1,
        SamplingFactor::F_2_1,
        SamplingFactor::F_2_2,
        SamplingFactor::F_1_2,
        SamplingFactor::F_4_1,
    ] {
        let file = Jpeg { sampling, ..Jpeg::default() }.encode(&wild, width, height);
        let plain: Vec<_> = (1..=8).map(|eighths| samples(&file, eighths)).collect();
        for (name, script, options) in [
            ("odd bands", Some(ODD_BANDS), vec![]),
            ("odd bands with restarts", Some(ODD_BANDS), vec!["-restart", "7B"]),
            ("bands alone", Some(BANDS_ALONE), vec![]),
            ("bands alone, a restart after each block", Some(BANDS_ALONE), vec!["-restart", "1B"]),
            ("libjpeg's own", None, vec!["-progressive"]),
            ("libjpeg's own with restarts", None, vec!["-progressive", "-restart", "2"]),
            ("sequential alone", Some(SEQUENTIAL_ALONE), vec!["-restart", "13B"]),
            ("sequential", None, vec!["-restart", "3B"]),
        ] {
            let Some(other) = rescanned(&file, script, &options) else {
                eprintln!("skipped: no jpegtran on this machine");
                return;
            };
            for (eighths, plain) in (1..=8).zip(&plain) {
                assert!(samples(&other, eighths) == *plain, "{sampling:?}, {name}, at {eighths}/8");
            }
        }
    }
}

#[test]
fn without_the_last_bits_the_picture_is_nearly_the_same() {
    let file = include_bytes!("data/progressive-420.jpg");
    for eighths in 1..=8 {
        let decoder = Decoder::new(file).unwrap().scale(Scale::eighths(eighths).unwrap());
        let whole = decoder.clone().decode(&mut Scratch::new()).unwrap();
        let rough = decoder.refinement(Refinement::WithoutLastBit).decode(&mut Scratch::new()).unwrap();
        let (whole, rough) = (whole[0].samples(), rough[0].samples());
        let square: f64 = whole.iter().zip(rough).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
        assert_eq!(square == 0.0, eighths == 1, "means have all of their bits, the rest has not");
        assert!(square / (whole.len() as f64) < 25.0, "{eighths}: {}", square / whole.len() as f64);
    }
}

#[test]
fn a_component_alone_may_claim_any_sampling() {
    let grey: Vec<u8> = (0..50 * 30u32).map(|i| (i % 50 * 5) as u8).collect();
    let file = Jpeg { color: jpeg_encoder::ColorType::Luma, ..Jpeg::default() }.encode(&grey, 50, 30);
    let frame = file.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    let mut odd = file.clone();
    // Sampling 3 × 2 instead of 1 × 1.
    odd[frame + 11] = 0x32;
    assert_eq!(samples(&odd, 8), samples(&file, 8));
}
