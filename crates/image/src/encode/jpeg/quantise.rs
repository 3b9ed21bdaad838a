//! Quantisation tables: those of ITU-T T.81, annex K, scaled by quality as libjpeg does, so that a quality means the same everywhere.

use crate::jpeg::POSITION;

/// Table K.1, row by row.
const LUMA: [u8; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
];

/// Table K.2, row by row.
const CHROMA: [u8; 64] = [
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99,
];

/// A table in the order of the file, and what a coefficient of the transform must be multiplied by (transposed, as the transform gives it).
pub(super) struct Quantisers {
    pub(super) in_file: [u8; 64],
    pub(super) factors: [f32; 64],
}

pub(super) fn luma(quality: u8) -> Quantisers {
    scaled(&LUMA, quality)
}

pub(super) fn chroma(quality: u8) -> Quantisers {
    scaled(&CHROMA, quality)
}

/// What the fast cosine transform leaves to be divided out, for each frequency.
const TRANSFORM_GAIN: [f64; 8] =
    [1.0, 1.387_039_845, 1.306_562_965, 1.175_875_602, 1.0, 0.785_694_958, 0.541_196_100, 0.275_899_379];

fn scaled(table: &[u8; 64], quality: u8) -> Quantisers {
    let quality = u32::from(quality.clamp(1, 100));
    let percent = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
    let mut result = Quantisers { in_file: [0; 64], factors: [0.0; 64] };
    for (k, slot) in result.in_file.iter_mut().enumerate() {
        let position = usize::from(POSITION[k]);
        let (column, row) = (position / 8, position % 8);
        let value = ((u32::from(table[row * 8 + column]) * percent + 50) / 100).clamp(1, 255);
        *slot = value as u8;
        result.factors[position] =
            (1.0 / (f64::from(value) * TRANSFORM_GAIN[row] * TRANSFORM_GAIN[column] * 8.0)) as f32;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_80_has_the_tables_of_libjpeg() {
        let table = luma(80);
        assert_eq!(table.in_file[..10], [6, 4, 5, 6, 5, 4, 6, 6, 5, 6]);
        let table = chroma(80);
        assert_eq!(table.in_file[..10], [7, 7, 7, 10, 8, 10, 19, 10, 10, 19]);
        assert!(luma(100).in_file.iter().all(|&value| value == 1));
        assert!(luma(1).in_file.iter().all(|&value| value == 255));
    }
}
