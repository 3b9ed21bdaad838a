//! Lossy WebP out, through libwebp behind the safe `webp` crate.

use crate::output::Effort;
use crate::raster::Raster;
use crate::{Error, WebP};

/// libwebp's slowest method (its default is 4); it chooses values by what they cost, as our small JPEG does.
const MOST_THOROUGH: i32 = 6;

/// Encodes RGB or RGBA pixels.
pub(crate) fn encode(raster: &Raster, settings: WebP) -> Result<Vec<u8>, Error> {
    let encoder = match raster.channels {
        3 => webp::Encoder::from_rgb(&raster.data, raster.width, raster.height),
        4 => webp::Encoder::from_rgba(&raster.data, raster.width, raster.height),
        _ => return Err(Error::internal("WebP output needs RGB or RGBA")),
    };
    let mut config = webp::WebPConfig::new().map_err(|()| Error::internal("libwebp refuses its own defaults"))?;
    config.quality = f32::from(settings.quality);
    if settings.effort == Effort::Small {
        config.method = MOST_THOROUGH;
    }
    let bytes =
        encoder.encode_advanced(&config).map_err(|error| Error::internal(format_args!("WebP encoder: {error:?}")))?;
    Ok(bytes.to_vec())
}
