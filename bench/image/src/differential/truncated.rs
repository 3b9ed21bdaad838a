//! The definition of a scaled decode, in floating point: the low N×N frequencies of a block, transformed back by N points.

use std::f64::consts::PI;

const SIDE: usize = 8;

/// Cosines of one dimension, for both ways.
pub(crate) struct Truncated {
    scale: usize,
    forth: [[f64; SIDE]; SIDE],
    back: [[f64; SIDE]; SIDE],
}

impl Truncated {
    /// To `scale` × `scale` samples.
    pub(crate) fn new(scale: usize) -> Self {
        let weight = |u: usize| if u == 0 { (1.0 / SIDE as f64).sqrt() } else { 0.5 };
        let cosine =
            |u: usize, x: usize, points: usize| ((2 * x + 1) as f64 * u as f64 * PI / (2 * points) as f64).cos();
        let table = |points: usize| -> [[f64; SIDE]; SIDE] {
            std::array::from_fn(|u| std::array::from_fn(|x| weight(u) * cosine(u, x, points)))
        };
        Self { scale, forth: table(SIDE), back: table(scale) }
    }

    /// Of a block of 8×8 samples; row by row.
    pub(crate) fn shrink(&self, block: &[[f64; SIDE]; SIDE]) -> Vec<f64> {
        let low = self.scale;
        let mut rows = [[0.0; SIDE]; SIDE];
        for (line, row) in rows.iter_mut().zip(block) {
            for (frequency, cosines) in line.iter_mut().zip(&self.forth[..low]) {
                *frequency = row.iter().zip(cosines).map(|(sample, cosine)| sample * cosine).sum();
            }
        }
        let mut frequencies = [[0.0; SIDE]; SIDE];
        for (line, cosines) in frequencies.iter_mut().zip(&self.forth[..low]) {
            for (u, frequency) in line.iter_mut().take(low).enumerate() {
                *frequency = rows.iter().zip(cosines).map(|(row, cosine)| row[u] * cosine).sum();
            }
        }
        let mut out = Vec::with_capacity(low * low);
        for y in 0..low {
            for x in 0..low {
                let sum: f64 = (0..low)
                    .map(|v| (0..low).map(|u| frequencies[v][u] * self.back[u][x]).sum::<f64>() * self.back[v][y])
                    .sum();
                out.push(sum);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_points_give_the_block_back_and_one_its_mean() {
        let block: [[f64; SIDE]; SIDE] = std::array::from_fn(|y| std::array::from_fn(|x| (x * 7 + y * y) as f64));
        let same = Truncated::new(8).shrink(&block);
        for (one, other) in same.iter().zip(block.iter().flatten()) {
            assert!((one - other).abs() < 1e-9);
        }
        let mean = block.iter().flatten().sum::<f64>() / 64.0;
        assert!((Truncated::new(1).shrink(&block)[0] - mean).abs() < 1e-9);
    }

    #[test]
    fn a_slope_stays_one_at_every_scale() {
        let block: [[f64; SIDE]; SIDE] = std::array::from_fn(|_| std::array::from_fn(|x| x as f64 * 10.0));
        for scale in 2..8 {
            let small = Truncated::new(scale).shrink(&block);
            assert!(small[..scale].windows(2).all(|pair| pair[0] < pair[1]), "{scale}: {small:?}");
        }
    }
}
