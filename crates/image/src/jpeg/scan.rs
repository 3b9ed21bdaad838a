//! Scan headers, and the index of all scans of a file: found by their markers alone, before any decoding.

use super::bits::next_marker;
use super::damage::Faults;
use super::segments::{Frame, Segment, is_reserved, marker, segment_at, starts_frame};
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
        let Some(&[first, last, bits]) = rest.get(count * 2..) else {
            return Err(Error::damaged("a JPEG scan header of impossible length"));
        };
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

    /// Coded units across and down: blocks of the only component without the padding, or minimum coded units of several.
    pub(super) fn units(&self, frame: &Frame) -> (u32, u32) {
        match self.parts() {
            [only] => frame.real_blocks(&frame.components()[only.component]),
            _ => frame.units(),
        }
    }

    /// A scan for tests that do not look at it.
    #[cfg(test)]
    pub(super) fn of_nothing() -> Self {
        let part = ScanPart { component: 0, dc_table: 0, ac_table: 0 };
        Self { parts: [part; 4], count: 0, first: 0, last: 0, high: 0, low: 0 }
    }
}

/// Where the entropy-coded data of a scan is, and its header.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScanPlace {
    pub(super) scan: Scan,
    /// Position of the scan header.
    pub(super) header: usize,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Position of the first restart marker.
    pub(super) first_restart: Option<usize>,
}

/// What the index takes for each scan at most, in bytes: it grows by doubling, and both halves are there while it does.
pub(super) const SCAN_BYTES: u64 = 3 * size_of::<ScanPlace>() as u64;

impl ScanPlace {
    /// Bytes of its data, markers included.
    pub(super) fn bytes(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether the data of the scan can be complete: no code is shorter than a bit, and each block of a scan with means has one code at least
    /// (two in a sequential file). What cannot be complete need not be begun: a small file that claims a large picture costs nothing.
    /// Scans of AC coefficients may be as short as they like: one code can end thousands of blocks.
    pub(super) fn can_be_complete(&self, frame: &Frame) -> bool {
        if self.scan.first > 0 {
            return true;
        }
        let (across, down) = self.scan.units(frame);
        let blocks_of_unit: u64 = match self.scan.parts() {
            [_] => 1,
            parts => {
                parts.iter().map(|part| &frame.components()[part.component]).map(|c| u64::from(c.across * c.down)).sum()
            }
        };
        let codes = if frame.progressive { 1 } else { 2 };
        let least_bits = u64::from(across) * u64::from(down) * blocks_of_unit * codes;
        (self.end - self.start) as u64 * 8 >= least_bits
    }

    /// The data of the scan whose header is `segment`, which begins at `header`: up to the next marker that is not a restart. The flag tells
    /// whether there is such a marker; without one the data ends with the file.
    fn find(bytes: &[u8], header: usize, segment: Segment<'_>, scan: Scan) -> (Self, bool) {
        let mut place = Self { scan, header, start: segment.end, end: bytes.len(), first_restart: None };
        let mut at = segment.end;
        while let Some(found) = next_marker(bytes, at) {
            if !matches!(bytes.get(found + 1), Some(0xD0..=0xD7)) {
                place.end = found;
                return (place, true);
            }
            place.first_restart.get_or_insert(found);
            at = found + 2;
        }
        (place, false)
    }
}

/// Walks from `at` (behind the frame header) to the end marker and notes every scan. A file without an end marker is damaged.
pub(super) fn index_scans(
    bytes: &[u8],
    mut at: usize,
    frame: &Frame,
    most: u32,
    faults: &mut Faults,
) -> Result<Vec<ScanPlace>, Error> {
    let mut scans = Vec::new();
    loop {
        if faults.are_kept() && !scans.is_empty() {
            // Between scans libjpeg passes over what is no marker.
            let found = next_marker(bytes, at);
            if found != Some(at) {
                faults.note("bytes that belong to nothing stand between two JPEG segments", at)?;
            }
            match found {
                Some(found) => at = found,
                None => break,
            }
        }
        if bytes.get(at + 1).is_some_and(|&code| is_reserved(code)) {
            return Err(Error::damaged("a JPEG marker of no known kind"));
        }
        let segment = match segment_at(bytes, at) {
            Ok(segment) => segment,
            Err(error) if scans.is_empty() || !faults.are_kept() => return Err(error),
            Err(error) => {
                if !is_cut(bytes, at) {
                    return Err(error);
                }
                faults.note("the JPEG file ends within a segment between two scans", at)?;
                break;
            }
        };
        match segment.marker {
            marker::EOI => break,
            marker::SOS => {
                let scan = Scan::parse(segment, frame)?;
                if scans.len() as u64 >= u64::from(most) {
                    return Err(Error::TooLarge {
                        what: "scans of the JPEG file".into(),
                        value: scans.len() as u64 + 1,
                        limit: u64::from(most),
                    });
                }
                let (place, ends) = ScanPlace::find(bytes, at, segment, scan);
                scans.push(place);
                if !ends {
                    faults.note("the JPEG file is truncated: it ends within a scan", bytes.len())?;
                    break;
                }
                at = place.end;
                continue;
            }
            marker::DNL => return Err(Error::unsupported("JPEG that redefines its height")),
            marker::SOI => return Err(Error::damaged("a JPEG file with a second start marker")),
            code if starts_frame(code) => return Err(Error::damaged("a JPEG file with a second frame header")),
            _ => {}
        }
        at = segment.end;
    }
    if scans.is_empty() {
        return Err(Error::damaged("a JPEG file without any picture data"));
    }
    Ok(scans)
}

/// Whether the segment at `at` reaches beyond the end of the file.
fn is_cut(bytes: &[u8], at: usize) -> bool {
    let length =
        bytes.get(at + 2..).and_then(<[u8]>::first_chunk::<2>).map(|&length| usize::from(u16::from_be_bytes(length)));
    length.is_none_or(|length| at + 2 + length > bytes.len())
}
