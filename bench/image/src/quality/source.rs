//! From bytes to pixels, and which sources can be compared at all.

use std::fmt;
use std::io::Cursor;

use jpeg_decoder::{Decoder, PixelFormat};

use super::Picture;

const ORIENTATION_TAG: u16 = 0x0112;
const UPRIGHT: u16 = 1;
const EXIF_PREFIX: &[u8] = b"Exif\0\0";

/// Why a picture has no score.
#[derive(Clone, Debug)]
pub struct Unscored(pub(crate) String);

impl fmt::Display for Unscored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Decodes in full, at full size; what is transparent lies on black.
pub fn decode(bytes: &[u8]) -> Result<Picture, Unscored> {
    if bytes.starts_with(b"\x89PNG") {
        decode_png(bytes)
    } else if bytes.starts_with(b"RIFF") {
        decode_webp(bytes)
    } else {
        decode_jpeg(bytes)
    }
}

/// `jpeg-decoder`, not the faster zune-jpeg: that one (0.5.15) decodes baseline files whose components stand in scans of
/// their own to other colours, without an error.
fn decode_jpeg(jpeg: &[u8]) -> Result<Picture, Unscored> {
    let mut decoder = Decoder::new(jpeg);
    let bytes = decoder.decode().map_err(|error| Unscored(format!("not decoded: {error}")))?;
    let info = decoder.info().ok_or_else(|| Unscored("the JPEG has no size".into()))?;
    let component = |byte: u8| f32::from(byte) / 255.0;
    let pixels: Vec<[f32; 3]> = match info.pixel_format {
        PixelFormat::RGB24 => bytes.chunks_exact(3).map(|rgb| [rgb[0], rgb[1], rgb[2]].map(component)).collect(),
        PixelFormat::L8 => bytes.iter().map(|grey| [component(*grey); 3]).collect(),
        other => return Err(Unscored(format!("pixels of the kind {other:?}"))),
    };
    Ok(Picture { width: info.width.into(), height: info.height.into(), pixels })
}

fn decode_png(file: &[u8]) -> Result<Picture, Unscored> {
    let not_decoded = |error: png::DecodingError| Unscored(format!("not decoded: {error}"));
    let mut decoder = png::Decoder::new(Cursor::new(file));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(not_decoded)?;
    let length = reader.output_buffer_size().ok_or_else(|| Unscored("a PNG too large for this machine".into()))?;
    let mut bytes = vec![0; length];
    let info = reader.next_frame(&mut bytes).map_err(not_decoded)?;
    bytes.truncate(info.buffer_size());
    Ok(on_black(info.width, info.height, info.color_type.samples(), &bytes))
}

fn decode_webp(file: &[u8]) -> Result<Picture, Unscored> {
    let not_decoded = |error: image_webp::DecodingError| Unscored(format!("not decoded: {error}"));
    let mut decoder = image_webp::WebPDecoder::new(Cursor::new(file)).map_err(not_decoded)?;
    let (width, height) = decoder.dimensions();
    let length = decoder.output_buffer_size().ok_or_else(|| Unscored("a WebP too large for this machine".into()))?;
    let mut bytes = vec![0; length];
    decoder.read_image(&mut bytes).map_err(not_decoded)?;
    Ok(on_black(width, height, if decoder.has_alpha() { 4 } else { 3 }, &bytes))
}

/// From bytes of one to four channels; with two and four the last is alpha.
fn on_black(width: u32, height: u32, channels: usize, bytes: &[u8]) -> Picture {
    let pixel = |pixel: &[u8]| {
        let component = |index: usize| f32::from(pixel[index]) / 255.0;
        match channels {
            1 => [component(0); 3],
            2 => [component(0) * component(1); 3],
            3 => [component(0), component(1), component(2)],
            _ => [0, 1, 2].map(|index| component(index) * component(3)),
        }
    };
    Picture {
        width: width as usize,
        height: height as usize,
        pixels: bytes.chunks_exact(channels).map(pixel).collect(),
    }
}

/// Whether every contender can be expected to show the same picture of a source: upright, RGB, sRGB.
pub fn comparable(bytes: &[u8]) -> Result<(), Unscored> {
    if bytes.starts_with(&[0xff, 0xd8]) { comparable_jpeg(bytes) } else { Ok(()) }
}

fn comparable_jpeg(jpeg: &[u8]) -> Result<(), Unscored> {
    let mut decoder = Decoder::new(jpeg);
    decoder.read_info().map_err(|error| Unscored(format!("not decoded: {error}")))?;
    if decoder.info().is_some_and(|info| info.pixel_format == PixelFormat::CMYK32) {
        return Err(Unscored("CMYK".into()));
    }
    if decoder.exif_data().is_some_and(|exif| orientation(exif) != UPRIGHT) {
        return Err(Unscored("turned by EXIF".into()));
    }
    if decoder.icc_profile().is_some_and(|profile| !names_srgb(&profile)) {
        return Err(Unscored("another colour space".into()));
    }
    Ok(())
}

/// Profiles name themselves in ASCII (version 2) or UTF-16 (version 4).
fn names_srgb(profile: &[u8]) -> bool {
    [b"sRGB".as_slice(), b"s\0R\0G\0B".as_slice()]
        .iter()
        .any(|name| profile.windows(name.len()).any(|part| part == *name))
}

/// The orientation in the first directory of an EXIF block; upright if there is none or it cannot be read.
fn orientation(exif: &[u8]) -> u16 {
    let tiff = exif.strip_prefix(EXIF_PREFIX).unwrap_or(exif);
    read_orientation(tiff).unwrap_or(UPRIGHT)
}

fn read_orientation(tiff: &[u8]) -> Option<u16> {
    let little = tiff.starts_with(b"II");
    let short = |at: usize| {
        let bytes = tiff.get(at..at + 2)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let (high, low) = if little { (6, 4) } else { (4, 6) };
    let directory = usize::from(short(high)?) << 16 | usize::from(short(low)?);
    let entries = usize::from(short(directory)?);
    let entry = (0..entries).map(|index| directory + 2 + index * 12).find(|at| short(*at) == Some(ORIENTATION_TAG))?;
    short(entry + 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orientation_is_read_in_both_byte_orders() {
        let big = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let little = b"II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x08\0\0\0\0\0\0\0";
        assert_eq!((orientation(big), orientation(little)), (6, 8));
        assert_eq!(orientation(b"MM"), UPRIGHT);
    }
}
