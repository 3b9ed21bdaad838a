//! What the encoder takes: planes of luma and chroma.

use crate::color::rgb_to_ycc;
use crate::raster::Raster;
use crate::scratch::Buffers;

/// The highest quality at which chroma is stored at half the size.
const HALF_CHROMA_UP_TO: u8 = 90;

/// How chroma is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chroma {
    /// 4:2:0.
    Half,
    /// 4:4:4.
    Full,
}

impl Chroma {
    pub(crate) fn for_quality(quality: u8) -> Self {
        if quality <= HALF_CHROMA_UP_TO { Self::Half } else { Self::Full }
    }

    /// The size of the chroma planes of a picture.
    pub(crate) fn size(self, picture: (u32, u32)) -> (u32, u32) {
        match self {
            Self::Half => (picture.0.div_ceil(2), picture.1.div_ceil(2)),
            Self::Full => picture,
        }
    }
}

/// Luma, and chroma unless the picture is grey.
pub(crate) struct Planar {
    pub(crate) luma: Raster,
    pub(crate) chroma: Option<[Raster; 2]>,
    pub(crate) sampling: Chroma,
}

/// Makes planes from opaque grey or RGB pixels.
pub(crate) fn planar_from_pixels(pixels: Raster, sampling: Chroma, buffers: &mut Buffers) -> Planar {
    if pixels.channels == 1 {
        return Planar { luma: pixels, chroma: None, sampling };
    }
    let (width, height) = (pixels.width, pixels.height);
    let mut luma = Raster::new(buffers, width, height, 1);
    let small = sampling.size((width, height));
    let mut chroma = [Raster::new(buffers, small.0, small.1, 1), Raster::new(buffers, small.0, small.1, 1)];
    for (out, pixel) in luma.data.iter_mut().zip(pixels.data.as_chunks::<3>().0) {
        *out = rgb_to_ycc(*pixel)[0];
    }
    let step = if sampling == Chroma::Half { 2 } else { 1 };
    let all = pixels.data.as_chunks::<3>().0;
    let (width, height) = (width as usize, height as usize);
    let [cb, cr] = &mut chroma;
    for (row, (cb, cr)) in
        cb.data.chunks_exact_mut(small.0 as usize).zip(cr.data.chunks_exact_mut(small.0 as usize)).enumerate()
    {
        for (column, (cb, cr)) in cb.iter_mut().zip(cr).enumerate() {
            let mut sum = [0u32; 3];
            for dy in 0..step {
                for dx in 0..step {
                    let (x, y) = ((column * step + dx).min(width - 1), (row * step + dy).min(height - 1));
                    for (sum, &value) in sum.iter_mut().zip(&all[y * width + x]) {
                        *sum += u32::from(value);
                    }
                }
            }
            let area = (step * step) as u32;
            let [_, blue, red] = rgb_to_ycc(sum.map(|sum| ((sum + area / 2) / area) as u8));
            (*cb, *cr) = (blue, red);
        }
    }
    buffers.give(pixels.data);
    Planar { luma, chroma: Some(chroma), sampling }
}
