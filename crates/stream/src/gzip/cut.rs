//! [`Cut`]: whole members cut off, as long as they say their size; the rest is passed on as it is.

use std::borrow::Cow;

use super::header::{self, Head, Parsed, TRAILER_BYTES};
use crate::{Cause, Chunk, Flow, Outlet, Transform};

/// Larger members are inflated as a stream.
const MOST_MEMBER_BYTES: usize = 4 << 20;
/// Members of larger content are inflated as a stream.
const MOST_CONTENT_BYTES: usize = 4 << 20;
/// The most that deflate can become, by its format: 258 bytes out of 2 bits.
const MOST_RATIO: usize = 1032;
/// The shortest deflate stream.
const LEAST_DEFLATED_BYTES: usize = 2;

/// A piece of gzip on its way through [`gunzip`](super::gunzip()).
pub(super) enum Piece {
    /// A member as it came.
    Member(Member),
    /// A member's content.
    Content {
        bytes: Chunk,
        /// What the member took.
        member_bytes: usize,
        is_followed: bool,
    },
    /// Members, or parts of them, as they came.
    Stream(Chunk),
}

/// A whole member, as it says itself.
pub(super) struct Member {
    pub(super) bytes: Chunk,
    pub(super) head: Head,
    /// What its content is said to be: bounded.
    pub(super) content_bytes: usize,
}

/// Cuts members off. What does not look as its first member did is left to the next part but one, with all that follows.
#[derive(Default)]
pub(super) struct Cut {
    held: Vec<u8>,
    /// Up to here everything was passed on.
    begin: usize,
    is_passing: bool,
    is_ended: bool,
}

enum Next {
    Member { head: Head, bytes: usize, content_bytes: usize },
    Incomplete,
    Other,
}

impl Cut {
    fn next(&self) -> Next {
        let held = &self.held[self.begin..];
        let head = match header::parse(held) {
            Parsed::Head(head) => head,
            Parsed::Incomplete => return Next::Incomplete,
            Parsed::Bad(_) | Parsed::Damaged => return Next::Other,
        };
        let least = head.bytes + LEAST_DEFLATED_BYTES + TRAILER_BYTES;
        let said = head.member_bytes.and_then(|bytes| usize::try_from(bytes).ok());
        let Some(bytes) = said.filter(|bytes| (least..=MOST_MEMBER_BYTES).contains(bytes)) else { return Next::Other };
        let Some(length) = held.get(bytes - 4..bytes) else { return Next::Incomplete };
        let content_bytes = length.iter().rev().fold(0, |length, byte| length << 8 | usize::from(*byte));
        // What comes behind it shows whether the size is right.
        let behind = &held[bytes..held.len().min(bytes + header::MAGIC.len())];
        let is_right = header::MAGIC.starts_with(behind);
        if !is_right || content_bytes > MOST_CONTENT_BYTES || content_bytes / MOST_RATIO > bytes {
            return Next::Other;
        }
        if behind.len() < header::MAGIC.len() && !(self.is_ended && behind.is_empty()) {
            return Next::Incomplete;
        }
        Next::Member { head, bytes, content_bytes }
    }

    /// Forgets what was passed on.
    fn tidy(&mut self) {
        self.held.drain(..self.begin);
        self.begin = 0;
    }

    fn pass(&mut self, out: &mut Outlet<'_, Piece>) {
        self.tidy();
        if !self.held.is_empty() {
            out.push(Piece::Stream(Chunk::from(std::mem::take(&mut self.held))));
        }
    }
}

impl Transform for Cut {
    type In = Chunk;
    type Out = Piece;

    fn name(&self) -> Cow<'static, str> {
        "gunzip".into()
    }

    fn transform(&mut self, input: Chunk, out: &mut Outlet<'_, Piece>) -> Result<Flow, Cause> {
        if self.is_passing {
            out.push(Piece::Stream(input));
            return Ok(Flow::Next);
        }
        self.tidy();
        self.held.extend_from_slice(&input);
        self.resume(out)
    }

    fn resume(&mut self, out: &mut Outlet<'_, Piece>) -> Result<Flow, Cause> {
        while self.begin < self.held.len() {
            if out.is_full() {
                return Ok(Flow::Again);
            }
            match self.next() {
                Next::Member { head, bytes, content_bytes } => {
                    let chunk = Chunk::from(&self.held[self.begin..self.begin + bytes]);
                    out.push(Piece::Member(Member { bytes: chunk, head, content_bytes }));
                    self.begin += bytes;
                }
                Next::Incomplete if !self.is_ended => break,
                Next::Incomplete | Next::Other => {
                    self.is_passing = true;
                    self.pass(out);
                }
            }
        }
        Ok(Flow::Next)
    }

    fn flush(&mut self, out: &mut Outlet<'_, Piece>) -> Result<Flow, Cause> {
        self.is_ended = true;
        self.resume(out)
    }
}
