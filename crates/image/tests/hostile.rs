//! Nothing that a stranger sends does more than give an error.
#![allow(clippy::unwrap_used)] // Also in the functions that make the files.

#[path = "pictures/lossy.rs"]
mod lossy;
mod pictures;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use lossy::webp_lossy;
use phalanx_image::{Error, Limits, Scratch, Size, Transform, plan, probe, process, thumbnail};
use pictures::zoo::zoo;
use pictures::*;

#[test]
fn the_zoo_is_alive() {
    for (name, file) in zoo() {
        assert!(
            thumbnail(&file, Size::width(20), as_jpeg(80)).is_ok(),
            "{name}: {:?}",
            thumbnail(&file, Size::width(20), as_jpeg(80))
        );
    }
}

#[test]
fn a_truncated_file_is_damaged_wherever_it_is_cut() {
    for (name, file) in zoo() {
        for cut in (12..file.len()).step_by(1 + file.len() / 400).chain(file.len() - 20..file.len()) {
            match thumbnail(&file[..cut], Size::width(20), as_jpeg(80)) {
                Err(Error::Damaged { .. }) => {}
                other => panic!("{name} cut at {cut} of {}: {other:?}", file.len()),
            }
        }
    }
}

#[test]
fn what_is_no_picture_is_an_unknown_format() {
    for bytes in [
        &b""[..],
        b"\xFF",
        b"\xFF\xD8",
        b"hello, I am holiday.jpg",
        b"<svg xmlns='x'/>",
        b"%PDF-1.7",
        b"BM123456",
        b"II*\0\x08\0\0\0",
        &[0; 5000],
    ] {
        assert_eq!(thumbnail(bytes, Size::width(20), as_jpeg(80)), Err(Error::UnknownFormat), "{bytes:?}");
    }
}

/// A header of each format that claims the given sides, with next to nothing behind it.
fn giants(side: u16) -> Vec<(&'static str, Vec<u8>)> {
    let mut jpeg = Jpeg::default().encode(&rgb(8, 8), 8, 8);
    let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 7].copy_from_slice(&side.to_be_bytes());
    jpeg[frame + 7..frame + 9].copy_from_slice(&side.to_be_bytes());
    let mut gif = gif(8, 8, 1, 0);
    gif[6..8].copy_from_slice(&side.to_le_bytes());
    gif[8..10].copy_from_slice(&side.to_le_bytes());
    let png = png_by_hand((side.into(), side.into()), 8, 6, 0, &[], &[0; 10]);
    // A bit stream can claim 16 384 at most; the canvas 2^24. They must agree, so only a broken file can claim 50 000.
    let stream = webp_stream(&webp_lossless(&rgb(8, 8), 8, 8, false));
    let webp = webp_extended(0, (side.into(), side.into()), &[stream]);
    vec![("jpeg", jpeg), ("gif", gif), ("png", png), ("webp", webp)]
}

#[test]
fn a_header_of_50000_by_50000_is_refused_by_name_of_the_limit() {
    for (name, file) in giants(50_000) {
        let refused = probe(&file).and_then(|header| plan(&header, &Transform::default(), &Limits::default()));
        match refused {
            Err(Error::TooLarge { value: 50_000, limit: 16_384, .. }) => {}
            Err(Error::Damaged { .. }) if name == "webp" => {}
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn a_lossy_webp_that_claims_more_than_it_holds_is_damaged_after_a_row() {
    let mut file = webp_lossy(&rgb(48, 40), 48, 40, 80.0);
    let head = file.windows(3).position(|three| three == [0x9D, 0x01, 0x2A]).unwrap() + 3;
    for side in [head, head + 2] {
        file[side..side + 2].copy_from_slice(&6000u16.to_le_bytes());
    }
    let plan = plan(&probe(&file).unwrap(), &Transform::default(), &Limits::default()).unwrap();
    let asked = AtomicUsize::new(0);
    let count = || {
        asked.fetch_add(1, Relaxed);
        false
    };
    let refused = process(&file, &plan, &mut Scratch::new(), &count);
    assert!(matches!(&refused, Err(Error::Damaged { what }) if what.contains("missing")), "{refused:?}");
    // Once before the work, then for each row of macroblocks.
    assert!(asked.load(Relaxed) <= 3, "{asked:?}");
}

#[test]
fn each_limit_is_enforced() {
    let file = Jpeg { progressive: true, ..Jpeg::default() }.encode(&rgb(64, 64), 64, 64);
    let header = probe(&file).unwrap();
    let refuse = |limits: Limits, transform: &Transform| match plan(&header, transform, &limits) {
        Err(Error::TooLarge { what, value, limit }) => {
            assert!(value > limit, "{what}");
            what
        }
        other => panic!("{other:?}"),
    };
    let small = Transform::default();
    let large = Transform::default().size(Size::width(900)).enlarge(phalanx_image::Enlarge::Allow);
    assert_eq!(refuse(Limits { source_side: 63, ..Limits::default() }, &small), "source side in pixels");
    assert_eq!(refuse(Limits { source_pixels: 4095, ..Limits::default() }, &small), "source pixels");
    assert_eq!(refuse(Limits { output_side: 899, ..Limits::default() }, &large), "output side in pixels");
    assert_eq!(refuse(Limits { output_pixels: 809_999, ..Limits::default() }, &large), "output pixels");
    assert_eq!(refuse(Limits { job_bytes: 10_000, ..Limits::default() }, &small), "working memory of the job in bytes");
    let few_scans = plan(&header, &small, &Limits { jpeg_scans: 2, ..Limits::default() }).unwrap();
    let refused = process(&file, &few_scans, &mut Scratch::new(), &|| false);
    assert!(matches!(refused, Err(Error::TooLarge { limit: 2, .. })), "{refused:?}");
}

#[test]
fn extreme_shapes_do_not_exceed_the_output_limits() {
    // 1 px high and long: `outside` and `cover` would blow up the other side.
    let file = png(&rgb(2000, 1), 2000, 1, png::ColorType::Rgb);
    let header = probe(&file).unwrap();
    for fit in [phalanx_image::Fit::Outside, phalanx_image::Fit::Cover] {
        let transform =
            Transform::default().size(Size::sides(Some(800), Some(800), fit)).enlarge(phalanx_image::Enlarge::Allow);
        match plan(&header, &transform, &Limits::default()) {
            Err(Error::TooLarge { .. }) => {}
            // `cover` keeps 800 × 800 of it, never more.
            Ok(plan) => assert_eq!((plan.width, plan.height), (800, 800)),
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn impossible_transforms_are_named() {
    let header = probe(&gif(8, 8, 1, 0)).unwrap();
    for transform in [
        Transform::default().size(Size::width(0)),
        Transform::default().size(Size::height(0)),
        Transform::default().dpr(0.0),
        Transform::default().dpr(f32::NAN),
        Transform::default().output(as_jpeg(0)),
        Transform::default().output(as_webp(101)),
    ] {
        assert!(
            matches!(plan(&header, &transform, &Limits::default()), Err(Error::InvalidTransform { .. })),
            "{transform:?}"
        );
    }
    assert!(matches!(phalanx_image::Rotate::from_degrees(45), Err(Error::InvalidTransform { .. })));
    assert!(matches!(
        plan(&header, &Transform::default().size(Size::width(u32::MAX)).dpr(8.0), &Limits::default()),
        Ok(_) | Err(Error::TooLarge { .. })
    ));
}

#[test]
fn unsupported_varieties_are_named() {
    let jpeg = Jpeg::default().encode(&rgb(8, 8), 8, 8);
    let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    for (marker, precision) in [(0xC3, 8), (0xC5, 8), (0xC9, 8), (0xC1, 12)] {
        let mut file = jpeg.clone();
        (file[frame + 1], file[frame + 4]) = (marker, precision);
        assert!(matches!(probe(&file), Err(Error::Unsupported { .. })), "{marker:x}");
    }
    for (brand, name) in [(b"avif", "AVIF"), (b"avis", "AVIF"), (b"heic", "HEIF"), (b"mif1", "HEIF")] {
        let file = [b"\0\0\0\x1Cftyp", brand.as_slice(), &[0; 40]].concat();
        assert!(matches!(probe(&file), Err(Error::Unsupported { what }) if what == name), "{name}");
    }
}

#[test]
fn flipped_bits_never_panic() {
    let rounds = std::env::var("PHALANX_MUTATIONS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1000u32);
    let mut scratch = Scratch::new();
    let mut seed = 0x1234_5678u32;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed
    };
    for (name, file) in zoo() {
        for round in 0..rounds {
            let mut broken = file.clone();
            for _ in 0..1 + next() % 8 {
                let at = next() as usize % broken.len();
                match next() % 3 {
                    0 => broken[at] ^= 1 << (next() % 8),
                    1 => broken[at] = next() as u8,
                    _ => broken[at] = if next() % 2 == 0 { 0xFF } else { 0 },
                }
            }
            let Ok(header) = probe(&broken) else { continue };
            // A flipped size may be legal and large: that is another test's business.
            let limits = Limits { source_pixels: 100_000, ..Limits::default() };
            let Ok(plan) = plan(&header, &Transform::default().size(Size::width(20)), &limits) else { continue };
            let result = process(&broken, &plan, &mut scratch, &|| false);
            if let (true, Err(Error::Damaged { what })) = (name.starts_with("jpeg"), &result) {
                assert!(!what.contains("gave up"), "our own decoder panicked: {name}, round {round}");
            }
        }
    }
}

#[test]
fn a_plan_for_other_bytes_is_refused() {
    let (one, other) = (gif(8, 8, 1, 0), gif(9, 8, 1, 0));
    let plan = plan(&probe(&one).unwrap(), &Transform::default(), &Limits::default()).unwrap();
    assert!(matches!(process(&other, &plan, &mut Scratch::new(), &|| false), Err(Error::Internal { .. })));
}
