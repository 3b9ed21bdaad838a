//! PNG out: 8 bits a channel, grey, grey and alpha, RGB or RGBA.

use png::{DeflateCompression, Filter};

use crate::output::Effort;
use crate::raster::Raster;
use crate::{Error, Png};

/// A file below this share of the raw pixels (one in so many) shows a drawing, not a photo.
const DRAWING_SHARE: usize = 8;

/// The usual effort of deflate, for drawings: quick there, and a third smaller.
const DRAWING_LEVEL: u8 = 6;

/// The most effort of deflate.
const SMALL_LEVEL: u8 = 9;

/// Encodes the raster: in one fast pass, which for photos is as small as it gets (measured: more effort takes 10 to 30 times as long and saves
/// 13 % at best, or loses 7 %), and once more with effort when it turns out to be a drawing, or when the file shall be small.
pub(crate) fn encode(raster: &Raster, settings: Png) -> Result<Vec<u8>, Error> {
    let fast = encode_with(raster, DeflateCompression::FdeflateUltraFast, raster.data.len() / 2)?;
    let level = match settings.effort {
        Effort::Quick if fast.len() > raster.data.len() / DRAWING_SHARE => return Ok(fast),
        Effort::Quick => DRAWING_LEVEL,
        Effort::Small => SMALL_LEVEL,
    };
    let thorough = encode_with(raster, DeflateCompression::Level(level), fast.len())?;
    Ok(if thorough.len() < fast.len() { thorough } else { fast })
}

fn encode_with(raster: &Raster, compression: DeflateCompression, expected: usize) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(expected + 1024);
    let mut encoder = png::Encoder::new(&mut out, raster.width, raster.height);
    encoder.set_color(match raster.channels {
        1 => png::ColorType::Grayscale,
        2 => png::ColorType::GrayscaleAlpha,
        3 => png::ColorType::Rgb,
        _ => png::ColorType::Rgba,
    });
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_deflate_compression(compression);
    encoder.set_filter(Filter::Adaptive);
    let mut writer = encoder.write_header().map_err(Error::internal)?;
    writer.write_image_data(&raster.data).map_err(Error::internal)?;
    writer.finish().map_err(Error::internal)?;
    Ok(out)
}
