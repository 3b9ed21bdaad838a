//! The JPEG decoder by itself: two bytes that say how, then the file. What is damaged is refused, and then kept.

use std::cell::RefCell;

use phalanx_image::jpeg::{Damage, Decoder, Planes, Scale};
use phalanx_image::{Error, Scratch};

use crate::counting::peak_of;
use crate::effort::Effort;

/// What an input may announce; what announces more is refused by who uses the decoder.
const MOST_BYTES: u64 = 24 << 20;
const MOST_PIXELS: u64 = 1 << 18;
/// Enough for every sensible file, few enough for many inputs a second.
const MOST_SCANS: u32 = 40;

thread_local! {
    static USED: RefCell<Scratch> = RefCell::new(Scratch::new());
}

/// An input that is decoded so: the scale of luma, and that of chroma, in eighths.
pub fn write(luma: u8, chroma: u8, file: &[u8]) -> Vec<u8> {
    [&[luma, chroma], file].concat()
}

/// Decodes the file as its first bytes say.
pub fn decode(input: &[u8]) {
    let Some((&[luma, chroma], file)) = input.split_first_chunk() else { return };
    let Ok(decoder) = Decoder::new(file) else { return };
    let (width, height) = (decoder.info().width, decoder.info().height);
    let pixels = u64::from(width) * u64::from(height);
    let scale = |byte: u8| Scale::eighths(u32::from(byte % 16) + 1).unwrap_or(Scale::FULL);
    let chroma = scale(chroma);
    let decoder =
        decoder.scale(scale(luma)).component_scale(1, chroma).component_scale(2, chroma).scan_limit(MOST_SCANS);
    if decoder.announced_bytes() > MOST_BYTES || pixels > MOST_PIXELS {
        return;
    }
    for damage in [Damage::Refuse, Damage::Keep] {
        check(&decoder.clone().damage(damage), file.len(), pixels);
    }
}

fn check(decoder: &Decoder<'_>, file_bytes: usize, pixels: u64) {
    let announced = decoder.announced_bytes();
    let effort = Effort::begin();
    let (peak, fresh) = peak_of(|| decoder.decode(&mut Scratch::new()));
    assert!(peak <= announced, "{peak} bytes were taken, {announced} announced");
    // A scale of 16/8 gives four samples a pixel.
    effort.is_bounded(file_bytes, pixels * 4);
    if let Ok(planes) = &fresh {
        assert_eq!(planes.len(), decoder.info().components().len());
        for plane in planes.iter() {
            assert!(plane.width() > 0 && plane.height() > 0 && plane.width() <= plane.stride());
            assert!(plane.samples().len() >= plane.stride() * (plane.height() - 1) + plane.width());
        }
    }
    USED.with_borrow_mut(|used| {
        let again = decoder.decode(used);
        assert!(is_same(&fresh, &again), "used buffers change the result");
        if let Ok(planes) = again {
            planes.give_back(used);
        }
    });
}

/// Whether both have the same samples; what lies beyond the width of a row does not count.
fn is_same(one: &Result<Planes, Error>, other: &Result<Planes, Error>) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => one.iter().zip(other.iter()).all(|(one, other)| {
            let rows = |plane: &'_ phalanx_image::jpeg::Plane| -> Vec<Vec<u8>> {
                let rows = plane.samples().chunks(plane.stride()).take(plane.height());
                rows.map(|row| row[..plane.width()].to_vec()).collect()
            };
            rows(one) == rows(other)
        }),
        (Err(one), Err(other)) => one == other,
        _ => false,
    }
}
