//! One file, decoded by both at every scale.

use phalanx_image::Scratch;
use phalanx_image::jpeg::{ColorModel, Decoder, Plane, Planes, Scale};

use super::tools::{Outcome, Pixels, Tools};
use super::truncated::Truncated;
use super::variants::Variant;

/// What is compared with what, and how far apart the two may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Check {
    /// Luma (or each of red, green, blue) with libjpeg's accurate integer transform, where its scaled transform is the definition too.
    Samples,
    /// Colour at the full size with libjpeg's, chroma repeated, converted by the definition.
    Colors,
    /// Every component with the definition in floating point, made from the full size.
    Definition,
    /// Luma with libjpeg's reduced transforms at 2/8 and 4/8, which leave frequencies out: told, not bounded.
    Reduced,
}

/// Full-size scales of the stored size.
const FULL: u32 = 8;
/// Scales at which libjpeg's transform is the definition.
const EXACT: [u32; 6] = [1, 3, 5, 6, 7, 8];

impl Check {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Samples => "luma, red, green, blue / libjpeg-turbo's accurate transform",
            Self::Colors => "colour at 8/8 / libjpeg-turbo's",
            Self::Definition => "every component / the definition in floating point",
            Self::Reduced => "luma / libjpeg-turbo's reduced transforms",
        }
    }

    /// The largest difference of a sample that is not a bug.
    pub(crate) fn bound(self) -> Option<f64> {
        match self {
            // Both round once, to different sides.
            Self::Samples => Some(1.0),
            // One of luma and one of each chroma, times up to 1.772, and the rounding of the sum.
            Self::Colors => Some(4.0),
            // The full size is rounded to whole samples before.
            Self::Definition => Some(2.0),
            Self::Reduced => None,
        }
    }
}

/// How far two pictures are apart.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Apart {
    pub(crate) highest: f64,
    sum: f64,
    pub(crate) samples: u64,
}

impl Apart {
    fn add(&mut self, difference: f64) {
        let difference = difference.abs();
        self.highest = self.highest.max(difference);
        self.sum += difference;
        self.samples += 1;
    }

    pub(crate) fn and(&mut self, other: Self) {
        self.highest = self.highest.max(other.highest);
        self.sum += other.sum;
        self.samples += other.samples;
    }

    pub(crate) fn mean(&self) -> f64 {
        self.sum / self.samples.max(1) as f64
    }
}

/// Everything that can be compared of `variant`: what, at which scale, how far apart; or why nothing can.
pub(crate) fn compare(tools: &Tools, variant: &Variant) -> Result<Vec<(Check, u32, Apart)>, String> {
    let mut scratch = Scratch::new();
    let decoder = Decoder::new(&variant.jpeg).map_err(|error| format!("refused: {error}"))?;
    let color = decoder.info().color;
    let most = |side: fn((u32, u32)) -> u32| decoder.info().components().iter().map(|part| side(part.sampling)).max();
    let luma = decoder.info().components().first().map(|part| part.sampling);
    // What has fewer samples than another component is enlarged by djpeg.
    let is_largest = luma == most(|(across, _)| across).zip(most(|(_, down)| down));
    let full = decode(&variant.jpeg, FULL, &mut scratch)?.ok_or("there is no full scale")?;
    let mut found = Vec::new();
    for eighths in 1..=FULL {
        let Some(planes) = decode(&variant.jpeg, eighths, &mut scratch)? else { continue };
        let factor = format!("{eighths}/8");
        let mut options = vec!["-dct", "int", "-scale", factor.as_str()];
        match color {
            ColorModel::Grey | ColorModel::Rgb => {}
            ColorModel::Ycc if is_largest => options.push("-grayscale"),
            // djpeg converts inks too, and shows them no other way.
            _ => options.clear(),
        }
        if !options.is_empty() && !variant.is_smoothed {
            let pixels = theirs(tools, &options, &variant.jpeg)?;
            let check = if EXACT.contains(&eighths) { Check::Samples } else { Check::Reduced };
            found.push((check, eighths, samples(&planes, &pixels)?));
        }
        if eighths == FULL && matches!(color, ColorModel::Ycc) && !variant.is_smoothed {
            let pixels = theirs(tools, &["-dct", "int", "-nosmooth"], &variant.jpeg)?;
            found.push((Check::Colors, eighths, colors(&planes, &pixels)?));
        }
        if eighths < FULL {
            found.push((Check::Definition, eighths, definition(&full, &planes, eighths as usize)));
        }
    }
    Ok(found)
}

fn decode(jpeg: &[u8], eighths: u32, scratch: &mut Scratch) -> Result<Option<Planes>, String> {
    let Some(scale) = Scale::eighths(eighths) else { return Ok(None) };
    let decoder = Decoder::new(jpeg).map_err(|error| format!("refused: {error}"))?.scale(scale);
    decoder.decode(scratch).map(Some).map_err(|error| format!("not decoded at {eighths}/8: {error}"))
}

fn theirs(tools: &Tools, options: &[&str], jpeg: &[u8]) -> Result<Pixels, String> {
    match tools.decode(options, jpeg)? {
        (Outcome::Whole, Some(pixels)) => Ok(pixels),
        (outcome, _) => Err(format!("djpeg {}: {outcome:?}", options.join(" "))),
    }
}

fn sample(plane: &Plane, x: usize, y: usize) -> u8 {
    plane.samples()[y * plane.stride() + x]
}

/// As many of our planes as they have channels, sample by sample.
fn samples(planes: &[Plane], pixels: &Pixels) -> Result<Apart, String> {
    let mut apart = Apart::default();
    for (channel, plane) in planes.iter().enumerate().take(pixels.channels) {
        if pixels.channels > 1 && (plane.width(), plane.height()) != (pixels.width, pixels.height) {
            return Err(format!(
                "a plane of {}×{}, not {}×{}",
                plane.width(),
                plane.height(),
                pixels.width,
                pixels.height
            ));
        }
        for y in 0..pixels.height.min(plane.height()) {
            for x in 0..pixels.width.min(plane.width()) {
                let theirs = pixels.samples[(y * pixels.width + x) * pixels.channels + channel];
                apart.add(f64::from(sample(plane, x, y)) - f64::from(theirs));
            }
        }
    }
    Ok(apart)
}

/// Our planes as colours, chroma repeated, beside theirs.
fn colors(planes: &[Plane], pixels: &Pixels) -> Result<Apart, String> {
    let [luma, blue, red] = planes else { return Err(format!("{} planes of a picture in colour", planes.len())) };
    let mut apart = Apart::default();
    // A component has a sample for so many pixels; luma need not be the one with the most.
    let across = |plane: &Plane, x: usize| (x as f64 * plane.extent().0 / pixels.width as f64 + 1e-9) as usize;
    let down = |plane: &Plane, y: usize| (y as f64 * plane.extent().1 / pixels.height as f64 + 1e-9) as usize;
    let at = |plane: &Plane, x, y| f64::from(sample(plane, across(plane, x), down(plane, y)));
    for y in 0..pixels.height {
        for x in 0..pixels.width {
            let (luma, blue, red) = (at(luma, x, y), at(blue, x, y) - 128.0, at(red, x, y) - 128.0);
            let ours = [luma + 1.402 * red, luma - 0.344_136 * blue - 0.714_136 * red, luma + 1.772 * blue];
            let start = (y * pixels.width + x) * 3;
            for (ours, theirs) in ours.into_iter().zip(&pixels.samples[start..start + 3]) {
                apart.add(ours.clamp(0.0, 255.0) - f64::from(*theirs));
            }
        }
    }
    Ok(apart)
}

/// Blocks of the full size that are nowhere clipped, shrunk by the definition, beside ours.
fn definition(full: &[Plane], small: &[Plane], scale: usize) -> Apart {
    let truncated = Truncated::new(scale);
    let mut apart = Apart::default();
    for (full, small) in full.iter().zip(small) {
        let rows = full.samples().len() / full.stride().max(1);
        for top in 0..rows / 8 {
            for left in 0..full.stride() / 8 {
                let block: [[f64; 8]; 8] = std::array::from_fn(|y| {
                    std::array::from_fn(|x| f64::from(sample(full, left * 8 + x, top * 8 + y)))
                });
                if block.iter().flatten().any(|sample| *sample <= 0.0 || *sample >= 255.0) {
                    continue;
                }
                for (index, expected) in truncated.shrink(&block).into_iter().enumerate() {
                    let ours = sample(small, left * scale + index % scale, top * scale + index / scale);
                    apart.add(f64::from(ours) - expected.clamp(0.0, 255.0));
                }
            }
        }
    }
    apart
}
