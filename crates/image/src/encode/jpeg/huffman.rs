//! The best Huffman code for the counted symbols, within the 16 bits that the format allows (ITU-T T.81, annex K.2).

/// Longest code.
const LONGEST: usize = 16;

/// A code table: for writing, and as the file describes it.
pub(super) struct CodeTable {
    /// Codes of each length 1 to 16.
    pub(super) lengths: [u8; LONGEST],
    /// Symbols by rising code.
    pub(super) symbols: Vec<u8>,
    codes: [(u16, u8); 256],
}

impl CodeTable {
    /// Makes the table that needs the fewest bits.
    pub(super) fn best(counts: &[u32; 256]) -> Self {
        let lengths = limited(code_lengths(counts));
        let mut order: Vec<u8> = (0..=255u8).filter(|&symbol| counts[usize::from(symbol)] > 0).collect();
        // The most frequent first; equal ones by number, so that the result is the same everywhere.
        order.sort_by_key(|&symbol| std::cmp::Reverse(counts[usize::from(symbol)]));
        let mut codes = [(0u16, 0u8); 256];
        let (mut code, mut symbols) = (0u16, order.iter());
        for (index, &count) in lengths.iter().enumerate() {
            for _ in 0..count {
                if let Some(&symbol) = symbols.next() {
                    codes[usize::from(symbol)] = (code, index as u8 + 1);
                }
                code += 1;
            }
            code <<= 1;
        }
        Self { lengths, symbols: order, codes }
    }

    /// The code of a symbol and its length.
    #[inline(always)]
    pub(super) fn code(&self, symbol: u8) -> (u32, u32) {
        let (code, length) = self.codes[usize::from(symbol)];
        (u32::from(code), u32::from(length))
    }

    /// The length of the code of each symbol in bits; for one that was not counted, the longest.
    pub(super) fn lengths_of_codes(&self) -> [f32; 256] {
        self.codes.map(|(_, length)| if length == 0 { LONGEST as f32 } else { f32::from(length) })
    }

    /// Bytes of the table in the file, with its marker.
    pub(super) fn bytes(&self) -> u64 {
        (5 + LONGEST + self.symbols.len()) as u64
    }

    /// Bits that all counted symbols take, with the bits of their values.
    pub(super) fn bits(&self, counts: &[u32; 256]) -> u64 {
        counts
            .iter()
            .enumerate()
            .map(|(symbol, &count)| u64::from(count) * u64::from(self.codes[symbol].1 + (symbol as u8 & 15)))
            .sum()
    }
}

/// How many codes there are of each length, unlimited, with one place left free for the code of all ones, which is forbidden.
fn code_lengths(counts: &[u32; 256]) -> [u32; 64] {
    // Trees to be joined: weight, and the symbols in them. The extra symbol weighs nothing and so gets the longest code.
    let mut lengths = [0u32; 257];
    let mut weights = [0u64; 257];
    let mut next = [usize::MAX; 257];
    for (weight, &count) in weights.iter_mut().zip(counts) {
        *weight = u64::from(count) * 2;
    }
    weights[256] = 1;
    let lightest = |weights: &[u64; 257], but: usize| {
        (0..257).rev().filter(|&tree| weights[tree] > 0 && tree != but).min_by_key(|&tree| weights[tree])
    };
    while let Some(first) = lightest(&weights, usize::MAX) {
        let Some(second) = lightest(&weights, first) else { break };
        weights[first] += weights[second];
        weights[second] = 0;
        // Every symbol of both trees moves one level down; the lists are then one.
        let mut last = first;
        lengths[last] += 1;
        while next[last] != usize::MAX {
            last = next[last];
            lengths[last] += 1;
        }
        next[last] = second;
        let mut member = second;
        while member != usize::MAX {
            lengths[member] += 1;
            member = next[member];
        }
    }
    let mut histogram = [0u32; 64];
    for &length in lengths.iter().filter(|&&length| length > 0) {
        // 257 weights of 32 bits cannot reach a depth of 64.
        histogram[(length as usize).min(63)] += 1;
    }
    histogram
}

/// Shortens codes of more than 16 bits at the cost of others, and drops the extra symbol.
fn limited(mut histogram: [u32; 64]) -> [u8; LONGEST] {
    for length in (LONGEST + 1..64).rev() {
        while histogram[length] > 0 {
            let Some(donor) = (1..length - 1).rev().find(|&shorter| histogram[shorter] > 0) else { break };
            histogram[length] -= 2;
            histogram[length - 1] += 1;
            histogram[donor + 1] += 2;
            histogram[donor] -= 1;
        }
    }
    if let Some(longest) = (1..=LONGEST).rev().find(|&length| histogram[length] > 0) {
        histogram[longest] -= 1;
    }
    let mut lengths = [0u8; LONGEST];
    for (slot, &count) in lengths.iter_mut().zip(&histogram[1..]) {
        *slot = count as u8;
    }
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(counts: &[u32; 256]) -> CodeTable {
        let table = CodeTable::best(counts);
        let total: usize = table.lengths.iter().map(|&count| usize::from(count)).sum();
        assert_eq!(total, table.symbols.len());
        let space: u32 = table.lengths.iter().enumerate().map(|(i, &count)| u32::from(count) << (15 - i)).sum();
        assert!(space < 1 << 16, "the code of all ones must stay free: {space}");
        let used: Vec<(u32, u32)> = table.symbols.iter().map(|&symbol| table.code(symbol)).collect();
        for (i, &(a, a_length)) in used.iter().enumerate() {
            assert!((1..=16).contains(&a_length));
            for &(b, b_length) in &used[i + 1..] {
                let shorter = a_length.min(b_length);
                assert_ne!(a >> (a_length - shorter), b >> (b_length - shorter), "one code begins with another");
            }
        }
        table
    }

    #[test]
    fn codes_are_prefix_free_and_frequent_symbols_are_short() {
        let mut counts = [0u32; 256];
        (counts[3], counts[7], counts[200], counts[0]) = (1000, 100, 10, 1);
        let table = check(&counts);
        assert!(table.code(3).1 < table.code(200).1);
        check(&[1; 256]);
        let mut single = [0u32; 256];
        single[5] = 9;
        assert_eq!(check(&single).code(5), (0, 1));
    }

    #[test]
    fn fibonacci_counts_do_not_exceed_sixteen_bits() {
        let mut counts = [0u32; 256];
        let (mut a, mut b) = (1u32, 1u32);
        for count in counts.iter_mut().take(40) {
            *count = a;
            (a, b) = (b, a.saturating_add(b));
        }
        check(&counts);
    }
}
