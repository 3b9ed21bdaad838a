//! Lanczos3 on planes and pixels. The geometry comes from `fit.rs`; here it is only carried out.

use fast_image_resize as fir;
use fast_image_resize::PixelType;
use fast_image_resize::images::{CroppedImage, Image, ImageRef};

use crate::Error;
use crate::fit::Area;
use crate::raster::Raster;
use crate::scratch::Scratch;

/// Where the pixels come from: rows that may be longer than the picture, and an extent that may end within a sample.
pub(crate) struct Source<'a> {
    pub(crate) data: &'a [u8],
    /// Pixels from one row to the next.
    pub(crate) stride: usize,
    /// Rows that are stored.
    pub(crate) rows: usize,
    /// The part that is the picture.
    pub(crate) extent: (f64, f64),
    pub(crate) channels: usize,
}

/// Resizes `area` (in pixels of a picture of `whole`) of the source to `size`.
pub(crate) fn resize(
    source: &Source<'_>,
    area: &Area,
    whole: (u32, u32),
    size: (u32, u32),
    scratch: &mut Scratch,
) -> Result<Raster, Error> {
    let pixel = pixel_type(source.channels)?;
    let image = ImageRef::new(source.stride as u32, source.rows as u32, source.data, pixel).map_err(Error::internal)?;
    let used = (
        (source.extent.0.ceil() as u32).clamp(1, source.stride as u32),
        (source.extent.1.ceil() as u32).clamp(1, source.rows as u32),
    );
    let view = CroppedImage::new(&image, 0, 0, used.0, used.1).map_err(Error::internal)?;
    let (unit_x, unit_y) = (source.extent.0 / f64::from(whole.0), source.extent.1 / f64::from(whole.1));
    let (left, width) = clamp(area.x * unit_x, area.width * unit_x, f64::from(used.0));
    let (top, height) = clamp(area.y * unit_y, area.height * unit_y, f64::from(used.1));
    let options = fir::ResizeOptions::new()
        .resize_alg(fir::ResizeAlg::Convolution(fir::FilterType::Lanczos3))
        .crop(left, top, width, height)
        .use_alpha(false);
    let mut out = Raster::new(&mut scratch.buffers, size.0, size.1, source.channels);
    let mut target = Image::from_slice_u8(size.0, size.1, &mut out.data, pixel).map_err(Error::internal)?;
    scratch.resizer.resize(&view, &mut target, &options).map_err(Error::internal)?;
    Ok(out)
}

/// Keeps rounding errors from leaving the source.
fn clamp(start: f64, length: f64, most: f64) -> (f64, f64) {
    let start = start.clamp(0.0, most);
    let length = length.min(most - start);
    // An area thinner than a sample still needs one.
    if length <= 0.0 { ((most - 1.0).max(0.0), 1.0) } else { (start, length) }
}

/// Multiplies the colours by alpha, in place, so that transparent pixels do not bleed into their neighbours.
pub(crate) fn premultiply(raster: &mut Raster) -> Result<(), Error> {
    alpha(raster, |image| fir::MulDiv::new().multiply_alpha_inplace(image))
}

/// Undoes [`premultiply`].
pub(crate) fn unpremultiply(raster: &mut Raster) -> Result<(), Error> {
    alpha(raster, |image| fir::MulDiv::new().divide_alpha_inplace(image))
}

fn alpha<E: std::fmt::Display>(
    raster: &mut Raster,
    work: impl FnOnce(&mut Image<'_>) -> Result<(), E>,
) -> Result<(), Error> {
    let pixel = pixel_type(raster.channels)?;
    let mut image =
        Image::from_slice_u8(raster.width, raster.height, &mut raster.data, pixel).map_err(Error::internal)?;
    work(&mut image).map_err(Error::internal)
}

fn pixel_type(channels: usize) -> Result<PixelType, Error> {
    match channels {
        1 => Ok(PixelType::U8),
        2 => Ok(PixelType::U8x2),
        3 => Ok(PixelType::U8x3),
        4 => Ok(PixelType::U8x4),
        _ => Err(Error::internal("a raster of impossible channels")),
    }
}
