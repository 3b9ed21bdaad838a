//! The small mode: the same quantisers, fewer bytes. Values are chosen by what they cost and what they bring (`trellis.rs`), and the file
//! is progressive, so that means, low and high frequencies have codes of their own and empty blocks cost next to nothing.

use super::dct::Blocks;
use super::huffman::CodeTable;
use super::quantise::Quantisers;
use super::scans::{Band, Count, band, means, write};
use super::trellis::{Prices, choose};
use super::writer::{self, Coding, Kind};
use super::{Component, Planar};
use crate::raster::Raster;

/// Where the waves of a component may be cut: behind these coefficients.
const CUTS: [&[usize]; 10] = [&[], &[2], &[5], &[8], &[13], &[20], &[2, 9], &[2, 14], &[5, 20], &[2, 9, 27]];

/// What the square of an error of one step is worth in bits, for luma and for chroma: so many times the length of the step. Steps are
/// long where the eye sees little, so that this is between errors in steps (1, which blurs colours) and errors in samples (the square).
const WORTH: [f32; 2] = [1.1, 3.3];

/// Writes the components, whose blocks are quantised plainly, as a file.
pub(super) fn encode(planar: &Planar, components: &mut [Component], tables: &[Quantisers; 2]) -> Vec<u8> {
    let planes: Vec<&Raster> = std::iter::once(&planar.luma).chain(planar.chroma.iter().flatten()).collect();
    let mut out = Vec::new();
    writer::head(&mut out, Coding::Progressive, (planar.luma.width, planar.luma.height), components, tables);
    for (index, component) in components.iter().enumerate() {
        let count = Count::of(|take| means(&component.blocks, take));
        let table = CodeTable::best(&count.symbols);
        writer::huffman(&mut out, Kind::Means, 0, &table);
        writer::scan(&mut out, &[(index, 0)], (0, 0));
        write(&mut out, &table, |take| means(&component.blocks, take));
    }
    let mut later = Vec::new();
    for (index, (component, plane)) in components.iter_mut().zip(planes).enumerate() {
        reconsider(&mut component.blocks, plane, &tables[component.class], WORTH[component.class]);
        for (place, cut) in best_bands(&component.blocks).into_iter().enumerate() {
            let count = Count::of(|take| band(&component.blocks, cut, take));
            let table = CodeTable::best(&count.symbols);
            // What shows most comes first: the low waves of all components.
            let out = if place == 0 { &mut out } else { &mut later };
            writer::huffman(out, Kind::Waves, 0, &table);
            writer::scan(out, &[(index, 0)], cut);
            write(out, &table, |take| band(&component.blocks, cut, take));
        }
    }
    out.append(&mut later);
    out.extend_from_slice(&[0xFF, 0xD9]);
    out
}

/// Chooses all values of a component anew, by the codes that suit the plain ones.
fn reconsider(blocks: &mut Blocks, plane: &Raster, quantisers: &Quantisers, worth: f32) {
    let weights = quantisers.in_file.map(|step| worth * f32::from(step));
    let bands: Vec<(Band, Prices)> = best_bands(blocks).into_iter().map(|band| (band, prices(blocks, band))).collect();
    blocks.reconsider(plane, quantisers, |exact, block| {
        for (band, prices) in &bands {
            choose(exact, block, *band, prices, &weights);
        }
    });
}

/// The bands with the fewest bits.
fn best_bands(blocks: &Blocks) -> Vec<Band> {
    let bits = |cuts: &&[usize]| -> u64 {
        let of = |cut: Band| {
            let count = Count::of(|take| band(blocks, cut, take));
            count.bits(&CodeTable::best(&count.symbols))
        };
        bands(cuts).map(of).sum()
    };
    bands(CUTS.into_iter().min_by_key(bits).unwrap_or_default()).collect()
}

/// The bands between cuts.
fn bands(cuts: &[usize]) -> impl Iterator<Item = Band> {
    let firsts = std::iter::once(1).chain(cuts.iter().map(|&cut| cut + 1));
    firsts.zip(cuts.iter().copied().chain(std::iter::once(63)))
}

fn prices(blocks: &Blocks, cut: Band) -> Prices {
    let count = Count::of(|take| band(blocks, cut, take));
    let symbols = CodeTable::best(&count.symbols).lengths_of_codes();
    let (mut bits, mut ended) = (0.0, 0.0);
    for size in 0..15u32 {
        let runs = count.symbols[(size << 4) as usize] as f32;
        bits += runs * (symbols[(size << 4) as usize] + size as f32);
        // Runs of this symbol are from 2^size to twice that; short ones are more frequent.
        ended += runs * 1.4 * f32::from(1u16 << size);
    }
    Prices { symbols, end: if ended > 0.0 { bits / ended } else { 4.0 } }
}
