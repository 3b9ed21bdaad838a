//! Lanczos3 on planes and pixels. The geometry comes from `fit.rs`; here it is only carried out.

use fast_image_resize as fir;
use fast_image_resize::PixelType;
use fast_image_resize::images::{CroppedImage, CroppedImageMut, Image, ImageRef};

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
    let across = [Span { target: 0..size.0, start: area.x, length: area.width }];
    let down = [Span { target: 0..size.1, start: area.y, length: area.height }];
    resize_spans(source, whole, size, &across, &down, scratch)
}

/// Resizes to half of `size`, so that each sample stands for two by two pixels of it; at an odd side the last sample stands for one pixel
/// (the first, on an axis that is mirrored afterwards).
pub(crate) fn resize_to_half(
    source: &Source<'_>,
    area: &Area,
    whole: (u32, u32),
    size: (u32, u32),
    mirrored: (bool, bool),
    scratch: &mut Scratch,
) -> Result<Raster, Error> {
    let across = half_spans(size.0, area.x, area.width, mirrored.0);
    let down = half_spans(size.1, area.y, area.height, mirrored.1);
    resize_spans(source, whole, (size.0.div_ceil(2), size.1.div_ceil(2)), &across, &down, scratch)
}

/// A stretch of one axis: these samples of the target come from this stretch of the picture.
struct Span {
    target: std::ops::Range<u32>,
    start: f64,
    length: f64,
}

/// The spans of an axis of `pixels`, halved.
fn half_spans(pixels: u32, start: f64, length: f64, mirrored: bool) -> Vec<Span> {
    let (pairs, odd) = (pixels / 2, pixels % 2);
    let unit = length / f64::from(pixels);
    let lead = if mirrored { odd } else { 0 };
    let middle = start + f64::from(lead) * unit;
    let mut spans = Vec::with_capacity(2);
    if pairs > 0 {
        spans.push(Span { target: lead..lead + pairs, start: middle, length: f64::from(2 * pairs) * unit });
    }
    if odd == 1 {
        let (at, from) = if mirrored { (0, start) } else { (pairs, start + f64::from(2 * pairs) * unit) };
        spans.push(Span { target: at..at + 1, start: from, length: unit });
    }
    spans
}

fn resize_spans(
    source: &Source<'_>,
    whole: (u32, u32),
    size: (u32, u32),
    across: &[Span],
    down: &[Span],
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
    let mut out = Raster::new(&mut scratch.buffers, size.0, size.1, source.channels);
    let mut target = Image::from_slice_u8(size.0, size.1, &mut out.data, pixel).map_err(Error::internal)?;
    for x in across {
        for y in down {
            let (left, width) = clamp(x.start * unit_x, x.length * unit_x, f64::from(used.0));
            let (top, height) = clamp(y.start * unit_y, y.length * unit_y, f64::from(used.1));
            let options = fir::ResizeOptions::new()
                .resize_alg(fir::ResizeAlg::Convolution(fir::FilterType::Lanczos3))
                .crop(left, top, width, height)
                .use_alpha(false);
            let (wide, high) = (x.target.end - x.target.start, y.target.end - y.target.start);
            let mut part = CroppedImageMut::new(&mut target, x.target.start, y.target.start, wide, high)
                .map_err(Error::internal)?;
            scratch.resizer.resize(&view, &mut part, &options).map_err(Error::internal)?;
        }
    }
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
