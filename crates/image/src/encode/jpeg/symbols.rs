//! Blocks as Huffman symbols, in the order of the file. The same walk counts them and writes them.

use super::Component;

/// Receives the symbols.
pub(super) trait Sink {
    /// The difference of a mean: its size in bits and these bits.
    fn dc(&mut self, class: usize, size: u32, extra: u32);
    /// A run of zeros and the size of what follows, and its bits.
    fn ac(&mut self, class: usize, symbol: u8, extra: u32);
}

/// How often each symbol occurs, for luma and for chroma.
pub(super) struct Counts {
    pub(super) dc: [[u32; 256]; 2],
    pub(super) ac: [[u32; 256]; 2],
}

impl Default for Counts {
    fn default() -> Self {
        Self { dc: [[0; 256]; 2], ac: [[0; 256]; 2] }
    }
}

impl Sink for Counts {
    #[inline(always)]
    fn dc(&mut self, class: usize, size: u32, _: u32) {
        self.dc[class][(size & 255) as usize] += 1;
    }

    #[inline(always)]
    fn ac(&mut self, class: usize, symbol: u8, _: u32) {
        self.ac[class][usize::from(symbol)] += 1;
    }
}

/// The symbol for 16 zeros, and the end of a block.
pub(super) const SIXTEEN_ZEROS: u8 = 0xF0;
const END_OF_BLOCK: u8 = 0;

/// Walks over all units. A block beyond the edges of its plane repeats the mean before it, which costs next to nothing.
pub(super) fn visit(components: &[Component], units: (usize, usize), sink: &mut impl Sink) {
    let mut means = [0i32; 3];
    for row in 0..units.1 {
        for column in 0..units.0 {
            for (component, mean) in components.iter().zip(&mut means) {
                for y in 0..component.down {
                    for x in 0..component.across {
                        match component.blocks.get(row * component.down + y, column * component.across + x) {
                            Some((block, nonzero)) => {
                                let (size, extra) = size_and_bits(i32::from(block[0]) - *mean);
                                *mean = i32::from(block[0]);
                                sink.dc(component.class, size, extra);
                                coefficients(block, nonzero & !1, component.class, sink);
                            }
                            None => {
                                sink.dc(component.class, 0, 0);
                                sink.ac(component.class, END_OF_BLOCK, 0);
                            }
                        }
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn coefficients(block: &[i16; 64], mut nonzero: u64, class: usize, sink: &mut impl Sink) {
    let mut next = 1;
    while nonzero != 0 {
        let index = nonzero.trailing_zeros();
        nonzero &= nonzero - 1;
        let mut run = index - next;
        while run > 15 {
            sink.ac(class, SIXTEEN_ZEROS, 0);
            run -= 16;
        }
        let (size, extra) = size_and_bits(i32::from(block[(index & 63) as usize]));
        sink.ac(class, (run << 4 | size) as u8, extra);
        next = index + 1;
    }
    if next < 64 {
        sink.ac(class, END_OF_BLOCK, 0);
    }
}

/// The size of a value in bits, and these bits: negative values count down from all ones.
#[inline(always)]
pub(super) fn size_and_bits(value: i32) -> (u32, u32) {
    let size = 32 - value.unsigned_abs().leading_zeros();
    let bits = (value + (value >> 31)) as u32 & ((1 << size) - 1);
    (size, bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_sizes_and_bits() {
        for (value, expected) in
            [(0, (0, 0)), (1, (1, 1)), (-1, (1, 0)), (2, (2, 2)), (-2, (2, 1)), (-3, (2, 0)), (1023, (10, 1023))]
        {
            assert_eq!(size_and_bits(value), expected, "{value}");
        }
    }
}
