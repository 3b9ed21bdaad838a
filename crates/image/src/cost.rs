//! What a job costs, from the header alone: an upper bound of its memory and a rough figure for its time.
//!
//! Memory is counted buffer by buffer, as the code of this crate and of its decoders allocates them; `tests/memory.rs` holds it to that.
//! Time is a sum of bytes and pixels times nanoseconds, fitted on one x86-64 core of 2023.

use std::time::Duration;

use crate::color::MOST_PROFILE_BYTES;
use crate::encode::Chroma;
use crate::jpeg::ColorModel;
use crate::output::Effort;
use crate::probe::{ColorKind, Detail};
use crate::resize::Density;
use crate::{Format, Output, Plan, jpeg, pixels, png, webp};

/// What a job allocates whatever its size: tables, file headers, window and code buffers of the decoders. Bytes.
const FIXED_BYTES: u64 = 2 * 1024 * 1024;
/// The same for a JPEG that stays planes: the tables of both codes and of the resize.
const FIXED_PLANAR_BYTES: u64 = 768 * 1024;
/// Tables of a colour transform, in bytes; the profile itself is counted by its size.
const ICC_TABLES_BYTES: u64 = 4 * 1024 * 1024;
/// The profile as it is put together, unpacked and parsed: its size times this.
const ICC_COPIES: u64 = 8;

/// Upper bound of the working memory in bytes.
pub(crate) fn estimated_bytes(plan: &Plan) -> u64 {
    let header = &plan.header;
    let geometry = &plan.geometry;
    let pixels = header.pixels();
    let resized = u64::from(geometry.size.0) * u64::from(geometry.size.1);
    let canvas = u64::from(plan.width) * u64::from(plan.height);
    let (decode, channels) = match &header.detail {
        Detail::Jpeg(jpeg) => {
            let file_bytes = usize::try_from(header.file_bytes).unwrap_or(usize::MAX);
            let planes = jpeg::plane_bytes(&jpeg.frame, &plan.scales)
                + jpeg::coefficient_bytes(&jpeg.frame, &plan.scales)
                + jpeg::hand_bytes(plan.threads, &jpeg.frame, file_bytes);
            (planes, jpeg.frame.components().len() as u64)
        }
        Detail::Lossy(_) => {
            let half = Density::Half { mirrored: geometry.mirrored() };
            let chroma = if stays_planar(plan) && half_chroma(plan) { half } else { Density::Full };
            (webp::working_bytes(plan, chroma), 3)
        }
        &Detail::Pixels { channels, lossless } => {
            let own = pixels::working_bytes(plan);
            let row = u64::from(header.width) * 8;
            let decoder = match header.format {
                // Raw and unfiltered rows, up to 64 bits a pixel.
                Format::Png => row * 4 + png::decoder_limit(header, plan.decoder_bytes),
                // Indices: a row of them, or all if they are interlaced.
                Format::Gif => row + if header.progressive { pixels } else { 0 },
                _ if lossless || header.frames > 1 => pixels * 10,
                // Planes at 1.5 bytes a pixel, padded to macroblocks, and alpha with its own transform.
                _ => pixels * 8 + row * 32 + header.file_bytes,
            };
            (own + decoder, channels as u64)
        }
    };
    let planar = stays_planar(plan);
    let turned = geometry.orientation.swaps_sides();
    let rasters = match (planar, channels) {
        // The planes of the output, and one of them twice while it is turned.
        (true, 1) => resized * if turned { 2 } else { 1 },
        (true, _) => resized * 3 / if half_chroma(plan) { 2 } else { 1 } + if turned { resized } else { 0 },
        // Resized, then interleaved, converted by a profile, turned or put on the canvas.
        _ => resized * channels * 2 + resized * 4 + canvas * 4,
    };
    let coefficients =
        u64::from(geometry.size.0 + geometry.size.1) * 64 + (u64::from(header.width) + u64::from(header.height)) * 32;
    let encode = match plan.output {
        Output::Jpeg(jpeg) => {
            let padded = u64::from(plan.width.next_multiple_of(16)) * u64::from(plan.height.next_multiple_of(16));
            let samples = match (channels, half_chroma(plan)) {
                (1, _) if planar => padded,
                (_, true) => padded * 3 / 2,
                (_, false) => padded * 3,
            };
            // Two bytes a coefficient and a bit, and the file: up to quality 90 steps are so long that noise needs less than a byte a sample.
            let blocks = samples * 2 + samples / 8;
            let file = if half_chroma(plan) { samples } else { samples * 3 / 2 };
            // The small mode does not know beforehand how long its file gets.
            let file = if jpeg.effort == Effort::Small { file * 3 } else { file };
            blocks + file + if planar { 0 } else { samples }
        }
        Output::Png(_) => canvas * 10,
        // libwebp's picture, its working planes and token buffers.
        Output::WebP(_) => canvas * 16,
    };
    let icc = if header.has_icc { ICC_TABLES_BYTES + header.icc_bytes.min(MOST_PROFILE_BYTES) * ICC_COPIES } else { 0 };
    decode + rasters + coefficients + encode + icc + if planar { FIXED_PLANAR_BYTES } else { FIXED_BYTES }
}

/// Whether luma and chroma go from planes to planes for certain: a profile may turn out to need pixels.
fn stays_planar(plan: &Plan) -> bool {
    let is_luma = match &plan.header.detail {
        Detail::Jpeg(header) => {
            matches!(jpeg::color_model(&header.frame, header.marks), ColorModel::Ycc | ColorModel::Grey)
        }
        Detail::Lossy(_) => true,
        Detail::Pixels { .. } => false,
    };
    matches!(plan.output, Output::Jpeg(_)) && is_luma && !plan.header.has_icc && !plan.geometry.has_bars()
}

/// Whether the output stores chroma at half the size.
fn half_chroma(plan: &Plan) -> bool {
    matches!(plan.output, Output::Jpeg(jpeg) if Chroma::for_quality(jpeg.quality) == Chroma::Half)
}

/// Nanoseconds; see the head of the module.
mod nanoseconds {
    pub(super) const JPEG_BYTE: f64 = 8.5;
    pub(super) const JPEG_SAMPLE: f64 = 1.5;
    pub(super) const PROGRESSIVE_BYTE: f64 = 30.0;
    pub(super) const PROGRESSIVE_SOURCE_PIXEL: f64 = 1.0;
    pub(super) const PNG_PIXEL: f64 = 2.5;
    pub(super) const PNG_BYTE: f64 = 3.5;
    pub(super) const LOSSY_PIXEL: f64 = 3.0;
    pub(super) const LOSSY_BYTE: f64 = 60.0;
    pub(super) const WEBP_PIXEL: f64 = 16.0;
    pub(super) const WEBP_BYTE: f64 = 10.0;
    pub(super) const GIF_PIXEL: f64 = 9.0;
    pub(super) const RESIZED_SAMPLE: f64 = 0.6;
    pub(super) const INK_PIXEL: f64 = 12.0;
    pub(super) const JPEG_OUT_PIXEL: f64 = 6.0;
    pub(super) const PNG_OUT_PIXEL: f64 = 14.0;
    pub(super) const WEBP_OUT_PIXEL: f64 = 80.0;
    pub(super) const ANY: f64 = 150_000.0;
}

/// Estimate of the CPU time.
pub(crate) fn estimated_time(plan: &Plan) -> Duration {
    use nanoseconds as ns;
    let header = &plan.header;
    let (bytes, pixels) = (header.file_bytes as f64, header.pixels() as f64);
    let (decode, samples) = match &header.detail {
        Detail::Jpeg(jpeg) => {
            let samples = jpeg::plane_bytes(&jpeg.frame, &plan.scales) as f64;
            let entropy = if jpeg.frame.progressive {
                bytes * ns::PROGRESSIVE_BYTE + pixels * ns::PROGRESSIVE_SOURCE_PIXEL
            } else {
                bytes * ns::JPEG_BYTE
            };
            (entropy + samples * ns::JPEG_SAMPLE, samples)
        }
        Detail::Lossy(_) => (pixels * ns::LOSSY_PIXEL + bytes * ns::LOSSY_BYTE, pixels * 1.5),
        Detail::Pixels { channels, .. } => {
            let decode = match header.format {
                Format::Png => pixels * ns::PNG_PIXEL + bytes * ns::PNG_BYTE,
                Format::Gif => pixels * ns::GIF_PIXEL,
                _ => pixels * ns::WEBP_PIXEL + bytes * ns::WEBP_BYTE,
            };
            (decode, pixels * *channels as f64)
        }
    };
    let canvas = f64::from(plan.width) * f64::from(plan.height);
    let encode = match plan.output {
        Output::Jpeg(_) => ns::JPEG_OUT_PIXEL,
        Output::Png(_) => ns::PNG_OUT_PIXEL,
        Output::WebP(_) => ns::WEBP_OUT_PIXEL,
    };
    let inks = if header.color == ColorKind::Cmyk { canvas * ns::INK_PIXEL } else { 0.0 };
    let total = ns::ANY + decode + samples * ns::RESIZED_SAMPLE + inks + canvas * encode;
    Duration::from_nanos(total as u64)
}
