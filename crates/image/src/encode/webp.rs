//! Lossy WebP out, through libwebp behind the safe `webp` crate.

use crate::raster::Raster;
use crate::{Error, WebP};

/// Encodes RGB or RGBA pixels.
pub(crate) fn encode(raster: &Raster, settings: WebP) -> Result<Vec<u8>, Error> {
    let encoder = match raster.channels {
        3 => webp::Encoder::from_rgb(&raster.data, raster.width, raster.height),
        4 => webp::Encoder::from_rgba(&raster.data, raster.width, raster.height),
        _ => return Err(Error::internal("WebP output needs RGB or RGBA")),
    };
    let bytes = encoder
        .encode_simple(false, f32::from(settings.quality))
        .map_err(|error| Error::internal(format_args!("WebP encoder: {error:?}")))?;
    Ok(bytes.to_vec())
}
