//! The lower bound of a decoder that takes one symbol at a time: every Huffman symbol of a baseline file is read once, with its extra
//! bits, and nothing is kept.
//!
//! Stuffing is taken out first, the reader refills without a branch, a look-up gives length and run at once. What is left is the chain
//! from one symbol to the next: shift, look up, add.

use crate::measure::Work;

/// Reads all symbols of a file at every call.
pub(crate) struct Symbols<'a> {
    pub(crate) source: &'a [u8],
    /// Of the last call.
    pub(crate) symbols: u64,
}

impl Work for Symbols<'_> {
    fn once(&mut self) -> Result<(), String> {
        self.symbols = read(self.source)?;
        if self.symbols == 0 { Err("a JPEG file without symbols".into()) } else { Ok(()) }
    }
}

const SOF0: u8 = 0xC0;
const SOF1: u8 = 0xC1;
const DHT: u8 = 0xC4;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const DRI: u8 = 0xDD;

#[derive(Clone, Copy)]
struct Component {
    id: u8,
    across: usize,
    down: usize,
}

#[derive(Default)]
struct State {
    size: (usize, usize),
    components: Vec<Component>,
    /// By class (DC, AC) and slot.
    tables: [[Option<Box<Table>>; 4]; 2],
    restart: usize,
}

/// How many symbols there are.
fn read(jpeg: &[u8]) -> Result<u64, String> {
    let cut = || "the file is cut".to_owned();
    let (mut state, mut at, mut symbols) = (State::default(), 2, 0);
    loop {
        let &[_, marker] = jpeg.get(at..at + 2).and_then(|bytes| bytes.first_chunk::<2>()).ok_or_else(cut)?;
        if marker == EOI {
            return Ok(symbols);
        }
        let &length = jpeg.get(at + 2..).and_then(|bytes| bytes.first_chunk::<2>()).ok_or_else(cut)?;
        let end = at + 2 + usize::from(u16::from_be_bytes(length));
        let payload = jpeg.get(at + 4..end).ok_or_else(cut)?;
        at = end;
        match marker {
            SOF0 | SOF1 => state.frame(payload).ok_or_else(cut)?,
            0xC2..=0xC3 | 0xC5..=0xCF => {
                return Err("only baseline files: refinements cannot be read without a history".into());
            }
            DHT => state.tables(payload).ok_or_else(cut)?,
            DRI => state.restart = usize::from(u16::from_be_bytes([payload[0], payload[1]])),
            SOS => {
                let (intervals, length) = unstuffed(jpeg.get(end..).ok_or_else(cut)?);
                symbols += state.scan(payload, &intervals).ok_or_else(cut)?;
                at = end + length;
            }
            _ => {}
        }
    }
}

/// The data of each restart interval, with zeros to read beyond its end, and how long all of it was in the file.
fn unstuffed(data: &[u8]) -> (Vec<Vec<u8>>, usize) {
    let (mut intervals, mut interval, mut at) = (Vec::new(), Vec::with_capacity(data.len()), 0);
    loop {
        let rest = data.get(at..).unwrap_or_default();
        let plain = rest.iter().position(|byte| *byte == 0xFF).unwrap_or(rest.len());
        interval.extend_from_slice(&rest[..plain]);
        at += plain;
        match data.get(at + 1) {
            Some(0) => {
                interval.push(0xFF);
                at += 2;
            }
            Some(0xFF) => at += 1,
            next => {
                let restarts = next.is_some_and(|next| (0xD0..=0xD7).contains(next));
                interval.extend([0; 8]);
                intervals.push(std::mem::take(&mut interval));
                if !restarts {
                    return (intervals, at);
                }
                at += 2;
            }
        }
    }
}

impl State {
    fn frame(&mut self, payload: &[u8]) -> Option<()> {
        let side = |at: usize| Some(usize::from(u16::from_be_bytes([*payload.get(at)?, *payload.get(at + 1)?])));
        self.size = (side(3)?, side(1)?);
        self.components = payload
            .get(6..)?
            .chunks_exact(3)
            .map(|part| Component { id: part[0], across: usize::from(part[1] >> 4), down: usize::from(part[1] & 15) })
            .collect();
        Some(())
    }

    fn tables(&mut self, mut payload: &[u8]) -> Option<()> {
        while let Some((&place, rest)) = payload.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let count = counts.iter().map(|count| usize::from(*count)).sum();
            let (values, rest) = rest.split_at_checked(count)?;
            self.tables[usize::from(place >> 4 & 1)][usize::from(place & 3)] =
                Some(Box::new(Table::new(counts, values)));
            payload = rest;
        }
        Some(())
    }

    fn scan(&self, payload: &[u8], intervals: &[Vec<u8>]) -> Option<u64> {
        let parts = payload.get(1..1 + usize::from(*payload.first()?) * 2)?;
        let of = |id: u8| self.components.iter().find(|component| component.id == id);
        let most = |side: fn(&Component) -> usize| self.components.iter().map(side).max();
        let (across, down) = (most(|component| component.across)?, most(|component| component.down)?);
        let alone = parts.len() == 2;
        let mut blocks = Vec::new();
        for part in parts.chunks_exact(2) {
            let component = of(part[0])?;
            let tables = (
                self.tables[0][usize::from(part[1] >> 4 & 3)].as_deref()?,
                self.tables[1][usize::from(part[1] & 3)].as_deref()?,
            );
            let count = if alone { 1 } else { component.across * component.down };
            blocks.extend(std::iter::repeat_n(tables, count));
        }
        // One component by itself has no blocks beyond its samples.
        let units = if alone {
            let component = of(parts[0])?;
            (self.size.0 * component.across).div_ceil(8 * across) * (self.size.1 * component.down).div_ceil(8 * down)
        } else {
            self.size.0.div_ceil(8 * across) * self.size.1.div_ceil(8 * down)
        };
        let an_interval = if self.restart == 0 { units } else { self.restart };
        let (mut left, mut symbols) = (units, 0);
        for data in intervals {
            symbols += read_units(data, an_interval.min(left), &blocks);
            left = left.saturating_sub(an_interval);
        }
        Some(symbols)
    }
}

fn read_units(data: &[u8], units: usize, blocks: &[(&Table, &Table)]) -> u64 {
    let mut bits = Bits { data, at: 0, window: 0, held: 0 };
    let mut symbols = 0;
    for _ in 0..units {
        for (dc, ac) in blocks {
            bits.next(dc);
            symbols += 1;
            let mut index = 1;
            while index < 64 {
                index += bits.next(ac);
                symbols += 1;
            }
        }
    }
    symbols
}

/// Bits of the look-up.
const QUICK_BITS: u32 = 12;

/// Of each code: how many bits it and its value take, and how far it goes in the block.
struct Table {
    quick: [u16; 1 << QUICK_BITS],
    /// Codes that are longer, as left-aligned bounds: below `.0` it has `.1` bits, and begins at `.2` of `values`, which begin at `.3`.
    long: Vec<(u32, u32, u32, usize)>,
    values: Vec<u8>,
}

fn step(value: u8, length: u32) -> u16 {
    let (run, size) = (u16::from(value >> 4), u16::from(value & 15));
    let goes = match (run, size) {
        (15, 0) => 16,
        // The end of the block.
        (_, 0) => 64,
        _ => run + 1,
    };
    goes << 8 | (length as u16 + size)
}

impl Table {
    fn new(counts: &[u8; 16], values: &[u8]) -> Self {
        let (mut quick, mut long) = ([0; 1 << QUICK_BITS], Vec::new());
        let (mut code, mut first) = (0u32, 0);
        for (count, length) in counts.iter().zip(1u32..) {
            let count = u32::from(*count);
            if length <= QUICK_BITS {
                for (offset, value) in (0..count).zip(&values[first..]) {
                    let start = ((code + offset) << (QUICK_BITS - length)) as usize;
                    let entries = quick.iter_mut().skip(start).take(1 << (QUICK_BITS - length));
                    entries.for_each(|entry| *entry = step(*value, length));
                }
            } else if count > 0 {
                long.push(((code + count) << (16 - length), length, code, first));
            }
            first += count as usize;
            code = (code + count) << 1;
        }
        Self { quick, long, values: values.to_vec() }
    }

    #[cold]
    fn long(&self, ahead: u32) -> u16 {
        let found = self.long.iter().find(|(below, ..)| ahead < *below);
        let value = found.and_then(|(_, length, code, first)| {
            let value = self.values.get(first + ((ahead >> (16 - length)) - code) as usize)?;
            Some(step(*value, *length))
        });
        // No such code: go on with one bit, to the end.
        value.unwrap_or(64 << 8 | 1)
    }
}

struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    /// The next bits, from the highest on.
    window: u64,
    held: u32,
}

impl Bits<'_> {
    /// Passes over a symbol and its value; gives how far it goes.
    #[inline(always)]
    fn next(&mut self, table: &Table) -> usize {
        let ahead = self.data.get(self.at..).and_then(|data| data.first_chunk::<8>()).copied().unwrap_or_default();
        self.window |= u64::from_be_bytes(ahead) >> self.held;
        self.at += (63 - self.held as usize) >> 3;
        self.held |= 56;
        let mut step = table.quick[(self.window >> (64 - QUICK_BITS)) as usize];
        if step == 0 {
            step = table.long((self.window >> 48) as u32);
        }
        self.window <<= step & 63;
        self.held -= u32::from(step & 63);
        usize::from(step >> 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_symbols_are_read_as_were_written() {
        // Every block of one grey has a DC symbol and an end.
        let mut grey = Vec::new();
        jpeg_encoder::Encoder::new(&mut grey, 90)
            .encode(&[77; 64 * 48], 64, 48, jpeg_encoder::ColorType::Luma)
            .expect("a vector takes all bytes");
        assert_eq!(read(&grey), Ok(6 * 8 * 2));
    }

    #[test]
    fn restart_markers_and_scans_of_one_component_change_nothing_but_predictions() {
        let picture = pictures::photos::generated(200, 120, 95);
        let pixels = pictures::quality::decode(&picture).expect("it was made here").pixels;
        let bytes: Vec<u8> = pixels.iter().flatten().map(|component| (component * 255.0) as u8).collect();
        let symbols = |set: &dyn Fn(&mut jpeg_encoder::Encoder<&mut Vec<u8>>)| {
            let mut file = Vec::new();
            let mut encoder = jpeg_encoder::Encoder::new(&mut file, 90);
            encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_1_1);
            set(&mut encoder);
            encoder.encode(&bytes, 200, 120, jpeg_encoder::ColorType::Rgb).expect("a vector takes all bytes");
            read(&file).expect("it is baseline")
        };
        let plain = symbols(&|_| {});
        assert!(plain > 200 * 120 / 64 * 6, "{plain}");
        assert_eq!(symbols(&|encoder| encoder.set_restart_interval(7)), plain);
        assert_eq!(symbols(&|encoder| encoder.set_optimized_huffman_tables(true)), plain);
    }
}
