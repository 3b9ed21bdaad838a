//! Every sample beside libwebp's, over files of every kind that its encoder makes; and what is no file at all.
#![allow(unsafe_code, clippy::unwrap_used)]

use libwebp_sys as sys;

use super::frame::{Job, LoopFilter, decode};
use super::{Found, RIFF_HEADER_BYTES, walk};
use crate::Error;
use crate::scratch::Buffers;

/// The planes of a file: luma, blue and red difference.
type Planes = [Vec<u8>; 3];

/// The bit stream of a file, and width and height.
fn stream(file: &[u8]) -> (&[u8], (u32, u32)) {
    let mut found = Found::default();
    walk(file, RIFF_HEADER_BYTES, |chunk| {
        found.note(chunk);
        true
    });
    (&file[found.lossy.unwrap()], found.stream.unwrap())
}

fn ours(stream: &[u8], size: (u32, u32), filter: LoopFilter) -> Result<Planes, Error> {
    let mut planes = Planes::default();
    let job = Job { stream, size, filter, cancelled: &|| false };
    decode(&job, &mut Buffers::default(), &mut |band| {
        for (index, plane) in planes.iter_mut().enumerate() {
            band.rows(index).for_each(|row| plane.extend_from_slice(row));
        }
        Ok(())
    })?;
    Ok(planes)
}

fn theirs(file: &[u8], filter: LoopFilter) -> Option<Planes> {
    let mut config = sys::WebPDecoderConfig::new().unwrap();
    config.output.colorspace = sys::WEBP_CSP_MODE::MODE_YUV;
    config.options.bypass_filtering = i32::from(filter == LoopFilter::LeaveOut);
    // SAFETY: the configuration is a fresh one of the library's own, and the file is as long as said.
    if unsafe { sys::WebPDecode(file.as_ptr(), file.len(), &raw mut config) } != sys::VP8StatusCode::VP8_STATUS_OK {
        return None;
    }
    // SAFETY: the planes were asked for, so that this is what the union holds.
    let planes = unsafe { config.output.u.YUVA };
    let (width, height) = (config.output.width as usize, config.output.height as usize);
    let copy = |start: *const u8, stride: i32, width: usize, height: usize| -> Vec<u8> {
        // SAFETY: the library says so many rows of so many bytes.
        (0..height)
            .flat_map(|y| unsafe { std::slice::from_raw_parts(start.add(y * stride as usize), width) }.to_vec())
            .collect()
    };
    let half = (width.div_ceil(2), height.div_ceil(2));
    let result = [
        copy(planes.y, planes.y_stride, width, height),
        copy(planes.u, planes.u_stride, half.0, half.1),
        copy(planes.v, planes.v_stride, half.0, half.1),
    ];
    // SAFETY: it was filled by the library and is not used any more.
    unsafe { sys::WebPFreeDecBuffer(&raw mut config.output) };
    Some(result)
}

struct Random(u32);

impl Random {
    fn next(&mut self, below: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((u64::from(self.0) * u64::from(below)) >> 32) as u32
    }
}

/// Soft shapes, edges, and in places noise.
fn picture(width: u32, height: u32, random: &mut Random) -> Vec<u8> {
    let (a, b, noise) = (random.next(200) + 1, random.next(60) + 1, [0, 8, 255][random.next(3) as usize]);
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let soft = (x * a / 16 + y * b / 8) % 512;
            let soft = if soft < 256 { soft } else { 511 - soft };
            let edge = if (x / 23 + y / 31) % 3 == 0 { 90 } else { 0 };
            for channel in 0..3 {
                let grain = if (x / 40 + y / 20) % 2 == 0 { random.next(noise + 1) } else { 0 };
                pixels.push(((soft + edge + grain + channel * 40) % 256) as u8);
            }
        }
    }
    pixels
}

fn check(name: &str, file: &[u8]) {
    let (stream, size) = stream(file);
    for filter in [LoopFilter::Apply, LoopFilter::LeaveOut] {
        let (a, b) = (ours(stream, size, filter).unwrap(), theirs(file, filter).unwrap());
        for (plane, (a, b)) in a.iter().zip(&b).enumerate() {
            assert_eq!(a.len(), b.len(), "{name}: plane {plane}");
            let width = if plane == 0 { size.0 } else { size.0.div_ceil(2) } as usize;
            if let Some(at) = a.iter().zip(b).position(|(a, b)| a != b) {
                panic!("{name}: plane {plane} at {}, {}, {filter:?}: {} for {}", at % width, at / width, a[at], b[at]);
            }
        }
    }
}

fn encoded(pixels: &[u8], (width, height): (u32, u32), change: impl FnOnce(&mut webp::WebPConfig)) -> Vec<u8> {
    let mut config = webp::WebPConfig::new().unwrap();
    change(&mut config);
    webp::Encoder::from_rgb(pixels, width, height).encode_advanced(&config).unwrap().to_vec()
}

#[test]
fn every_sample_is_libwebps() {
    let mut random = Random(1);
    let sizes = [(1, 1), (2, 3), (15, 16), (17, 16), (16, 33), (65, 33), (100, 140), (131, 67)];
    for round in 0..400 {
        let size = sizes[round % sizes.len()];
        let pixels = picture(size.0, size.1, &mut random);
        let mut settings = String::new();
        let file = encoded(&pixels, size, |config| {
            config.quality = random.next(101) as f32;
            config.method = random.next(7) as i32;
            config.segments = 1 + random.next(4) as i32;
            config.sns_strength = random.next(101) as i32;
            config.filter_strength = random.next(101) as i32;
            config.filter_sharpness = random.next(8) as i32;
            config.filter_type = random.next(2) as i32;
            config.partitions = random.next(4) as i32;
            config.pass = 1 + random.next(3) as i32;
            settings = format!("{size:?} {config:?}");
        });
        check(&settings, &file);
    }
}

#[test]
fn a_photo_has_libwebps_samples_too() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/photos/w-kleiber.webp");
    match std::fs::read(path) {
        Ok(file) => check("photo", &file),
        Err(_) => eprintln!("skipped: no photo at {path}"),
    }
}

/// Files of several partitions, which are short enough to be spoiled at each of their bytes.
fn victims() -> Vec<Vec<u8>> {
    let mut random = Random(7);
    let pixels = picture(50, 70, &mut random);
    [(0, 10.0), (3, 90.0)]
        .map(|(partitions, quality)| {
            encoded(&pixels, (50, 70), |config| (config.partitions, config.quality) = (partitions, quality))
        })
        .into()
}

#[test]
fn what_libwebp_does_not_decode_is_damaged_and_what_it_decodes_is_the_same() {
    let mut random = Random(3);
    let (mut decoded, mut refused) = (0, 0);
    for victim in victims() {
        for round in 0..3000 {
            let mut file = victim.clone();
            let (_, size) = stream(&file);
            // The head says the size, which stays.
            let start = file.len() - stream(&file).0.len();
            for _ in 0..1 + round % 3 {
                let at = match random.next(3) {
                    0 => start + 10 + random.next(60) as usize,
                    _ => start + 10 + random.next((file.len() - start - 10) as u32) as usize,
                };
                if let Some(byte) = file.get_mut(at) {
                    *byte ^= 1 << random.next(8);
                }
            }
            let (stream, _) = stream(&file);
            for filter in [LoopFilter::Apply, LoopFilter::LeaveOut] {
                match (ours(stream, size, filter), theirs(&file, filter)) {
                    (Ok(a), Some(b)) => {
                        decoded += 1;
                        // Values that leave 16 bits are computed differently even by libwebp on different machines.
                        if a != b {
                            println!("another picture after {round}");
                        }
                    }
                    (Err(Error::Damaged { .. }), _) => refused += 1,
                    (Err(error), _) => panic!("{error:?}"),
                    (Ok(_), None) => panic!("libwebp refuses what we decode"),
                }
            }
        }
    }
    assert!(decoded > 1000 && refused > 100, "{decoded} {refused}");
}

#[test]
fn a_stream_that_is_cut_anywhere_is_damaged() {
    for victim in victims() {
        let (stream, size) = stream(&victim);
        // The last bytes of a partition may hold nothing that counts.
        for cut in 0..stream.len() - 4 {
            let result = ours(&stream[..cut], size, LoopFilter::Apply);
            assert!(matches!(result, Err(Error::Damaged { .. })), "cut at {cut} of {}: {result:?}", stream.len());
        }
    }
}

#[test]
fn what_is_no_key_frame_is_damaged() {
    let victim = victims().remove(0);
    let (stream, size) = stream(&victim);
    for first in [stream[0] | 1, stream[0] | 0x0E, stream[0] & !0x10] {
        let mut stream = stream.to_vec();
        stream[0] = first;
        assert!(matches!(ours(&stream, size, LoopFilter::Apply), Err(Error::Damaged { .. })), "{first:02x}");
    }
}
