//! Decode, resize and encode pictures: safely, fast, and within bounds that are known before the first byte is decoded.
//!
//! ```
//! use phalanx_image::{Jpeg, Size, thumbnail};
//!
//! let photo = phalanx_image::sample_jpeg(1600, 1200);
//! let small = thumbnail(&photo, Size::width(800), Jpeg::quality(80))?;
//! assert_eq!((small.width, small.height), (800, 600));
//! # Ok::<(), phalanx_image::Error>(())
//! ```
//!
//! Made for servers that take uploads from strangers. A job is three steps, and only the last one costs anything:
//!
//! ```text
//!  bytes ── probe ──▶ Header ── plan ──▶ Plan ── process ──▶ Picture
//!           │                   │                 │
//!           header only,        exact sizes,      decode ─▶ resize ─▶ turn ─▶ sRGB ─▶ encode
//!           no allocation       memory and CPU    (a JPEG is decoded at N/8 of its size; it and a lossy
//!                               estimate, limits   WebP stay luma and chroma planes all the way)
//! ```
//!
//! ```
//! use phalanx_image::{Jpeg, Limits, Scratch, Size, Transform, plan, probe, process};
//!
//! let upload = phalanx_image::sample_jpeg(1600, 1200);
//!
//! let header = probe(&upload)?;
//! let avatar = Transform::default().size(Size::cover(256, 256)).output(Jpeg::quality(75));
//! let plan = plan(&header, &avatar, &Limits::default())?; // refused here: 413 or 400, before a slot is taken
//! println!("will need at most {} bytes and about {:?}", plan.estimated_bytes, plan.estimated_cost);
//!
//! let mut scratch = Scratch::new(); // one per thread, reused
//! let picture = process(&upload, &plan, &mut scratch, &|| false)?;
//! assert_eq!((picture.width, picture.height), (256, 256));
//! # Ok::<(), phalanx_image::Error>(())
//! ```
//!
//! # What it promises
//!
//! - **In:** JPEG (baseline and progressive; grey, YCbCr, RGB, CMYK, YCCK), PNG (all kinds, 16 bits, interlaced), WebP, GIF; of an animation the
//!   first frame. **Out:** JPEG (also a [small](Jpeg::small) one), PNG, lossy WebP (feature `webp-encode`, on by default).
//! - The picture comes out upright (EXIF), in sRGB (ICC profiles are converted), without any metadata.
//! - Fits are sharp's, to the pixel.
//! - A file that is cut or lies about itself is an [`Error::Damaged`], never half a picture and never a panic: a panic of a third-party decoder
//!   ends at [`process`].
//! - Limits hold before memory is taken ([`Limits`]); [`Plan::estimated_bytes`] is an upper bound.
//! - The same input gives the same output, on every machine of an architecture, whatever the [`Scratch`] did before.
//! - No `unsafe` in this crate but for AVX2 behind a check (`jpeg/simd.rs`, `resize/avx2.rs`, `encode/jpeg/machine.rs`); tests compare it with the same in plain Rust.
//! - With the feature `serde`, wishes, limits, timings and errors can be sent to another process, which then does the work.
//!
//! # What it does not do
//!
//! AVIF and HEIF ([`Error::Unsupported`]: the one AV1 decoder in Rust, `rav1d` 1.1, is reached through unsafe functions of C alone); SVG, TIFF and
//! PDF; animations as such; lossless JPEG transforms; arithmetic-coded, lossless and 12-bit JPEG; colour management
//! other than to sRGB. It spawns no thread unless [`Limits::threads`] allows it: run it on a pool.

#![deny(unsafe_code)]

mod color;
mod cost;
mod encode;
mod error;
mod fit;
mod format;
mod gif;
pub mod jpeg;
mod limits;
mod orientation;
mod output;
mod pixels;
mod plan;
mod png;
mod probe;
mod process;
mod raster;
mod resize;
mod sample;
mod scratch;
mod size;
mod transform;
mod webp;

pub use error::Error;
pub use fit::{Enlarge, Fit};
pub use format::Format;
pub use limits::Limits;
pub use orientation::Orientation;
pub use output::{Jpeg, Output, Png, WebP};
pub use plan::{Plan, plan};
pub use probe::{ColorKind, Header, probe};
pub use process::{Picture, Timings, Warning, process};
pub use sample::sample_jpeg;
pub use scratch::{SCRATCH_ACCOUNT, SCRATCH_KEEPS_BYTES, Scratch};
pub use size::Size;
pub use transform::{Background, Rotate, Transform};

/// Makes a smaller picture, never a larger one, with the default [`Limits`]: the three steps in one, for scripts and tests.
///
/// # Errors
/// As of [`probe`], [`plan`] and [`process`].
///
/// ```
/// use phalanx_image::{Jpeg, Size, thumbnail};
///
/// let photo = phalanx_image::sample_jpeg(1600, 1200);
/// let small = thumbnail(&photo, Size::width(320), Jpeg::quality(80))?;
/// assert_eq!((small.width, small.height), (320, 240));
/// # Ok::<(), phalanx_image::Error>(())
/// ```
pub fn thumbnail(bytes: &[u8], size: Size, output: impl Into<Output>) -> Result<Picture, Error> {
    let plan = plan(&probe(bytes)?, &Transform::default().size(size).output(output), &Limits::default())?;
    process(bytes, &plan, &mut Scratch::new(), &|| false)
}
