//! gzip on all cores: [`gzip()`] and [`gunzip()`].
//!
//! ```text
//!   bytes ─► cut into blocks ─► each a member by libdeflate, side by side ─► gzip          (any gzip reads it)
//!   gzip  ─► members that say their size, cut off ─► inflated side by side ─┐
//!            all else, as it came ──────────────────────────────────────────┴► inflated as a stream ─► bytes
//! ```

mod cut;
mod header;
mod inflate;
mod pack;
mod unpack;

use libdeflater::CompressionLvl;

use self::cut::Cut;
use self::inflate::Inflate;
use self::pack::Pack;
use self::unpack::Unpack;
use crate::blocks::{Blocks, Idle};
use crate::{Chunk, Limits, Pipe, Stage};

/// For errors.
const FORMAT: &str = "gzip";
/// What `gzip` takes without being told.
const LEVEL: u32 = 6;
const LEVELS: std::ops::RangeInclusive<u32> = 0..=12;
/// Measured at level 6 on lines of JSON and on source code: 256 KiB cost up to 1.2 % of size and become larger than what pigz
/// makes of the code, 2 MiB gain 0.2 %; the speed is the same from 128 KiB to 2 MiB.
const BLOCK_BYTES: usize = 1 << 20;
const BLOCKS_BYTES: std::ops::RangeInclusive<usize> = 16 << 10..=3 << 20;
/// Contents that lie idle for use again, beside those on their way.
const IDLE_CONTENTS: usize = 4;

/// Packs as gzip, in blocks of 1 MiB on all threads of the pipeline. Every gzip reads it; [`gunzip()`], mgzip and pgzip
/// read it in parallel.
///
/// ```
/// use phalanx_stream::{Chunk, Source, gunzip, gzip, pipeline};
///
/// let text = "to and fro ".repeat(1000);
/// let packed = pipeline(Source::iter([Chunk::from(&*text)])).through(gzip().level(9)).collect_blocking()?;
/// assert!(packed[0].len() < 200);
/// let unpacked = pipeline(Source::iter(packed)).through(gunzip()).collect_blocking()?;
/// assert_eq!(*unpacked[0], *text.as_bytes());
/// # Ok::<(), phalanx_stream::Error>(())
/// ```
pub fn gzip() -> Gzip {
    Gzip { level: LEVEL, block_bytes: BLOCK_BYTES, permits: None }
}

/// Packs as gzip: see [`gzip()`].
#[derive(Debug, Clone)]
#[must_use = "a stage does nothing before a pipeline goes through it"]
pub struct Gzip {
    level: u32,
    block_bytes: usize,
    permits: Option<usize>,
}

impl Gzip {
    /// From 0 (not packed) and 1 (fast) to 12 (small); a higher one is taken for 12. Default: 6.
    pub fn level(mut self, level: u32) -> Gzip {
        self.level = level.min(*LEVELS.end());
        self
    }

    /// How much is packed by itself, from 16 KiB to 3 MiB. Default: 1 MiB. Smaller blocks cost size, larger ones memory: for
    /// each thread about three of them.
    pub fn block(mut self, bytes: usize) -> Gzip {
        self.block_bytes = bytes.clamp(*BLOCKS_BYTES.start(), *BLOCKS_BYTES.end());
        self
    }

    /// So many blocks at a time. Default: as many as the pipeline has threads.
    pub fn parallel(mut self, permits: usize) -> Gzip {
        self.permits = Some(permits.max(1));
        self
    }
}

impl Stage for Gzip {
    type In = Chunk;
    type Out = Chunk;

    fn attach(self, pipe: Pipe<Chunk>) -> Pipe<Chunk> {
        let permits = self.permits.unwrap_or(pipe.hands());
        let level = i32::try_from(self.level).ok().and_then(|level| CompressionLvl::new(level).ok());
        let pack = Pack { level: level.unwrap_or_default(), idle: Idle::new() };
        pipe.serial(Blocks::new("gzip", self.block_bytes)).mark(permits).spread(pack, permits)
    }
}

/// Unpacks gzip, of whatever origin: also many members, one after the other. Members that say their size (those of
/// [`gzip()`], of bgzip, mgzip and pgzip) are unpacked in parallel, up to 4 MiB each; all else as a stream.
///
/// All checksums are checked. Zeros behind the end are ignored, as `gzip` does; other things behind it are an error (where
/// `gzip` gives a warning), as they may be a damaged member. What [`gzip()`] wrote is also known to be truncated if it ends
/// between two members, which the format itself does not show.
///
/// Errors: [`DecodeError`](crate::DecodeError).
pub fn gunzip() -> Gunzip {
    Gunzip { limits: Limits::default(), permits: None }
}

/// Unpacks gzip: see [`gunzip()`].
#[derive(Debug, Clone)]
#[must_use = "a stage does nothing before a pipeline goes through it"]
pub struct Gunzip {
    limits: Limits,
    permits: Option<usize>,
}

impl Gunzip {
    /// How much may come out. Default: no limit.
    pub fn limit(mut self, limits: Limits) -> Gunzip {
        self.limits = limits;
        self
    }

    /// So many members at a time. Default: as many as the pipeline has threads.
    pub fn parallel(mut self, permits: usize) -> Gunzip {
        self.permits = Some(permits.max(1));
        self
    }
}

impl Stage for Gunzip {
    type In = Chunk;
    type Out = Chunk;

    fn attach(self, pipe: Pipe<Chunk>) -> Pipe<Chunk> {
        let permits = self.permits.unwrap_or(pipe.hands());
        let unpack = Unpack::new(BLOCK_BYTES, IDLE_CONTENTS);
        let pipe = pipe.serial(Cut::default()).mark(permits);
        pipe.spread(unpack, permits).mark(permits).serial(Inflate::new(self.limits))
    }
}
