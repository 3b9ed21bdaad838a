//! Pixels to files. Metadata is never written.

mod jpeg;
mod png;
#[cfg(feature = "webp-encode")]
mod webp;

pub(crate) use jpeg::{Chroma, Planar, encode as jpeg, planar_from_pixels};
pub(crate) use png::encode as png;
#[cfg(feature = "webp-encode")]
pub(crate) use webp::encode as webp;

/// Without the encoder, asking for WebP is a clear error.
#[cfg(not(feature = "webp-encode"))]
pub(crate) fn webp(_: &crate::raster::Raster, _: crate::WebP) -> Result<Vec<u8>, crate::Error> {
    Err(crate::Error::unsupported("WebP output in a build without the feature `webp-encode`"))
}
