//! [`Unpack`]: the content of a whole frame; [`Stream`]: of a large one in parts.

use std::borrow::Cow;
use std::io;

use zstd::bulk::Decompressor;
use zstd::stream::raw::{DParameter, Decoder, Operation};

use super::cut::Piece;
use super::{FORMAT, IDLE_CONTENTS};
use crate::blocks::Idle;
use crate::decode_error::Allowance;
use crate::{Buffers, CHUNK_BYTES, Cause, Chunk, DecodeError, Flow, Limits, Outlet, ParallelTransform, Transform};

pub(super) struct Unpack {
    idle: Idle<Decompressor<'static>>,
    /// For the content of a frame as we write them.
    buffers: Buffers,
    buffer_bytes: usize,
}

impl Unpack {
    pub(super) fn new(buffer_bytes: usize) -> Unpack {
        Unpack { idle: Idle::new(), buffers: Buffers::new(buffer_bytes, IDLE_CONTENTS), buffer_bytes }
    }

    /// An empty chunk with room for what a frame becomes at most, which is bounded.
    fn room(&self, bytes: usize, out: &Outlet<'_, Piece>) -> Chunk {
        if bytes <= CHUNK_BYTES {
            out.buffer()
        } else if bytes <= self.buffer_bytes {
            self.buffers.take()
        } else {
            Chunk::with_room(bytes)
        }
    }
}

impl ParallelTransform for Unpack {
    type In = Piece;
    type Out = Piece;

    fn name(&self) -> Cow<'static, str> {
        "unzstd".into()
    }

    fn apply(&self, _: u64, piece: Piece, out: &mut Outlet<'_, Piece>) -> Result<(), Cause> {
        let Piece::Frame { bytes: frame, offset, most_content_bytes } = piece else {
            out.push(piece);
            return Ok(());
        };
        let mut decompressor = match self.idle.take() {
            Some(decompressor) => decompressor,
            None => Decompressor::new()?,
        };
        let mut bytes = self.room(most_content_bytes, out);
        let unpacked = decompressor.decompress_to_buffer(&frame, &mut bytes.room()[..most_content_bytes]);
        self.idle.put(decompressor);
        bytes.filled(unpacked.map_err(|error| refused(&error, offset))?);
        out.push(Piece::Content { bytes, frame_bytes: frame.len() });
        Ok(())
    }
}

/// What zstd says, by its words: it has numbers for its errors, but they do not come through.
fn refused(error: &io::Error, offset: u64) -> DecodeError {
    let what = error.to_string();
    if what.contains("checksum") {
        return DecodeError::Checksum { format: FORMAT, offset };
    }
    DecodeError::malformed(FORMAT, offset, format!("zstd says: {what}"))
}

/// The last part: gives the contents, counts them, and unpacks large frames in parts.
pub(super) struct Stream {
    allowance: Allowance,
    most_window_log: u32,
    decoder: Option<Decoder<'static>>,
    /// Input not yet taken.
    rest: Chunk,
    /// Output not yet given.
    filling: Option<Chunk>,
    offset: u64,
}

impl Stream {
    pub(super) fn new(limits: Limits, most_window_log: u32) -> Stream {
        Stream {
            allowance: Allowance::new(limits),
            most_window_log,
            decoder: None,
            rest: Chunk::default(),
            filling: None,
            offset: 0,
        }
    }

    /// Takes some of the rest; `false` if there is nothing more to do before more input comes.
    fn step(&mut self, out: &mut Outlet<'_, Chunk>) -> Result<bool, Cause> {
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            None => {
                let mut decoder = Decoder::new()?;
                decoder.set_parameter(DParameter::WindowLogMax(self.most_window_log))?;
                self.decoder.insert(decoder)
            }
        };
        let mut filling = self.filling.take().unwrap_or_else(|| out.buffer());
        let done = decoder.run_on_buffers(&self.rest, filling.room()).map_err(|error| refused(&error, self.offset))?;
        self.allowance.count(done.bytes_read, done.bytes_written)?;
        self.rest.advance(done.bytes_read);
        self.offset += done.bytes_read as u64;
        filling.filled(done.bytes_written);
        let is_full = filling.room().is_empty();
        if is_full {
            out.push(filling);
        } else {
            self.filling = Some(filling);
        }
        // With a full buffer there may be more of what was taken, except at the end of a frame.
        Ok(!self.rest.is_empty() || is_full && done.remaining != 0)
    }
}

impl Transform for Stream {
    type In = Piece;
    type Out = Chunk;

    fn name(&self) -> Cow<'static, str> {
        "unzstd".into()
    }

    fn transform(&mut self, input: Piece, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        match input {
            Piece::Content { bytes, frame_bytes } => {
                self.allowance.count(frame_bytes, bytes.len())?;
                out.push(bytes);
                Ok(Flow::Next)
            }
            Piece::Frame { bytes, offset, .. } | Piece::Part { bytes, offset } => {
                (self.rest, self.offset) = (bytes, offset);
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
}
