//! [`encrypt()`]: cuts into pieces, seals them in parallel.

use std::borrow::Cow;
use std::sync::Arc;

use super::armor::Armor;
use super::header;
use super::keys::Recipients;
use super::payload::{IDLE_BUFFERS, JOB_BYTES, Job, PIECE_BYTES, PayloadKey, SEALED_JOB_BYTES, TAG_BYTES};
use crate::{Buffers, Cause, Chunk, Flow, Outlet, ParallelTransform, Pipe, Stage, Transform};

const NAME: &str = "encrypt";

/// Encrypts in the age format, on all threads of the pipeline: readable by [`decrypt`](crate::decrypt()), `age`, `rage`.
///
/// Up to 256 KiB are held back until more comes or the input ends, because the last piece is marked.
///
/// ```
/// use phalanx_stream::{Identity, decrypt, encrypt, through};
///
/// let identity = Identity::generate();
/// let secret = through(encrypt(identity.recipient()), vec![b"hello".to_vec()])?;
/// assert_eq!(through(decrypt(identity), vec![secret])?, b"hello");
/// # Ok::<(), phalanx_stream::Error>(())
/// ```
pub fn encrypt(to: impl Into<Recipients>) -> Encrypt {
    Encrypt { to: to.into(), permits: None, is_armored: false }
}

/// Encrypts: see [`encrypt()`].
#[must_use]
pub struct Encrypt {
    to: Recipients,
    permits: Option<usize>,
    is_armored: bool,
}

impl Encrypt {
    /// How many threads seal at a time. Default: those of the pipeline.
    pub fn parallel(mut self, permits: usize) -> Encrypt {
        self.permits = Some(permits);
        self
    }

    /// Gives lines of text instead of bytes, a third larger: for mails and configuration files.
    pub fn armor(mut self) -> Encrypt {
        self.is_armored = true;
        self
    }
}

impl Stage for Encrypt {
    type In = Chunk;
    type Out = Chunk;

    fn attach(self, pipe: Pipe<Chunk>) -> Pipe<Chunk> {
        let permits = self.permits.unwrap_or_else(|| pipe.hands()).max(1);
        let sealed = pipe
            .serial(Cutter::new(self.to))
            .mark(permits + 1)
            .spread(Seal { buffers: Buffers::new(SEALED_JOB_BYTES, IDLE_BUFFERS) }, permits);
        if self.is_armored { sealed.serial(Armor::default()) } else { sealed }
    }
}

/// Gathers four pieces at a time; a chunk that is just that goes on as it is.
struct Cutter {
    to: Recipients,
    buffers: Buffers,
    key: Option<Arc<PayloadKey>>,
    header: Option<Chunk>,
    /// What came and is not cut yet.
    input: Chunk,
    pieces: Chunk,
    next: u64,
}

impl Cutter {
    fn new(to: Recipients) -> Cutter {
        Cutter {
            to,
            buffers: Buffers::new(JOB_BYTES, IDLE_BUFFERS),
            key: None,
            header: None,
            input: Chunk::default(),
            pieces: Chunk::default(),
            next: 0,
        }
    }

    /// The key of this file. The first time it is made, and the header with it: a passphrase takes about a second.
    fn key(&mut self) -> Result<Arc<PayloadKey>, Cause> {
        if let Some(key) = &self.key {
            return Ok(key.clone());
        }
        let (header, key) = header::seal(&self.to)?;
        self.header = Some(Chunk::from(header));
        Ok(self.key.insert(Arc::new(key)).clone())
    }

    fn cut(&mut self, out: &mut Outlet<'_, Job>) -> Result<Flow, Cause> {
        while !self.input.is_empty() {
            if self.pieces.len() == JOB_BYTES {
                if out.is_full() {
                    return Ok(Flow::Again);
                }
                self.give(false, out)?;
            }
            if self.pieces.is_empty() {
                if self.input.len() == JOB_BYTES {
                    self.pieces = std::mem::take(&mut self.input);
                    break;
                }
                self.pieces = self.buffers.take();
            }
            let fits = self.input.len().min(JOB_BYTES - self.pieces.len());
            self.pieces.append(&self.input[..fits]);
            self.input.advance(fits);
        }
        self.input = Chunk::default();
        Ok(Flow::Next)
    }

    fn give(&mut self, is_last: bool, out: &mut Outlet<'_, Job>) -> Result<(), Cause> {
        let key = self.key()?;
        let pieces = std::mem::take(&mut self.pieces);
        let first = self.next;
        self.next += pieces.len().div_ceil(PIECE_BYTES) as u64;
        out.push(Job { key, first, offset: 0, is_last, pieces, header: self.header.take() });
        Ok(())
    }
}

impl Transform for Cutter {
    type In = Chunk;
    type Out = Job;

    fn name(&self) -> Cow<'static, str> {
        NAME.into()
    }

    fn transform(&mut self, input: Chunk, out: &mut Outlet<'_, Job>) -> Result<Flow, Cause> {
        self.input = input;
        self.cut(out)
    }

    fn resume(&mut self, out: &mut Outlet<'_, Job>) -> Result<Flow, Cause> {
        self.cut(out)
    }

    /// What is left has the last piece, also if nothing came.
    fn flush(&mut self, out: &mut Outlet<'_, Job>) -> Result<Flow, Cause> {
        self.give(true, out)?;
        Ok(Flow::Next)
    }
}

/// Seals each piece where it is to stand, with its tag behind it.
struct Seal {
    buffers: Buffers,
}

impl ParallelTransform for Seal {
    type In = Job;
    type Out = Chunk;

    fn name(&self) -> Cow<'static, str> {
        NAME.into()
    }

    fn apply(&self, _: u64, job: Job, out: &mut Outlet<'_, Chunk>) -> Result<(), Cause> {
        let Job { key, first, is_last, pieces, header, .. } = job;
        if let Some(header) = header {
            out.push(header);
        }
        let count = pieces.len().div_ceil(PIECE_BYTES).max(1);
        let mut sealed = self.buffers.take();
        for (index, number) in (0..count).zip(first..) {
            let plain = &pieces[index * PIECE_BYTES..pieces.len().min((index + 1) * PIECE_BYTES)];
            let begin = sealed.len();
            sealed.append(plain);
            sealed.filled(TAG_BYTES);
            let is_last = is_last && index + 1 == count;
            key.seal(number, is_last, &mut sealed[begin..]).map_err(|_| "a chunk could not be sealed")?;
        }
        out.push(sealed);
        Ok(())
    }
}
