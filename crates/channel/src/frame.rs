//! Frames: what stands on the socket, apart from the socket. The one decoder, with the one length check.
//!
//! ```text
//!   0        4         8        12     13      14            15      16
//!   │ length │ payload │ id     │ kind │ flags │ descriptors │ format│ length bytes …
//! ```
//!
//! All numbers are little-endian. `length` counts the bytes that follow the header. The content of a message is what
//! was assembled from pieces of the arena (flag [`ASSEMBLED`]) and then the bytes that follow; its first `payload` bytes
//! are the payload, the rest is the encoded value.

use crate::Error;

/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = 16;
/// The version of this layout, in the last byte of every header.
const FORMAT: u8 = 1;
/// The content begins with the bytes that were assembled from pieces.
pub(crate) const ASSEMBLED: u8 = 1;
/// Room for what one read brings. The kernel hands out at most what one write put in, and a channel writes 64 KiB.
const READ_BYTES: usize = 128 * 1024;

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A message.
    Message = 1,
    /// A message that asks for an answer with its id.
    Request = 2,
    /// The answer to the request of this id.
    Reply = 3,
    /// A message whose arrival in the program is to be confirmed.
    Acked = 4,
    /// The message of this id has arrived in the program.
    Ack = 5,
    /// The request of this id was dropped without an answer.
    Unanswered = 6,
    /// The shared ring, and the pipe that wakes its writer, come as descriptors.
    Arena = 7,
    /// `id` bytes stand in the ring; `payload` is the size of all pieces together, `length` is nothing. Not
    /// [`ASSEMBLED`]: the first piece.
    Piece = 8,
    /// The shared ring of small messages comes as a descriptor.
    Lane = 9,
    /// The frames that follow are in that ring.
    OnLane = 10,
    /// The frames that follow are on the socket again.
    OnSocket = 11,
    /// There is something in that ring, for a receiver that sleeps.
    Bell = 12,
    /// That ring was received and mapped.
    LaneTaken = 13,
}

impl Kind {
    fn of(byte: u8) -> Option<Kind> {
        use Kind::*;
        [Message, Request, Reply, Acked, Ack, Unanswered, Arena, Piece, Lane, OnLane, OnSocket, Bell, LaneTaken]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) id: u32,
    pub(crate) length: u32,
    pub(crate) payload: u32,
    pub(crate) flags: u8,
    pub(crate) descriptors: u8,
}

impl Header {
    /// A frame without content.
    pub(crate) fn bare(kind: Kind, id: u32) -> Header {
        Header { kind, id, length: 0, payload: 0, flags: 0, descriptors: 0 }
    }

    pub(crate) fn is_assembled(&self) -> bool {
        self.flags & ASSEMBLED != 0
    }

    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&self.length.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.payload.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.id.to_le_bytes());
        bytes[12..].copy_from_slice(&[self.kind as u8, self.flags, self.descriptors, FORMAT]);
        bytes
    }

    fn decode(bytes: &[u8; HEADER_BYTES], limit: usize) -> Result<Header, Error> {
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let [kind, flags, descriptors, format] = [bytes[12], bytes[13], bytes[14], bytes[15]];
        if format != FORMAT {
            return Err(Error::Malformed(format!("a frame of format {format}, expected {FORMAT}")));
        }
        let kind = Kind::of(kind).ok_or_else(|| Error::Malformed(format!("a frame of unknown kind {kind}")))?;
        let header = Header { kind, id: number(8), length: number(0), payload: number(4), flags, descriptors };
        // The one length check: whatever a frame announces, here it is held against the limit, before any memory is
        // taken for it.
        let announced = header.length.max(header.payload) as usize;
        if announced > limit {
            return Err(Error::TooLarge { bytes: announced, limit });
        }
        Ok(header)
    }
}

/// Takes bytes in pieces of any size and gives whole frames.
#[derive(Debug)]
pub(crate) struct Decoder {
    /// All of it is initialised; `start..end` came from the socket and is not decoded yet.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    limit: usize,
    /// Bytes of the buffer in the usual case.
    usual: usize,
}

impl Decoder {
    /// A decoder that refuses frames of more than `limit` bytes.
    pub(crate) fn new(limit: usize) -> Decoder {
        Decoder::for_pieces(limit, READ_BYTES / 2)
    }

    /// The same, for bytes that come in pieces of at most `piece`.
    pub(crate) fn for_pieces(limit: usize, piece: usize) -> Decoder {
        Decoder { buffer: Vec::new(), start: 0, end: 0, limit, usual: piece * 2 }
    }

    /// Where the next bytes are to be put; say how many with [`filled`](Decoder::filled).
    ///
    /// The buffer grows with what has come, never with what was announced.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > self.usual {
                self.buffer = Vec::new();
            }
        }
        if self.buffer.len() - self.end < self.usual / 2 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.buffer.len() - self.end < self.usual / 2 {
                self.buffer.resize((self.end * 2).max(self.usual), 0);
            }
        }
        &mut self.buffer[self.end..]
    }

    /// `count` bytes were put into [`space`](Decoder::space).
    pub(crate) fn filled(&mut self, count: usize) {
        self.end += count;
    }

    /// Takes over bytes that are there already.
    pub(crate) fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let space = self.space();
            let count = space.len().min(bytes.len());
            space[..count].copy_from_slice(&bytes[..count]);
            self.filled(count);
            bytes = &bytes[count..];
        }
    }

    /// Takes frames of this kind, which have no content, from the front.
    pub(crate) fn skip(&mut self, kind: Kind) -> Result<(), Error> {
        while let Some(head) = self.buffer[self.start..self.end].first_chunk::<HEADER_BYTES>() {
            let header = Header::decode(head, self.limit)?;
            if header.kind != kind {
                break;
            }
            if header.length > 0 {
                return Err(Error::Malformed(format!("a frame of kind {kind:?} with content")));
            }
            self.start += HEADER_BYTES;
        }
        Ok(())
    }

    /// The next frame, if all of it is there.
    pub(crate) fn next(&mut self) -> Result<Option<(Header, &[u8])>, Error> {
        let ready = &self.buffer[self.start..self.end];
        let Some((head, rest)) = ready.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let header = Header::decode(head, self.limit)?;
        let Some(content) = rest.get(..header.length as usize) else { return Ok(None) };
        self.start += HEADER_BYTES + content.len();
        // Borrowed anew: the position above had to move first.
        let content = &self.buffer[self.start - content.len()..self.start];
        Ok(Some((header, content)))
    }

    /// Whether a frame has begun and not ended.
    pub(crate) fn is_inside_a_frame(&self) -> bool {
        self.start != self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: Kind, id: u32, content: &[u8]) -> Vec<u8> {
        let header = Header { length: content.len() as u32, ..Header::bare(kind, id) };
        [&header.encode(), content].concat()
    }

    #[test]
    fn frames_come_out_whole_wherever_they_were_split() {
        let large = vec![5; 300_000];
        let bytes = [frame(Kind::Message, 1, b"one"), frame(Kind::Ack, 2, b""), frame(Kind::Reply, 3, &large)].concat();
        for split in (0..80).chain([70_000, 200_000]) {
            let mut decoder = Decoder::new(1 << 20);
            let mut seen = Vec::new();
            for part in [&bytes[..split], &bytes[split..]] {
                decoder.append(part);
                while let Some((header, content)) = decoder.next().unwrap() {
                    seen.push((header.kind, header.id, content.to_vec()));
                }
            }
            assert_eq!(seen.len(), 3, "split at {split}");
            assert_eq!((seen[0].0, seen[0].1, &seen[0].2[..]), (Kind::Message, 1, &b"one"[..]));
            assert_eq!(seen[2].2, large);
            assert!(!decoder.is_inside_a_frame());
        }
    }

    #[test]
    fn what_announces_too_much_is_refused_before_memory_is_taken() {
        for (length, payload) in [(u32::MAX, 0), (0, u32::MAX), (1025, 0)] {
            let mut decoder = Decoder::new(1024);
            decoder.append(&Header { length, payload, ..Header::bare(Kind::Message, 0) }.encode());
            assert!(matches!(decoder.next(), Err(Error::TooLarge { limit: 1024, .. })));
            assert_eq!(decoder.buffer.len(), READ_BYTES);
        }
    }

    #[test]
    fn another_format_and_an_unknown_kind_are_errors() {
        for at in [12, 15] {
            let mut bytes = Header::bare(Kind::Ack, 0).encode();
            bytes[at] = 77;
            let mut decoder = Decoder::new(1024);
            decoder.append(&bytes);
            assert!(matches!(decoder.next(), Err(Error::Malformed(_))));
        }
    }

    #[test]
    fn the_buffer_is_small_again_after_a_large_frame() {
        let mut decoder = Decoder::new(1 << 24);
        decoder.append(&frame(Kind::Message, 0, &vec![1; 5 << 20]));
        assert!(decoder.next().unwrap().is_some());
        decoder.space();
        assert_eq!(decoder.buffer.len(), READ_BYTES);
    }
}
