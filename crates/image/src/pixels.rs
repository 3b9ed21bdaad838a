//! Pictures that come as pixels (PNG, GIF, WebP): decoded and resized, where the format allows it row by row, so that the whole picture is
//! never in memory.

use std::time::Duration;

use crate::probe::Detail;
use crate::raster::Raster;
use crate::resize::{Alpha, Job, Rows, Source, change_alpha, resize};
use crate::{Error, Format, Header, Plan, Scratch, gif, png, webp};

/// A picture of the planned size, not yet turned, in its own colours.
pub(crate) struct Resized {
    pub(crate) raster: Raster,
    pub(crate) icc: Option<Vec<u8>>,
    /// The part of the time that was not spent on decoding.
    pub(crate) resizing: Duration,
}

/// Whether the rows of a picture arrive one by one.
fn comes_in_rows(header: &Header) -> bool {
    match header.format {
        Format::Png => !header.progressive,
        // Interlaced ones are put in order as indices, a byte a pixel.
        Format::Gif => true,
        _ => false,
    }
}

fn job(header: &Header, plan: &Plan) -> Job {
    let channels = match header.detail {
        Detail::Pixels { channels, .. } => channels,
        Detail::Jpeg(_) | Detail::Lossy(_) => 1,
    };
    Job { whole: (header.width, header.height), channels, area: plan.geometry.area, size: plan.geometry.size }
}

/// Bytes of the source's pixels, of the resize and of the resized picture, besides what the decoder takes for itself.
pub(crate) fn working_bytes(plan: &Plan) -> u64 {
    let job = job(&plan.header, plan);
    let target = u64::from(job.size.0) * u64::from(job.size.1) * job.channels as u64;
    if comes_in_rows(&plan.header) {
        target + job.row_by_row_bytes()
    } else {
        plan.header.pixels() * job.channels as u64 + target + job.resampler_bytes()
    }
}

/// Decodes and resizes.
pub(crate) fn decode_and_resize(
    bytes: &[u8],
    plan: &Plan,
    scratch: &mut Scratch,
    cancelled: &dyn Fn() -> bool,
) -> Result<Resized, Error> {
    let header = &plan.header;
    let job = job(header, plan);
    if comes_in_rows(header) {
        let mut rows = Rows::new(job, &mut scratch.buffers);
        let icc = match header.format {
            Format::Png => png::decode_rows(bytes, header, plan.decoder_bytes, &mut rows, cancelled)?,
            _ => {
                gif::decode_rows(bytes, header, plan.decoder_bytes, &mut rows, cancelled)?;
                None
            }
        };
        let (raster, resizing) = rows.finish(&mut scratch.buffers)?;
        return Ok(Resized { raster, icc, resizing });
    }
    let buffers = &mut scratch.buffers;
    let (mut raster, icc) = match header.format {
        Format::Png => png::decode_interlaced(bytes, header, job.channels, plan.decoder_bytes, buffers, cancelled)?,
        _ => webp::decode(bytes, header, job.channels, plan.decoder_bytes, buffers)?,
    };
    if cancelled() {
        return Err(Error::Cancelled);
    }
    let start = std::time::Instant::now();
    if !job.is_copy() {
        change_alpha(&mut raster, Alpha::Multiply);
        let source = Source {
            data: &raster.data,
            stride: raster.width as usize,
            rows: raster.height as usize,
            extent: (f64::from(raster.width), f64::from(raster.height)),
            channels: raster.channels,
        };
        let mut small = resize(&source, &job.area, job.whole, job.size, scratch)?;
        change_alpha(&mut small, Alpha::Divide);
        scratch.buffers.give(std::mem::replace(&mut raster, small).data);
    }
    Ok(Resized { raster, icc, resizing: start.elapsed() })
}
