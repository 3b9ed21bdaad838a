//! What a picture may cost. Checked against the header, before anything is allocated.

use std::num::NonZero;

/// Bytes in a mebibyte.
const MEBIBYTE: u64 = 1024 * 1024;

/// The bounds that [`plan`](crate::plan()) enforces. [`Limits::default`] suits a server that takes uploads from strangers.
///
/// ```
/// use phalanx_image::Limits;
///
/// let limits = Limits { source_pixels: 100_000_000, ..Limits::default() };
/// assert_eq!(limits.source_side, 16_384);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Limits {
    /// Pixels of the source, width × height. Default 50 000 000 (imgproxy has the same; sharp allows 268 million).
    pub source_pixels: u64,
    /// Longest side of the source in pixels. Default 16 384.
    pub source_side: u32,
    /// Pixels of the output. Default 32 000 000.
    pub output_pixels: u64,
    /// Longest side of the output in pixels. Default 8 192.
    pub output_side: u32,
    /// Working memory of one job in bytes, as estimated from the header. Default 512 MiB.
    pub job_bytes: u64,
    /// Memory that the PNG, WebP and GIF decoders may take in bytes, besides the pixels. Default 64 MiB.
    pub decoder_bytes: u64,
    /// Scans of a progressive JPEG (each costs a walk over the whole picture). Default 100.
    pub jpeg_scans: u32,
    /// Threads that may work on one picture side by side, the caller's included. Default 1: a server has other pictures for its other cores.
    ///
    /// More than one are used for a large baseline JPEG with restart markers; they are made for it and end with it. They change no picture.
    /// Leave it at 1 where threads are forbidden or have no core to run on, as in a sandboxed job process.
    pub threads: NonZero<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            source_pixels: 50_000_000,
            source_side: 16_384,
            output_pixels: 32_000_000,
            output_side: 8_192,
            job_bytes: 512 * MEBIBYTE,
            decoder_bytes: 64 * MEBIBYTE,
            jpeg_scans: 100,
            threads: NonZero::<usize>::MIN,
        }
    }
}
