//! [`decrypt()`]: reads the header, cuts the payload, opens its pieces in parallel.

use std::borrow::Cow;
use std::sync::Arc;

use super::FORMAT;
use super::armor::Unarmor;
use super::header::{self, Found};
use super::keys::Identities;
use super::payload::{
    IDLE_BUFFERS, Job, PIECE_BYTES, PayloadKey, SALT_BYTES, SEALED_JOB_BYTES, SEALED_PIECE_BYTES, TAG_BYTES,
};
use crate::{Buffers, Cause, Chunk, DecodeError, Flow, Outlet, ParallelTransform, Pipe, Stage, Transform};

const NAME: &str = "decrypt";

/// The largest header, unless said otherwise: room for 2 500 recipients, and 0.2 s of work to find that none is ours.
const HEADER_LIMIT: usize = 256 << 10;

/// Decrypts the age format, armored or not, on all threads of the pipeline.
///
/// Each piece is authenticated before it leaves, and the end of the last one before the pipeline ends well. The cause of an
/// error is a [`DecodeError`]: `WrongKey`, `Tampered`, `Truncated`, `Malformed` or `TooMuchWork`.
pub fn decrypt(with: impl Into<Identities>) -> Decrypt {
    Decrypt { with: with.into(), permits: None, header_limit: HEADER_LIMIT }
}

/// Decrypts: see [`decrypt()`].
#[must_use]
pub struct Decrypt {
    with: Identities,
    permits: Option<usize>,
    header_limit: usize,
}

impl Decrypt {
    /// How many threads open at a time. Default: those of the pipeline.
    pub fn parallel(mut self, permits: usize) -> Decrypt {
        self.permits = Some(permits);
        self
    }

    /// The most bytes of a header, which names the recipients: about 100 for each. Default: 256 KiB.
    pub fn header_limit(mut self, bytes: usize) -> Decrypt {
        self.header_limit = bytes;
        self
    }
}

impl Stage for Decrypt {
    type In = Chunk;
    type Out = Chunk;

    fn attach(self, pipe: Pipe<Chunk>) -> Pipe<Chunk> {
        let permits = self.permits.unwrap_or_else(|| pipe.hands()).max(1);
        let cutter = Cutter::new(self.with, self.header_limit);
        pipe.serial(Unarmor::default()).serial(cutter).mark(permits + 1).spread(Open, permits)
    }
}

/// Reads the header and gathers four pieces at a time.
struct Cutter {
    with: Identities,
    header_limit: usize,
    header: Vec<u8>,
    /// Where the line of the header begins that is not whole yet.
    line: usize,
    key: Option<Arc<PayloadKey>>,
    buffers: Buffers,
    /// What came and is not cut yet.
    input: Chunk,
    pieces: Chunk,
    next: u64,
    /// Bytes in front of the payload.
    header_bytes: u64,
    /// Bytes that came.
    taken: u64,
}

impl Cutter {
    fn new(with: Identities, header_limit: usize) -> Cutter {
        Cutter {
            with,
            header_limit,
            header: Vec::new(),
            line: 0,
            key: None,
            buffers: Buffers::new(SEALED_JOB_BYTES, IDLE_BUFFERS),
            input: Chunk::default(),
            pieces: Chunk::default(),
            next: 0,
            header_bytes: 0,
            taken: 0,
        }
    }

    /// Takes the header and the salt behind it off the input.
    fn read_header(&mut self) -> Result<Option<Arc<PayloadKey>>, DecodeError> {
        let before = self.header.len();
        let most = (self.header_limit + SALT_BYTES + 1).saturating_sub(before);
        self.header.extend_from_slice(&self.input[..self.input.len().min(most)]);
        let end = match header::find_end(&self.header, &mut self.line)? {
            Found::End(end) if end <= self.header_limit => end,
            Found::Nothing if self.header.len() <= self.header_limit => {
                self.input = Chunk::default();
                return Ok(None);
            }
            Found::End(_) | Found::Nothing => {
                let what = format!("its header is larger than the limit of {} bytes", self.header_limit);
                return Err(DecodeError::malformed(FORMAT, self.header_limit as u64, what));
            }
        };
        if self.header.len() < end + SALT_BYTES {
            self.input = Chunk::default();
            return Ok(None);
        }
        self.header.truncate(end + SALT_BYTES);
        self.input.advance(end + SALT_BYTES - before);
        let key = header::open(&self.header, &self.with)?;
        self.header_bytes = std::mem::take(&mut self.header).len() as u64;
        Ok(Some(Arc::new(key)))
    }

    fn cut(&mut self, out: &mut Outlet<'_, Job>) -> Result<Flow, Cause> {
        let key = match &self.key {
            Some(key) => key.clone(),
            None => match self.read_header()? {
                Some(key) => self.key.insert(key).clone(),
                None => return Ok(Flow::Next),
            },
        };
        while !self.input.is_empty() {
            if self.pieces.len() == SEALED_JOB_BYTES {
                if out.is_full() {
                    return Ok(Flow::Again);
                }
                self.give(&key, false, out);
            }
            if self.pieces.is_empty() {
                self.pieces = self.buffers.take();
            }
            let fits = self.input.len().min(SEALED_JOB_BYTES - self.pieces.len());
            self.pieces.append(&self.input[..fits]);
            self.input.advance(fits);
        }
        self.input = Chunk::default();
        Ok(Flow::Next)
    }

    fn give(&mut self, key: &Arc<PayloadKey>, is_last: bool, out: &mut Outlet<'_, Job>) {
        let pieces = std::mem::take(&mut self.pieces);
        let first = self.next;
        let offset = self.header_bytes + first * SEALED_PIECE_BYTES as u64;
        self.next += pieces.len().div_ceil(SEALED_PIECE_BYTES) as u64;
        out.push(Job { key: key.clone(), first, offset, is_last, pieces, header: None });
    }
}

impl Transform for Cutter {
    type In = Chunk;
    type Out = Job;

    fn name(&self) -> Cow<'static, str> {
        NAME.into()
    }

    fn transform(&mut self, input: Chunk, out: &mut Outlet<'_, Job>) -> Result<Flow, Cause> {
        self.taken += input.len() as u64;
        self.input = input;
        self.cut(out)
    }

    fn resume(&mut self, out: &mut Outlet<'_, Job>) -> Result<Flow, Cause> {
        self.cut(out)
    }

    fn flush(&mut self, out: &mut Outlet<'_, Job>) -> Result<Flow, Cause> {
        let truncated = DecodeError::Truncated { format: FORMAT, offset: self.taken };
        let Some(key) = self.key.clone() else { return Err(truncated.into()) };
        match self.pieces.len() % SEALED_PIECE_BYTES {
            // Nothing behind the header, or a tag that is not whole.
            0 if self.pieces.is_empty() => return Err(truncated.into()),
            1..TAG_BYTES => return Err(truncated.into()),
            TAG_BYTES if self.next > 0 || self.pieces.len() > TAG_BYTES => {
                let offset = self.taken - TAG_BYTES as u64;
                return Err(DecodeError::malformed(FORMAT, offset, "its last chunk is empty").into());
            }
            _ => self.give(&key, true, out),
        }
        Ok(Flow::Next)
    }
}

struct Open;

impl ParallelTransform for Open {
    type In = Job;
    type Out = Chunk;

    fn name(&self) -> Cow<'static, str> {
        NAME.into()
    }

    fn apply(&self, _: u64, job: Job, out: &mut Outlet<'_, Chunk>) -> Result<(), Cause> {
        let Job { key, first, offset, is_last, mut pieces, .. } = job;
        let count = pieces.len().div_ceil(SEALED_PIECE_BYTES);
        let mut opened_bytes = 0;
        for (index, number) in (0..count).zip(first..) {
            let is_last = is_last && index + 1 == count;
            let end = pieces.len().min((index + 1) * SEALED_PIECE_BYTES);
            let bytes = &mut pieces[opened_bytes..end];
            // Each one moves to the end of what is open already, over the tags of those in front of it.
            let shift = index * TAG_BYTES;
            let is_whole = bytes.len() - shift == SEALED_PIECE_BYTES;
            let sealed = (is_last && is_whole).then(|| bytes[shift..].to_vec());
            if key.open(number, is_last, bytes, shift).is_err() {
                // A piece in the middle of a file, which ends behind it.
                let is_cut = sealed.is_some_and(|mut sealed| key.open(number, false, &mut sealed, 0).is_ok());
                return Err(if is_cut {
                    DecodeError::Truncated { format: FORMAT, offset: offset + end as u64 }
                } else {
                    DecodeError::Tampered { format: FORMAT, chunk: number }
                }
                .into());
            }
            opened_bytes += bytes.len() - shift - TAG_BYTES;
            debug_assert!(is_last || opened_bytes == (index + 1) * PIECE_BYTES);
        }
        pieces.truncate(opened_bytes);
        out.push(pieces);
        Ok(())
    }
}
