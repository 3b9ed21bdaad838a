//! Colours times alpha and back, so that transparent pixels do not bleed into their neighbours when a picture is resized.

use super::passes::{multiply_alpha, scalar::times};
use crate::raster::Raster;

/// What to do with colours and alpha.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alpha {
    /// Colours times alpha.
    Multiply,
    /// The way back.
    Divide,
}

/// Changes the colours of a raster with alpha, in place; one without stays as it is.
pub(crate) fn change_alpha(raster: &mut Raster, change: Alpha) {
    match change {
        Alpha::Multiply => multiply(&mut raster.data, raster.channels),
        Alpha::Divide => divide(&mut raster.data, raster.channels),
    }
}

/// Multiplies pixels of two or four channels; others have no alpha.
pub(super) fn multiply(pixels: &mut [u8], channels: usize) {
    match channels {
        2 => pixels.as_chunks_mut::<2>().0.iter_mut().for_each(|[grey, alpha]| *grey = times(*grey, *alpha)),
        4 => multiply_alpha(pixels.as_chunks_mut::<4>().0),
        _ => {}
    }
}

fn divide(pixels: &mut [u8], channels: usize) {
    match channels {
        2 => pixels.as_chunks_mut::<2>().0.iter_mut().for_each(|[grey, alpha]| *grey = by(*grey, *alpha)),
        4 => {
            for [r, g, b, alpha] in pixels.as_chunks_mut::<4>().0 {
                if *alpha < 255 {
                    (*r, *g, *b) = (by(*r, *alpha), by(*g, *alpha), by(*b, *alpha));
                }
            }
        }
        _ => {}
    }
}

/// 255 / alpha with 16 fraction bits.
const RECIPROCALS: [u32; 256] = {
    let mut table = [0; 256];
    let mut alpha = 1;
    while alpha < 256 {
        table[alpha] = ((255 << 16) + alpha as u32 / 2) / alpha as u32;
        alpha += 1;
    }
    table
};

/// `color` times 255 / `alpha`, rounded; 0 where nothing is seen.
fn by(color: u8, alpha: u8) -> u8 {
    ((u32::from(color) * RECIPROCALS[usize::from(alpha)] + (1 << 15)) >> 16).min(255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiplied_and_divided_colours_are_near_and_opaque_ones_the_same() {
        for alpha in 1..=255u8 {
            for color in 0..=255u8 {
                let exact = f64::from(color) * f64::from(alpha) / 255.0;
                assert!((f64::from(times(color, alpha)) - exact).abs() <= 0.5);
                let back = by(times(color, alpha), alpha);
                assert!(f64::from(back.abs_diff(color)) <= 0.5 + 127.5 / f64::from(alpha), "{color} {alpha} {back}");
            }
        }
        assert_eq!(by(9, 0), 0);
    }
}
