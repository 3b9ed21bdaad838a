//! Colour: luma and chroma to RGB and back (JFIF's equations), inks to RGB, and ICC profiles to sRGB.

use moxcms::{ColorProfile, DataColorSpace, Layout, ToneReprCurve, TransformOptions};

use crate::raster::Raster;
use crate::scratch::Buffers;

/// Longest ICC profile that is used, in bytes; those of printers have 0.5 to 3 MiB.
pub(crate) const MOST_PROFILE_BYTES: u64 = 4 * 1024 * 1024;

/// Fraction bits of the fixed-point equations.
const BITS: i32 = 16;
const HALF: i32 = 1 << (BITS - 1);

/// A real factor as fixed point.
const fn fixed(factor: f64) -> i32 {
    (factor * (1 << BITS) as f64 + if factor < 0.0 { -0.5 } else { 0.5 }) as i32
}

/// Luma, blue and red difference of a pixel.
#[inline(always)]
pub(crate) fn rgb_to_ycc([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (r, g, b) = (i32::from(r), i32::from(g), i32::from(b));
    let sum = |factors: [f64; 3], offset: i32| -> u8 {
        let sum = fixed(factors[0]) * r + fixed(factors[1]) * g + fixed(factors[2]) * b + HALF;
        ((sum >> BITS) + offset).clamp(0, 255) as u8
    };
    [
        sum([0.299, 0.587, 0.114], 0),
        sum([-0.168_735_892, -0.331_264_108, 0.5], 128),
        sum([0.5, -0.418_687_589, -0.081_312_411], 128),
    ]
}

/// The pixel of a luma, blue and red difference.
#[inline(always)]
pub(crate) fn ycc_to_rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = ((i32::from(y) << BITS) + HALF, i32::from(cb) - 128, i32::from(cr) - 128);
    let clamp = |value: i32| (value >> BITS).clamp(0, 255) as u8;
    [
        clamp(y + fixed(1.402) * cr),
        clamp(y - fixed(0.344_136_286) * cb - fixed(0.714_136_286) * cr),
        clamp(y + fixed(1.772) * cb),
    ]
}

/// Luma of video: black and white. Chroma: the largest difference to both sides of 128 that a colour has.
const VIDEO_BLACK: f64 = 16.0;
const VIDEO_WHITE: f64 = 235.0;
const VIDEO_CHROMA: f64 = 112.0;
/// What the steps of video are in the full range of 8 bits.
const LUMA_STEP: f64 = 255.0 / (VIDEO_WHITE - VIDEO_BLACK);
const CHROMA_STEP: f64 = 127.5 / VIDEO_CHROMA;

/// Brings planes of luma and chroma from the range of video, in which WebP stores them, to the full range of JPEG.
pub(crate) fn widen_range(planes: &mut [Raster]) {
    let table = |middle: f64, step: f64, target: f64| -> [u8; 256] {
        std::array::from_fn(|value| ((value as f64 - middle) * step + target).round().clamp(0.0, 255.0) as u8)
    };
    let (luma, chroma) = (table(VIDEO_BLACK, LUMA_STEP, 0.0), table(128.0, CHROMA_STEP, 128.0));
    for (index, plane) in planes.iter_mut().enumerate() {
        let table = if index == 0 { &luma } else { &chroma };
        plane.data.iter_mut().for_each(|sample| *sample = table[usize::from(*sample)]);
    }
}

/// The pixel of a luma, blue and red difference in the range of video.
#[inline(always)]
pub(crate) fn video_to_rgb([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let luma = (i32::from(y) - VIDEO_BLACK as i32) * fixed(LUMA_STEP) + HALF;
    let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
    let clamp = |value: i32| (value >> BITS).clamp(0, 255) as u8;
    [
        clamp(luma + fixed(1.402 * CHROMA_STEP) * cr),
        clamp(luma - fixed(0.344_136_286 * CHROMA_STEP) * cb - fixed(0.714_136_286 * CHROMA_STEP) * cr),
        clamp(luma + fixed(1.772 * CHROMA_STEP) * cb),
    ]
}

/// Three planes of luma and chroma to interleaved RGB.
pub(crate) fn rgb_from_ycc(planes: &[Raster], buffers: &mut Buffers) -> Raster {
    interleave::<3>(planes, buffers, |[y, cb, cr]| ycc_to_rgb(y, cb, cr))
}

/// `N` planes to interleaved pixels, each pixel through `convert`.
pub(crate) fn interleave<const N: usize>(
    planes: &[Raster],
    buffers: &mut Buffers,
    convert: impl Fn([u8; N]) -> [u8; N],
) -> Raster {
    let (width, height) = planes.first().map_or((0, 0), |plane| (plane.width, plane.height));
    let mut out = Raster::new(buffers, width, height, N);
    for (index, pixel) in out.data.as_chunks_mut::<N>().0.iter_mut().enumerate() {
        let mut samples = [0; N];
        for (sample, plane) in samples.iter_mut().zip(planes) {
            *sample = plane.data.get(index).copied().unwrap_or_default();
        }
        *pixel = convert(samples);
    }
    out
}

/// Ink amounts (0: none) to RGB without a profile: paper times what each ink lets through.
pub(crate) fn rgb_from_inks(inks: &Raster, buffers: &mut Buffers) -> Raster {
    let mut out = Raster::new(buffers, inks.width, inks.height, 3);
    for (pixel, &[c, m, y, k]) in out.data.as_chunks_mut::<3>().0.iter_mut().zip(inks.data.as_chunks::<4>().0) {
        let paper = 255 - u32::from(k);
        *pixel = [c, m, y].map(|ink| ((255 - u32::from(ink)) * paper + 127).div_euclid(255) as u8);
    }
    out
}

/// An embedded profile, judged.
pub(crate) enum Profile {
    /// None, or one that says what we assume anyway.
    Srgb,
    /// One that needs a conversion.
    Other(Box<ColorProfile>),
    /// It cannot be read; the picture is treated as sRGB.
    Broken,
}

/// Judges the bytes of an ICC profile.
pub(crate) fn judge(icc: &[u8]) -> Profile {
    if icc.len() as u64 > MOST_PROFILE_BYTES {
        return Profile::Broken;
    }
    // Third-party parsing of hostile bytes: a panic there is a broken profile, not a broken picture.
    match std::panic::catch_unwind(|| ColorProfile::new_from_slice(icc)) {
        Ok(Ok(profile)) if is_srgb(&profile) => Profile::Srgb,
        Ok(Ok(profile)) => Profile::Other(Box::new(profile)),
        _ => Profile::Broken,
    }
}

/// Largest difference of a colorant (XYZ) that still counts as the same; profiles round to 1/65536 and differ in adaptation.
const SAME_COLORANT: f64 = 0.002;
/// Largest difference of a tone curve that still counts as the same: half a step of 8 bits.
const SAME_TONE: f64 = 0.002;

fn is_srgb(profile: &ColorProfile) -> bool {
    if profile.color_space != DataColorSpace::Rgb
        || profile.lut_a_to_b_perceptual.is_some()
        || profile.lut_a_to_b_colorimetric.is_some()
    {
        return false;
    }
    let reference = ColorProfile::new_srgb();
    let colorants = [
        (profile.red_colorant, reference.red_colorant),
        (profile.green_colorant, reference.green_colorant),
        (profile.blue_colorant, reference.blue_colorant),
    ];
    let near = |a: f64, b: f64| (a - b).abs() < SAME_COLORANT;
    colorants.iter().all(|(a, b)| near(a.x, b.x) && near(a.y, b.y) && near(a.z, b.z))
        && [&profile.red_trc, &profile.green_trc, &profile.blue_trc]
            .into_iter()
            .all(|curve| curve.as_ref().is_some_and(is_srgb_curve))
}

fn is_srgb_curve(curve: &ToneReprCurve) -> bool {
    (0..=32).all(|step| {
        let x = f64::from(step) / 32.0;
        let expected = if x <= 0.04045 { x / 12.92 } else { ((x + 0.055) / 1.055).powf(2.4) };
        tone(curve, x).is_some_and(|value| (value - expected).abs() < SAME_TONE)
    })
}

/// The value of a tone curve at `x`; `None` for a kind of curve that sRGB is never written as.
fn tone(curve: &ToneReprCurve, x: f64) -> Option<f64> {
    match curve {
        ToneReprCurve::Lut(table) => {
            let last = table.len().checked_sub(1).filter(|&last| last > 0)?;
            let place = x * last as f64;
            let (below, above) = (table.get(place.floor() as usize)?, table.get((place.ceil() as usize).min(last))?);
            let share = place.fract();
            Some((f64::from(*below) * (1.0 - share) + f64::from(*above) * share) / 65535.0)
        }
        ToneReprCurve::Parametric(parameters) => {
            let value = |index: usize| parameters.get(index).copied().map(f64::from);
            let (g, a, b, c, d) = (value(0)?, value(1)?, value(2)?, value(3)?, value(4)?);
            Some(if x >= d { (a * x + b).powf(g) } else { c * x })
        }
    }
}

/// Converts pixels to sRGB: grey stays grey, RGB stays RGB (with or without alpha), inks become RGB. `None` when the profile does not
/// suit the pixels.
pub(crate) fn to_srgb(profile: &ColorProfile, pixels: &Raster, kind: Kind, buffers: &mut Buffers) -> Option<Raster> {
    let (from, to, target, channels) = match (kind, pixels.channels, profile.color_space) {
        (Kind::Inks, 4, DataColorSpace::Cmyk) => (Layout::Rgba, Layout::Rgb, ColorProfile::new_srgb(), 3),
        (Kind::Colors, 1, DataColorSpace::Gray) => (Layout::Gray, Layout::Rgb, ColorProfile::new_srgb(), 3),
        (Kind::Colors, 2, DataColorSpace::Gray) => (Layout::GrayAlpha, Layout::Rgba, ColorProfile::new_srgb(), 4),
        (Kind::Colors, 3, DataColorSpace::Rgb) => (Layout::Rgb, Layout::Rgb, ColorProfile::new_srgb(), 3),
        (Kind::Colors, 4, DataColorSpace::Rgb) => (Layout::Rgba, Layout::Rgba, ColorProfile::new_srgb(), 4),
        _ => return None,
    };
    let mut out = Raster::new(buffers, pixels.width, pixels.height, channels);
    let (source_row, target_row) = (pixels.row_bytes(), out.row_bytes());
    let convert = || -> Option<()> {
        let transform = profile.create_transform_8bit(from, &target, to, TransformOptions::default()).ok()?;
        for (source, target) in pixels.data.chunks_exact(source_row).zip(out.data.chunks_exact_mut(target_row)) {
            transform.transform(source, target).ok()?;
        }
        Some(())
    };
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(convert)) {
        Ok(Some(())) => Some(out),
        _ => {
            buffers.give(out.data);
            None
        }
    }
}

/// What the channels of a raster are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Grey or RGB, perhaps with alpha.
    Colors,
    /// Cyan, magenta, yellow, black.
    Inks,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_survive_the_way_through_luma_and_chroma() {
        for r in (0..=255).step_by(15) {
            for g in (0..=255).step_by(15) {
                for b in (0..=255).step_by(15) {
                    let pixel = [r as u8, g as u8, b as u8];
                    let [y, cb, cr] = rgb_to_ycc(pixel);
                    for (a, b) in ycc_to_rgb(y, cb, cr).into_iter().zip(pixel) {
                        assert!(a.abs_diff(b) <= 2, "{pixel:?}");
                    }
                }
            }
        }
        assert_eq!(rgb_to_ycc([255, 255, 255]), [255, 128, 128]);
        assert_eq!(ycc_to_rgb(0, 128, 128), [0, 0, 0]);
    }

    #[test]
    fn an_srgb_profile_is_recognised_and_others_are_not() {
        let srgb = ColorProfile::new_srgb().encode().unwrap();
        assert!(matches!(judge(&srgb), Profile::Srgb));
        let p3 = ColorProfile::new_display_p3().encode().unwrap();
        assert!(matches!(judge(&p3), Profile::Other(_)));
        assert!(matches!(judge(b"no profile"), Profile::Broken));
        assert!(matches!(judge(&srgb[..srgb.len() / 2]), Profile::Broken | Profile::Other(_)));
    }
}
