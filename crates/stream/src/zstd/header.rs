//! The head of a zstd frame (RFC 8878), and the two marks that we put between frames.
//!
//! ```text
//!   28 b5 2f fd  descriptor  [ window ]  [ dictionary ]  [ content size ]     then blocks, then [ checksum(4) ]
//!   5? 2a 4d 18  length(4)  data                                              skippable: an index, a mark
//! ```

use std::borrow::Cow;

/// What a frame begins with.
pub(super) const MAGIC: u32 = 0xfd2f_b528;
/// What one begins with that is skipped; its lowest four bits are free.
const SKIPPABLE: u32 = 0x184d_2a50;
const SKIPPABLE_MASK: u32 = 0xffff_fff0;
/// No block is larger, packed or unpacked.
const MOST_BLOCK_BYTES: u64 = 128 << 10;
/// The head of a skippable frame.
pub(super) const SKIPPABLE_HEAD_BYTES: usize = 8;
/// A whole mark.
pub(super) const MARK_BYTES: usize = 12;

/// Behind the first of several frames: an end mark comes, or the file is truncated.
pub(super) const MORE: [u8; MARK_BYTES] = *b"\x5b\x2a\x4d\x18\x04\0\0\0more";
/// Behind the last of several frames.
pub(super) const DONE: [u8; MARK_BYTES] = *b"\x5b\x2a\x4d\x18\x04\0\0\0done";

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Where the first block begins.
    pub(super) bytes: usize,
    /// What a decoder must remember.
    pub(super) window: u64,
    /// What it is said to become.
    pub(super) content_bytes: Option<u64>,
    pub(super) has_checksum: bool,
}

impl Head {
    /// The most that a block of it becomes.
    pub(super) fn most_block_bytes(&self) -> u64 {
        self.window.min(MOST_BLOCK_BYTES)
    }
}

/// What begins here.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    Frame(Head),
    /// With so much data.
    Skippable(u32),
    /// Good so far.
    Incomplete,
    Bad(Cow<'static, str>),
}

/// Reads a head from the begin of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    head(bytes).unwrap_or(Parsed::Incomplete)
}

/// `None` if it ends too early.
fn head(bytes: &[u8]) -> Option<Parsed> {
    let begin = &bytes[..bytes.len().min(4)];
    let Some(magic) = begin.first_chunk().map(|magic| u32::from_le_bytes(*magic)) else {
        let mut skippable = SKIPPABLE.to_le_bytes();
        skippable[0] |= begin.first().unwrap_or(&0) & 0xf;
        let is_possible = MAGIC.to_le_bytes().starts_with(begin) || skippable.starts_with(begin);
        return if is_possible { None } else { Some(Parsed::Bad("it does not begin as zstd does".into())) };
    };
    if magic & SKIPPABLE_MASK == SKIPPABLE {
        return Some(Parsed::Skippable(u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?)));
    }
    if magic != MAGIC {
        return Some(Parsed::Bad("it does not begin as zstd does".into()));
    }
    let descriptor = *bytes.get(4)?;
    let is_single_segment = descriptor & 0x20 != 0;
    if descriptor & 0x08 != 0 {
        return Some(Parsed::Bad("it uses a part of the format that nobody has defined".into()));
    }
    let mut at = 5;
    let mut window = 0;
    if !is_single_segment {
        let (exponent, mantissa) = (bytes.get(at)? >> 3, bytes.get(at)? & 7);
        let base = 1_u64 << (10 + exponent);
        window = base + base / 8 * u64::from(mantissa);
        at += 1;
    }
    let dictionary_bytes = [0, 1, 2, 4][usize::from(descriptor & 3)];
    if bytes.get(at..at + dictionary_bytes)?.iter().any(|byte| *byte != 0) {
        return Some(Parsed::Bad("it was packed with a dictionary, which is not here".into()));
    }
    at += dictionary_bytes;
    let size_bytes = [usize::from(is_single_segment), 2, 4, 8][usize::from(descriptor >> 6)];
    let size = bytes.get(at..at + size_bytes)?.iter().rev().fold(0, |size, byte| size << 8 | u64::from(*byte));
    at += size_bytes;
    let content_bytes = match size_bytes {
        0 => None,
        2 => Some(size + 256),
        _ => Some(size),
    };
    if let Some(size) = content_bytes.filter(|_| is_single_segment) {
        window = size;
    }
    Some(Parsed::Frame(Head { bytes: at, window, content_bytes, has_checksum: descriptor & 4 != 0 }))
}

/// A block: what follows its head of three bytes, and what it becomes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockHead {
    pub(super) bytes: u64,
    pub(super) most_content_bytes: u64,
    pub(super) is_last: bool,
}

impl BlockHead {
    pub(super) const BYTES: usize = 3;

    pub(super) fn parse(bytes: [u8; BlockHead::BYTES], frame: &Head) -> Result<BlockHead, &'static str> {
        let word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
        let (is_last, size) = (word & 1 != 0, u64::from(word >> 3));
        let most = frame.most_block_bytes();
        let (bytes, most_content_bytes) = match word >> 1 & 3 {
            0 => (size, size),
            1 => (1, size),
            2 => (size, most),
            _ => return Err("a block of no known kind"),
        };
        if size > most {
            return Err("a block that is larger than may be");
        }
        Ok(BlockHead { bytes, most_content_bytes, is_last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(bytes: usize) -> Vec<u8> {
        let mut compressor = zstd::bulk::Compressor::new(3).unwrap();
        compressor.include_checksum(true).unwrap();
        compressor.compress(&vec![b'a'; bytes]).unwrap()
    }

    #[test]
    fn the_head_of_a_frame_is_read() {
        for bytes in [0, 1, 255, 256, 65_791, 65_792, 1 << 20] {
            let frame = packed(bytes);
            let Parsed::Frame(head) = parse(&frame) else { panic!("{bytes} bytes") };
            assert_eq!((head.content_bytes, head.has_checksum), (Some(bytes as u64), true));
            for end in 0..head.bytes {
                assert_eq!(parse(&frame[..end]), Parsed::Incomplete);
            }
        }
    }

    #[test]
    fn marks_are_skippable_frames() {
        assert_eq!((parse(&MORE), parse(&DONE)), (Parsed::Skippable(4), Parsed::Skippable(4)));
        for end in 0..SKIPPABLE_HEAD_BYTES {
            assert_eq!(parse(&MORE[..end]), Parsed::Incomplete);
        }
    }

    #[test]
    fn other_things_are_no_zstd() {
        for other in [&b"hello"[..], b"h", b"\x28\xb5\x2f\xfc", b"\x27\xb5\x2f\xfd\0", b"\x28\xb5\x2f\xfd\x08"] {
            assert!(matches!(parse(other), Parsed::Bad(_)), "{other:?}");
        }
        let with_dictionary = b"\x28\xb5\x2f\xfd\x01\x58\x07";
        assert!(matches!(parse(with_dictionary), Parsed::Bad(_)));
    }
}
