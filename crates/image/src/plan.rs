//! The plan of a job, made from the header alone: exact sizes, the decode scale, what it will cost. All limits are enforced here.

use std::num::NonZero;
use std::time::Duration;

use crate::encode::Chroma;
use crate::fit::{Area, Layout, layout};
use crate::jpeg::{self, ColorModel, JpegHeader};
use crate::probe::Detail;
use crate::{Error, Format, Header, Limits, Orientation, Output, Transform, cost};

/// A decided job: pass it to [`process`](crate::process()) with the very bytes that the header was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Width of the output in pixels.
    pub width: u32,
    /// Height of the output in pixels.
    pub height: u32,
    /// The format of the output.
    pub format: Format,
    /// Eighths of the stored size at which a JPEG is decoded (luma); 8 for everything else.
    pub decode_eighths: u32,
    /// Upper bound of the working memory in bytes: decoded pixels, coefficients, intermediate and output buffers, the output itself. Not
    /// counted: the input, and what a [`Scratch`](crate::Scratch) kept from earlier jobs.
    pub estimated_bytes: u64,
    /// Estimate of the CPU time, for admission. Rough: expect a factor of two. The model is in the source, module `cost`.
    pub estimated_cost: Duration,
    pub(crate) header: Header,
    pub(crate) geometry: Geometry,
    pub(crate) output: Output,
    pub(crate) background: crate::Background,
    pub(crate) scales: [u32; 4],
    pub(crate) decoder_bytes: u64,
    pub(crate) jpeg_scans: u32,
    pub(crate) damage: jpeg::Damage,
    pub(crate) threads: NonZero<usize>,
}

/// The rectangles, in the orientation that is stored in the file where not said otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Geometry {
    /// What is resized.
    pub(crate) area: Area,
    /// To which size.
    pub(crate) size: (u32, u32),
    /// How that is turned then.
    pub(crate) orientation: Orientation,
    /// The output, turned, and where the picture lies on it.
    pub(crate) canvas: (u32, u32),
    pub(crate) offset: (u32, u32),
}

impl Geometry {
    fn new(header: &Header, transform: &Transform) -> Result<Self, Error> {
        let orientation = transform.orientation(header.orientation);
        let swaps = orientation.swaps_sides();
        let swap = |(a, b): (u32, u32)| if swaps { (b, a) } else { (a, b) };
        let turned = swap((header.width, header.height));
        let Layout { mut area, picture, canvas, offset } =
            layout(turned, transform.asked()?, transform.size.fit, transform.enlarge);
        let turn = orientation.turn();
        if turn.mirror_x {
            area.x = f64::from(turned.0) - area.x - area.width;
        }
        if turn.mirror_y {
            area.y = f64::from(turned.1) - area.y - area.height;
        }
        if swaps {
            area = Area { x: area.y, y: area.x, width: area.height, height: area.width };
        }
        Ok(Self { area, size: swap(picture), orientation, canvas, offset })
    }

    /// Whether the stored left-right and top-bottom axes are mirrored by the turn.
    pub(crate) fn mirrored(&self) -> (bool, bool) {
        let turn = self.orientation.turn();
        if turn.transpose { (turn.mirror_y, turn.mirror_x) } else { (turn.mirror_x, turn.mirror_y) }
    }

    /// Whether the picture leaves bars of background.
    pub(crate) fn has_bars(&self) -> bool {
        let size = if self.orientation.swaps_sides() { (self.size.1, self.size.0) } else { self.size };
        size != self.canvas
    }
}

/// Plans a job.
///
/// # Errors
/// [`Error::TooLarge`] when a limit is exceeded (it names the limit and the value), [`Error::InvalidTransform`] when the transform is
/// impossible, [`Error::Unsupported`] when the build cannot write the output format.
///
/// ```
/// use phalanx_image::{Limits, Transform, plan, probe, sample_jpeg};
///
/// let jpeg = sample_jpeg(1600, 1200);
/// let plan = plan(&probe(&jpeg)?, &Transform::default(), &Limits::default())?;
/// assert_eq!((plan.width, plan.height), (800, 600));
/// # Ok::<(), phalanx_image::Error>(())
/// ```
pub fn plan(header: &Header, transform: &Transform, limits: &Limits) -> Result<Plan, Error> {
    check("source side in pixels", header.width.max(header.height).into(), limits.source_side.into())?;
    check("source pixels", header.pixels(), limits.source_pixels)?;
    transform.output.check()?;
    let geometry = Geometry::new(header, transform)?;
    let (width, height) = geometry.canvas;
    check("output side in pixels", width.max(height).into(), limits.output_side.into())?;
    check("output pixels", u64::from(width) * u64::from(height), limits.output_pixels)?;
    let resized = u64::from(geometry.size.0) * u64::from(geometry.size.1);
    check("output pixels before the cut", resized, limits.output_pixels)?;
    let scales = match &header.detail {
        Detail::Jpeg(jpeg) => jpeg_scales(jpeg, &geometry, transform.output),
        Detail::Lossy(_) | Detail::Pixels { .. } => [8; 4],
    };
    let mut plan = Plan {
        width,
        height,
        format: transform.output.format(),
        decode_eighths: scales[0],
        estimated_bytes: 0,
        estimated_cost: Duration::ZERO,
        header: header.clone(),
        geometry,
        output: transform.output,
        background: transform.background,
        scales,
        decoder_bytes: limits.decoder_bytes,
        jpeg_scans: limits.jpeg_scans,
        damage: transform.damage,
        threads: limits.threads,
    };
    plan.estimated_bytes = cost::estimated_bytes(&plan);
    plan.estimated_cost = cost::estimated_time(&plan);
    check("working memory of the job in bytes", plan.estimated_bytes, limits.job_bytes)?;
    Ok(plan)
}

fn check(what: &'static str, value: u64, limit: u64) -> Result<(), Error> {
    if value > limit { Err(Error::TooLarge { what: what.into(), value, limit }) } else { Ok(()) }
}

/// Samples of the decoded plane per sample of the resized one, at least. Between 1.0 and 1.2 the quality drops visibly (SSIMULACRA2 by 2 to
/// 3 points); from 1.3 on it does not change any more.
const OVERSAMPLING: f64 = 1.3;

/// The smallest scale for each component that leaves enough samples for the target.
fn jpeg_scales(header: &JpegHeader, geometry: &Geometry, output: Output) -> [u32; 4] {
    let frame = &header.frame;
    let model = jpeg::color_model(frame, header.marks);
    let chroma = match output {
        Output::Jpeg(jpeg) if model == ColorModel::Ycc => Chroma::for_quality(jpeg.quality),
        // WebP is 4:2:0 always.
        Output::WebP(_) if model == ColorModel::Ycc => Chroma::Half,
        _ => Chroma::Full,
    };
    let mut scales = [8; 4];
    for (index, (component, scale)) in frame.components().iter().zip(&mut scales).enumerate() {
        let target = if matches!(index, 1 | 2) { chroma.size(geometry.size) } else { geometry.size };
        let across = geometry.area.width * f64::from(component.across) / f64::from(frame.max_across());
        let down = geometry.area.height * f64::from(component.down) / f64::from(frame.max_down());
        let needed = (f64::from(target.0) * OVERSAMPLING / across).max(f64::from(target.1) * OVERSAMPLING / down);
        *scale = jpeg::SCALES.into_iter().find(|&eighths| f64::from(eighths) / 8.0 >= needed).unwrap_or(8);
    }
    // Chroma that is only halved gains little time from a scaled decode, and loses a little quality.
    if scales[0] == 8 { [8; 4] } else { scales }
}
