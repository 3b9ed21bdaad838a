//! How a picture must be turned: the eight EXIF orientations, and the one tag of EXIF that says so.

/// One of the eight ways to turn and mirror a rectangle; the numbers are EXIF's.
///
/// As an operation: *transpose* first (if [`Orientation::swaps_sides`]), then mirror left-right, then mirror top-bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Orientation {
    /// 1: as stored.
    #[default]
    Upright,
    /// 2: mirrored left-right.
    MirroredHorizontally,
    /// 3: turned by 180°.
    UpsideDown,
    /// 4: mirrored top-bottom.
    MirroredVertically,
    /// 5: transposed.
    Transposed,
    /// 6: must be turned by 90° clockwise.
    Clockwise,
    /// 7: transposed along the other diagonal.
    Transversed,
    /// 8: must be turned by 90° counter-clockwise.
    CounterClockwise,
}

/// An orientation taken apart: transpose, then mirror left-right, then mirror top-bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) transpose: bool,
    pub(crate) mirror_x: bool,
    pub(crate) mirror_y: bool,
}

impl Orientation {
    /// The orientation for EXIF's number; anything but 1 to 8 is [`Orientation::Upright`], as browsers do.
    #[must_use]
    pub fn from_exif(value: u16) -> Self {
        match value {
            2 => Self::MirroredHorizontally,
            3 => Self::UpsideDown,
            4 => Self::MirroredVertically,
            5 => Self::Transposed,
            6 => Self::Clockwise,
            7 => Self::Transversed,
            8 => Self::CounterClockwise,
            _ => Self::Upright,
        }
    }

    /// EXIF's number, 1 to 8.
    #[must_use]
    pub fn exif(self) -> u16 {
        match self {
            Self::Upright => 1,
            Self::MirroredHorizontally => 2,
            Self::UpsideDown => 3,
            Self::MirroredVertically => 4,
            Self::Transposed => 5,
            Self::Clockwise => 6,
            Self::Transversed => 7,
            Self::CounterClockwise => 8,
        }
    }

    /// Whether width and height change places.
    #[must_use]
    pub fn swaps_sides(self) -> bool {
        self.turn().transpose
    }

    /// This operation first, `next` after it.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        let (a, b) = (self.turn(), next.turn());
        // Moving b's transpose in front of a's mirrors exchanges the axes of these mirrors.
        let (ax, ay) = if b.transpose { (a.mirror_y, a.mirror_x) } else { (a.mirror_x, a.mirror_y) };
        Self::from_turn(Turn {
            transpose: a.transpose ^ b.transpose,
            mirror_x: ax ^ b.mirror_x,
            mirror_y: ay ^ b.mirror_y,
        })
    }

    pub(crate) fn turn(self) -> Turn {
        let (transpose, mirror_x, mirror_y) = match self {
            Self::Upright => (false, false, false),
            Self::MirroredHorizontally => (false, true, false),
            Self::UpsideDown => (false, true, true),
            Self::MirroredVertically => (false, false, true),
            Self::Transposed => (true, false, false),
            Self::Clockwise => (true, true, false),
            Self::Transversed => (true, true, true),
            Self::CounterClockwise => (true, false, true),
        };
        Turn { transpose, mirror_x, mirror_y }
    }

    fn from_turn(turn: Turn) -> Self {
        match (turn.transpose, turn.mirror_x, turn.mirror_y) {
            (false, false, false) => Self::Upright,
            (false, true, false) => Self::MirroredHorizontally,
            (false, true, true) => Self::UpsideDown,
            (false, false, true) => Self::MirroredVertically,
            (true, false, false) => Self::Transposed,
            (true, true, false) => Self::Clockwise,
            (true, true, true) => Self::Transversed,
            (true, false, true) => Self::CounterClockwise,
        }
    }
}

/// EXIF's tag 0x0112.
const TAG_ORIENTATION: u16 = 0x0112;
/// TIFF's type number for an unsigned 16-bit value.
const TYPE_SHORT: u16 = 3;
/// Entries of the first directory that are looked at; cameras write fewer than 30.
const MAX_ENTRIES: usize = 512;

/// Reads the orientation out of a TIFF block (what follows `Exif\0\0` in a JPEG). Anything odd means upright.
pub(crate) fn from_tiff(tiff: &[u8]) -> Orientation {
    find_tag(tiff).map_or(Orientation::Upright, Orientation::from_exif)
}

/// Reads the orientation out of a block that may or may not start with `Exif\0\0` (WebP writers disagree).
pub(crate) fn from_exif_block(block: &[u8]) -> Orientation {
    from_tiff(block.strip_prefix(b"Exif\0\0").unwrap_or(block))
}

fn find_tag(tiff: &[u8]) -> Option<u16> {
    let little = match tiff.get(..4)? {
        [b'I', b'I', 42, 0] => true,
        [b'M', b'M', 0, 42] => false,
        _ => return None,
    };
    let short = |at: usize| -> Option<u16> {
        let pair: [u8; 2] = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) })
    };
    let long = |at: usize| -> Option<u32> {
        let quad: [u8; 4] = tiff.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if little { u32::from_le_bytes(quad) } else { u32::from_be_bytes(quad) })
    };
    let directory = usize::try_from(long(4)?).ok()?;
    let entries = usize::from(short(directory)?).min(MAX_ENTRIES);
    for index in 0..entries {
        let entry = directory.checked_add(2 + index * 12)?;
        if short(entry)? == TAG_ORIENTATION {
            return (short(entry + 2)? == TYPE_SHORT).then_some(short(entry + 8)?);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Orientation; 8] = [
        Orientation::Upright,
        Orientation::MirroredHorizontally,
        Orientation::UpsideDown,
        Orientation::MirroredVertically,
        Orientation::Transposed,
        Orientation::Clockwise,
        Orientation::Transversed,
        Orientation::CounterClockwise,
    ];

    /// Where the pixel (x, y) of a w × h picture ends up.
    fn apply(o: Orientation, (x, y, w, h): (u32, u32, u32, u32)) -> (u32, u32, u32, u32) {
        let t = o.turn();
        let (mut x, mut y, w, h) = if t.transpose { (y, x, h, w) } else { (x, y, w, h) };
        if t.mirror_x {
            x = w - 1 - x;
        }
        if t.mirror_y {
            y = h - 1 - y;
        }
        (x, y, w, h)
    }

    #[test]
    fn one_turn_after_another_is_the_same_as_their_sum() {
        for a in ALL {
            for b in ALL {
                for point in [(0, 0, 5, 3), (4, 1, 5, 3), (2, 2, 5, 3)] {
                    assert_eq!(apply(a.then(b), point), apply(b, apply(a, point)), "{a:?} then {b:?}");
                }
            }
        }
    }

    #[test]
    fn clockwise_moves_the_top_left_corner_to_the_top_right() {
        assert_eq!(apply(Orientation::Clockwise, (0, 0, 5, 3)), (2, 0, 3, 5));
        assert_eq!(apply(Orientation::CounterClockwise, (0, 0, 5, 3)), (0, 4, 3, 5));
    }

    #[test]
    fn the_tag_is_found_in_both_byte_orders_and_never_panics_on_a_cut_block() {
        let little = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let big = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0\0\0\0\0";
        assert_eq!(from_tiff(little), Orientation::Clockwise);
        assert_eq!(from_tiff(big), Orientation::CounterClockwise);
        for cut in 0..18 {
            assert_eq!(from_tiff(&little[..cut]), Orientation::Upright);
        }
        assert_eq!(from_tiff(b"II*\0\xFF\xFF\xFF\xFF\x01\0"), Orientation::Upright);
    }

    #[test]
    fn every_number_round_trips() {
        for o in ALL {
            assert_eq!(Orientation::from_exif(o.exif()), o);
        }
        assert_eq!(Orientation::from_exif(0), Orientation::Upright);
        assert_eq!(Orientation::from_exif(9), Orientation::Upright);
    }
}
