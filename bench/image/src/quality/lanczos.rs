//! Lanczos3 in floating point, one axis after the other; slow and exact.

use super::Picture;

const LOBES: f64 = 3.0;

/// `picture` at another size. Weights are stretched when it becomes smaller, and are normalised at the edges.
pub(super) fn resize(picture: &Picture, width: usize, height: usize) -> Picture {
    let columns = kernel(picture.width, width);
    let mut narrowed = Vec::with_capacity(width * picture.height);
    for row in picture.pixels.chunks_exact(picture.width) {
        narrowed.extend(columns.iter().map(|tap| tap.sum(|column| row[column])));
    }
    let mut pixels = Vec::with_capacity(width * height);
    for tap in kernel(picture.height, height) {
        pixels
            .extend((0..width).map(|column| {
                tap.sum(|row| narrowed[row * width + column]).map(|component| component.clamp(0.0, 1.0))
            }));
    }
    Picture { width, height, pixels }
}

/// The source positions that make one target position.
struct Tap {
    first: usize,
    weights: Vec<f32>,
}

impl Tap {
    fn sum(&self, pixel: impl Fn(usize) -> [f32; 3]) -> [f32; 3] {
        let mut sum = [0.0; 3];
        for (offset, weight) in self.weights.iter().enumerate() {
            let pixel = pixel(self.first + offset);
            for (sum, component) in sum.iter_mut().zip(pixel) {
                *sum += weight * component;
            }
        }
        sum
    }
}

fn kernel(from: usize, to: usize) -> Vec<Tap> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let reach = LOBES * stretch;
    let tap = |target: usize| {
        let centre = (target as f64 + 0.5) * scale;
        let first = (centre - reach).floor().max(0.0) as usize;
        let end = ((centre + reach).ceil() as usize).min(from);
        let weights: Vec<f64> = (first..end).map(|source| lanczos((source as f64 + 0.5 - centre) / stretch)).collect();
        let sum: f64 = weights.iter().sum();
        Tap { first, weights: weights.iter().map(|weight| (weight / sum) as f32).collect() }
    };
    (0..to).map(tap).collect()
}

fn lanczos(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    if x.abs() >= LOBES {
        return 0.0;
    }
    let angle = std::f64::consts::PI * x;
    LOBES * angle.sin() * (angle / LOBES).sin() / (angle * angle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient(width: usize, height: usize) -> Picture {
        let value = |index: usize| (index % width) as f32 / (width - 1) as f32;
        let pixels = (0..width * height).map(|index| [value(index), 0.25, 1.0 - value(index)]).collect();
        Picture { width, height, pixels }
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        let picture = gradient(16, 8);
        let same = resize(&picture, 16, 8);
        for (one, other) in picture.pixels.iter().flatten().zip(same.pixels.iter().flatten()) {
            assert!((one - other).abs() < 1e-5);
        }
    }

    #[test]
    fn a_gradient_stays_one_and_keeps_its_middle() {
        let small = resize(&gradient(300, 40), 100, 10);
        assert_eq!((small.width, small.height, small.pixels.len()), (100, 10, 1000));
        let row = &small.pixels[500..600];
        assert!(row.windows(2).all(|pair| pair[0][0] < pair[1][0] + 1e-3));
        assert!((row[49][0] + row[50][0] - 1.0).abs() < 0.01);
        assert!(row.iter().all(|pixel| (pixel[1] - 0.25).abs() < 1e-5));
    }
}
