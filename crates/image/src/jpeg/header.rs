//! What stands before the picture data: size, colour model, orientation, whether there is a profile.

use super::segments::{Frame, Marks, exif_block, icc_part, marker, segment_at, starts_frame};
use crate::Error;
use crate::color::MOST_PROFILE_BYTES;
use crate::orientation::{Orientation, from_tiff};

/// The header of a JPEG file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JpegHeader {
    pub(crate) frame: Frame,
    pub(crate) marks: Marks,
    pub(crate) orientation: Orientation,
    /// Bytes of all parts of the ICC profile.
    pub(crate) icc_bytes: u64,
    /// Position behind the frame header.
    pub(super) end: usize,
}

/// Reads up to the frame header. Allocates nothing.
pub(crate) fn read_header(bytes: &[u8]) -> Result<JpegHeader, Error> {
    if !bytes.starts_with(&[0xFF, 0xD8]) {
        return Err(Error::damaged("no JPEG start marker"));
    }
    let (mut at, mut marks, mut orientation, mut icc_bytes) = (2, Marks::default(), None, 0);
    loop {
        let segment = segment_at(bytes, at)?;
        at = segment.end;
        match segment.marker {
            code if starts_frame(code) => {
                let frame = Frame::parse(segment)?;
                return Ok(JpegHeader {
                    frame,
                    marks,
                    orientation: orientation.unwrap_or_default(),
                    icc_bytes,
                    end: at,
                });
            }
            marker::EOI | marker::SOS => return Err(Error::damaged("no JPEG frame header before the picture data")),
            _ => {
                marks.note(segment);
                icc_bytes += icc_part(segment).map_or(0, |(_, _, data)| data.len() as u64);
                if orientation.is_none() {
                    orientation = exif_block(segment).map(from_tiff);
                }
            }
        }
    }
}

/// Puts the parts of the ICC profile together. `None` without a profile, `Some(Err)` when parts are missing.
pub(super) fn collect_icc(bytes: &[u8]) -> Option<Result<Vec<u8>, Error>> {
    let broken = || Some(Err(Error::damaged("the ICC profile has missing parts")));
    let mut parts: [Option<&[u8]>; 256] = [None; 256];
    let (mut at, mut expected) = (2, None);
    while let Ok(segment) = segment_at(bytes, at) {
        if matches!(segment.marker, marker::SOS | marker::EOI) {
            break;
        }
        at = segment.end;
        if let Some((number, count, data)) = icc_part(segment) {
            if number == 0 || number > count || *expected.get_or_insert(count) != count {
                return broken();
            }
            parts[usize::from(number)] = Some(data);
        }
    }
    let wanted = &parts[1..=usize::from(expected?)];
    if wanted.iter().flatten().map(|part| part.len()).sum::<usize>() as u64 > MOST_PROFILE_BYTES {
        return broken();
    }
    let mut profile = Vec::new();
    for part in wanted {
        match part {
            Some(data) => profile.extend_from_slice(data),
            None => return broken(),
        }
    }
    Some(Ok(profile))
}
