//! [`Cut`]: whole frames cut off by the heads of their blocks, and those that are large in parts.

use std::borrow::Cow;

use super::FORMAT;
use super::header::{self, BlockHead, DONE, Head, MARK_BYTES, MORE, Parsed};
use crate::{Cause, Chunk, DecodeError, Flow, Outlet, Transform};

/// Larger frames are unpacked as a stream.
const MOST_FRAME_BYTES: usize = 8 << 20;
/// Frames of larger content are unpacked as a stream.
const MOST_CONTENT_BYTES: u64 = 8 << 20;
const CHECKSUM_BYTES: u64 = 4;

/// A piece of zstd on its way through [`unzstd`](super::unzstd()).
pub(super) enum Piece {
    /// A whole frame as it came.
    Frame {
        bytes: Chunk,
        /// Where it begins in the input.
        offset: u64,
        /// What it becomes at most: bounded.
        most_content_bytes: usize,
    },
    /// A frame's content.
    Content {
        bytes: Chunk,
        /// What the frame took.
        frame_bytes: usize,
    },
    /// A part of a large frame as it came.
    Part {
        bytes: Chunk,
        /// Where it begins in the input.
        offset: u64,
    },
}

pub(super) struct Cut {
    most_window: u64,
    at: At,
    held: Vec<u8>,
    /// Up to here everything was passed on or skipped.
    begin: usize,
    /// Up to here everything is known.
    known: usize,
    /// What was dropped of what was held.
    dropped: u64,
    has_begun: bool,
    is_end_expected: bool,
}

enum At {
    /// Where a frame may begin.
    Begin,
    /// Where a block begins.
    Block(Frame),
    /// In a block, or in the checksum behind the last, of which so much is still to come.
    Body(Frame, u64, Then),
    /// In a skippable frame, of which so much is still to come.
    Skipping(u64),
}

#[derive(Clone, Copy)]
struct Frame {
    head: Head,
    /// What its blocks become at most.
    most_content_bytes: u64,
    /// Whether it is passed on in parts.
    is_large: bool,
}

#[derive(Clone, Copy)]
enum Then {
    Block,
    Checksum,
    End,
}

impl Cut {
    pub(super) fn new(most_window_log: u32) -> Cut {
        Cut {
            most_window: 1 << most_window_log,
            at: At::Begin,
            held: Vec::new(),
            begin: 0,
            known: 0,
            dropped: 0,
            has_begun: false,
            is_end_expected: false,
        }
    }

    fn offset(&self) -> u64 {
        self.dropped + self.known as u64
    }

    /// Goes on in what is held; `false` if there is nothing more to do before more input comes.
    fn step(&mut self, out: &mut Outlet<'_, Piece>) -> Result<bool, DecodeError> {
        let ahead = &self.held[self.known..];
        match self.at {
            At::Begin if ahead.is_empty() => return Ok(false),
            At::Begin => match header::parse(ahead) {
                Parsed::Incomplete => return Ok(false),
                Parsed::Bad(what) => return Err(DecodeError::malformed(FORMAT, self.offset(), what)),
                Parsed::Skippable(bytes) => {
                    // To see a mark, it must be here.
                    if bytes as usize + header::SKIPPABLE_HEAD_BYTES == MARK_BYTES && ahead.len() < MARK_BYTES {
                        return Ok(false);
                    }
                    if ahead.starts_with(&MORE) {
                        self.is_end_expected = true;
                    } else if ahead.starts_with(&DONE) {
                        self.is_end_expected = false;
                    }
                    self.at = At::Skipping(header::SKIPPABLE_HEAD_BYTES as u64 + u64::from(bytes));
                }
                Parsed::Frame(head) => {
                    if head.window > self.most_window {
                        let (window, most) = (head.window, self.most_window);
                        let what = format!("it needs a window of {window} bytes, {most} are allowed");
                        return Err(DecodeError::malformed(FORMAT, self.offset(), what));
                    }
                    self.known += head.bytes;
                    self.at = At::Block(Frame { head, most_content_bytes: 0, is_large: false });
                }
            },
            At::Block(frame) => {
                let Some(bytes) = ahead.first_chunk() else { return Ok(false) };
                let block = BlockHead::parse(*bytes, &frame.head)
                    .map_err(|what| DecodeError::malformed(FORMAT, self.offset(), what))?;
                self.known += BlockHead::BYTES;
                let most_content_bytes = frame.most_content_bytes.saturating_add(block.most_content_bytes);
                let then = match block.is_last {
                    false => Then::Block,
                    true if frame.head.has_checksum => Then::Checksum,
                    true => Then::End,
                };
                self.at = At::Body(Frame { most_content_bytes, ..frame }, block.bytes, then);
            }
            At::Body(frame, 0, Then::Block) => self.at = At::Block(frame),
            At::Body(frame, 0, Then::Checksum) => self.at = At::Body(frame, CHECKSUM_BYTES, Then::End),
            At::Body(frame, 0, Then::End) => {
                self.end_frame(&frame, out)?;
                self.at = At::Begin;
            }
            At::Body(..) if ahead.is_empty() => return Ok(false),
            At::Body(frame, left, then) => {
                let bytes = left.min(ahead.len() as u64);
                self.known += bytes as usize;
                self.at = At::Body(frame, left - bytes, then);
            }
            At::Skipping(0) => {
                self.begin = self.known;
                self.at = At::Begin;
            }
            At::Skipping(_) if ahead.is_empty() => return Ok(false),
            At::Skipping(left) => {
                let bytes = left.min(ahead.len() as u64);
                self.known += bytes as usize;
                self.begin = self.known;
                self.at = At::Skipping(left - bytes);
            }
        }
        Ok(true)
    }

    fn end_frame(&mut self, frame: &Frame, out: &mut Outlet<'_, Piece>) -> Result<(), DecodeError> {
        let offset = self.dropped + self.begin as u64;
        let said = frame.head.content_bytes;
        if said.is_some_and(|said| said > frame.most_content_bytes) {
            return Err(DecodeError::malformed(FORMAT, offset, "a frame that is shorter than it says"));
        }
        let most = said.unwrap_or(frame.most_content_bytes);
        let bytes = Chunk::from(&self.held[self.begin..self.known]);
        self.begin = self.known;
        if frame.is_large || most > MOST_CONTENT_BYTES {
            out.push(Piece::Part { bytes, offset });
        } else {
            out.push(Piece::Frame { bytes, offset, most_content_bytes: most as usize });
        }
        Ok(())
    }

    /// Passes on what is known of a frame that is too large to be held.
    fn pass_large(&mut self, out: &mut Outlet<'_, Piece>) {
        let bytes = self.known - self.begin;
        let (At::Block(frame) | At::Body(frame, ..)) = &mut self.at else { return };
        frame.is_large |= bytes > MOST_FRAME_BYTES || frame.most_content_bytes > MOST_CONTENT_BYTES;
        if frame.is_large && bytes > 0 {
            let offset = self.dropped + self.begin as u64;
            out.push(Piece::Part { bytes: Chunk::from(&self.held[self.begin..self.known]), offset });
            self.begin = self.known;
        }
    }
}

impl Transform for Cut {
    type In = Chunk;
    type Out = Piece;

    fn name(&self) -> Cow<'static, str> {
        "unzstd".into()
    }

    fn transform(&mut self, input: Chunk, out: &mut Outlet<'_, Piece>) -> Result<Flow, Cause> {
        self.has_begun = true;
        self.held.drain(..self.begin);
        self.dropped += self.begin as u64;
        self.known -= self.begin;
        self.begin = 0;
        self.held.extend_from_slice(&input);
        self.resume(out)
    }

    fn resume(&mut self, out: &mut Outlet<'_, Piece>) -> Result<Flow, Cause> {
        loop {
            if out.is_full() {
                return Ok(Flow::Again);
            }
            if !self.step(out)? {
                break;
            }
        }
        self.pass_large(out);
        Ok(Flow::Next)
    }

    fn flush(&mut self, _: &mut Outlet<'_, Piece>) -> Result<Flow, Cause> {
        let is_whole = matches!(self.at, At::Begin) && self.known == self.held.len();
        if !self.has_begun || !is_whole || self.is_end_expected {
            let offset = self.dropped + self.held.len() as u64;
            return Err(DecodeError::Truncated { format: FORMAT, offset }.into());
        }
        Ok(Flow::Next)
    }
}
