//! zstd on all cores: [`zstd()`] and [`unzstd()`].
//!
//! ```text
//!   bytes ─► cut into blocks ─► each a frame of its own, side by side ─► zstd              (any zstd reads it)
//!   zstd  ─► frames cut off by the heads of their blocks ─► unpacked side by side ─┐
//!            parts of large ones ──────────────────────────────────────────────────┴► as a stream ─► bytes
//! ```

mod cut;
mod header;
mod pack;
mod unpack;

use self::cut::Cut;
use self::pack::Pack;
use self::unpack::{Stream, Unpack};
use crate::blocks::{Blocks, Idle};
use crate::{Chunk, Limits, Pipe, Stage};

/// For errors.
const FORMAT: &str = "zstd";
/// What `zstd` takes without being told.
const LEVEL: i32 = 3;
const LEVELS: std::ops::RangeInclusive<i32> = -7..=22;
/// Measured at level 3: on lines of JSON smaller than one frame of `zstd -T2` from 512 KiB on; on source code, which repeats
/// itself over megabytes, 1 MiB costs 18 % of size, 2 MiB 7 %, 4 MiB 2 %. Speed falls by a tenth from 1 to 4 MiB.
const BLOCK_BYTES: usize = 2 << 20;
const BLOCKS_BYTES: std::ops::RangeInclusive<usize> = 16 << 10..=8 << 20;
/// As `zstd` allows without being told: 128 MiB.
const MOST_WINDOW_LOG: u32 = 27;
const WINDOW_LOGS: std::ops::RangeInclusive<u32> = 10..=31;
/// Contents that lie idle for use again, beside those on their way.
const IDLE_CONTENTS: usize = 4;

/// Packs as zstd, in frames of 2 MiB of content on all threads of the pipeline, with checksums. Every zstd reads it;
/// [`unzstd()`] reads it in parallel.
///
/// ```
/// use phalanx_stream::{Chunk, Source, pipeline, unzstd, zstd};
///
/// let text = "to and fro ".repeat(1000);
/// let packed = pipeline(Source::iter([Chunk::from(&*text)])).through(zstd().level(9)).collect_blocking()?;
/// assert!(packed[0].len() < 100);
/// let unpacked = pipeline(Source::iter(packed)).through(unzstd()).collect_blocking()?;
/// assert_eq!(*unpacked[0], *text.as_bytes());
/// # Ok::<(), phalanx_stream::Error>(())
/// ```
pub fn zstd() -> Zstd {
    Zstd { level: LEVEL, block_bytes: None, permits: None }
}

/// Packs as zstd: see [`zstd()`].
#[derive(Debug, Clone)]
#[must_use = "a stage does nothing before a pipeline goes through it"]
pub struct Zstd {
    level: i32,
    block_bytes: Option<usize>,
    permits: Option<usize>,
}

impl Zstd {
    /// From -7 (fastest) to 22 (smallest); what lies outside is taken for the nearest. Default: 3.
    ///
    /// Each thread needs, beside its blocks: 1 MiB at level 3, 3 at 6, 11 at 9, 41 at 12, 66 at 15, 83 at 19, 132 at 22.
    pub fn level(mut self, level: i32) -> Zstd {
        self.level = level.clamp(*LEVELS.start(), *LEVELS.end());
        self
    }

    /// How much is packed by itself, from 16 KiB to 8 MiB. Default: 2 MiB; 4 MiB from level 10, 8 MiB from level 16. Smaller
    /// blocks cost size, larger ones memory: for each thread about three of them.
    pub fn block(mut self, bytes: usize) -> Zstd {
        self.block_bytes = Some(bytes.clamp(*BLOCKS_BYTES.start(), *BLOCKS_BYTES.end()));
        self
    }

    /// So many blocks at a time. Default: as many as the pipeline has threads.
    pub fn parallel(mut self, permits: usize) -> Zstd {
        self.permits = Some(permits.max(1));
        self
    }
}

impl Stage for Zstd {
    type In = Chunk;
    type Out = Chunk;

    fn attach(self, pipe: Pipe<Chunk>) -> Pipe<Chunk> {
        let permits = self.permits.unwrap_or(pipe.hands());
        let by_level = match self.level {
            ..10 => BLOCK_BYTES,
            10..16 => 2 * BLOCK_BYTES,
            16.. => 4 * BLOCK_BYTES,
        };
        let blocks = Blocks::new("zstd", self.block_bytes.unwrap_or(by_level));
        pipe.serial(blocks).mark(permits).spread(Pack { level: self.level, idle: Idle::new() }, permits)
    }
}

/// Unpacks zstd, of whatever origin: also many frames, one after the other, and such that are to be skipped. Frames of up to
/// 8 MiB are unpacked in parallel, larger ones as a stream.
///
/// Checksums are checked. What needs a dictionary, or a window of more than 128 MiB (`zstd --long=28` and above), is refused.
/// What [`zstd()`] wrote is also known to be truncated if it ends between two frames (but for the first two), which the
/// format itself does not show.
///
/// Errors: [`DecodeError`](crate::DecodeError).
pub fn unzstd() -> Unzstd {
    Unzstd { limits: Limits::default(), most_window_log: MOST_WINDOW_LOG, permits: None }
}

/// Unpacks zstd: see [`unzstd()`].
#[derive(Debug, Clone)]
#[must_use = "a stage does nothing before a pipeline goes through it"]
pub struct Unzstd {
    limits: Limits,
    most_window_log: u32,
    permits: Option<usize>,
}

impl Unzstd {
    /// How much may come out. Default: no limit.
    pub fn limit(mut self, limits: Limits) -> Unzstd {
        self.limits = limits;
        self
    }

    /// The largest window that is accepted, as a power of two from 10 to 31: a stream takes so much memory. Default: 27, which
    /// is 128 MiB; RFC 9659 wants no more than 23 (8 MiB) on the web.
    pub fn window(mut self, log2: u32) -> Unzstd {
        self.most_window_log = log2.clamp(*WINDOW_LOGS.start(), *WINDOW_LOGS.end());
        self
    }

    /// So many frames at a time. Default: as many as the pipeline has threads.
    pub fn parallel(mut self, permits: usize) -> Unzstd {
        self.permits = Some(permits.max(1));
        self
    }
}

impl Stage for Unzstd {
    type In = Chunk;
    type Out = Chunk;

    fn attach(self, pipe: Pipe<Chunk>) -> Pipe<Chunk> {
        let permits = self.permits.unwrap_or(pipe.hands());
        let pipe = pipe.serial(Cut::new(self.most_window_log)).mark(permits);
        let pipe = pipe.spread(Unpack::new(BLOCK_BYTES), permits).mark(permits);
        pipe.serial(Stream::new(self.limits, self.most_window_log))
    }
}
