//! [`Inflate`]: members as a stream, and the content of those that were inflated already.

use std::borrow::Cow;

use flate2::{Decompress, FlushDecompress, Status};
use libdeflater::Crc;

use super::FORMAT;
use super::cut::{Member, Piece};
use super::header::{self, Parsed, TRAILER_BYTES};
use crate::decode_error::Allowance;
use crate::{Cause, Chunk, DecodeError, Flow, Limits, Outlet, Transform};

pub(super) struct Inflate {
    allowance: Allowance,
    at: At,
    /// Input not yet taken.
    rest: Chunk,
    /// Output not yet given.
    filling: Option<Chunk>,
    decompress: Decompress,
    crc: Crc,
    /// Bytes of input that were taken.
    offset: u64,
    /// Where the present member begins.
    member: u64,
    /// Bytes of its content, as its trailer counts them.
    content: u32,
    /// Whether the last member said that another one follows.
    is_followed: bool,
}

enum At {
    /// Before the first member, or after one; how many there were does not matter.
    Begin,
    Between,
    /// What came of a head.
    Head(Vec<u8>),
    Body,
    Trailer([u8; TRAILER_BYTES], usize),
    /// Zeros after the last member, as tapes have them.
    Zeros,
}

impl Inflate {
    pub(super) fn new(limits: Limits) -> Inflate {
        Inflate {
            allowance: Allowance::new(limits),
            at: At::Begin,
            rest: Chunk::default(),
            filling: None,
            decompress: Decompress::new(false),
            crc: Crc::new(),
            offset: 0,
            member: 0,
            content: 0,
            is_followed: false,
        }
    }

    fn take(&mut self, bytes: usize) {
        self.rest.advance(bytes);
        self.offset += bytes as u64;
    }

    /// Takes some of the rest; `false` if there is nothing more to do before more input comes.
    fn step(&mut self, out: &mut Outlet<'_, Chunk>) -> Result<bool, DecodeError> {
        let malformed = |offset, what: Cow<'static, str>| DecodeError::malformed(FORMAT, offset, what);
        if self.rest.is_empty() && !matches!(self.at, At::Body) {
            return Ok(false);
        }
        match &mut self.at {
            At::Begin => {
                self.member = self.offset;
                self.at = At::Head(Vec::new());
            }
            At::Between | At::Zeros if self.rest[0] == 0 => {
                let zeros = self.rest.iter().take_while(|byte| **byte == 0).count();
                self.at = At::Zeros;
                self.take(zeros);
            }
            At::Between if self.rest[0] == header::MAGIC[0] => self.at = At::Begin,
            At::Between | At::Zeros => {
                return Err(malformed(self.offset, "what follows the last member is not gzip".into()));
            }
            At::Head(head) => {
                let before = head.len();
                head.extend_from_slice(&self.rest);
                let parsed = header::parse(head);
                let taken = match parsed {
                    Parsed::Head(parsed) => {
                        self.is_followed = parsed.is_followed;
                        (self.crc, self.content) = (Crc::new(), 0);
                        self.at = At::Body;
                        parsed.bytes - before
                    }
                    Parsed::Incomplete => self.rest.len(),
                    Parsed::Bad(what) => return Err(malformed(self.member, what)),
                    Parsed::Damaged => return Err(DecodeError::Checksum { format: FORMAT, offset: self.member }),
                };
                self.take(taken);
            }
            At::Body => return self.body(out),
            At::Trailer(trailer, filled) => {
                let takes = self.rest.len().min(TRAILER_BYTES - *filled);
                trailer[*filled..*filled + takes].copy_from_slice(&self.rest[..takes]);
                *filled += takes;
                if *filled == TRAILER_BYTES {
                    let (crc, length) = trailer.split_at(4);
                    if crc != self.crc.sum().to_le_bytes() || length != self.content.to_le_bytes() {
                        return Err(DecodeError::Checksum { format: FORMAT, offset: self.member });
                    }
                    self.at = At::Between;
                }
                self.take(takes);
            }
        }
        Ok(true)
    }

    fn body(&mut self, out: &mut Outlet<'_, Chunk>) -> Result<bool, DecodeError> {
        let mut filling = self.filling.take().unwrap_or_else(|| out.buffer());
        let (taken, given) = (self.decompress.total_in(), self.decompress.total_out());
        let done = self.decompress.decompress(&self.rest, filling.room(), FlushDecompress::None);
        let taken = (self.decompress.total_in() - taken) as usize;
        let given = (self.decompress.total_out() - given) as usize;
        let Ok(status) = done else {
            return Err(DecodeError::malformed(FORMAT, self.offset + taken as u64, "it cannot be inflated"));
        };
        self.allowance.count(taken, given)?;
        self.crc.update(&filling.room()[..given]);
        self.content = self.content.wrapping_add(given as u32);
        filling.filled(given);
        if filling.room().is_empty() {
            out.push(filling);
        } else {
            self.filling = Some(filling);
        }
        self.take(taken);
        if matches!(status, Status::StreamEnd) {
            self.at = At::Trailer([0; TRAILER_BYTES], 0);
            self.decompress.reset(false);
            return Ok(true);
        }
        if taken == 0 && given == 0 && !self.rest.is_empty() {
            return Err(DecodeError::malformed(FORMAT, self.offset, "it cannot be inflated"));
        }
        // With a full buffer there may be more of what was taken.
        Ok(taken > 0 || given > 0)
    }
}

impl Transform for Inflate {
    type In = Piece;
    type Out = Chunk;

    fn name(&self) -> Cow<'static, str> {
        "gunzip".into()
    }

    fn transform(&mut self, input: Piece, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        match input {
            Piece::Content { bytes, member_bytes, is_followed } => {
                if !matches!(self.at, At::Begin | At::Between) {
                    let what = "the sizes that the members say contradict each other";
                    return Err(DecodeError::malformed(FORMAT, self.offset, what).into());
                }
                self.allowance.count(member_bytes, bytes.len())?;
                self.offset += member_bytes as u64;
                self.is_followed = is_followed;
                self.at = At::Between;
                out.push(bytes);
                Ok(Flow::Next)
            }
            Piece::Member(Member { bytes, .. }) | Piece::Stream(bytes) => {
                self.rest = bytes;
                self.resume(out)
            }
        }
    }

    fn resume(&mut self, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        loop {
            if out.is_full() {
                return Ok(Flow::Again);
            }
            if !self.step(out)? {
                break;
            }
        }
        self.rest = Chunk::default();
        // Nobody waits for what is here only because the buffer is not full.
        if let Some(filling) = self.filling.take() {
            out.push(filling);
        }
        Ok(Flow::Next)
    }

    fn flush(&mut self, _: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        match self.at {
            At::Between | At::Zeros if !self.is_followed => Ok(Flow::Next),
            _ => Err(DecodeError::Truncated { format: FORMAT, offset: self.offset }.into()),
        }
    }
}
