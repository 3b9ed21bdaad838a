//! Scan headers, and the index of all scans of a file: found by their markers alone, before any decoding.

use super::bits::next_marker;
use super::segments::{Frame, Segment, marker, segment_at};
use crate::Error;

/// One component's part in a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ScanPart {
    /// Index into the frame's components.
    pub(super) component: usize,
    pub(super) dc_table: usize,
    pub(super) ac_table: usize,
}

/// A scan header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scan {
    parts: [ScanPart; 4],
    count: usize,
    /// First and last coefficient (zigzag).
    pub(super) first: u32,
    pub(super) last: u32,
    /// Bit position of the previous scan of the band (0: there was none) and of this one.
    pub(super) high: u32,
    pub(super) low: u32,
}

impl Scan {
    pub(super) fn parts(&self) -> &[ScanPart] {
        &self.parts[..self.count]
    }

    pub(super) fn parse(segment: Segment<'_>, frame: &Frame) -> Result<Self, Error> {
        let short = || Error::damaged("a short JPEG scan header");
        let (&count, rest) = segment.payload.split_first().ok_or_else(short)?;
        let count = usize::from(count);
        if !(1..=4).contains(&count) {
            return Err(Error::damaged("a JPEG scan of no or too many components"));
        }
        let mut parts = [ScanPart { component: 0, dc_table: 0, ac_table: 0 }; 4];
        for index in 0..count {
            let &[id, tables] = rest.get(index * 2..).and_then(<[u8]>::first_chunk::<2>).ok_or_else(short)?;
            let component = frame
                .components()
                .iter()
                .position(|c| c.id == id)
                .ok_or_else(|| Error::damaged("a JPEG scan of an unknown component"))?;
            if parts[..index].iter().any(|part| part.component == component) {
                return Err(Error::damaged("a JPEG scan with a component twice"));
            }
            parts[index] =
                ScanPart { component, dc_table: usize::from(tables >> 4 & 3), ac_table: usize::from(tables & 3) };
        }
        let &[first, last, bits] = rest.get(count * 2..).and_then(<[u8]>::first_chunk::<3>).ok_or_else(short)?;
        let mut scan = Self {
            parts,
            count,
            first: u32::from(first),
            last: u32::from(last),
            high: u32::from(bits >> 4),
            low: u32::from(bits & 15),
        };
        if frame.progressive {
            let band_is_good = if first == 0 { last == 0 } else { first <= last && last < 64 && count == 1 };
            if !band_is_good || scan.low > 13 || (scan.high != 0 && scan.high != scan.low + 1) {
                return Err(Error::damaged("a JPEG scan of impossible extent"));
            }
        } else {
            (scan.first, scan.last, scan.high, scan.low) = (0, 63, 0, 0);
        }
        Ok(scan)
    }
}

/// Where the entropy-coded data of a scan is, and its header.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScanPlace {
    pub(super) scan: Scan,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The end of the entropy-coded data that starts at `start`: the next marker that is not a restart.
fn end_of_data(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        let found = next_marker(bytes, at)?;
        match bytes.get(found + 1)? {
            0xD0..=0xD7 => at = found + 2,
            _ => return Some(found),
        }
    }
}

/// Walks from `at` (behind the frame header) to the end marker and notes every scan. A file without an end marker is damaged.
pub(super) fn index_scans(bytes: &[u8], mut at: usize, frame: &Frame, most: u32) -> Result<Vec<ScanPlace>, Error> {
    let mut scans = Vec::new();
    loop {
        let segment = segment_at(bytes, at)?;
        match segment.marker {
            marker::EOI => break,
            marker::SOS => {
                let scan = Scan::parse(segment, frame)?;
                let end = end_of_data(bytes, segment.end)
                    .ok_or_else(|| Error::damaged("the JPEG file is truncated: it ends within a scan"))?;
                if scans.len() as u64 >= u64::from(most) {
                    return Err(Error::TooLarge {
                        what: "scans of the JPEG file".into(),
                        value: scans.len() as u64 + 1,
                        limit: u64::from(most),
                    });
                }
                scans.push(ScanPlace { scan, start: segment.end, end });
                at = end;
                continue;
            }
            marker::DNL => return Err(Error::unsupported("JPEG that redefines its height")),
            _ => {}
        }
        at = segment.end;
    }
    if scans.is_empty() {
        return Err(Error::damaged("a JPEG file without any picture data"));
    }
    Ok(scans)
}
