//! Scans of AC coefficients of a progressive picture: one component, a band of coefficients, its first bits or one more.
//!
//! A refinement has a bit for each coefficient that is not zero already, between symbols that count zeros. The map of a block
//! ([`super::store`]) answers both questions for a whole run at once: where the zero number r is, and how many bits to take until there.
//! Of those bits only the ones of kept coefficients are looked at. Runs of blocks without symbols pass over empty blocks 64 at a time.

use super::baseline::broken;
use super::bits::{Ahead, BitReader, Cursor};
use super::huffman::HuffmanTable;
use super::scan::Scan;
use super::store::{Block, Blocks, band, map_bit};
use crate::Error;

/// Two questions about sets of bits, which machines with BMI2 answer in one instruction.
pub(super) trait Sets: Copy {
    /// The member number `n` of `set`, from the lowest up; 0 when there are not so many.
    fn select(self, set: u64, n: u32) -> u64;
    /// The members of `set` for which there is a 1 in `bits`; the lowest member belongs to the lowest bit.
    fn deposit(self, bits: u64, set: u64) -> u64;
}

/// The answers for any machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlainSets;

impl Sets for PlainSets {
    #[inline(always)]
    fn select(self, mut set: u64, n: u32) -> u64 {
        for _ in 0..n {
            set &= set.wrapping_sub(1);
        }
        set & set.wrapping_neg()
    }

    #[inline(always)]
    fn deposit(self, mut bits: u64, mut set: u64) -> u64 {
        let mut members = 0;
        while set != 0 {
            let lowest = set & set.wrapping_neg();
            members |= lowest & (bits & 1).wrapping_neg();
            set ^= lowest;
            bits >>= 1;
        }
        members
    }
}

/// One AC scan.
pub(super) struct BandScan<'a> {
    pub(super) table: &'a HuffmanTable,
    pub(super) scan: Scan,
}

impl BandScan<'_> {
    /// Decodes the blocks from `from` to before `end`. `run` counts blocks to come that have no symbols of their own.
    #[inline(always)]
    pub(super) fn decode(
        &self,
        sets: impl Sets,
        bits: &mut BitReader<'_>,
        blocks: &mut Blocks,
        (from, end): (usize, usize),
        run: &mut u32,
    ) -> Result<(), Error> {
        let mut at = from;
        while at < end {
            if *run > 0 {
                let after = end.min(at + *run as usize);
                if self.scan.high > 0 {
                    self.refine_run(sets, bits, blocks, (at, after))?;
                }
                *run -= (after - at) as u32;
                at = after;
                continue;
            }
            let kept_set = blocks.kept_set;
            let Some(mut block) = blocks.block(at) else { return Err(broken()) };
            let (ahead, mut cursor) = bits.block();
            let fresh = if self.scan.high > 0 {
                self.refine_block(sets, ahead, &mut cursor, &mut block, kept_set, run)
            } else {
                self.first_block(ahead, &mut cursor, &mut block, run)
            };
            let Some(fresh) = fresh else { return Err(broken()) };
            bits.advance(cursor);
            if fresh != 0 {
                *block.map |= fresh;
                blocks.occupy(at);
            }
            if bits.is_broken() {
                return Err(broken());
            }
            at += 1;
        }
        Ok(())
    }

    /// The first scan of a band: gives which coefficients are not zero, or `None` when the bits make no sense.
    #[inline(always)]
    fn first_block(&self, ahead: &Ahead, cursor: &mut Cursor, block: &mut Block<'_>, run: &mut u32) -> Option<u64> {
        let (mut index, last, low) = (self.scan.first, self.scan.last, self.scan.low);
        let mut fresh = 0;
        loop {
            cursor.refill(ahead);
            let step = self.table.step(cursor);
            if step.size() == 0 {
                if step.is_none() {
                    return None;
                }
                cursor.consume(step.total());
                if step.ends_block() {
                    *run = (1 << step.run()) - 1 + cursor.take(step.run());
                    return Some(fresh);
                }
                index += 16;
            } else {
                let value = cursor.value(step.length(), step.size());
                cursor.consume(step.total());
                index += step.run();
                if index > last {
                    return None;
                }
                fresh |= map_bit(index);
                block.set(index, (value << low) as i16);
                index += 1;
            }
            if index > last {
                return Some(fresh);
            }
        }
    }

    /// A later scan of a band, for a block with symbols: one more bit for what is not zero, and what becomes so.
    #[inline(always)]
    fn refine_block(
        &self,
        sets: impl Sets,
        ahead: &Ahead,
        cursor: &mut Cursor,
        block: &mut Block<'_>,
        kept_set: u64,
        run: &mut u32,
    ) -> Option<u64> {
        // Coefficients that are still to come; which of the block are not zero, become so now, and become negative.
        let mut open = band(self.scan.first, self.scan.last);
        let (history, mut fresh, mut negative) = (*block.map, 0u64, 0u64);
        let mut corrections = Corrections::default();
        loop {
            cursor.refill(ahead);
            let step = self.table.step(cursor);
            let mut becomes = u64::MAX;
            if step.size() != 1 {
                if step.is_none() || step.size() > 1 {
                    return None;
                }
                if step.ends_block() {
                    cursor.consume(step.total());
                    *run = (1 << step.run()) - 1 + cursor.take(step.run());
                    cursor.refill(ahead);
                    corrections.take(ahead, cursor, 0, history & open);
                    break;
                }
                // A run of sixteen zeros: the last of them stays one.
                becomes = 0;
            }
            // The zero that the run leads to; none when the band ends before it. Bits for all that is not zero until there follow the symbol.
            let place = sets.select(!history & open, step.run());
            let before = place.wrapping_sub(1);
            let minus = u64::from(cursor.value(step.length(), 1) < 0).wrapping_neg();
            fresh |= place & becomes;
            negative |= place & becomes & minus;
            corrections.take(ahead, cursor, step.total(), history & open & before);
            open &= !(place ^ before);
            if open == 0 {
                if place & becomes == 0 && becomes != 0 {
                    return None;
                }
                break;
            }
        }
        block.refine((corrections.grown(sets) | fresh) & kept_set, negative, 1 << self.scan.low);
        Some(fresh)
    }

    /// A later scan of a band, for blocks without symbols: one more bit for what is not zero.
    #[inline(always)]
    fn refine_run(
        &self,
        sets: impl Sets,
        bits: &mut BitReader<'_>,
        blocks: &mut Blocks,
        (from, end): (usize, usize),
    ) -> Result<(), Error> {
        let band = band(self.scan.first, self.scan.last);
        let kept_set = blocks.kept_set;
        let mut next = from;
        while let Some(at) = blocks.next_occupied(next, end) {
            next = at + 1;
            let Some(mut block) = blocks.block(at) else { return Err(broken()) };
            let set = *block.map & band;
            if set == 0 {
                continue;
            }
            let (ahead, mut cursor) = bits.block();
            let mut corrections = Corrections::default();
            cursor.refill(ahead);
            corrections.take(ahead, &mut cursor, 0, set);
            bits.advance(cursor);
            block.refine(corrections.grown(sets) & kept_set, 0, 1 << self.scan.low);
            if bits.is_broken() {
                return Err(broken());
            }
        }
        Ok(())
    }
}

/// The correction bits of a block, gathered until its end: to put them to their coefficients at once is cheaper than one by one.
#[derive(Debug, Clone, Copy, Default)]
struct Corrections {
    /// The bits, the latest lowest.
    bits: u64,
    /// What they are for; the lowest coefficient belongs to the first bit.
    set: u64,
}

impl Corrections {
    /// Takes a bit for each coefficient of `set` from behind the next `skipped` bits (17 at most), and consumes all of them. The cursor holds
    /// 49 bits at least.
    #[inline(always)]
    fn take(&mut self, ahead: &Ahead, cursor: &mut Cursor, skipped: u32, set: u64) {
        self.set |= set;
        let count = set.count_ones();
        if count <= MOST_AT_ONCE {
            self.bits = self.bits << count | cursor.look(skipped, count);
            cursor.consume((skipped & 63) + count);
        } else {
            self.bits = self.bits << MOST_AT_ONCE | cursor.look(skipped, MOST_AT_ONCE);
            cursor.consume((skipped & 63) + MOST_AT_ONCE);
            cursor.refill(ahead);
            let rest = count - MOST_AT_ONCE;
            self.bits = self.bits << rest | cursor.look(0, rest);
            cursor.consume(rest);
        }
    }

    /// The coefficients whose bit is 1.
    #[inline(always)]
    fn grown(self, sets: impl Sets) -> u64 {
        // The first bit goes lowest.
        let first_lowest = self.bits.reverse_bits() >> ((64 - self.set.count_ones()) & 63);
        sets.deposit(first_lowest, self.set)
    }
}

/// Correction bits that are taken at once; with a symbol before them they are in a window of 56.
const MOST_AT_ONCE: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jpeg::simd::Machine;

    #[test]
    fn members_are_counted_from_the_lowest() {
        let set = map_bit(3) | map_bit(10) | map_bit(63);
        assert_eq!([0, 1, 2, 3].map(|n| PlainSets.select(set, n)), [map_bit(3), map_bit(10), map_bit(63), 0]);
        assert_eq!(PlainSets.select(0, 0), 0);
        assert_eq!(PlainSets.deposit(0b011, set), map_bit(3) | map_bit(10));
    }

    #[test]
    fn both_builds_answer_alike() {
        let mut seed = 7u64;
        let mut next = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        for round in 0..2000 {
            let set = if round % 3 == 0 { next() & next() & next() } else { next() };
            let (n, bits) = ((next() % 17) as u32, next());
            let plain = (PlainSets.select(set, n), PlainSets.deposit(bits, set));
            assert_eq!(Machine::detect().select_and_deposit(set, n, bits), plain, "{set:x} {n} {bits:x}");
        }
    }
}
