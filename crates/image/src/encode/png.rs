//! PNG out: 8 bits a channel, grey, grey and alpha, RGB or RGBA.

use crate::Error;
use crate::raster::Raster;

/// Encodes the raster.
pub(crate) fn encode(raster: &Raster) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(raster.data.len() / 2 + 1024);
    let mut encoder = png::Encoder::new(&mut out, raster.width, raster.height);
    encoder.set_color(match raster.channels {
        1 => png::ColorType::Grayscale,
        2 => png::ColorType::GrayscaleAlpha,
        3 => png::ColorType::Rgb,
        _ => png::ColorType::Rgba,
    });
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Balanced);
    let mut writer = encoder.write_header().map_err(Error::internal)?;
    writer.write_image_data(&raster.data).map_err(Error::internal)?;
    writer.finish().map_err(Error::internal)?;
    Ok(out)
}
