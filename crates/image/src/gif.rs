//! GIF in, first frame only: the blocks are walked by hand, the pixels come from the `gif` crate, row by row unless the frame is interlaced.

use std::io::Cursor;
use std::num::NonZeroU64;

use crate::probe::{ColorKind, Detail, Header};
use crate::resize::Rows;
use crate::{Error, Format, Orientation};

/// Signature and logical screen descriptor.
const SCREEN_BYTES: usize = 13;
/// Frames that are counted; an animation with more is reported with this many.
const MOST_FRAMES: u32 = 10_000;

/// What a walk over the blocks found.
struct Walk {
    frames: u32,
    /// The first frame is transparent or does not cover the screen.
    first_is_partial: bool,
    first_is_interlaced: bool,
    /// The trailer was reached.
    whole: bool,
}

fn table_bytes(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << (usize::from(flags & 7) + 1) }
}

/// The position behind the sub-blocks at `at`.
fn skip_sub_blocks(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            length => at += 1 + usize::from(length),
        }
    }
}

fn walk(bytes: &[u8], screen: (u32, u32)) -> Walk {
    let mut result = Walk { frames: 0, first_is_partial: true, first_is_interlaced: false, whole: false };
    let mut transparent = false;
    let mut at = SCREEN_BYTES + bytes.get(10).map_or(0, |&flags| table_bytes(flags));
    while let Some(&kind) = bytes.get(at) {
        let next = match kind {
            0x21 => {
                if bytes.get(at + 1) == Some(&0xF9) && result.frames == 0 {
                    transparent = bytes.get(at + 3).is_some_and(|flags| flags & 1 == 1);
                }
                skip_sub_blocks(bytes, at + 2)
            }
            0x2C => {
                let Some(&[x0, x1, y0, y1, w0, w1, h0, h1, flags]) = bytes.get(at + 1..).and_then(<[u8]>::first_chunk)
                else {
                    break;
                };
                if result.frames == 0 {
                    let two = |low: u8, high: u8| u32::from(high) << 8 | u32::from(low);
                    let covers =
                        two(x0, x1) == 0 && two(y0, y1) == 0 && two(w0, w1) >= screen.0 && two(h0, h1) >= screen.1;
                    result.first_is_partial = transparent || !covers;
                    result.first_is_interlaced = flags & 0x40 != 0;
                }
                result.frames += 1;
                if result.frames >= MOST_FRAMES {
                    result.whole = true;
                    break;
                }
                skip_sub_blocks(bytes, at + 10 + table_bytes(flags) + 1)
            }
            0x3B => {
                result.whole = true;
                break;
            }
            // Padding between blocks is seen in the wild.
            0x00 => Some(at + 1),
            _ => None,
        };
        match next {
            Some(next) => at = next,
            None => break,
        }
    }
    result
}

/// Reads the screen descriptor and walks the blocks.
pub(crate) fn probe(bytes: &[u8]) -> Result<Header, Error> {
    let Some(&[w0, w1, h0, h1]) = bytes.get(6..SCREEN_BYTES).and_then(<[u8]>::first_chunk) else {
        return Err(Error::damaged("the GIF file ends within its header"));
    };
    let (width, height) = (u32::from(w1) << 8 | u32::from(w0), u32::from(h1) << 8 | u32::from(h0));
    if width == 0 || height == 0 {
        return Err(Error::damaged("a GIF picture without width or height"));
    }
    let walk = walk(bytes, (width, height));
    Ok(Header {
        format: Format::Gif,
        width,
        height,
        orientation: Orientation::Upright,
        frames: walk.frames.max(1),
        progressive: walk.first_is_interlaced,
        has_alpha: walk.first_is_partial,
        has_icc: false,
        icc_bytes: 0,
        color: ColorKind::Palette,
        bit_depth: 8,
        file_bytes: bytes.len() as u64,
        detail: Detail::Pixels { channels: if walk.first_is_partial { 4 } else { 3 }, lossless: true },
    })
}

/// Decodes the first frame onto the screen, row by row into `rows`; what it does not cover is transparent.
pub(crate) fn decode_rows(
    bytes: &[u8],
    header: &Header,
    decoder_bytes: u64,
    rows: &mut Rows,
    cancelled: &dyn Fn() -> bool,
) -> Result<(), Error> {
    let screen = (header.width, header.height);
    if !walk(bytes, screen).whole {
        return Err(Error::damaged("the GIF file is truncated: it has no trailer"));
    }
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::Indexed);
    options.check_frame_consistency(true);
    if let Some(limit) = NonZeroU64::new(decoder_bytes) {
        options.set_memory_limit(gif::MemoryLimit::Bytes(limit));
    }
    let mut decoder = options.read_info(Cursor::new(bytes)).map_err(error)?;
    let frame =
        decoder.next_frame_info().map_err(error)?.ok_or_else(|| Error::damaged("a GIF file without a frame"))?;
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (width, height) = (usize::from(frame.width), usize::from(frame.height));
    let (transparent, interlaced) = (frame.transparent, frame.interlaced);
    if left + width > screen.0 as usize || top + height > screen.1 as usize || width == 0 || height == 0 {
        return Err(Error::damaged("a GIF frame outside of its screen"));
    }
    if interlaced != header.progressive {
        return Err(Error::damaged("the GIF header changes on the way"));
    }
    let mut colors = [[0u8, 0, 0, 255]; 256];
    for (color, entry) in colors.iter_mut().zip(decoder.palette().map_err(error)?.chunks_exact(3)) {
        color[..3].copy_from_slice(entry);
    }
    if let Some(index) = transparent {
        colors[usize::from(index)] = [0; 4];
    }
    // An interlaced frame is put in order as a whole.
    let mut indices = vec![0; if interlaced { width * height } else { width }];
    if interlaced {
        decoder.read_into_buffer(&mut indices).map_err(error)?;
    }
    let channels = rows.channels();
    for row in 0..screen.1 as usize {
        if (row as u32).is_multiple_of(ROWS_BETWEEN_CHECKS) && cancelled() {
            return Err(Error::Cancelled);
        }
        let out = rows.row()?;
        out.fill(0);
        if let Some(row) = row.checked_sub(top).filter(|&row| row < height) {
            let line = if interlaced {
                indices.get(row * width..(row + 1) * width).unwrap_or_default()
            } else {
                if !decoder.fill_buffer(&mut indices).map_err(error)? {
                    return Err(Error::damaged("the GIF frame has too few pixels"));
                }
                &indices
            };
            for (pixel, &index) in out.chunks_exact_mut(channels).skip(left).zip(line) {
                pixel.copy_from_slice(&colors[usize::from(index)][..channels]);
            }
        }
        rows.push()?;
    }
    Ok(())
}

/// Rows that are decoded between two looks at `cancelled`.
const ROWS_BETWEEN_CHECKS: u32 = 32;

fn error(error: gif::DecodingError) -> Error {
    Error::damaged(format_args!("GIF: {error}"))
}
