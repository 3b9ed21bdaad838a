//! The order of things: tables and scans as the file gives them, then the planes.

use super::bits::BitReader;
use super::header::{JpegHeader, collect_icc};
use super::idct::Transformer;
use super::plane::{Plane, extent, padded_size};
use super::progressive::Store;
use super::scan::{ScanPlace, index_scans};
use super::segments::{Frame, marker, segment_at};
use super::tables::Tables;
use super::{baseline, progressive};
use crate::Error;
use crate::scratch::Buffers;

/// What is to be decoded.
pub(crate) struct Job<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) header: &'a JpegHeader,
    /// Eighths of the stored size, one for each component; of [`super::SCALES`].
    pub(crate) scales: [u32; 4],
    /// Most scans that are accepted.
    pub(crate) scan_limit: u32,
}

/// The planes, one for each component, and the ICC profile if there is one (an error in it is not an error of the picture).
pub(crate) struct Decoded {
    pub(crate) planes: Vec<Plane>,
    pub(crate) icc: Option<Result<Vec<u8>, Error>>,
}

/// Decodes all components at their scales, and collects the ICC profile.
pub(crate) fn decode(job: &Job<'_>, buffers: &mut Buffers, cancelled: &dyn Fn() -> bool) -> Result<Decoded, Error> {
    let planes = decode_planes(job, buffers, cancelled)?;
    let icc = if job.header.icc_bytes > 0 { collect_icc(job.bytes) } else { None };
    Ok(Decoded { planes, icc })
}

/// Decodes all components at their scales. A file that lacks data is an error, never a half-grey picture.
pub(super) fn decode_planes(
    job: &Job<'_>,
    buffers: &mut Buffers,
    cancelled: &dyn Fn() -> bool,
) -> Result<Vec<Plane>, Error> {
    let frame = &job.header.frame;
    let places = index_scans(job.bytes, job.header.end, frame, job.scan_limit)?;
    let mut planes: Vec<Plane> = frame
        .components()
        .iter()
        .zip(job.scales)
        .map(|(component, scale)| {
            let (stride, rows) = padded_size(frame, component, scale);
            Plane { samples: buffers.take(stride * rows), stride, rows, extent: extent(frame, component, scale) }
        })
        .collect();
    let input = Input { bytes: job.bytes, frame, cancelled };
    let result = fill(job, &input, &places, &mut planes);
    if let Err(error) = result {
        planes.into_iter().for_each(|plane| buffers.give(plane.samples));
        return Err(error);
    }
    Ok(planes)
}

fn fill(job: &Job<'_>, input: &Input<'_>, places: &[ScanPlace], planes: &mut [Plane]) -> Result<(), Error> {
    let frame = input.frame;
    let mut tables = Tables::default();
    let mut transformers: [Option<Transformer>; 4] = [const { None }; 4];
    let mut stores: Vec<Store> = if frame.progressive {
        frame
            .components()
            .iter()
            .zip(job.scales)
            .map(|(component, scale)| Store::new(frame, component, scale))
            .collect()
    } else {
        Vec::new()
    };
    let needed =
        if frame.progressive { progressive::needed_scans(places, &job.scales) } else { vec![true; places.len()] };
    let mut seen = [false; 4];
    let mut at = 2;
    for (place, needed) in places.iter().zip(needed) {
        loop {
            let segment = segment_at(job.bytes, at)?;
            if segment.marker == marker::SOS {
                break;
            }
            tables.note(segment)?;
            at = segment.end;
        }
        at = place.end;
        for part in place.scan.parts() {
            // The table that is valid at a component's first scan counts for all of it.
            let slot = &mut transformers[part.component];
            if slot.is_none() {
                let table = usize::from(frame.components()[part.component].table);
                let quantisers = tables.quantisers[table]
                    .as_ref()
                    .ok_or_else(|| Error::damaged("a JPEG component without its quantisation table"))?;
                *slot = Some(Transformer::new(job.scales[part.component], quantisers));
            }
            seen[part.component] = true;
        }
        if !needed {
            continue;
        }
        if frame.progressive {
            progressive::decode_scan(input, place, &tables, &mut stores)?;
        } else {
            baseline::decode_scan(input, place, &mut tables, &transformers, &job.scales, planes)?;
        }
    }
    let complete =
        seen.iter().take(frame.components().len()).all(|&seen| seen) && stores.iter().all(|store| store.has_dc);
    if !complete {
        return Err(Error::damaged("a JPEG component without any data"));
    }
    for ((store, transformer), plane) in stores.iter().zip(&transformers).zip(planes) {
        let Some(transformer) = transformer else { return Err(baseline::broken()) };
        store.render(input, transformer, plane)?;
    }
    Ok(())
}

/// What every scan needs.
pub(super) struct Input<'a> {
    bytes: &'a [u8],
    pub(super) frame: &'a Frame,
    cancelled: &'a dyn Fn() -> bool,
}

impl<'a> Input<'a> {
    /// The entropy-coded data of a scan.
    pub(super) fn data(&self, place: &ScanPlace) -> &'a [u8] {
        self.bytes.get(place.start..place.end).unwrap_or_default()
    }

    pub(super) fn stop_if_cancelled(&self) -> Result<(), Error> {
        if (self.cancelled)() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// Counts units between restart markers.
pub(super) struct Restarts {
    interval: u32,
    left: u32,
    next: u8,
}

impl Restarts {
    pub(super) fn new(interval: u32) -> Self {
        Self { interval, left: interval, next: 0 }
    }

    /// To be called before each unit; `true` when a restart marker was passed and all predictions start anew.
    #[inline(always)]
    pub(super) fn before_unit(&mut self, bits: &mut BitReader<'_>) -> Result<bool, Error> {
        if self.interval == 0 {
            return Ok(false);
        }
        if self.left > 0 {
            self.left -= 1;
            return Ok(false);
        }
        if !bits.restart(self.next) {
            return Err(Error::damaged("a JPEG restart marker is missing"));
        }
        self.next = self.next.wrapping_add(1);
        self.left = self.interval - 1;
        Ok(true)
    }
}
