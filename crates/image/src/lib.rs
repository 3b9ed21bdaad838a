//! Decode, resize and encode pictures: safely, fast, and within bounds that are known before the first byte is decoded.
//!
//! Made for servers that take uploads from strangers. A job is three steps, and only the last one costs anything:
//!
//! ```text
//!  bytes ── probe ──▶ Header ── plan ──▶ Plan ── process ──▶ Picture
//!           │                   │                 │
//!           header only,        exact sizes,      decode ─▶ resize ─▶ turn ─▶ sRGB ─▶ encode
//!           no allocation       memory and CPU    (a JPEG is decoded at N/8 of its size and stays
//!                               estimate, limits   luma and chroma planes all the way)
//! ```
//!
//! ```
//! use phalanx_image::{Fit, Limits, Output, Quality, Scratch, Transform, plan, probe, process};
//!
//! let upload = phalanx_image::sample_jpeg(1600, 1200);
//!
//! let header = probe(&upload)?;
//! let avatar = Transform::default().width(256).height(256).fit(Fit::Cover).output(Output::Jpeg { quality: Quality::new(75)? });
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
//!   first frame. **Out:** JPEG, PNG, lossy WebP (feature `webp-encode`, on by default).
//! - The picture comes out upright (EXIF), in sRGB (ICC profiles are converted), without any metadata.
//! - Fits are sharp's, to the pixel.
//! - A file that is cut or lies about itself is an [`Error::Damaged`], never half a picture and never a panic: a panic of a third-party decoder
//!   ends at [`process`].
//! - Limits hold before memory is taken ([`Limits`]); [`Plan::estimated_bytes`] is an upper bound.
//! - The same input gives the same output, on every machine of an architecture, whatever the [`Scratch`] did before.
//! - No `unsafe` in this crate.
//! - With the feature `serde`, wishes, limits, timings and errors can be sent to another process, which then does the work.
//!
//! # What it does not do
//!
//! AVIF, HEIF, SVG, TIFF and PDF; animations as such; lossless JPEG transforms; arithmetic-coded, lossless and 12-bit JPEG; colour management
//! other than to sRGB. It spawns no thread: run it on a pool.

#![forbid(unsafe_code)]

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
mod plan;
mod png;
mod probe;
mod process;
mod raster;
mod resize;
mod sample;
mod scratch;
mod transform;
mod webp;

pub use error::Error;
pub use fit::{Enlarge, Fit};
pub use format::Format;
pub use limits::Limits;
pub use orientation::Orientation;
pub use plan::{Plan, plan};
pub use probe::{ColorKind, Header, probe};
pub use process::{Picture, Timings, Warning, process};
pub use sample::sample_jpeg;
pub use scratch::{SCRATCH_ACCOUNT, SCRATCH_KEEPS_BYTES, Scratch};
pub use transform::{Background, Output, Quality, Rotate, Transform};

/// Makes a JPEG of at most `width` px, quality 80, never enlarged, with the default [`Limits`]: the three steps in one, for scripts and tests.
///
/// # Errors
/// As of [`probe`], [`plan`] and [`process`].
///
/// ```
/// let photo = phalanx_image::sample_jpeg(1600, 1200);
/// let small = phalanx_image::thumbnail(&photo, 320)?;
/// assert_eq!((small.width, small.height), (320, 240));
/// # Ok::<(), phalanx_image::Error>(())
/// ```
pub fn thumbnail(bytes: &[u8], width: u32) -> Result<Picture, Error> {
    let plan = plan(&probe(bytes)?, &Transform::default().width(width), &Limits::default())?;
    process(bytes, &plan, &mut Scratch::new(), &|| false)
}
