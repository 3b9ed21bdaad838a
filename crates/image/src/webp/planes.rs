//! A lossy picture on its way to the resizer: its planes are resized while they are decoded, and never there as a whole.

use std::ops::Range;
use std::time::Duration;

use super::frame::{self, LoopFilter};
use crate::raster::Raster;
use crate::resize::{Density, PlaneJob, Rows};
use crate::scratch::Buffers;
use crate::{Error, Plan};

/// Where in the file a lossy still picture without transparency is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lossy {
    /// The bit stream, in bytes from the start of the file.
    pub(super) stream: Range<usize>,
    /// The colour profile.
    pub(super) icc: Option<Range<usize>>,
}

impl Lossy {
    /// The colour profile, as it stands in the file; an empty one is none.
    pub(crate) fn icc<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        bytes.get(self.icc.clone()?).filter(|icc| !icc.is_empty())
    }
}

/// The planes of the planned size: luma, blue and red difference; in the range of video. And the time that resizing took.
pub(crate) struct Planes {
    pub(crate) planes: Vec<Raster>,
    pub(crate) resizing: Duration,
}

/// The jobs of luma and chroma.
fn jobs(plan: &Plan, chroma: Density) -> [PlaneJob; 2] {
    let (whole, geometry) = ((plan.header.width, plan.header.height), &plan.geometry);
    let (width, height) = (f64::from(whole.0), f64::from(whole.1));
    let luma =
        PlaneJob { whole, extent: (width, height), area: geometry.area, size: geometry.size, density: Density::Full };
    [luma, PlaneJob { extent: (width / 2.0, height / 2.0), density: chroma, ..luma }]
}

/// Bytes that [`decode`] holds besides the resized planes, at most.
pub(crate) fn working_bytes(plan: &Plan, chroma: Density) -> u64 {
    let [luma, chroma] = jobs(plan, chroma).map(|job| job.row_by_row_bytes());
    frame::working_bytes(plan.header.width) + luma + 2 * chroma
}

/// The filter is left out where both sides become shorter than this share of what they were: libwebp's rule for pictures that it makes smaller.
const FILTER_FROM: f64 = 0.75;

fn loop_filter(plan: &Plan) -> LoopFilter {
    let geometry = &plan.geometry;
    let shrinks = |pixels: u32, length: f64| f64::from(pixels) < length * FILTER_FROM;
    if shrinks(geometry.size.0, geometry.area.width) && shrinks(geometry.size.1, geometry.area.height) {
        LoopFilter::LeaveOut
    } else {
        LoopFilter::Apply
    }
}

/// Decodes and resizes.
pub(crate) fn decode(
    bytes: &[u8],
    lossy: &Lossy,
    plan: &Plan,
    chroma: Density,
    buffers: &mut Buffers,
    cancelled: &dyn Fn() -> bool,
) -> Result<Planes, Error> {
    super::check_whole(bytes)?;
    let stream = bytes.get(lossy.stream.clone()).ok_or_else(|| Error::damaged("the WebP picture is cut"))?;
    let [luma, chroma] = jobs(plan, chroma);
    let mut rows = [luma, chroma, chroma].map(|job| Rows::of_plane(&job, buffers));
    let job =
        frame::Job { stream, size: (plan.header.width, plan.header.height), filter: loop_filter(plan), cancelled };
    frame::decode(&job, buffers, &mut |band| {
        for (plane, rows) in rows.iter_mut().enumerate() {
            for row in band.rows(plane) {
                rows.row()?.copy_from_slice(row);
                rows.push()?;
            }
        }
        Ok(())
    })?;
    let (mut planes, mut resizing) = (Vec::with_capacity(3), Duration::ZERO);
    for rows in rows {
        let (plane, spent) = rows.finish(buffers)?;
        planes.push(plane);
        resizing += spent;
    }
    Ok(Planes { planes, resizing })
}
