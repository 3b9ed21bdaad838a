//! The order of things: tables and scans as the file gives them, then the planes.

use std::num::NonZero;

use super::baseline::ScanDecoder;
use super::bits::{BitReader, next_marker};
use super::damage::{BROKEN_DATA, Damage, Faults, Warning};
use super::header::{JpegHeader, collect_icc};
use super::idct::Transformer;
use super::intervals::Intervals;
use super::plane::{Plane, Strip, extent, padded_size};
use super::progressive::{self, Refinement};
use super::scan::{ScanPlace, index_scans};
use super::segments::{Frame, segment_at};
use super::side_by_side;
use super::store::Store;
use super::tables::Tables;
use crate::Error;
use crate::scratch::Buffers;

/// The sample of a component without data.
const GREY: u8 = 128;

/// What is to be decoded.
pub(crate) struct Job<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) header: &'a JpegHeader,
    /// Eighths of the stored size, one for each component; of [`super::SCALES`].
    pub(crate) scales: [u32; 4],
    /// Most scans that are accepted.
    pub(crate) scan_limit: u32,
    pub(crate) damage: Damage,
    pub(crate) refinement: Refinement,
    /// Threads that may decode side by side, this one included.
    pub(crate) threads: NonZero<usize>,
}

/// The planes, one for each component, and the ICC profile if there is one (an error in it is not an error of the picture).
pub(crate) struct Decoded {
    pub(crate) planes: Vec<Plane>,
    pub(crate) icc: Option<Result<Vec<u8>, Error>>,
    /// Empty under [`Damage::Refuse`].
    pub(crate) warnings: Vec<Warning>,
}

/// Decodes all components at their scales, and collects the ICC profile.
pub(crate) fn decode(
    job: &Job<'_>,
    buffers: &mut Buffers,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<Decoded, Error> {
    let (planes, warnings) = decode_planes(job, buffers, cancelled)?;
    let icc = if job.header.icc_bytes > 0 { collect_icc(job.bytes) } else { None };
    Ok(Decoded { planes, icc, warnings })
}

/// Decodes all components at their scales.
pub(super) fn decode_planes(
    job: &Job<'_>,
    buffers: &mut Buffers,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<(Vec<Plane>, Vec<Warning>), Error> {
    let frame = &job.header.frame;
    let mut faults = Faults::new(job.damage);
    let places = index_scans(job.bytes, job.header.end, frame, job.scan_limit, &mut faults)?;
    if job.damage == Damage::Refuse
        && let Some(place) = places.iter().find(|place| !place.can_be_complete(frame))
    {
        faults.note(BROKEN_DATA, place.start)?;
    }
    let mut planes: Vec<Plane> = frame
        .components()
        .iter()
        .zip(job.scales)
        .map(|(component, scale)| {
            let (stride, rows) = padded_size(frame, component, scale);
            Plane { samples: buffers.take(stride * rows), stride, rows, extent: extent(frame, component, scale) }
        })
        .collect();
    if faults.are_kept() {
        planes.iter_mut().for_each(|plane| plane.samples.fill(GREY));
    }
    let mut stores: Vec<Store> = if frame.progressive {
        let components = frame.components().iter().zip(job.scales);
        components.map(|(component, scale)| Store::new(frame, component, scale, buffers)).collect()
    } else {
        Vec::new()
    };
    let input = Input { frame, cancelled };
    let result = fill(job, &input, &places, &mut stores, &mut planes, &mut faults);
    stores.into_iter().for_each(|store| store.give_back(buffers));
    if let Err(error) = result {
        planes.into_iter().for_each(|plane| buffers.give(plane.samples));
        return Err(error);
    }
    Ok((planes, faults.warnings))
}

fn fill(
    job: &Job<'_>,
    input: &Input<'_>,
    places: &[ScanPlace],
    stores: &mut [Store],
    planes: &mut [Plane],
    faults: &mut Faults,
) -> Result<(), Error> {
    let frame = input.frame;
    let mut tables = Tables::default();
    let mut transformers: [Option<Transformer>; 4] = [const { None }; 4];
    let needed = if frame.progressive {
        progressive::needed_scans(places, &job.scales, job.refinement)
    } else {
        vec![true; places.len()]
    };
    let mut at = 2;
    for (place, needed) in places.iter().zip(needed) {
        // What stands between two scans was walked over once already.
        while at < place.header {
            let segment = segment_at(job.bytes, at)?;
            tables.note(segment)?;
            at = segment.end;
            if faults.are_kept() {
                at = next_marker(job.bytes, at).unwrap_or(place.header);
            }
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
        }
        if needed {
            decode_scan(job, input, place, &mut tables, &transformers, stores, planes, faults)?;
        }
    }
    let components = frame.components().len();
    let without_data = transformers.iter().take(components).any(Option::is_none) || stores.iter().any(|s| !s.has_dc);
    if without_data {
        faults.note("a JPEG component without any data", job.bytes.len())?;
    }
    for ((store, transformer), plane) in stores.iter().zip(&transformers).zip(planes) {
        if let Some(transformer) = transformer {
            store.render(input, transformer, plane)?;
        }
    }
    Ok(())
}

/// Decodes a scan, one restart interval after the other or, of a baseline file, some of them side by side.
#[expect(clippy::too_many_arguments, reason = "all of them are parts of one decoder that live for different times")]
fn decode_scan(
    job: &Job<'_>,
    input: &Input<'_>,
    place: &ScanPlace,
    tables: &mut Tables,
    transformers: &[Option<Transformer>; 4],
    stores: &mut [Store],
    planes: &mut [Plane],
    faults: &mut Faults,
) -> Result<(), Error> {
    let (across, down) = place.scan.units(input.frame);
    let intervals = Intervals::new(job.bytes, place, across * down, tables.restart_interval);
    if input.frame.progressive {
        let mut bits = BitReader::new(&[]);
        for interval in intervals {
            bits.reset(interval.data);
            let units = interval.units.clone();
            let result = progressive::decode_interval(input, &place.scan, tables, stores, units, &mut bits);
            faults.judge(&interval, result)?;
        }
        return Ok(());
    }
    let mut decoder = ScanDecoder::new(input, place, tables, transformers, &job.scales, planes)?;
    let mut strip = Strip::whole(planes);
    let hands =
        if place.first_restart.is_some() { side_by_side::hands(job.threads, input.frame, place.bytes()) } else { 1 };
    if hands > 1 {
        return side_by_side::decode(hands, &decoder, input, intervals, strip, faults);
    }
    decoder.intervals(input, intervals, &mut strip, faults)
}

/// What every scan needs.
pub(super) struct Input<'a> {
    pub(super) frame: &'a Frame,
    cancelled: &'a (dyn Fn() -> bool + Sync),
}

impl<'a> Input<'a> {
    pub(super) fn stop_if_cancelled(&self) -> Result<(), Error> {
        if (self.cancelled)() { Err(Error::Cancelled) } else { Ok(()) }
    }
}
