//! PNG in. The header is read by hand (nothing allocated), the pixels by the `png` crate, row by row, and each
//! row goes on at once; only an interlaced picture is held as a whole.

use std::io::Cursor;

use crate::color::MOST_PROFILE_BYTES;
use crate::orientation::{Orientation, from_exif_block};
use crate::probe::{ColorKind, Detail, Header};
use crate::raster::Raster;
use crate::resize::Rows;
use crate::scratch::Buffers;
use crate::{Error, Format};

/// Bytes of the signature.
const SIGNATURE_BYTES: usize = 8;
/// Length, type and checksum of a chunk.
const CHUNK_FRAME_BYTES: usize = 12;

/// A chunk: its type and its data.
struct Chunk<'a> {
    kind: [u8; 4],
    data: &'a [u8],
    end: usize,
}

/// The chunk at `at`; its data may be cut by the end of the file.
fn chunk_at(bytes: &[u8], at: usize) -> Option<Chunk<'_>> {
    let length = u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?) as usize;
    let kind = *bytes.get(at + 4..)?.first_chunk()?;
    let rest = bytes.get(at + 8..)?;
    Some(Chunk { kind, data: &rest[..length.min(rest.len())], end: at + CHUNK_FRAME_BYTES + length })
}

/// Reads the header chunk and what follows it up to the picture data.
pub(crate) fn probe(bytes: &[u8]) -> Result<Header, Error> {
    let first =
        chunk_at(bytes, SIGNATURE_BYTES).ok_or_else(|| Error::damaged("the PNG file ends within its header"))?;
    let (b"IHDR", Some(&[w0, w1, w2, w3, h0, h1, h2, h3, depth, color, compression, filter, interlace])) =
        (&first.kind, first.data.first_chunk::<13>())
    else {
        return Err(Error::damaged("the PNG file has no header"));
    };
    let (width, height) = (u32::from_be_bytes([w0, w1, w2, w3]), u32::from_be_bytes([h0, h1, h2, h3]));
    if width == 0 || height == 0 {
        return Err(Error::damaged("a PNG picture without width or height"));
    }
    if compression != 0 || filter != 0 || interlace > 1 || !matches!(depth, 1 | 2 | 4 | 8 | 16) {
        return Err(Error::damaged("an impossible PNG header"));
    }
    let (mut orientation, mut icc_bytes, mut transparent, mut frames) = (Orientation::Upright, 0, false, 1);
    let mut at = first.end;
    while let Some(chunk) = chunk_at(bytes, at) {
        match &chunk.kind {
            b"IDAT" | b"IEND" => break,
            b"eXIf" => orientation = from_exif_block(chunk.data),
            b"iCCP" => icc_bytes = MOST_PROFILE_BYTES.min(chunk.data.len() as u64 * MOST_DEFLATE_RATIO),
            b"tRNS" => transparent = true,
            b"acTL" => frames = chunk.data.first_chunk().map_or(1, |count| u32::from_be_bytes(*count)).max(1),
            _ => {}
        }
        at = chunk.end;
    }
    let (color, channels) = match color {
        0 => (ColorKind::Grey, 1 + usize::from(transparent)),
        2 => (ColorKind::Rgb, 3 + usize::from(transparent)),
        3 => (ColorKind::Palette, 3 + usize::from(transparent)),
        4 => (ColorKind::Grey, 2),
        6 => (ColorKind::Rgb, 4),
        _ => return Err(Error::damaged("an impossible PNG colour type")),
    };
    Ok(Header {
        format: Format::Png,
        width,
        height,
        orientation,
        frames,
        progressive: interlace == 1,
        has_alpha: matches!(channels, 2 | 4),
        has_icc: icc_bytes > 0,
        icc_bytes,
        color,
        bit_depth: depth,
        file_bytes: bytes.len() as u64,
        detail: Detail::Pixels { channels, lossless: true },
    })
}

/// Whether the file reaches its end chunk: found by lengths alone.
fn check_whole(bytes: &[u8]) -> Result<(), Error> {
    let mut at = SIGNATURE_BYTES;
    while let Some(chunk) = chunk_at(bytes, at) {
        if chunk.end > bytes.len() {
            break;
        }
        if &chunk.kind == b"IEND" {
            return Ok(());
        }
        at = chunk.end;
    }
    Err(Error::damaged("the PNG file is truncated: it has no end chunk"))
}

/// The reader of the first frame at 8 bits a channel, with the file checked as far as that costs nothing.
fn open<'a>(
    bytes: &'a [u8],
    header: &Header,
    channels: usize,
    decoder_bytes: u64,
) -> Result<png::Reader<Cursor<&'a [u8]>>, Error> {
    check_whole(bytes)?;
    let mut decoder = png::Decoder::new_with_limits(
        Cursor::new(bytes),
        png::Limits { bytes: usize::try_from(decoder_limit(header, decoder_bytes)).unwrap_or(usize::MAX) },
    );
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    decoder.set_ignore_text_chunk(true);
    let reader = decoder.read_info().map_err(error)?;
    let (color, depth) = reader.output_color_type();
    if color.samples() != channels
        || depth != png::BitDepth::Eight
        || (reader.info().width, reader.info().height) != (header.width, header.height)
    {
        return Err(Error::damaged("the PNG header changes on the way"));
    }
    Ok(reader)
}

fn profile(reader: &png::Reader<Cursor<&[u8]>>) -> Option<Vec<u8>> {
    reader.info().icc_profile.as_ref().map(|profile| profile.to_vec())
}

/// Decodes the first frame row by row into `rows`; gives the ICC profile. Not for interlaced pictures.
pub(crate) fn decode_rows(
    bytes: &[u8],
    header: &Header,
    decoder_bytes: u64,
    rows: &mut Rows,
    cancelled: &dyn Fn() -> bool,
) -> Result<Option<Vec<u8>>, Error> {
    let mut reader = open(bytes, header, rows.channels(), decoder_bytes)?;
    for index in 0..header.height {
        if index.is_multiple_of(ROWS_BETWEEN_CHECKS) && cancelled() {
            return Err(Error::Cancelled);
        }
        if reader.read_row(rows.row()?).map_err(error)?.is_none() {
            return Err(Error::damaged("the PNG picture has too few rows"));
        }
        rows.push()?;
    }
    Ok(profile(&reader))
}

/// Decodes the first frame of an interlaced picture, which is there as a whole only; gives the ICC profile too.
pub(crate) fn decode_interlaced(
    bytes: &[u8],
    header: &Header,
    channels: usize,
    decoder_bytes: u64,
    buffers: &mut Buffers,
    cancelled: &dyn Fn() -> bool,
) -> Result<(Raster, Option<Vec<u8>>), Error> {
    let mut reader = open(bytes, header, channels, decoder_bytes)?;
    let mut raster = Raster::new(buffers, header.width, header.height, channels);
    let stride = raster.row_bytes();
    let bits = channels as u8 * 8;
    let mut rows = 0u32;
    while let Some(row) = reader.next_interlaced_row().map_err(error)? {
        rows += 1;
        if rows.is_multiple_of(ROWS_BETWEEN_CHECKS) && cancelled() {
            return Err(Error::Cancelled);
        }
        if let png::InterlaceInfo::Adam7(pass) = row.interlace() {
            png::expand_interlaced_row(&mut raster.data, stride, row.data(), pass, bits);
        }
    }
    let icc = profile(&reader);
    Ok((raster, icc))
}

/// Deflate cannot do better than this.
const MOST_DEFLATE_RATIO: u64 = 1032;

/// What the decoder may allocate besides the pixels, in bytes: rows of up to 64 bits a pixel, chunks, and the unpacked profile.
pub(crate) fn decoder_limit(header: &Header, decoder_bytes: u64) -> u64 {
    let rows = u64::from(header.width) * 8 * 4;
    decoder_bytes.min(rows + SMALL_CHUNKS_BYTES + header.file_bytes.min(MOST_PROFILE_BYTES) + header.icc_bytes)
}

/// Palette, EXIF and the like, in bytes.
const SMALL_CHUNKS_BYTES: u64 = 256 * 1024;

/// Rows that are decoded between two looks at `cancelled`.
const ROWS_BETWEEN_CHECKS: u32 = 32;

fn error(error: png::DecodingError) -> Error {
    match error {
        png::DecodingError::LimitsExceeded => Error::damaged("the PNG file needs more memory than its size justifies"),
        other => Error::damaged(format_args!("PNG: {other}")),
    }
}
