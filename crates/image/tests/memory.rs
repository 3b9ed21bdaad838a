//! `Plan::estimated_bytes` is an upper bound and a near one, and a thread allocates its buffers once: counted by the allocator itself. The
//! counters are the process's, so that one test runs at a time.

#[path = "pictures/counting.rs"]
mod counting;
#[path = "pictures/lossy.rs"]
mod lossy;
mod pictures;

use std::sync::Mutex;

use counting::{Counting, asked_by, peak_of};
use lossy::webp_lossy;
use phalanx_image::{Limits, Output, Scratch, Size, Transform, plan, probe, process, sample_jpeg};
use pictures::*;

/// Held by the test that counts.
static TURN: Mutex<()> = Mutex::new(());

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn noise(bytes: u32) -> Vec<u8> {
    let mut seed = 1u32;
    (0..bytes)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        })
        .collect()
}

#[test]
fn a_job_never_takes_more_than_its_plan_says_and_a_probe_takes_nothing() {
    let _turn = TURN.lock();
    let mut sources = Vec::new();
    // The last ones are extreme: one line, one column, the longest side of an output.
    for (width, height) in [(16, 16), (300, 200), (900, 700), (40, 2000), (1, 1), (4000, 1), (1, 3000), (8192, 5)] {
        let plain = rgb(width, height);
        let wild = noise(width * height * 3);
        let rgba = noise(width * height * 4);
        sources.push(("jpeg", sample_jpeg(width, height)));
        sources.push(("jpeg noise", Jpeg::default().encode(&wild, width, height)));
        sources.push(("jpeg progressive", Jpeg { progressive: true, ..Jpeg::default() }.encode(&wild, width, height)));
        sources.push((
            "jpeg inks",
            Jpeg { color: jpeg_encoder::ColorType::Cmyk, ..Jpeg::default() }.encode(&rgba, width, height),
        ));
        sources.push(("jpeg turned", Jpeg { exif: Some(6), ..Jpeg::default() }.encode(&plain, width, height)));
        let p3 = moxcms::ColorProfile::new_display_p3().encode().unwrap();
        sources.push(("jpeg with profile", Jpeg { icc: Some(p3), ..Jpeg::default() }.encode(&plain, width, height)));
        sources.push(("png", png(&wild, width, height, png::ColorType::Rgb)));
        sources.push(("png with alpha", png(&rgba, width, height, png::ColorType::Rgba)));
        sources.push(("gif", gif(width as u16, height as u16, 1, 3)));
        sources.push(("webp lossless", webp_lossless(&wild, width, height, false)));
        sources.push(("webp lossless with alpha", webp_lossless(&rgba, width, height, true)));
        sources.push(("webp animated", webp_animated(width, height)));
        if cfg!(feature = "webp-encode") {
            let output = as_webp(90);
            let lossy = |source: &[u8]| {
                convert(source, &Transform::default().size(Size::original()).output(output)).unwrap().bytes
            };
            sources.push(("webp lossy", lossy(&png(&wild, width, height, png::ColorType::Rgb))));
            sources.push(("webp lossy with alpha", lossy(&png(&rgba, width, height, png::ColorType::Rgba))));
        }
    }
    // A profile that unpacks to 60 MB of zeros.
    let zeros = png(&vec![0; 60_000_000], 60_000, 1000, png::ColorType::Grayscale);
    let at = zeros.windows(4).position(|four| four == b"IDAT").unwrap();
    let mut bomb = b"x\0\0".to_vec();
    bomb.extend_from_slice(&zeros[at + 4..zeros.len() - 16]);
    let rows: Vec<u8> = (0..20).flat_map(|_| [0; 61]).collect();
    sources.push(("png with a bomb for a profile", png_by_hand((20, 20), 8, 2, 0, &[(b"iCCP", bomb)], &rows)));
    let small = phalanx_image::Jpeg::quality(80).small().into();
    let outputs = [as_jpeg(80), as_jpeg(100), small, as_png(), as_webp(80)];
    for (name, source) in &sources {
        let (probing, header) = peak_of(|| probe(source).unwrap());
        assert_eq!(probing, 0, "{name}: probing allocates");
        for output in outputs {
            if !cfg!(feature = "webp-encode") && matches!(output, Output::WebP(_)) {
                continue;
            }
            let transforms = [
                Transform::default().size(Size::width(200)),
                Transform::default().size(Size::original()),
                Transform::default().size(Size::contain(250, 250)),
                Transform::default().size(Size::cover(333, 90)),
            ];
            for transform in transforms {
                let plan = plan(&header, &transform.output(output), &Limits::default()).unwrap();
                let (peak, result) = peak_of(|| process(source, &plan, &mut Scratch::new(), &|| false));
                result.unwrap();
                assert!(
                    peak as u64 <= plan.estimated_bytes,
                    "{name} {}×{} {output:?} to {}×{}: {peak} of {}",
                    header.width,
                    header.height,
                    plan.width,
                    plan.height,
                    plan.estimated_bytes
                );
            }
        }
    }
    // What comes row by row is never there as a whole: 27 and 36 MB of pixels, announced and taken.
    let (width, height) = (3000, 3000);
    let flat = vec![77; (width * height * 4) as usize];
    for (name, channels, source) in [
        ("png", 4, png(&flat, width, height, png::ColorType::Rgba)),
        ("gif", 3, gif(width as u16, height as u16, 1, 0)),
        ("webp lossy", 3, webp_lossy(&flat[..(width * height * 3) as usize], width, height, 80.0)),
    ] {
        let plan =
            plan(&probe(&source).unwrap(), &Transform::default().size(Size::width(200)), &Limits::default()).unwrap();
        let (peak, result) = peak_of(|| process(&source, &plan, &mut Scratch::new(), &|| false));
        result.unwrap();
        assert!(peak as u64 <= plan.estimated_bytes, "{name}: {peak} of {}", plan.estimated_bytes);
        assert!(plan.estimated_bytes < u64::from(width * height) * channels / 4, "{name}: {}", plan.estimated_bytes);
    }
}

/// Photos in the kinds that cameras and sites make: larger than their tables.
fn photos() -> Vec<(&'static str, Vec<u8>)> {
    let (width, height) = (1600, 1200);
    let pixels = decoded(&sample_jpeg(width, height)).data;
    let gray: Vec<u8> = pixels.iter().step_by(3).copied().collect();
    vec![
        ("baseline", sample_jpeg(width, height)),
        ("progressive", Jpeg { progressive: true, ..Jpeg::default() }.encode(&pixels, width, height)),
        ("turned", Jpeg { exif: Some(6), ..Jpeg::default() }.encode(&pixels, width, height)),
        ("grey", Jpeg { color: jpeg_encoder::ColorType::Luma, ..Jpeg::default() }.encode(&gray, width, height)),
        ("webp", webp_lossy(&pixels, width, height, 80.0)),
    ]
}

#[test]
fn the_plan_of_a_photo_says_at_most_twice_what_the_job_takes() {
    let _turn = TURN.lock();
    for (name, source) in photos() {
        for transform in [
            Transform::default(),
            Transform::default().size(Size::cover(700, 700)),
            Transform::default().output(as_jpeg(95)),
        ] {
            let plan = plan(&probe(&source).unwrap(), &transform, &Limits::default()).unwrap();
            let (peak, result) = peak_of(|| process(&source, &plan, &mut Scratch::new(), &|| false));
            result.unwrap();
            println!("{name} to {} × {}: {peak} of {}", plan.width, plan.height, plan.estimated_bytes);
            assert!(plan.estimated_bytes >= peak as u64, "{name} {transform:?}");
            assert!(
                plan.estimated_bytes <= peak as u64 * 2,
                "{name} {transform:?}: {peak} of {}",
                plan.estimated_bytes
            );
        }
    }
}

/// What every job asks for anew, beside its output: tables and lists whose size does not depend on the picture. Bytes.
const SMALL_THINGS: usize = 512 * 1024;

#[test]
fn the_second_job_of_a_thread_allocates_nothing_but_its_output() {
    let _turn = TURN.lock();
    for (name, source) in photos() {
        let plan = plan(&probe(&source).unwrap(), &Transform::default(), &Limits::default()).unwrap();
        let mut scratch = Scratch::new();
        let first = process(&source, &plan, &mut scratch, &|| false).unwrap();
        let (asked, second) = asked_by(|| process(&source, &plan, &mut scratch, &|| false).unwrap());
        assert_eq!(first.bytes, second.bytes);
        let output = second.bytes.capacity();
        println!("{name}: {asked} bytes, of them {output} for the output");
        assert!(asked <= output + SMALL_THINGS, "{name}: {asked} bytes were asked for, {output} for the output");
    }
}
