//! The scaled JPEG decoder: it decodes only what the target size needs, into planes of luma and chroma (or whatever the file holds).
//!
//! ```text
//! bytes ─ segments ─ header ──────────────▶ Frame, Marks            (probe: nothing is allocated)
//!            └ scan index (markers alone) ─▶ truncated? too many scans? which of them matter?
//!                 └ bits ─ huffman ─ baseline / progressive ─ idct ─▶ one Plane a component, at N/8 of its size
//! ```
//!
//! The interface is narrow on purpose: [`read_header`], [`plane_side`] and [`decode`].

mod baseline;
mod bits;
mod decode;
mod header;
mod huffman;
mod idct;
mod plane;
mod progressive;
mod scan;
mod segments;
mod tables;

pub(crate) use decode::{Job, decode};
pub(crate) use header::{JpegHeader, read_header};
pub(crate) use idct::{POSITION, SCALES};
pub(crate) use plane::{Plane, coefficient_bytes, plane_bytes};
pub(crate) use segments::{ColorModel, color_model};
