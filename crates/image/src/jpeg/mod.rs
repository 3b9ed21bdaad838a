//! The scaled JPEG decoder: it decodes only what the target size needs, into planes of luma and chroma (or whatever the file holds).
//!
//! ```text
//! bytes ─ segments ─ header ──────────────▶ Frame, Marks            (probe: nothing is allocated)
//!            └ scan index (markers alone) ─▶ truncated? too many scans? which of them matter?
//!                 └ intervals (between restart markers) ─ bits ─ huffman ─┬─ baseline ──────────────────┬─ idct ─▶ a Plane for each
//!                                                                         └─ progressive, bands ─ store ┘          component, at N/8
//! ```
//!
//! [`Decoder`] is the way in; [`process`](crate::process()) uses the parts behind it.
//!
//! # What it reads
//!
//! Baseline, extended sequential and progressive files with Huffman codes and 8 bits a sample; 1, 3 or 4 components with any sampling factors
//! from 1 to 4, also those whose ratio is no whole number (libjpeg refuses these); interleaved or not; restart markers.
//!
//! One thread decodes, unless [`Decoder::threads`] allows more: then restart intervals of a large baseline file are decoded side by side.
//!
//! # What it does not do
//!
//! Arithmetic coding, lossless and hierarchical files, 12 bits, a height that comes only at the end (DNL): [`Error::Unsupported`](crate::Error).
//! It does not convert colours and does not bring chroma to the size of luma: planes are what a resizer wants.

mod bands;
mod baseline;
mod bits;
mod damage;
mod decode;
mod decoder;
mod header;
mod huffman;
mod idct;
mod intervals;
mod plane;
mod progressive;
mod scan;
mod segments;
mod side_by_side;
mod simd;
mod store;
mod tables;

pub(crate) use decode::{Job, decode};
pub(crate) use header::{JpegHeader, read_header};
pub(crate) use idct::{POSITION, SCALES};
pub(crate) use plane::{coefficient_bytes, plane_bytes};
pub(crate) use segments::color_model;
pub(crate) use side_by_side::hand_bytes;

pub use damage::{Damage, Warning};
pub use decoder::{Component, Decoder, Info, Planes, Scale};
pub use plane::Plane;
pub use progressive::Refinement;
pub use segments::ColorModel;
