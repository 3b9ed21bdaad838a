//! [`Frames`]: what stands on the socket. The one decoder, with the one check of a length; for both ends.
//!
//! ```text
//!   0        4
//!   │ length │ length bytes of postcard …        length: u32, little-endian
//! ```

use postcard::ser_flavors::Flavor;
use serde::Serialize;

use crate::Error;

/// The longest frame: 16 MiB. A job has at most 1 MiB, and whoever has many says so in several frames.
pub(crate) const FRAME_LIMIT: usize = 16 << 20;
/// Requests that can be divided are divided above this many bytes.
pub(crate) const FRAME_AIM: usize = 4 << 20;
/// Bytes of a length.
const LENGTH_BYTES: usize = size_of::<u32>();
/// Room for one read.
const READ_BYTES: usize = 64 * 1024;
/// A buffer that grew beyond this is given back when it is empty.
const KEPT_BYTES: usize = 512 * 1024;

/// Appends a frame. On an error nothing was appended.
pub(crate) fn append<T: Serialize + ?Sized>(value: &T, to: &mut Vec<u8>) -> Result<(), Error> {
    let start = to.len();
    to.extend_from_slice(&[0; LENGTH_BYTES]);
    let written = postcard::serialize_with_flavor(value, Append(to))
        .map_err(|error| Error::Malformed { what: "a word for the queue".to_owned(), reason: error.to_string() });
    let length = to.len() - start - LENGTH_BYTES;
    let checked = written.and_then(|()| match u32::try_from(length) {
        Ok(short) if length <= FRAME_LIMIT => Ok(short),
        _ => Err(Error::TooBig { bytes: length as u64, limit: FRAME_LIMIT as u64 }),
    });
    match checked {
        Ok(length) => {
            to[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
            Ok(())
        }
        Err(error) => {
            to.truncate(start);
            Err(error)
        }
    }
}

/// Takes bytes in pieces of any size and gives whole frames. It holds what was received and not
/// asked for: take all whole frames out before you receive more, and that is one frame and one read.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// All of it is initialised; `start..end` was received and not given out.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

/// A frame that announces more than [`FRAME_LIMIT`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong(pub(crate) usize);

impl Frames {
    /// Where the next bytes go; then say [`received`](Frames::received). Never empty.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > KEPT_BYTES {
                self.buffer = Vec::new();
            }
        }
        if self.buffer.len() - self.end < READ_BYTES && self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.buffer.len() - self.end < READ_BYTES {
            // It doubles with what has come, not with what was announced.
            self.buffer.resize((self.end + READ_BYTES).max(self.end * 2), 0);
        }
        &mut self.buffer[self.end..]
    }

    /// So many bytes were put there.
    pub(crate) fn received(&mut self, count: usize) {
        self.end = (self.end + count).min(self.buffer.len());
    }

    /// The next whole frame, without its length.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, TooLong> {
        let waiting = &self.buffer[self.start..self.end];
        let Some((length, rest)) = waiting.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        if length > FRAME_LIMIT {
            return Err(TooLong(length));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let begin = self.start + LENGTH_BYTES;
        self.start = begin + length;
        Ok(Some(&self.buffer[begin..begin + length]))
    }
}

/// Lets postcard write at the end of our buffer.
struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds bytes in pieces of this size and collects the frames.
    fn fed(bytes: &[u8], piece: usize) -> Vec<Vec<u8>> {
        let (mut frames, mut all) = (Frames::default(), Vec::new());
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = frames.room();
            let count = rest.len().min(piece).min(room.len());
            room[..count].copy_from_slice(&rest[..count]);
            frames.received(count);
            rest = &rest[count..];
            while let Some(frame) = frames.next().unwrap() {
                all.push(frame.to_vec());
            }
        }
        all
    }

    #[test]
    fn frames_come_out_as_they_went_in_whatever_the_pieces() {
        let values: Vec<Vec<u8>> = [0, 1, 5, 70_000, 300_000].map(|length| vec![7_u8; length]).into();
        let mut bytes = Vec::new();
        values.iter().for_each(|value| append(value, &mut bytes).unwrap());
        for piece in [1, 3, 4096, 1 << 20] {
            let frames = fed(&bytes, piece);
            let read: Vec<Vec<u8>> = frames.iter().map(|frame| postcard::from_bytes(frame).unwrap()).collect();
            assert_eq!(read, values, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_frame_that_announces_too_much_is_refused_before_memory_is_taken_for_it() {
        let mut frames = Frames::default();
        frames.room()[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        frames.received(4);
        assert_eq!(frames.next(), Err(TooLong(u32::MAX as usize)));
        let mut frames = Frames::default();
        frames.room()[..4].copy_from_slice(&(FRAME_LIMIT as u32).to_le_bytes());
        frames.received(4);
        assert_eq!(frames.next(), Ok(None));
        assert!(frames.room().len() < 2 * READ_BYTES);
    }

    #[test]
    fn a_value_that_is_too_long_is_refused_and_leaves_nothing() {
        let mut bytes = vec![1, 2];
        let refused = append(&vec![0_u8; FRAME_LIMIT], &mut bytes);
        assert!(matches!(refused, Err(Error::TooBig { .. })), "{refused:?}");
        assert_eq!(bytes, [1, 2]);
    }
}
