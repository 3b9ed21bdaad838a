//! WebP in. The RIFF structure is read by hand. A lossy still picture is decoded by ourselves: into planes, row by row into the resizer, without
//! the loop filter where nobody would see it. Everything else (lossless, with transparency, animated) comes as pixels from the `image-webp`
//! crate.
//!
//! ```text
//! bytes ─ chunks ─┬─ VP8 ─ head ─┬─ modes  ─▶ prediction ─┐
//!                 │              └─ tokens ─▶ transform ──┴▶ frame: bands of rows ─ (filter) ─▶ three resizers, one for each plane
//!                 └─ anything else ─▶ image-webp ─▶ pixels
//! ```
//!
//! # What it does not do
//!
//! Frames that are no key frames (no WebP has any); the scaling that a frame's head may ask a player for; a picture of what is left of a damaged
//! file: that is an error.

mod bits;
mod filter;
mod frame;
mod header;
mod modes;
mod planes;
mod predict;
#[cfg(test)]
mod reference;
mod tables;
mod tokens;
mod transform;

use std::io::Cursor;
use std::ops::Range;

use header::Head;
pub(crate) use planes::{Lossy, Planes, decode as decode_planes, working_bytes};

use crate::orientation::{Orientation, from_exif_block};
use crate::probe::{ColorKind, Detail, Header};
use crate::raster::Raster;
use crate::scratch::Buffers;
use crate::{Error, Format};

/// `RIFF`, length, `WEBP`.
const RIFF_HEADER_BYTES: usize = 12;
/// Chunks that are looked at; an animation has one for each frame.
const MOST_CHUNKS: usize = 100_000;
/// Bytes of an `ANMF` chunk before the frame's own chunks.
const FRAME_HEADER_BYTES: usize = 16;

/// A chunk: its type, its data (possibly cut by the end of the file), and where this should be.
struct Chunk<'a> {
    kind: &'a [u8; 4],
    data: &'a [u8],
    place: Range<usize>,
}

/// Calls `see` for each chunk until it says `false`.
fn walk<'a>(bytes: &'a [u8], start: usize, mut see: impl FnMut(Chunk<'a>) -> bool) {
    let mut at = start;
    for _ in 0..MOST_CHUNKS {
        let Some((kind, rest)) = bytes.get(at..).and_then(<[u8]>::split_first_chunk::<4>) else { return };
        let Some((length, data)) = rest.split_first_chunk::<4>() else { return };
        let length = u32::from_le_bytes(*length) as usize;
        let place = at + 8..at + 8 + length;
        at = place.end + length % 2;
        if !see(Chunk { kind, data: &data[..length.min(data.len())], place }) {
            return;
        }
    }
}

/// Width, height and alpha of a lossless bit stream.
fn lossless_header(data: &[u8]) -> Option<(u32, u32, bool)> {
    let (&0x2F, rest) = data.split_first()? else { return None };
    let word = u32::from_le_bytes(*rest.first_chunk()?);
    Some(((word & 0x3FFF) + 1, (word >> 14 & 0x3FFF) + 1, word >> 28 & 1 == 1))
}

/// Width and height of a lossy bit stream.
fn lossy_header(data: &[u8]) -> Option<(u32, u32)> {
    let &[tag, _, _, 0x9D, 0x01, 0x2A, w0, w1, h0, h1] = data.first_chunk()? else { return None };
    (tag & 1 == 0).then(|| (u32::from(w1 & 0x3F) << 8 | u32::from(w0), u32::from(h1 & 0x3F) << 8 | u32::from(h0)))
}

fn three(data: &[u8], at: usize) -> Option<u32> {
    let &[a, b, c] = data.get(at..)?.first_chunk()?;
    Some(u32::from(c) << 16 | u32::from(b) << 8 | u32::from(a))
}

/// What the chunks say.
#[derive(Default)]
struct Found {
    canvas: Option<(u32, u32)>,
    /// Size of the first bit stream, and of the frame that holds it.
    stream: Option<(u32, u32)>,
    frame: Option<(u32, u32)>,
    alpha: bool,
    animated: bool,
    lossless: bool,
    frames: u32,
    icc: Option<Range<usize>>,
    /// The lossy bit stream of a still picture.
    lossy: Option<Range<usize>>,
    orientation: Orientation,
    first_chunk_is_odd: bool,
}

impl Found {
    fn note(&mut self, Chunk { kind, data, place }: Chunk<'_>) {
        match kind {
            b"VP8X" if data.len() >= 10 => {
                self.canvas = three(data, 4).zip(three(data, 7)).map(|(w, h)| (w + 1, h + 1));
                self.alpha = data[0] & 0x10 != 0;
                self.animated = data[0] & 0x02 != 0;
            }
            b"VP8 " if self.stream.is_none() => {
                self.stream = lossy_header(data);
                self.lossy = (self.frames == 0).then_some(place);
            }
            b"VP8L" if self.stream.is_none() => {
                if let Some((width, height, alpha)) = lossless_header(data) {
                    self.stream = Some((width, height));
                    self.lossless = true;
                    if self.canvas.is_none() {
                        self.alpha = alpha;
                    }
                }
            }
            b"ANMF" => {
                self.frames += 1;
                if self.frame.is_none() {
                    self.frame = three(data, 6).zip(three(data, 9)).map(|(w, h)| (w + 1, h + 1));
                    walk(data, FRAME_HEADER_BYTES, |chunk| {
                        if matches!(chunk.kind, b"VP8 " | b"VP8L") {
                            self.note(chunk);
                        }
                        self.stream.is_none()
                    });
                }
            }
            b"ICCP" => self.icc = Some(place),
            b"EXIF" => self.orientation = from_exif_block(data),
            _ => {}
        }
    }
}

/// Reads the chunk structure.
pub(crate) fn probe(bytes: &[u8]) -> Result<Header, Error> {
    let mut found = Found::default();
    walk(bytes, RIFF_HEADER_BYTES, |chunk| {
        if found.canvas.is_none() && found.stream.is_none() && !matches!(chunk.kind, b"VP8X" | b"VP8 " | b"VP8L") {
            found.first_chunk_is_odd = true;
        }
        found.note(chunk);
        // A simple file has one chunk that counts.
        !found.first_chunk_is_odd && found.canvas.is_some()
    });
    let stream = found.stream.ok_or_else(|| Error::damaged("the WebP file ends within its header"))?;
    let (width, height) = found.canvas.unwrap_or(stream);
    if width == 0 || height == 0 || stream.0 == 0 || stream.1 == 0 {
        return Err(Error::damaged("a WebP picture without width or height"));
    }
    // The pixels are decoded at the size that the stream claims: it must be the one that is accounted for.
    let expected = if found.animated { found.frame.unwrap_or((0, 0)) } else { (width, height) };
    if stream != expected || expected.0 > width || expected.1 > height {
        return Err(Error::damaged("the WebP file contradicts itself about its size"));
    }
    let icc_bytes = found.icc.as_ref().map_or(0, |icc| icc.len() as u64);
    let detail = match found.lossy {
        Some(stream) if !found.alpha && !found.animated && !found.lossless && !found.first_chunk_is_odd => {
            Detail::Lossy(Lossy { stream, icc: found.icc })
        }
        _ => Detail::Pixels { channels: if found.alpha { 4 } else { 3 }, lossless: found.lossless },
    };
    Ok(Header {
        format: Format::WebP,
        width,
        height,
        orientation: found.orientation,
        frames: found.frames.max(1),
        progressive: false,
        has_alpha: found.alpha,
        has_icc: icc_bytes > 0,
        icc_bytes,
        color: ColorKind::Rgb,
        bit_depth: 8,
        file_bytes: bytes.len() as u64,
        detail,
    })
}

/// Whether the file is as long as its head says.
fn check_whole(bytes: &[u8]) -> Result<(), Error> {
    let claimed = bytes.get(4..).and_then(<[u8]>::first_chunk).map_or(0, |length| u32::from_le_bytes(*length) as usize);
    if claimed + 8 > bytes.len() {
        return Err(Error::damaged(format_args!(
            "the WebP file is truncated: {} of {} bytes are there",
            bytes.len(),
            claimed + 8
        )));
    }
    Ok(())
}

/// Whether the partitions of a lossy stream that `image-webp` will decode are where their lengths say: it takes memory for each by its length
/// (up to 16 MiB) before it reads it.
fn check_partitions(bytes: &[u8]) -> Result<(), Error> {
    let mut result = Ok(());
    let (mut streams, mut frames) = (0, 0);
    walk(bytes, RIFF_HEADER_BYTES, |chunk| {
        match chunk.kind {
            b"VP8 " if streams == 0 => {
                streams += 1;
                result = Head::read(chunk.data).map(drop);
            }
            b"ANMF" if frames == 0 => {
                frames += 1;
                walk(chunk.data, FRAME_HEADER_BYTES, |inner| {
                    let is_lossy = inner.kind == b"VP8 ";
                    if is_lossy {
                        result = Head::read(inner.data).map(drop);
                    }
                    !is_lossy
                });
            }
            _ => {}
        }
        result.is_ok()
    });
    result
}

/// Decodes the picture or the first frame; gives the ICC profile too.
pub(crate) fn decode(
    bytes: &[u8],
    header: &Header,
    channels: usize,
    decoder_bytes: u64,
    buffers: &mut Buffers,
) -> Result<(Raster, Option<Vec<u8>>), Error> {
    check_whole(bytes)?;
    check_partitions(bytes)?;
    let mut decoder = image_webp::WebPDecoder::new(Cursor::new(bytes)).map_err(error)?;
    decoder.set_memory_limit(usize::try_from(decoder_bytes).unwrap_or(usize::MAX));
    let mut raster = Raster::new(buffers, header.width, header.height, channels);
    if decoder.dimensions() != (header.width, header.height) || decoder.output_buffer_size() != Some(raster.data.len())
    {
        return Err(Error::damaged("the WebP header changes on the way"));
    }
    decoder.read_image(&mut raster.data).map_err(error)?;
    let icc = if header.has_icc { decoder.icc_profile().ok().flatten() } else { None };
    Ok((raster, icc))
}

fn error(error: image_webp::DecodingError) -> Error {
    Error::damaged(format_args!("WebP: {error}"))
}
