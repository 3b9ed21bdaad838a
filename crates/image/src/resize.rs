//! Lanczos3 on planes and pixels. The geometry comes from `fit.rs`; here it is only carried out.

use fast_image_resize as fir;
use fast_image_resize::PixelTrait;
use fast_image_resize::images::{TypedCroppedImage, TypedCroppedImageMut, TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x2, U8x3, U8x4};

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
    let mut out = Raster::new(&mut scratch.buffers, size.0, size.1, source.channels);
    let resizer = &mut scratch.resizer;
    match source.channels {
        1 => resize_pixels::<U8>(source, whole, &mut out, across, down, resizer)?,
        2 => resize_pixels::<U8x2>(source, whole, &mut out, across, down, resizer)?,
        3 => resize_pixels::<U8x3>(source, whole, &mut out, across, down, resizer)?,
        4 => resize_pixels::<U8x4>(source, whole, &mut out, across, down, resizer)?,
        _ => return Err(Error::internal("a raster of impossible channels")),
    }
    Ok(out)
}

/// The typed calls of the resizer are used on purpose: its untyped ones bring code for thirteen kinds of pixels, 3 MB of it.
fn resize_pixels<P: PixelTrait>(
    source: &Source<'_>,
    whole: (u32, u32),
    out: &mut Raster,
    across: &[Span],
    down: &[Span],
    resizer: &mut fir::Resizer,
) -> Result<(), Error> {
    let (stride, rows) = (source.stride as u32, source.rows as u32);
    let image = TypedImageRef::<P>::from_buffer(stride, rows, source.data).map_err(Error::internal)?;
    let used = ((source.extent.0.ceil() as u32).clamp(1, stride), (source.extent.1.ceil() as u32).clamp(1, rows));
    let view = TypedCroppedImage::from_ref(&image, 0, 0, used.0, used.1).map_err(Error::internal)?;
    let (unit_x, unit_y) = (source.extent.0 / f64::from(whole.0), source.extent.1 / f64::from(whole.1));
    let mut target = TypedImage::<P>::from_buffer(out.width, out.height, &mut out.data).map_err(Error::internal)?;
    for x in across {
        for y in down {
            let (left, width) = clamp(x.start * unit_x, x.length * unit_x, f64::from(used.0));
            let (top, height) = clamp(y.start * unit_y, y.length * unit_y, f64::from(used.1));
            let options = fir::ResizeOptions::new()
                .resize_alg(fir::ResizeAlg::Convolution(fir::FilterType::Lanczos3))
                .crop(left, top, width, height)
                .use_alpha(false);
            let (wide, high) = (x.target.end - x.target.start, y.target.end - y.target.start);
            let mut part = TypedCroppedImageMut::from_ref(&mut target, x.target.start, y.target.start, wide, high)
                .map_err(Error::internal)?;
            resizer.resize_typed(&view, &mut part, &options).map_err(Error::internal)?;
        }
    }
    Ok(())
}

/// Keeps rounding errors from leaving the source.
fn clamp(start: f64, length: f64, most: f64) -> (f64, f64) {
    let start = start.clamp(0.0, most);
    let length = length.min(most - start);
    // An area thinner than a sample still needs one.
    if length <= 0.0 { ((most - 1.0).max(0.0), 1.0) } else { (start, length) }
}

/// What to do with colours and alpha.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alpha {
    /// Colours times alpha, so that transparent pixels do not bleed into their neighbours when resized.
    Multiply,
    /// The way back.
    Divide,
}

/// Changes the colours of a raster with alpha, in place; one without stays as it is.
pub(crate) fn change_alpha(raster: &mut Raster, change: Alpha) -> Result<(), Error> {
    match raster.channels {
        2 => change_pixels::<U8x2>(raster, change),
        4 => change_pixels::<U8x4>(raster, change),
        _ => Ok(()),
    }
}

fn change_pixels<P: PixelTrait>(raster: &mut Raster, change: Alpha) -> Result<(), Error> {
    let mut image =
        TypedImage::<P>::from_buffer(raster.width, raster.height, &mut raster.data).map_err(Error::internal)?;
    let arithmetic = fir::MulDiv::new();
    match change {
        Alpha::Multiply => arithmetic.multiply_alpha_inplace_typed(&mut image),
        Alpha::Divide => arithmetic.divide_alpha_inplace_typed(&mut image),
    }
    .map_err(Error::internal)
}
