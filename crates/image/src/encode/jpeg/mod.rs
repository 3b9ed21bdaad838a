//! JPEG out, straight from planes: no colour conversion and no resampling when the source was JPEG, too.
//!
//! ```text
//! planes ─ dct + quantise ─▶ blocks (2 bytes a sample) ─ count symbols ─▶ best tables ─ write ─▶ file        baseline, one scan
//!                               └ small: weigh bits against errors ─▶ best bands ─▶ a table each ─ write ─▶ file     progressive
//! ```

mod dct;
mod huffman;
mod machine;
mod planar;
mod quantise;
mod scans;
mod small;
mod symbols;
mod trellis;
mod writer;

pub(crate) use planar::{Chroma, Planar, planar_from_pixels};

use crate::output::Effort;
use crate::raster::Raster;
use crate::scratch::Buffers;
use crate::{Error, Jpeg};
use dct::Blocks;
use huffman::CodeTable;
use symbols::{Counts, Sink, visit};
use writer::{BitWriter, Coding, Kind};

/// Longest side that the format can express.
const LONGEST_SIDE: u32 = 65_500;

/// One component: its blocks and how many of them make a unit.
struct Component {
    blocks: Blocks,
    /// Blocks of a unit across and down.
    across: usize,
    down: usize,
    /// 0 luma, 1 chroma: which tables it uses.
    class: usize,
}

/// Writes the planes as a JPEG file.
pub(crate) fn encode(planar: &Planar, settings: Jpeg, buffers: &mut Buffers) -> Result<Vec<u8>, Error> {
    let (width, height) = (planar.luma.width, planar.luma.height);
    if !(1..=LONGEST_SIDE).contains(&width) || !(1..=LONGEST_SIDE).contains(&height) {
        return Err(Error::internal(format_args!("a JPEG of {width} × {height} pixels")));
    }
    let tables = [quantise::luma(settings.quality), quantise::chroma(settings.quality)];
    let factor = match (&planar.chroma, planar.sampling) {
        (Some(_), Chroma::Half) => 2,
        _ => 1,
    };
    let mut component = |raster: &Raster, side: usize, class: usize| Component {
        blocks: Blocks::new(raster, &tables[class], buffers),
        across: side,
        down: side,
        class,
    };
    let mut components = vec![component(&planar.luma, factor, 0)];
    for plane in planar.chroma.iter().flatten() {
        components.push(component(plane, 1, 1));
    }
    if settings.effort == Effort::Small {
        let out = small::encode(planar, &mut components, &tables);
        components.into_iter().for_each(|component| component.blocks.give_back(buffers));
        return Ok(out);
    }
    let unit = 8 * factor;
    let units = ((width as usize).div_ceil(unit), (height as usize).div_ceil(unit));

    let mut counts = Counts::default();
    visit(&components, units, &mut counts);
    let classes = if components.len() > 1 { 2 } else { 1 };
    let codes: Vec<[CodeTable; 2]> =
        (0..classes).map(|class| [CodeTable::best(&counts.dc[class]), CodeTable::best(&counts.ac[class])]).collect();

    let bits: u64 =
        codes.iter().enumerate().map(|(class, [dc, ac])| dc.bits(&counts.dc[class]) + ac.bits(&counts.ac[class])).sum();
    // Stuffing adds one byte in 256 on average; the rest is headers.
    let mut out = Vec::with_capacity((bits / 8 + bits / 1024) as usize + 1024);
    writer::head(&mut out, Coding::Baseline, (width, height), &components, &tables);
    for (class, [means, waves]) in codes.iter().enumerate() {
        writer::huffman(&mut out, Kind::Means, class, means);
        writer::huffman(&mut out, Kind::Waves, class, waves);
    }
    let parts: Vec<(usize, usize)> = components.iter().map(|component| component.class).enumerate().collect();
    writer::scan(&mut out, &parts, (0, 63));
    let mut sink = Emitter { bits: BitWriter::new(&mut out), codes: &codes };
    visit(&components, units, &mut sink);
    sink.bits.finish();
    out.extend_from_slice(&[0xFF, 0xD9]);
    components.into_iter().for_each(|component| component.blocks.give_back(buffers));
    Ok(out)
}

/// Writes symbols as bits.
struct Emitter<'a> {
    bits: BitWriter<'a>,
    codes: &'a [[CodeTable; 2]],
}

impl Sink for Emitter<'_> {
    #[inline(always)]
    fn dc(&mut self, class: usize, size: u32, extra: u32) {
        let (code, length) = self.codes[class][0].code(size as u8);
        self.bits.put(code << size | extra, length + size);
    }

    #[inline(always)]
    fn ac(&mut self, class: usize, symbol: u8, extra: u32) {
        let size = u32::from(symbol & 15);
        let (code, length) = self.codes[class][1].code(symbol);
        self.bits.put(code << size | extra, length + size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(width: u32, height: u32, value: impl Fn(u32, u32) -> u8) -> Raster {
        let data = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| value(x, y)).collect();
        Raster { data, width, height, channels: 1 }
    }

    fn encoded(planar: &Planar, settings: Jpeg) -> Result<Vec<u8>, Error> {
        encode(planar, settings, &mut Buffers::default())
    }

    /// The independent decoder is `jpeg-decoder`.
    fn decode(file: &[u8]) -> Vec<u8> {
        jpeg_decoder::Decoder::new(file).decode().unwrap()
    }

    #[test]
    fn grey_planes_of_every_small_size_come_back() {
        for (width, height) in (1..20).flat_map(|w| [(w, 1), (1, w), (w, w), (w, 21 - w)]) {
            let luma = plane(width, height, |x, y| (x * 9 + y * 5) as u8);
            let original = luma.data.clone();
            let file = encoded(&Planar { luma, chroma: None, sampling: Chroma::Half }, Jpeg::quality(100)).unwrap();
            for (a, b) in decode(&file).iter().zip(&original) {
                assert!(a.abs_diff(*b) <= 2, "{width} × {height}");
            }
        }
    }

    #[test]
    fn colours_come_back_with_both_samplings() {
        for sampling in [Chroma::Half, Chroma::Full] {
            for (width, height) in [(1, 1), (7, 9), (16, 16), (17, 33), (40, 8)] {
                let (w, h) = sampling.size((width, height));
                let planar = Planar {
                    luma: plane(width, height, |x, y| 90 + (x + y) as u8),
                    chroma: Some([plane(w, h, |_, _| 100), plane(w, h, |_, _| 170)]),
                    sampling,
                };
                let file = encoded(&planar, Jpeg::quality(95)).unwrap();
                for (index, pixel) in decode(&file).chunks(3).enumerate() {
                    let (x, y) = (index as u32 % width, index as u32 / width);
                    let expected = crate::color::ycc_to_rgb(90 + (x + y) as u8, 100, 170);
                    for (a, b) in pixel.iter().zip(expected) {
                        assert!(
                            a.abs_diff(b) <= 4,
                            "{sampling:?} {width} × {height} at {x}, {y}: {pixel:?} {expected:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn noise_at_every_quality_is_a_valid_file() {
        let mut seed = 7u32;
        let mut noise = |width, height| {
            let data = (0..width * height).map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            });
            Raster { data: data.collect(), width, height, channels: 1 }
        };
        for quality in [1, 10, 50, 90, 100] {
            let planar =
                Planar { luma: noise(50, 35), chroma: Some([noise(25, 18), noise(25, 18)]), sampling: Chroma::Half };
            let file = encoded(&planar, Jpeg::quality(quality)).unwrap();
            assert_eq!(decode(&file).len(), 50 * 35 * 3);
        }
    }

    #[test]
    fn the_small_mode_gives_fewer_bytes_of_nearly_the_same_picture() {
        // Soft shapes with grain, so that there is something to weigh.
        let mut seed = 3u32;
        let mut grain = move || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) % 12
        };
        let wave = |x: u32, y: u32| 100 + (x * x / 40 + y * 3) % 90;
        let luma = plane(200, 135, |_, _| 0);
        let (width, height) = (luma.width, luma.height);
        let data = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let luma = Raster { data: data.map(|(x, y)| (wave(x, y) + grain()) as u8).collect(), ..luma };
        let original = luma.data.clone();
        let chroma =
            Some([plane(100, 68, |x, y| (90 + x / 2 + y / 3) as u8), plane(100, 68, |x, _| (150 - x / 3) as u8)]);
        let planar = Planar { luma, chroma, sampling: Chroma::Half };
        let error = |file: &[u8]| -> f64 {
            let rgb = decode(file);
            let luma =
                rgb.chunks(3).map(|p| 0.299 * f64::from(p[0]) + 0.587 * f64::from(p[1]) + 0.114 * f64::from(p[2]));
            luma.zip(&original).map(|(a, &b)| (a - f64::from(b)).powi(2)).sum::<f64>() / original.len() as f64
        };
        for quality in [30, 80, 95] {
            let quick = encoded(&planar, Jpeg::quality(quality)).unwrap();
            let small = encoded(&planar, Jpeg::quality(quality).small()).unwrap();
            assert!(small.len() < quick.len() * 97 / 100, "{quality}: {} of {}", small.len(), quick.len());
            assert!(error(&small) < error(&quick) * 1.6 + 1.0, "{quality}: {} {}", error(&small), error(&quick));
        }
    }

    #[test]
    fn the_small_mode_writes_every_size_and_kind() {
        for (width, height) in [(1, 1), (7, 9), (16, 16), (17, 33), (40, 8), (600, 600)] {
            let (w, h) = Chroma::Half.size((width, height));
            let luma = || plane(width, height, |x, y| (x * 9 + y * 5) as u8);
            let colours = Some([plane(w, h, |_, _| 100), plane(w, h, |x, y| (x * y) as u8)]);
            for chroma in [None, colours] {
                let channels = if chroma.is_some() { 3 } else { 1 };
                let planar = Planar { luma: luma(), chroma, sampling: Chroma::Half };
                let file = encoded(&planar, Jpeg::quality(80).small()).unwrap();
                assert_eq!(decode(&file).len(), (width * height * channels) as usize, "{width} × {height}");
            }
        }
    }
}
