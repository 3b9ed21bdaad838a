//! Pixels in memory: interleaved, tight, 8 bits a channel.

use crate::Error;
use crate::orientation::Orientation;
use crate::scratch::Buffers;

/// A rectangle of pixels. Channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA (or four inks).
#[derive(Debug)]
pub(crate) struct Raster {
    pub(crate) data: Vec<u8>,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) channels: usize,
}

impl Raster {
    pub(crate) fn new(buffers: &mut Buffers, width: u32, height: u32, channels: usize) -> Self {
        let data = buffers.take(width as usize * height as usize * channels);
        Self { data, width, height, channels }
    }

    pub(crate) fn row_bytes(&self) -> usize {
        self.width as usize * self.channels
    }

    pub(crate) fn has_alpha(&self) -> bool {
        matches!(self.channels, 2 | 4)
    }

    /// Turns and mirrors; gives the old buffer back to the pool when a new one is needed.
    pub(crate) fn turned(mut self, orientation: Orientation, buffers: &mut Buffers) -> Result<Self, Error> {
        let turn = orientation.turn();
        if turn.transpose {
            let mut out = Self::new(buffers, self.height, self.width, self.channels);
            match self.channels {
                1 => transpose::<1>(&self, &mut out),
                2 => transpose::<2>(&self, &mut out),
                3 => transpose::<3>(&self, &mut out),
                4 => transpose::<4>(&self, &mut out),
                _ => return Err(Error::internal("a raster of impossible channels")),
            }
            buffers.give(std::mem::replace(&mut self, out).data);
        }
        if turn.mirror_x {
            let (row_bytes, channels) = (self.row_bytes(), self.channels);
            for row in self.data.chunks_exact_mut(row_bytes) {
                match channels {
                    1 => row.reverse(),
                    2 => row.as_chunks_mut::<2>().0.reverse(),
                    3 => row.as_chunks_mut::<3>().0.reverse(),
                    _ => row.as_chunks_mut::<4>().0.reverse(),
                }
            }
        }
        if turn.mirror_y {
            let row_bytes = self.row_bytes();
            let half = self.height as usize / 2 * row_bytes;
            let upper_end = self.data.len() - half;
            let (upper, lower) = self.data.split_at_mut(upper_end);
            for (a, b) in upper.chunks_exact_mut(row_bytes).zip(lower.chunks_exact_mut(row_bytes).rev()) {
                a.swap_with_slice(b);
            }
        }
        Ok(self)
    }
}

/// Side of the tiles in which a raster is transposed, in pixels: both sides of a tile stay in the first cache.
const TILE: usize = 32;

fn transpose<const C: usize>(from: &Raster, to: &mut Raster) {
    let (width, height) = (from.width as usize, from.height as usize);
    let source = from.data.as_chunks::<C>().0;
    let target = to.data.as_chunks_mut::<C>().0;
    for top in (0..height).step_by(TILE) {
        for left in (0..width).step_by(TILE) {
            for y in top..(top + TILE).min(height) {
                for x in left..(left + TILE).min(width) {
                    target[x * height + y] = source[y * width + x];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_eight_orientations_put_each_pixel_where_it_belongs() {
        for channels in 1..=4 {
            // 3 × 2 pixels, each with its number in all channels.
            let make = || Raster {
                data: (0..6u8).flat_map(|pixel| vec![pixel; channels]).collect(),
                width: 3,
                height: 2,
                channels,
            };
            let expected: [(u16, u32, [u8; 6]); 8] = [
                (1, 3, [0, 1, 2, 3, 4, 5]),
                (2, 3, [2, 1, 0, 5, 4, 3]),
                (3, 3, [5, 4, 3, 2, 1, 0]),
                (4, 3, [3, 4, 5, 0, 1, 2]),
                (5, 2, [0, 3, 1, 4, 2, 5]),
                (6, 2, [3, 0, 4, 1, 5, 2]),
                (7, 2, [5, 2, 4, 1, 3, 0]),
                (8, 2, [2, 5, 1, 4, 0, 3]),
            ];
            for (exif, width, pixels) in expected {
                let turned = make().turned(Orientation::from_exif(exif), &mut Buffers::default()).unwrap();
                assert_eq!(turned.width, width, "orientation {exif}");
                let got: Vec<u8> = turned.data.iter().step_by(channels).copied().collect();
                assert_eq!(got, pixels, "orientation {exif}, {channels} channels");
            }
        }
    }
}
