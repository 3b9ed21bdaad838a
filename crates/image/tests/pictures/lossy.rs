//! A maker of lossy WebP that is there whatever the features of the crate are.

/// By libwebp's own encoder.
pub(crate) fn webp_lossy(pixels: &[u8], width: u32, height: u32, quality: f32) -> Vec<u8> {
    webp::Encoder::from_rgb(pixels, width, height).encode(quality).to_vec()
}
