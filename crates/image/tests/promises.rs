//! Sizes, cancelling, sameness.

#[path = "pictures/lossy.rs"]
mod lossy;
mod pictures;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use lossy::webp_lossy;
use phalanx_image::{
    Background, Enlarge, Error, Fit, Limits, Rotate, Scratch, Size, Transform, plan, probe, process, sample_jpeg,
};
use pictures::*;

#[test]
fn the_plan_is_kept_to_the_pixel_for_every_fit_source_and_output() {
    let jpeg = Jpeg { exif: Some(6), ..Jpeg::default() }.encode(&rgb(121, 77), 121, 77);
    let png = png(&rgb(121, 77), 121, 77, png::ColorType::Rgb);
    for source in [jpeg, png] {
        for fit in [Fit::Cover, Fit::Contain, Fit::Fill, Fit::Inside, Fit::Outside] {
            for enlarge in [Enlarge::Never, Enlarge::Allow] {
                for (w, h) in [(50, 50), (33, 20), (200, 31), (1, 90)] {
                    for output in [as_jpeg(80), as_jpeg(95), as_png()] {
                        let transform = Transform::default()
                            .size(Size::sides(Some(w), Some(h), fit))
                            .enlarge(enlarge)
                            .output(output);
                        let plan = plan(&probe(&source).unwrap(), &transform, &Limits::default()).unwrap();
                        let picture = process(&source, &plan, &mut Scratch::new(), &|| false).unwrap();
                        let made = probe(&picture.bytes).unwrap();
                        assert_eq!((made.width, made.height), (plan.width, plan.height), "{transform:?}");
                        assert_eq!(
                            (picture.width, picture.height, picture.format),
                            (made.width, made.height, made.format)
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn cover_cuts_the_middle_out_of_every_kind_of_source() {
    // Left and right thirds black, the middle third white; turned by EXIF, too.
    let pixels: Vec<u8> =
        (0..40).flat_map(|_| (0..120).flat_map(|x| [if (40..80).contains(&x) { 255u8 } else { 0 }; 3])).collect();
    let plain = Jpeg::default().encode(&pixels, 120, 40);
    let turned = Jpeg { exif: Some(8), ..Jpeg::default() }.encode(&pixels, 120, 40);
    let png = png(&pixels, 120, 40, png::ColorType::Rgb);
    for source in [plain, turned, png] {
        for output in [as_png(), as_jpeg(95)] {
            let transform = Transform::default().size(Size::cover(36, 36)).output(output);
            let seen = decoded(&convert(&source, &transform).unwrap().bytes);
            for (x, y) in [(3, 3), (32, 3), (18, 18), (3, 32), (32, 32)] {
                assert!(seen.at(x, y)[0] > 235, "{x} {y}: {:?}", seen.at(x, y));
            }
        }
    }
}

#[test]
fn contain_surrounds_the_picture_with_the_background() {
    let pink = Background { red: 255, green: 100, blue: 180 };
    let jpeg = Jpeg::default().encode(&[0, 128, 0].repeat(64 * 32), 64, 32);
    let grey = Jpeg { color: jpeg_encoder::ColorType::Luma, ..Jpeg::default() }.encode(&[128; 64 * 32], 64, 32);
    let clear = png(&[9, 200, 9, 128].repeat(64 * 32), 64, 32, png::ColorType::Rgba);
    for source in [jpeg, grey, clear] {
        for output in [as_png(), as_jpeg(95)] {
            let transform = Transform::default().size(Size::contain(32, 32)).background(pink).output(output);
            let seen = decoded(&convert(&source, &transform).unwrap().bytes);
            assert_eq!((seen.width, seen.height), (32, 32));
            assert!(alike(&seen.at(16, 3)[..3], &[255, 100, 180], 8), "{:?}", seen.at(16, 3));
            assert!(alike(&seen.at(16, 28)[..3], &[255, 100, 180], 8));
            assert!(!alike(&seen.at(16, 16)[..3], &[255, 100, 180], 40));
        }
    }
}

#[test]
fn turns_and_mirrors_follow_the_orientation() {
    let file = Jpeg::default().encode(&quarters(64, 32), 64, 32);
    let see = |transform: Transform| {
        let seen = decoded(&convert(&file, &transform.output(as_png())).unwrap().bytes);
        let (w, h) = (seen.width, seen.height);
        let order = [(w / 4, h / 4), (w * 3 / 4, h / 4), (w / 4, h * 3 / 4), (w * 3 / 4, h * 3 / 4)]
            .map(|(x, y)| QUARTERS.iter().position(|quarter| alike(quarter, seen.at(x, y), 12)).unwrap());
        ((w, h), order)
    };
    let plain = || Transform::default().size(Size::original());
    assert_eq!(see(plain()), ((64, 32), [0, 1, 2, 3]));
    assert_eq!(see(plain().rotate(Rotate::Quarter)), ((32, 64), [2, 0, 3, 1]));
    assert_eq!(see(plain().rotate(Rotate::Half)), ((64, 32), [3, 2, 1, 0]));
    assert_eq!(see(plain().rotate(Rotate::ThreeQuarters)), ((32, 64), [1, 3, 0, 2]));
    assert_eq!(see(plain().flip()), ((64, 32), [2, 3, 0, 1]));
    assert_eq!(see(plain().flop()), ((64, 32), [1, 0, 3, 2]));
    assert_eq!(see(plain().rotate(Rotate::Quarter).flop()), ((32, 64), [0, 2, 1, 3]));
    assert_eq!(see(plain().rotate(Rotate::Quarter).size(Size::width(16))), ((16, 32), [2, 0, 3, 1]));
}

#[test]
fn dpr_multiplies_the_asked_size() {
    let header = probe(&sample_jpeg(400, 300)).unwrap();
    let plan = plan(&header, &Transform::default().size(Size::width(100)).dpr(1.5), &Limits::default()).unwrap();
    assert_eq!((plan.width, plan.height), (150, 113));
}

#[test]
fn transparent_pixels_do_not_bleed_into_their_neighbours() {
    // Opaque white beside transparent green: the edge must not turn green.
    let pixels: Vec<u8> = (0..64)
        .flat_map(|_| (0..64).flat_map(|x| if x < 32 { [255, 255, 255, 255] } else { [0, 255, 0, 0] }))
        .collect();
    let file = png(&pixels, 64, 64, png::ColorType::Rgba);
    let seen = read_png(&convert(&file, &Transform::default().size(Size::width(16)).output(as_png())).unwrap().bytes);
    for x in 0..16 {
        let pixel = seen.at(x, 8);
        assert!(pixel[3] < 10 || (pixel[0] > 240 && pixel[2] > 240), "{x}: {pixel:?}");
    }
}

#[test]
fn a_cancelled_job_stops_at_the_next_question() {
    let sources = [
        sample_jpeg(400, 300),
        include_bytes!("data/progressive-420.jpg").to_vec(),
        png(&rgb(400, 300), 400, 300, png::ColorType::Rgb),
        gif(400, 300, 1, 0),
        webp_lossless(&rgb(400, 300), 400, 300, false),
        webp_lossy(&rgb(400, 300), 400, 300, 80.0),
    ];
    for source in sources {
        let plan =
            plan(&probe(&source).unwrap(), &Transform::default().size(Size::width(100)), &Limits::default()).unwrap();
        let asked = AtomicUsize::new(0);
        let count = || {
            asked.fetch_add(1, Relaxed);
            false
        };
        process(&source, &plan, &mut Scratch::new(), &count).unwrap();
        let questions = asked.load(Relaxed);
        assert!(questions >= 3, "{:?}: {questions}", plan.header_format());
        for stop_at in 1..=questions {
            asked.store(0, Relaxed);
            let stop = || asked.fetch_add(1, Relaxed) + 1 >= stop_at;
            assert_eq!(process(&source, &plan, &mut Scratch::new(), &stop), Err(Error::Cancelled));
            assert_eq!(asked.load(Relaxed), stop_at, "nobody asks twice after a yes");
        }
    }
}

/// The format of the source, for messages.
trait HeaderFormat {
    fn header_format(&self) -> u32;
}

impl HeaderFormat for phalanx_image::Plan {
    fn header_format(&self) -> u32 {
        self.decode_eighths
    }
}

#[test]
fn the_same_input_gives_the_same_output_whatever_the_scratch_did_before() {
    let sources = [
        sample_jpeg(300, 200),
        Jpeg { color: jpeg_encoder::ColorType::Cmyk, ..Jpeg::default() }.encode(
            &[10, 200, 30, 40].repeat(50 * 50),
            50,
            50,
        ),
        include_bytes!("data/progressive-444.jpg").to_vec(),
        png(&rgb(90, 70), 90, 70, png::ColorType::Rgb),
        gif(60, 60, 1, 9),
        webp_lossless(&rgb(80, 40), 80, 40, false),
        webp_lossy(&rgb(80, 40), 80, 40, 80.0),
    ];
    let transforms = [
        Transform::default().size(Size::width(40)),
        Transform::default().size(Size::contain(30, 30)),
        Transform::default().size(Size::width(20)).rotate(Rotate::Quarter).output(as_png()),
    ];
    let mut scratch = Scratch::new();
    for _ in 0..2 {
        for source in &sources {
            for transform in &transforms {
                let plan = plan(&probe(source).unwrap(), transform, &Limits::default()).unwrap();
                let reused = process(source, &plan, &mut scratch, &|| false).unwrap();
                let fresh = process(source, &plan, &mut Scratch::new(), &|| false).unwrap();
                assert_eq!(reused.bytes, fresh.bytes);
            }
        }
    }
}

#[test]
fn the_sample_is_the_same_every_time_and_of_the_asked_size() {
    assert_eq!(sample_jpeg(123, 77), sample_jpeg(123, 77));
    for (width, height) in [(1, 1), (640, 480), (33, 200)] {
        let header = probe(&sample_jpeg(width, height)).unwrap();
        assert_eq!((header.width, header.height), (width, height));
    }
    assert_eq!(probe(&sample_jpeg(0, 0)).unwrap().width, 1);
}
