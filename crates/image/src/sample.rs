//! A picture made by code, for newcomers without a photo, for examples and tests.

use crate::Jpeg;
use crate::encode::{Chroma, Planar, jpeg};
use crate::raster::Raster;
use crate::scratch::Buffers;

/// Sides are cut to this many pixels.
const LONGEST_SIDE: u32 = 16_384;

/// A photo-like picture as JPEG (quality 80, 4:2:0): evening sky with a sun, ranges of hills, water, grain. The same sides give the
/// same bytes. Sides are cut to 1 to 16 384 px; 12 MP take well below half a second.
///
/// ```
/// let jpeg = phalanx_image::sample_jpeg(640, 480);
/// assert_eq!(phalanx_image::Format::sniff(&jpeg), Some(phalanx_image::Format::Jpeg));
/// ```
#[must_use]
pub fn sample_jpeg(width: u32, height: u32) -> Vec<u8> {
    let size = (width.clamp(1, LONGEST_SIDE), height.clamp(1, LONGEST_SIDE));
    let planar = paint(size);
    // The encoder fails on impossible sizes only, and these are excluded.
    jpeg(&planar, Jpeg::default(), &mut Buffers::default()).unwrap_or_default()
}

/// The horizon, as a share of the height.
const HORIZON: f32 = 0.62;

/// Ranges of hills from far to near: height of the foot line, height of the peaks, waves across the picture, luma.
const RANGES: [(f32, f32, f32, f32); 4] =
    [(0.50, 0.10, 3.0, 150.0), (0.55, 0.09, 5.0, 118.0), (0.59, 0.08, 8.0, 86.0), (0.63, 0.06, 13.0, 52.0)];

fn paint(size: (u32, u32)) -> Planar {
    let small = Chroma::Half.size(size);
    let raster = |(width, height): (u32, u32)| Raster {
        data: vec![0; width as usize * height as usize],
        width,
        height,
        channels: 1,
    };
    let (mut luma, mut blue, mut red) = (raster(size), raster(small), raster(small));
    let skylines = RANGES.map(|range| skyline(size, range));
    let mut grain = Grain(0x9E37_79B9);
    let (width, height) = (size.0 as usize, size.1 as usize);
    let across: Vec<f32> = (0..width).map(|x| x as f32 / width as f32).collect();
    let water = (HORIZON * height as f32) as usize;
    for y in 0..height {
        let v = y as f32 / height as f32;
        let row = &mut luma.data[y * width..(y + 1) * width];
        // Ripples of the water: one value a row is enough, grain does the rest.
        let ripple = ((v - HORIZON).max(0.0) * 900.0 / (0.4 + v)).sin() * 14.0;
        for (x, out) in row.iter_mut().enumerate() {
            let u = across[x];
            let value = match covering(&skylines, x, y, water) {
                Some(range) => RANGES[range].3 + texture(x, y) * 10.0,
                None if y >= water => 70.0 + ripple * (1.0 - v) + sun(u, 1.24 - v) * 90.0,
                None => 150.0 + 60.0 * v + sun(u, v) * 120.0,
            };
            *out = (value + grain.next()).clamp(0.0, 255.0) as u8;
        }
        if y % 2 == 0 {
            let start = y / 2 * small.0 as usize;
            for x in 0..small.0 as usize {
                let u = across[(2 * x).min(width - 1)];
                let (cb, cr) = match covering(&skylines, (2 * x).min(width - 1), y, water) {
                    Some(range) => (138.0 - range as f32 * 5.0, 120.0 + range as f32),
                    None if y >= water => (140.0 - sun(u, 1.24 - v) * 40.0, 122.0 + sun(u, 1.24 - v) * 30.0),
                    None => (136.0 - v * 50.0 - sun(u, v) * 30.0, 118.0 + v * 50.0 + sun(u, v) * 14.0),
                };
                blue.data[start + x] = cb as u8;
                red.data[start + x] = cr as u8;
            }
        }
    }
    Planar { luma, chroma: Some([blue, red]), sampling: Chroma::Half }
}

/// The row at which a range of hills begins, for each column.
fn skyline(size: (u32, u32), (foot, peaks, waves, _): (f32, f32, f32, f32)) -> Vec<u32> {
    (0..size.0)
        .map(|x| {
            let u = x as f32 / size.0 as f32 * waves * std::f32::consts::TAU;
            let shape = (u * 0.31 + waves).sin() * 0.5
                + (u * 0.83 + 1.7).sin() * 0.3
                + (u * 2.9).sin() * 0.12
                + (u * 9.1).sin() * 0.05;
            ((foot - peaks * (0.5 + 0.5 * shape)) * size.1 as f32) as u32
        })
        .collect()
}

/// The nearest range of hills that covers a pixel; below the horizon there is water.
fn covering(skylines: &[Vec<u32>; RANGES.len()], x: usize, y: usize, water: usize) -> Option<usize> {
    if y >= water {
        return None;
    }
    (0..RANGES.len()).rev().find(|&range| y as u32 >= skylines[range][x])
}

/// Brightness of the sun and its glow.
fn sun(u: f32, v: f32) -> f32 {
    let (dx, dy) = (u - 0.68, (v - 0.30) * 0.75);
    let distance = dx * dx + dy * dy;
    (0.004 / (0.004 + distance)).min(1.0)
}

/// Fine structure of the ground, -1 to 1.
fn texture(x: usize, y: usize) -> f32 {
    let hash =
        ((x as u32 / 3).wrapping_mul(0x85EB_CA6B) ^ (y as u32 / 2).wrapping_mul(0xC2B2_AE35)).wrapping_mul(0x27D4_EB2F);
    (hash >> 24) as f32 / 128.0 - 1.0
}

/// Film grain: a linear congruential generator, about ±3 steps.
struct Grain(u32);

impl Grain {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (a, b) = (self.0 >> 24, self.0 >> 16 & 0xFF);
        (a as f32 - b as f32) * (1.0 / 64.0)
    }
}
