//! Baseline JPEG from planes of luma and chroma: no colour conversion when the source was JPEG, too.

use jpeg_encoder::{Encoder, ImageBuffer, JpegColorType, SamplingFactor};

use crate::color::rgb_to_ycc;
use crate::raster::Raster;
use crate::scratch::Buffers;
use crate::{Error, Quality};

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
    pub(crate) fn for_quality(quality: Quality) -> Self {
        if quality.get() <= HALF_CHROMA_UP_TO { Self::Half } else { Self::Full }
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

impl ImageBuffer for &Planar {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        if self.chroma.is_some() { JpegColorType::Ycbcr } else { JpegColorType::Luma }
    }

    fn width(&self) -> u16 {
        self.luma.width as u16
    }

    fn height(&self) -> u16 {
        self.luma.height as u16
    }

    fn fill_buffers(&self, y: u16, rows: &mut [Vec<u8>; 4]) {
        let row = |raster: &Raster, y: usize| {
            let start = y * raster.row_bytes();
            start..start + raster.row_bytes()
        };
        let y = usize::from(y);
        rows[0].extend_from_slice(&self.luma.data[row(&self.luma, y)]);
        let Some(chroma) = &self.chroma else { return };
        for (plane, out) in chroma.iter().zip(&mut rows[1..]) {
            match self.sampling {
                Chroma::Full => out.extend_from_slice(&plane.data[row(plane, y)]),
                Chroma::Half => {
                    // The encoder wants full rows and takes every second sample of every second row.
                    let start = out.len();
                    let width = self.luma.width as usize;
                    out.resize(start + width, 0);
                    for (pair, &sample) in out[start..].chunks_mut(2).zip(&plane.data[row(plane, y / 2)]) {
                        pair.fill(sample);
                    }
                }
            }
        }
    }
}

/// Writes the planes as baseline JPEG with optimised Huffman tables.
pub(crate) fn encode(planar: &Planar, quality: Quality) -> Result<Vec<u8>, Error> {
    let pixels = planar.luma.data.len();
    let mut out = Vec::with_capacity(pixels / 4 + 1024);
    let mut encoder = Encoder::new(&mut out, quality.get());
    encoder.set_sampling_factor(match planar.sampling {
        Chroma::Half => SamplingFactor::F_2_2,
        Chroma::Full => SamplingFactor::F_1_1,
    });
    encoder.set_optimized_huffman_tables(true);
    encoder.encode_image(planar).map_err(Error::internal)?;
    Ok(out)
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
