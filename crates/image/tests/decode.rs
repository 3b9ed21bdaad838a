//! Every kind of source gives the right pixels.

#[path = "pictures/lossy.rs"]
mod lossy;
mod pictures;

use jpeg_encoder::{ColorType, SamplingFactor};
use lossy::webp_lossy;
use phalanx_image::{ColorKind, Fit, Format, Orientation, Size, Transform, Warning, probe};
use pictures::*;

/// The corners (well inside the quarters) of a picture of [`quarters`], in the order of [`QUARTERS`].
fn corners(pixels: &Pixels) -> [Vec<u8>; 4] {
    let (x0, x1) = (pixels.width / 4, pixels.width * 3 / 4);
    let (y0, y1) = (pixels.height / 4, pixels.height * 3 / 4);
    [(x0, y0), (x1, y0), (x0, y1), (x1, y1)].map(|(x, y)| pixels.at(x, y)[..3].to_vec())
}

/// Which quarter is where after an orientation, by EXIF's own definition of what row 0 and column 0 are.
const TURNED: [(u16, [usize; 4]); 8] = [
    (1, [0, 1, 2, 3]),
    (2, [1, 0, 3, 2]),
    (3, [3, 2, 1, 0]),
    (4, [2, 3, 0, 1]),
    (5, [0, 2, 1, 3]),
    (6, [2, 0, 3, 1]),
    (7, [3, 1, 2, 0]),
    (8, [1, 3, 0, 2]),
];

#[test]
fn all_eight_orientations_come_out_upright_from_every_format_that_has_them() {
    let (width, height) = (64, 32);
    let pixels = quarters(width, height);
    for (exif, order) in TURNED {
        let jpeg = Jpeg { exif: Some(exif), ..Jpeg::default() }.encode(&pixels, width, height);
        let rows: Vec<u8> = pixels.chunks((width * 3) as usize).flat_map(|row| [&[0], row].concat()).collect();
        let png = png_by_hand((width, height), 8, 2, 0, &[(b"eXIf", tiff(exif))], &rows);
        let stream = webp_stream(&webp_lossless(&pixels, width, height, false));
        let webp = webp_extended(0x08, (width, height), &[stream, riff_chunk(b"EXIF", &tiff(exif))]);
        for file in [jpeg, png, webp] {
            let header = probe(&file).unwrap();
            assert_eq!(header.orientation, Orientation::from_exif(exif), "{:?}", header.format);
            let upright = if exif > 4 { (height, width) } else { (width, height) };
            assert_eq!(header.upright_size(), upright);
            let whole = decoded(&file);
            assert_eq!((whole.width, whole.height), upright);
            let half = convert(&file, &Transform::default().size(Size::width(upright.0 / 2)).output(as_png())).unwrap();
            let as_jpeg = convert(&file, &Transform::default().size(Size::width(upright.0 / 2))).unwrap();
            assert_eq!((as_jpeg.width, as_jpeg.height), (upright.0 / 2, upright.1 / 2));
            for seen in [whole, read_png(&half.bytes), decoded(&as_jpeg.bytes)] {
                for (corner, quarter) in corners(&seen).iter().zip(order) {
                    assert!(alike(corner, &QUARTERS[quarter], 20), "{:?} {exif}: {corner:?}", header.format);
                }
            }
        }
    }
}

#[test]
fn jpeg_of_every_sampling_agrees_with_another_decoder() {
    let sampling = [
        SamplingFactor::F_1_1,
        SamplingFactor::F_2_1,
        SamplingFactor::F_1_2,
        SamplingFactor::F_2_2,
        SamplingFactor::F_4_1,
        SamplingFactor::F_4_2,
        SamplingFactor::F_1_4,
        SamplingFactor::F_2_4,
    ];
    for (width, height) in [(1, 1), (8, 8), (33, 17), (100, 75)] {
        let pixels = rgb(width, height);
        for sampling in sampling {
            for (progressive, restart) in [(false, 0), (false, 3), (true, 0)] {
                let file = Jpeg { progressive, sampling, restart, ..Jpeg::default() }.encode(&pixels, width, height);
                let theirs = jpeg_decoder::Decoder::new(&file[..]).decode().unwrap();
                let ours = decoded(&file);
                assert_eq!((ours.width, ours.height), (width, height));
                let error = |decoded: &[u8]| {
                    let sum: f64 = decoded.iter().zip(&pixels).map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
                    sum / pixels.len() as f64
                };
                // Chroma is brought to full size by other filters, so the original is the judge of both.
                let (ours, theirs) = (error(&ours.data), error(&theirs));
                assert!(ours <= theirs * 1.3 + 0.5, "{width}×{height} {sampling:?} {progressive}: {ours} {theirs}");
            }
        }
    }
}

#[test]
fn progressive_and_baseline_of_the_same_coefficients_are_equal_at_every_scale() {
    let pairs: [(&[u8], &[u8]); 2] = [
        (include_bytes!("data/progressive-420.jpg"), include_bytes!("data/baseline-420.jpg")),
        (include_bytes!("data/progressive-444.jpg"), include_bytes!("data/baseline-444.jpg")),
    ];
    for (progressive, baseline) in pairs {
        assert!(probe(progressive).unwrap().progressive);
        for width in [1, 10, 19, 30, 39, 50, 58, 70, 78, 90, 97, 110, 203] {
            let transform = Transform::default().size(Size::width(width)).output(as_png());
            let (a, b) = (convert(progressive, &transform).unwrap(), convert(baseline, &transform).unwrap());
            assert_eq!(a.bytes, b.bytes, "{width} px");
        }
    }
}

#[test]
fn a_scaled_decode_is_near_to_a_full_decode_and_resize() {
    let file = phalanx_image::sample_jpeg(1200, 900);
    let full = decoded(&file);
    let lossless = png(&full.data, full.width, full.height, png::ColorType::Rgb);
    for width in [90, 200, 300, 420, 560, 690] {
        let transform = Transform::default().size(Size::width(width)).output(as_png());
        let (scaled, exact) = (
            read_png(&convert(&file, &transform).unwrap().bytes),
            read_png(&convert(&lossless, &transform).unwrap().bytes),
        );
        let square: f64 = scaled.data.iter().zip(&exact.data).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
        let decibels = 10.0 * (255.0 * 255.0 / (square / exact.data.len() as f64)).log10();
        assert!(decibels > 33.0, "{width} px: {decibels:.1} dB");
    }
}

#[test]
fn grey_stays_grey() {
    let pixels: Vec<u8> = (0..60 * 40).map(|i| (i % 60 * 4) as u8).collect();
    let file = Jpeg { color: ColorType::Luma, ..Jpeg::default() }.encode(&pixels, 60, 40);
    assert_eq!(probe(&file).unwrap().color, ColorKind::Grey);
    let seen = decoded(&file);
    assert_eq!(seen.channels, 1);
    assert!(alike(&seen.data, &pixels, 3));
    let small = convert(&file, &Transform::default().size(Size::width(30))).unwrap();
    assert_eq!(probe(&small.bytes).unwrap().color, ColorKind::Grey);
}

#[test]
fn inks_become_colours() {
    // Cyan, magenta, yellow, black, paper, one stripe each.
    let inks = [[255, 0, 0, 0], [0, 255, 0, 0], [0, 0, 255, 0], [0, 0, 0, 255], [0, 0, 0, 0]];
    let colors = [[0, 255, 255], [255, 0, 255], [255, 255, 0], [0, 0, 0], [255, 255, 255]];
    let pixels: Vec<u8> = (0..32).flat_map(|_| (0..80).flat_map(|x| inks[x / 16])).collect();
    for color in [ColorType::Cmyk, ColorType::CmykAsYcck] {
        let file = Jpeg { color, ..Jpeg::default() }.encode(&pixels, 80, 32);
        assert_eq!(probe(&file).unwrap().color, ColorKind::Cmyk);
        let seen = decoded(&file);
        for (stripe, expected) in colors.iter().enumerate() {
            let got = seen.at(stripe as u32 * 16 + 8, 16);
            assert!(alike(got, expected, 6), "{color:?}: {got:?} {expected:?}");
        }
        assert_eq!(
            probe(&convert(&file, &Transform::default().size(Size::width(40))).unwrap().bytes).unwrap().color,
            ColorKind::Rgb
        );
    }
}

#[test]
fn png_with_16_bits_becomes_8() {
    let rows: Vec<u8> = (0..4u8)
        .flat_map(|y| [vec![0], (0..4u8).flat_map(|x| [x * 60, 99, y * 60, 7, 200, 250]).collect()].concat())
        .collect();
    let file = png_by_hand((4, 4), 16, 2, 0, &[], &rows);
    assert_eq!(probe(&file).unwrap().bit_depth, 16);
    let seen = decoded(&file);
    assert_eq!(seen.channels, 3);
    assert!(alike(seen.at(2, 3), &[120, 180, 200], 1), "{:?}", seen.at(2, 3));
}

#[test]
fn a_palette_with_transparency_keeps_both() {
    let rows: Vec<u8> = (0..8)
        .flat_map(|y| [vec![0], (0..8u8).map(|x| u8::from(x >= 4) + 2 * u8::from(y >= 4)).collect()].concat())
        .collect();
    let extra = [(b"PLTE", QUARTERS.concat()), (b"tRNS", vec![255, 0, 128])];
    let file = png_by_hand((8, 8), 8, 3, 0, &extra.each_ref().map(|(kind, data)| (*kind, data.clone())), &rows);
    let header = probe(&file).unwrap();
    assert_eq!((header.color, header.has_alpha), (ColorKind::Palette, true));
    let seen = decoded(&file);
    assert_eq!(seen.channels, 4);
    let alphas = [(0, 0), (7, 0), (0, 7), (7, 7)].map(|(x, y)| seen.at(x, y)[3]);
    assert_eq!(alphas, [255, 0, 128, 255]);
    assert_eq!(seen.at(0, 0)[..3], QUARTERS[0]);
}

#[test]
fn an_interlaced_png_equals_the_plain_one() {
    let (width, height) = (13u32, 11u32);
    let mut rows = Vec::new();
    for (x0, y0, dx, dy) in
        [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    {
        for y in (y0..height).step_by(dy) {
            if x0 < width {
                rows.push(0);
                (x0..width).step_by(dx).for_each(|x| rows.extend(pixel(x, y, width, height)));
            }
        }
    }
    let file = png_by_hand((width, height), 8, 2, 1, &[], &rows);
    assert!(probe(&file).unwrap().progressive);
    assert_eq!(decoded(&file).data, rgb(width, height));
}

#[test]
fn of_an_animation_the_first_frame_is_used() {
    let mut apng = Vec::new();
    let mut encoder = png::Encoder::new(&mut apng, 32, 16);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_animated(2, 0).unwrap();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&quarters(32, 16)).unwrap();
    writer.write_image_data(&QUARTERS[0].repeat(32 * 16)).unwrap();
    writer.finish().unwrap();
    for file in [apng, gif(32, 16, 2, 0), webp_animated(32, 16)] {
        let header = probe(&file).unwrap();
        assert_eq!(header.frames, 2, "{:?}", header.format);
        let picture = convert(&file, &Transform::default().size(Size::original()).output(as_png())).unwrap();
        assert!(picture.warnings.contains(&Warning::FirstFrameOnly));
        for (corner, quarter) in corners(&read_png(&picture.bytes)).iter().zip(QUARTERS) {
            assert!(alike(corner, &quarter, 2), "{:?}: {corner:?}", header.format);
        }
    }
}

#[test]
fn gif_transparency_is_kept_and_flattened_for_jpeg() {
    let file = gif(32, 32, 1, 8);
    let header = probe(&file).unwrap();
    assert_eq!((header.format, header.has_alpha, header.color), (Format::Gif, true, ColorKind::Palette));
    let seen = decoded(&file);
    assert_eq!((seen.at(3, 3)[3], seen.at(3, 12)[3]), (0, 255));
    let white = phalanx_image::Background::WHITE;
    let flat = decoded(&convert(&file, &Transform::default().size(Size::original()).background(white)).unwrap().bytes);
    assert!(alike(flat.at(3, 2), &[255, 255, 255], 12), "{:?}", flat.at(3, 2));
}

#[test]
fn webp_lossy_and_lossless_with_and_without_alpha() {
    let (width, height) = (40, 30);
    let plain = rgb(width, height);
    let with_alpha: Vec<u8> =
        plain.chunks(3).enumerate().flat_map(|(i, p)| [p[0], p[1], p[2], (i % 40 * 6) as u8]).collect();
    assert_eq!(decoded(&webp_lossless(&plain, width, height, false)).data, plain);
    assert_eq!(decoded(&webp_lossless(&with_alpha, width, height, true)).data, with_alpha);
    if cfg!(feature = "webp-encode") {
        let output = as_webp(95);
        for (source, channels) in [
            (png(&plain, width, height, png::ColorType::Rgb), 3),
            (png(&with_alpha, width, height, png::ColorType::Rgba), 4),
        ] {
            let lossy = convert(&source, &Transform::default().size(Size::original()).output(output)).unwrap();
            assert_eq!(probe(&lossy.bytes).unwrap().format, Format::WebP);
            let seen = decoded(&lossy.bytes);
            assert_eq!(seen.channels, channels);
            assert!(alike(seen.at(35, 25), decoded(&source).at(35, 25), 12));
        }
    }
}

#[test]
fn a_lossy_webp_has_the_colours_that_another_decoder_sees_at_every_size() {
    for (width, height) in [(1, 1), (2, 7), (16, 16), (61, 43), (130, 97)] {
        let (mut pixels, size) = (Vec::new(), (width, height));
        for y in 0..height {
            for x in 0..width {
                pixels.extend([
                    60 + (x * 120 / width) as u8,
                    60 + (y * 120 / height) as u8,
                    (180 - x * 90 / width) as u8,
                ]);
            }
        }
        let file = webp_lossy(&pixels, width, height, 95.0);
        let mut expected = vec![0; pixels.len()];
        image_webp::WebPDecoder::new(std::io::Cursor::new(&file)).unwrap().read_image(&mut expected).unwrap();
        let near = |name: &str, data: &[u8], tolerance: u8| {
            assert_eq!(data.len(), expected.len(), "{name} {size:?}");
            for (at, (a, b)) in data.chunks(3).zip(expected.chunks(3)).enumerate() {
                assert!(alike(a, b, tolerance), "{name} {size:?} at {at}: {a:?} {b:?}");
            }
        };
        near("pixels", &decoded(&file).data, 10);
        for quality in [90, 100] {
            let wish = Transform::default().size(Size::original()).output(as_jpeg(quality));
            near("planes", &decoded(&convert(&file, &wish).unwrap().bytes).data, 14);
        }
        // With a profile that says sRGB, and one that does not: pixels are converted as those of a lossless file.
        let stream = webp_stream(&file);
        let lossless = webp_stream(&webp_lossless(&expected, width, height, false));
        for profile in [moxcms::ColorProfile::new_srgb(), moxcms::ColorProfile::new_display_p3()] {
            let icc = riff_chunk(b"ICCP", &profile.encode().unwrap());
            let [a, b] = [&stream, &lossless].map(|s| decoded(&webp_extended(0x20, size, &[icc.clone(), s.clone()])));
            for (at, (a, b)) in a.data.chunks(3).zip(b.data.chunks(3)).enumerate() {
                // Near the edge of sRGB a step of P3 is many.
                assert!(alike(a, b, 32), "{size:?} at {at}: {a:?} {b:?}");
            }
        }
    }
}

#[test]
fn a_profile_is_converted_and_a_broken_one_is_a_warning() {
    let p3 = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    let srgb = moxcms::ColorProfile::new_srgb().encode().unwrap();
    let (width, height) = (32, 32);
    let pixels: Vec<u8> = [200, 100, 60].repeat((width * height) as usize);
    let seen = |icc: Option<Vec<u8>>| {
        let file = Jpeg { icc, ..Jpeg::default() }.encode(&pixels, width, height);
        let picture = convert(&file, &Transform::default().size(Size::original()).output(as_png())).unwrap();
        (read_png(&picture.bytes).at(16, 16).to_vec(), picture.warnings)
    };
    let (plain, warnings) = seen(None);
    assert!(warnings.is_empty());
    assert_eq!(seen(Some(srgb)), (plain.clone(), vec![]));
    // Display P3 (200, 100, 60) is sRGB (212, 95, 45): from the primaries and the common tone curve.
    let (wide, warnings) = seen(Some(p3));
    assert!(alike(&wide, &[212, 95, 45], 5) && warnings.is_empty(), "{wide:?} {warnings:?}");
    assert_eq!(seen(Some(vec![9; 200])), (plain, vec![Warning::BrokenProfile]));
}

#[test]
fn metadata_is_not_passed_on() {
    let p3 = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    let file = Jpeg { exif: Some(6), icc: Some(p3), ..Jpeg::default() }.encode(&rgb(64, 48), 64, 48);
    let outputs = [as_jpeg(80), as_png()];
    for output in outputs {
        let picture = convert(&file, &Transform::default().size(Size::width(20)).output(output)).unwrap();
        let header = probe(&picture.bytes).unwrap();
        assert!(!header.has_icc && header.orientation == Orientation::Upright);
        assert!(!picture.bytes.windows(4).any(|four| four == b"Exif" || four == b"eXIf"));
    }
}

/// With `PHALANX_PHOTOS=folder`: every photo there makes a picture that looks like itself at another scale.
#[test]
fn photos_of_a_folder_are_resized() {
    let Ok(folder) = std::env::var("PHALANX_PHOTOS") else { return };
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        if Format::sniff(&bytes).is_none() {
            continue;
        }
        let sized = |width, height| {
            Transform::default().size(Size::sides(Some(width), Some(height), Fit::Fill)).output(as_png())
        };
        let small = convert(&bytes, &sized(200, 150)).unwrap();
        let large = convert(&bytes, &sized(400, 300)).unwrap();
        let again = read_png(&convert(&large.bytes, &sized(200, 150)).unwrap().bytes);
        let small = read_png(&small.bytes);
        assert_eq!((small.width, small.channels), (again.width, again.channels), "{}", path.display());
        let difference: f64 = small.data.iter().zip(&again.data).map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
        let mean = difference / small.data.len() as f64;
        assert!(mean < 4.0, "{}: {mean}", path.display());
    }
}
