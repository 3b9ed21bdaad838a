//! The head of a gzip member (RFC 1952), and the two notes in its extra field that make members readable side by side.
//!
//! ```text
//!   1f 8b 08 flags  mtime(4) xfl os  [ length(2) ( id(2) length(2) data )* ]  [ name 0 ]  [ comment 0 ]  [ crc16 ]
//!                                                  IG, 4 or 8+: bytes of the member, as mgzip and pgzip write it
//!                                                  BC, 2: bytes of the member less one, as BGZF writes it
//!                                                  Px, 1: bit 0: another member follows, or the file is truncated
//! ```

use std::borrow::Cow;

/// What a member begins with: gzip, deflate.
pub(super) const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// The longest head that is read: the extra field is at most 64 KiB, names are a path at most.
const MOST_HEAD_BYTES: usize = 128 << 10;
/// CRC and length of the content.
pub(super) const TRAILER_BYTES: usize = 8;
/// What [`write`] gives.
pub(super) const WRITTEN_BYTES: usize = 25;

const FIXED_BYTES: usize = 10;
const HEAD_CRC: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;
const OS_UNIX: u8 = 3;

/// The head of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Where the deflate stream begins.
    pub(super) bytes: usize,
    /// What the whole member is said to take.
    pub(super) member_bytes: Option<u64>,
    /// Whether another member is said to follow.
    pub(super) is_followed: bool,
}

/// What the bytes so far are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    Head(Head),
    /// Good so far.
    Incomplete,
    Bad(Cow<'static, str>),
    /// Its own CRC is wrong.
    Damaged,
}

/// Reads a head from the begin of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let bytes = &bytes[..bytes.len().min(MOST_HEAD_BYTES)];
    match head(bytes) {
        Some(parsed) => parsed,
        None if bytes.len() == MOST_HEAD_BYTES => Parsed::Bad("its head is longer than 128 KiB".into()),
        None => Parsed::Incomplete,
    }
}

/// `None` if it ends too early.
fn head(bytes: &[u8]) -> Option<Parsed> {
    let begin = bytes.len().min(2);
    if bytes[..begin] != MAGIC[..begin] {
        return Some(Parsed::Bad("it does not begin as gzip does".into()));
    }
    if bytes.get(2).is_some_and(|method| *method != MAGIC[2]) {
        return Some(Parsed::Bad(format!("unknown method {}", bytes[2]).into()));
    }
    let flags = *bytes.get(3)?;
    if flags & RESERVED != 0 {
        return Some(Parsed::Bad(format!("unknown flags {flags:#04x}").into()));
    }
    let mut head = Head { bytes: FIXED_BYTES, member_bytes: None, is_followed: false };
    bytes.get(..FIXED_BYTES)?;
    if flags & EXTRA != 0 {
        let length = u16::from_le_bytes([*bytes.get(head.bytes)?, *bytes.get(head.bytes + 1)?]);
        let begin = head.bytes + 2;
        head.bytes = begin + usize::from(length);
        notes(bytes.get(begin..head.bytes)?, &mut head);
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let rest = bytes.get(head.bytes..)?;
            head.bytes += rest.iter().position(|byte| *byte == 0)? + 1;
        }
    }
    if flags & HEAD_CRC != 0 {
        let said = u16::from_le_bytes([*bytes.get(head.bytes)?, *bytes.get(head.bytes + 1)?]);
        if libdeflater::crc32(&bytes[..head.bytes]) & 0xffff != u32::from(said) {
            return Some(Parsed::Damaged);
        }
        head.bytes += 2;
    }
    Some(Parsed::Head(head))
}

/// The subfields of the extra field; one that is broken ends the search, as nobody needs it.
fn notes(mut extra: &[u8], head: &mut Head) {
    while let [first, second, low, high, rest @ ..] = extra {
        let Some((data, others)) = rest.split_at_checked(u16::from_le_bytes([*low, *high]).into()) else { return };
        match ([*first, *second], data) {
            ([b'B', b'C'], [low, high]) => {
                head.member_bytes = Some(u64::from(u16::from_le_bytes([*low, *high])) + 1);
            }
            ([b'I', b'G'], [a, b, c, d]) => {
                head.member_bytes = Some(u32::from_le_bytes([*a, *b, *c, *d]).into());
            }
            ([b'I', b'G'], [a, b, c, d, e, f, g, h, ..]) => {
                head.member_bytes = Some(u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]));
            }
            ([b'P', b'x'], [notes]) => head.is_followed = notes & 1 != 0,
            _ => {}
        }
        extra = others;
    }
}

/// The head of a member with a deflate stream of so many bytes.
pub(super) fn write(deflated: usize, is_followed: bool) -> Option<[u8; WRITTEN_BYTES]> {
    let member = u32::try_from(WRITTEN_BYTES + deflated + TRAILER_BYTES).ok()?.to_le_bytes();
    let mut head = [0; WRITTEN_BYTES];
    head[..4].copy_from_slice(&[MAGIC[0], MAGIC[1], MAGIC[2], EXTRA]);
    head[9] = OS_UNIX;
    head[10] = (WRITTEN_BYTES - FIXED_BYTES - 2) as u8;
    head[12..16].copy_from_slice(&[b'I', b'G', 4, 0]);
    head[16..20].copy_from_slice(&member);
    head[20..].copy_from_slice(&[b'P', b'x', 1, 0, is_followed.into()]);
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let written = write(100, true).unwrap();
        let head = Head { bytes: WRITTEN_BYTES, member_bytes: Some(133), is_followed: true };
        assert_eq!(parse(&written), Parsed::Head(head));
        for end in 0..written.len() {
            assert_eq!(parse(&written[..end]), Parsed::Incomplete);
        }
    }

    #[test]
    fn bgzf_and_pgzip_say_their_size() {
        let bgzf = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0\x1b\0";
        let head = Head { bytes: 18, member_bytes: Some(28), is_followed: false };
        assert_eq!(parse(bgzf), Parsed::Head(head));
        let pgzip = b"\x1f\x8b\x08\x0c\0\0\0\0\0\xff\x14\0IG\x10\0\x40\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0name\0";
        let head = Head { bytes: 37, member_bytes: Some(64), is_followed: false };
        assert_eq!(parse(pgzip), Parsed::Head(head));
    }

    #[test]
    fn the_crc_of_the_head_is_checked() {
        let mut bytes = b"\x1f\x8b\x08\x12\0\0\0\0\0\x03why\0".to_vec();
        bytes.extend_from_slice(&(libdeflater::crc32(&bytes) as u16).to_le_bytes());
        let head = Head { bytes: bytes.len(), member_bytes: None, is_followed: false };
        assert_eq!(parse(&bytes), Parsed::Head(head));
        bytes[10] ^= 1;
        assert_eq!(parse(&bytes), Parsed::Damaged);
    }

    #[test]
    fn a_head_without_end_is_refused() {
        let mut bytes = b"\x1f\x8b\x08\x08\0\0\0\0\0\x03".to_vec();
        bytes.resize(MOST_HEAD_BYTES, b'n');
        assert!(matches!(parse(&bytes), Parsed::Bad(_)));
    }
}
