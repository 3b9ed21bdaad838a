//! Small files that claim or unpack to much: whatever becomes of them, it stays within the bytes that the plan has announced, counted by the
//! allocator itself. The counters are the process's, so one test runs at a time.
#![allow(clippy::unwrap_used)] // Also in the functions that make the files.

#[path = "pictures/counting.rs"]
mod counting;
mod pictures;

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use counting::{Counting, peak_of};
use phalanx_image::jpeg::Damage;
use phalanx_image::{Error, Limits, Picture, Scratch, Transform, plan, probe, process};
use pictures::*;

#[global_allocator]
static ALLOCATOR: Counting = Counting;
static RUNNING: Mutex<()> = Mutex::new(());

/// A test that runs while no other does.
struct Alone(#[expect(dead_code, reason = "it is held")] MutexGuard<'static, ()>);

impl Alone {
    fn begin() -> Alone {
        Alone(RUNNING.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a thumbnail of it with the default limits, and holds it to its plan; so also where damage is kept.
    fn within_its_plan(&self, name: &str, file: &[u8]) -> Result<Picture, Error> {
        let [made, _] = [Damage::Refuse, Damage::Keep].map(|damage| {
            let wish = Transform::default().damage(damage);
            let plan = plan(&probe(file).unwrap(), &wish, &Limits::default()).unwrap();
            let (peak, made) = peak_of(|| process(file, &plan, &mut Scratch::new(), &|| false));
            let (taken, announced, bytes) = (peak as u64, plan.estimated_bytes, file.len());
            println!(
                "{name}, {damage:?}: {bytes} bytes of file, {taken} of {announced} bytes: {:?}",
                made.as_ref().err()
            );
            assert!(taken <= announced, "{name}, {damage:?}: {taken} bytes were taken, {announced} announced");
            made
        });
        made
    }
}

/// A damaged picture, and not for the reason that a decoder panicked.
#[track_caller]
fn is_damaged(name: &str, made: &Result<Picture, Error>) {
    match made {
        Err(Error::Damaged { what }) if !what.contains("gave up") => {}
        other => panic!("{name}: {other:?}"),
    }
}

/// The largest side of a square within the limit of 50 megapixels.
const SIDE: u32 = 7071;

fn noise(bytes: usize) -> Vec<u8> {
    let mut seed = 1u32;
    let next = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// The same JPEG with another size in its header.
fn claiming(mut jpeg: Vec<u8>, width: u16, height: u16) -> Vec<u8> {
    let frame = jpeg.windows(2).position(|pair| matches!(pair, [0xFF, 0xC0..=0xC2])).unwrap();
    jpeg[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    jpeg[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    jpeg
}

/// A segment of a JPEG file.
fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u16 + 2).to_be_bytes();
    [&[0xFF, marker], &length[..], content].concat()
}

/// A Huffman table, `place` as in the file, in which every code of `symbols` has the given length.
fn table(place: u8, length: usize, symbols: &[u8]) -> Vec<u8> {
    let mut counts = [0; 16];
    counts[length - 1] = symbols.len() as u8;
    segment(0xC4, &[&[place], &counts[..], symbols].concat())
}

/// A grey progressive JPEG of `scans` scans of which each covers all blocks with as few bytes as the format allows.
fn scans(width: u16, height: u16, scans: usize) -> Vec<u8> {
    let blocks = u64::from(width.div_ceil(8)) * u64::from(height.div_ceil(8));
    let mut file = vec![0xFF, 0xD8];
    file.extend(segment(0xDB, &[&[0][..], &[16; 64]].concat()));
    let [h, w] = [height.to_be_bytes(), width.to_be_bytes()];
    file.extend(segment(0xC2, &[8, h[0], h[1], w[0], w[1], 1, 1, 0x11, 0]));
    // DC: one code of one bit for "no difference". AC: one code of one bit for a run of 32767 blocks, with 14 bits that say so.
    file.extend(table(0x00, 1, &[0]));
    file.extend(table(0x10, 1, &[0xE0]));
    file.extend(segment(0xDA, &[1, 1, 0, 0, 0, 0]));
    file.extend(vec![0; blocks.div_ceil(8) as usize]);
    let runs = blocks.div_ceil(32_767) as usize;
    let mut bits = Bits::default();
    for _ in 0..runs {
        bits.push(0, 1);
        bits.push(0x3FFF, 14);
    }
    let data = bits.stuffed();
    for number in 1..scans {
        // The first scan of the coefficients, then their refinements, over and over: at most 13 bits can be refined.
        let step = (number - 1) % 14;
        let approximation = match step {
            0 => 13,
            step => ((14 - step) << 4 | (13 - step)) as u8,
        };
        file.extend(segment(0xDA, &[1, 1, 0, 1, 63, approximation]));
        file.extend(&data);
    }
    file.extend([0xFF, 0xD9]);
    file
}

/// Bits, the first one highest.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn push(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let place = 7 - self.used % 8;
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((value >> bit & 1) << place) as u8;
            }
            self.used += 1;
        }
    }

    /// Filled up with ones, and with a zero after each 0xFF.
    fn stuffed(mut self) -> Vec<u8> {
        while !self.used.is_multiple_of(8) {
            self.push(1, 1);
        }
        self.bytes.iter().flat_map(|&byte| if byte == 0xFF { vec![byte, 0] } else { vec![byte] }).collect()
    }
}

#[test]
fn a_large_progressive_file_that_claims_8000_by_6000_stays_within_what_is_announced() {
    let alone = Alone::begin();
    // Noise, as dense as a file can be: 1.8 MB and more of scans, of which the header says that they are another picture.
    let (width, height) = (1500, 1200);
    let noise = noise((width * height * 3) as usize);
    for sampling in [jpeg_encoder::SamplingFactor::F_1_1, jpeg_encoder::SamplingFactor::F_2_2] {
        let mut file = Jpeg { progressive: true, sampling, ..Jpeg::default() }.encode(&noise, width, height);
        assert!(file.len() > 1_800_000, "{}", file.len());
        let made = alone.within_its_plan("progressive, whole", &claiming(file.clone(), 8000, 6000));
        is_damaged("progressive, whole", &made);
        file.truncate(1_800_000);
        let made = alone.within_its_plan("progressive, 1.8 MB", &claiming(file, 8000, 6000));
        is_damaged("progressive, 1.8 MB", &made);
    }
}

#[test]
fn files_of_a_kibibyte_that_claim_the_limit_are_damaged_within_what_is_announced() {
    let alone = Alone::begin();
    let side = SIDE as u16;
    let jpeg = |progressive, sampling| {
        let file = Jpeg { progressive, sampling, ..Jpeg::default() }.encode(&[90; 8 * 8 * 3], 8, 8);
        claiming(file, side, side)
    };
    use jpeg_encoder::SamplingFactor::{F_1_1, F_2_2};
    for (name, file) in [
        ("jpeg 4:4:4", jpeg(false, F_1_1)),
        ("jpeg 4:2:0", jpeg(false, F_2_2)),
        ("jpeg progressive 4:4:4", jpeg(true, F_1_1)),
        ("jpeg progressive 4:2:0", jpeg(true, F_2_2)),
        ("png", png_by_hand((SIDE, SIDE), 8, 6, 0, &[], &[0; 100])),
        ("png of 16 bits, interlaced", png_by_hand((SIDE, SIDE), 16, 6, 1, &[], &[0; 100])),
    ] {
        assert!(file.len() <= 2048, "{name}: {}", file.len());
        is_damaged(name, &alone.within_its_plan(name, &file));
    }
}

#[test]
fn a_hundred_scans_are_read_and_no_more() {
    let alone = Alone::begin();
    let made = alone.within_its_plan("100 scans", &scans(4000, 3000, 100));
    assert_eq!(made.map(|picture| (picture.width, picture.height)), Ok((800, 600)));
    let made = alone.within_its_plan("101 scans", &scans(4000, 3000, 101));
    assert!(matches!(made, Err(Error::TooLarge { limit: 100, .. })), "{made:?}");
    // 50 megapixels in 100 scans, in a file of a few kilobytes beside the one bit that a block needs.
    let file = scans(SIDE as u16, SIDE as u16, 100);
    assert!(file.len() < 120_000, "{}", file.len());
    let made = alone.within_its_plan("100 scans at the limit", &file);
    assert_eq!(made.map(|picture| (picture.width, picture.height)), Ok((800, 800)));
}

#[test]
fn whoever_waits_for_a_bomb_can_give_it_up() {
    let _alone = Alone::begin();
    let file = scans(SIDE as u16, SIDE as u16, 100);
    let plan = plan(&probe(&file).unwrap(), &Transform::default(), &Limits::default()).unwrap();
    let asked = AtomicU32::new(0);
    let cancelled = || asked.fetch_add(1, Relaxed) + 1 > 10;
    assert_eq!(process(&file, &plan, &mut Scratch::new(), &cancelled), Err(Error::Cancelled));
    assert_eq!(asked.load(Relaxed), 11, "it ended at once");
}

#[test]
fn a_storm_of_restart_markers_ends() {
    let alone = Alone::begin();
    let pixels = rgb(640, 480);
    let sound = Jpeg { restart: 1, ..Jpeg::default() }.encode(&pixels, 640, 480);
    let made = alone.within_its_plan("a marker after each block", &sound);
    assert_eq!(made.map(|picture| picture.width), Ok(640));
    // Nothing but markers, in the right order, where the data of 48 megapixels should be.
    for progressive in [false, true] {
        let jpeg = Jpeg { restart: 1, progressive, ..Jpeg::default() }.encode(&rgb(16, 16), 16, 16);
        let scan = jpeg.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
        let data = scan + 2 + usize::from(u16::from_be_bytes([jpeg[scan + 2], jpeg[scan + 3]]));
        let mut storm = claiming(jpeg[..data].to_vec(), 8000, 6000);
        storm.extend((0..900_000u32).flat_map(|number| [0xFF, 0xD0 + (number % 8) as u8]));
        storm.extend([0xFF, 0xD9]);
        is_damaged("nothing but markers", &alone.within_its_plan("nothing but markers", &storm));
    }
}

#[test]
fn a_png_that_unpacks_to_a_thousand_times_its_size_stays_within_what_is_announced() {
    let alone = Alone::begin();
    for (kind, name) in
        [(png::ColorType::Rgb, "rgb"), (png::ColorType::Rgba, "rgba"), (png::ColorType::Grayscale, "grey")]
    {
        let samples = 3000 * 3000 * kind.samples();
        let file = png(&vec![0; samples], 3000, 3000, kind);
        assert!(file.len() * 100 < samples, "{name}: {}", file.len());
        let made = alone.within_its_plan(name, &file);
        assert_eq!(made.map(|picture| (picture.width, picture.height)), Ok((800, 800)), "{name}");
    }
}

/// The lossy stream chunk of a picture in eight partitions of which the first says that it has 16 MB.
fn partitions_that_lie() -> Vec<u8> {
    let mut settings = webp::WebPConfig::new().unwrap();
    settings.partitions = 3;
    let file = webp::Encoder::from_rgb(&rgb(48, 200), 48, 200).encode_advanced(&settings).unwrap();
    let mut chunk = webp_stream(&file);
    assert_eq!(&chunk[..4], b"VP8 ");
    let tag = u32::from_le_bytes([chunk[8], chunk[9], chunk[10], 0]);
    let lengths = 8 + 10 + (tag >> 5) as usize;
    chunk[lengths..lengths + 3].copy_from_slice(&[0xFF; 3]);
    chunk
}

#[test]
fn a_webp_whose_partitions_lie_about_their_length_is_damaged_within_what_is_announced() {
    let alone = Alone::begin();
    let stream = partitions_that_lie();
    let simple = riff_chunk(b"RIFF", &[&b"WEBP"[..], &stream].concat());
    let opaque = riff_chunk(b"ALPH", &[&[0][..], &[255; 48 * 200]].concat());
    let transparent = webp_extended(0x10, (48, 200), &[opaque, stream.clone()]);
    let frame = [&[0, 0, 0, 0, 0, 0, 47, 0, 0, 199, 0, 0, 100, 0, 0, 2][..], &stream].concat();
    let animated = webp_extended(0x02, (48, 200), &[riff_chunk(b"ANIM", &[0; 6]), riff_chunk(b"ANMF", &frame)]);
    for (name, file) in [("simple", simple), ("transparent", transparent), ("animated", animated)] {
        is_damaged(name, &alone.within_its_plan(name, &file));
    }
}

#[test]
fn a_large_canvas_with_a_small_frame_stays_within_what_is_announced() {
    let alone = Alone::begin();
    let small = gif::Frame { width: 1, height: 1, buffer: vec![1].into(), ..gif::Frame::default() };
    let mut file = Vec::new();
    let mut encoder = gif::Encoder::new(&mut file, 6000, 4000, &[0, 0, 0, 255, 0, 0]).unwrap();
    encoder.write_frame(&small).unwrap();
    drop(encoder);
    let made = alone.within_its_plan("gif", &file);
    assert_eq!(made.map(|picture| (picture.width, picture.height)), Ok((800, 533)));

    let mut frame = vec![0; 12];
    frame.extend_from_slice(&[100, 0, 0, 2]);
    frame.extend(webp_stream(&webp_lossless(&[9, 9, 9], 1, 1, false)));
    let file = webp_extended(0x02, (6000, 4000), &[riff_chunk(b"ANIM", &[0; 6]), riff_chunk(b"ANMF", &frame)]);
    let made = alone.within_its_plan("webp", &file);
    assert_eq!(made.map(|picture| (picture.width, picture.height)), Ok((800, 533)));
}
