//! Which values a block is best sent with: errors weighed against the bits that they save, by the lengths of the real codes.
//!
//! A coefficient costs by the run of zeros before it, so that one that is dropped makes the next one dearer or cheaper, and the last one
//! ends the block earlier. The best choice for a band is the shortest way from its start to its end, over the coefficients that are kept:
//!
//! ```text
//! start ──▶ 3 ──────▶ 5 ──▶ end      each step: bits of (run, size) + bits of the value + errors of what is passed over
//!    └──────────▶ 4 ───┘
//! ```

use super::scans::Band;
use super::symbols::SIXTEEN_ZEROS;

/// What the codes of a band cost, in bits.
pub(super) struct Prices {
    /// Of each symbol.
    pub(super) symbols: [f32; 256],
    /// Of the end of a block, on average: most ends share a symbol with those of their neighbours.
    pub(super) end: f32,
}

impl Prices {
    fn step(&self, run: usize, size: usize) -> f32 {
        let sixteens = if run > 15 { (run / 16) as f32 * self.symbols[usize::from(SIXTEEN_ZEROS)] } else { 0.0 };
        sixteens + self.symbols[(run % 16 * 16 + size) & 255] + size as f32
    }
}

/// The best known way to a coefficient that is kept.
#[derive(Clone, Copy)]
struct Way {
    cost: f32,
    at: usize,
    value: i16,
    /// Number of the way before it.
    from: usize,
}

/// Sets the values of `band` in `block` to the best ones for the `exact` coefficients (in steps of the quantiser). `weights` are what
/// the square of an error of one step is worth in bits.
pub(super) fn choose(
    exact: &[f32; 64],
    block: &mut [i16; 64],
    (first, last): Band,
    prices: &Prices,
    weights: &[f32; 64],
) {
    // Errors of leaving out everything before each coefficient.
    let mut left_out = [0f32; 65];
    for k in first..=last {
        left_out[k + 1] = left_out[k] + exact[k] * exact[k] * weights[k];
    }
    let start = Way { cost: 0.0, at: first - 1, value: 0, from: 0 };
    let mut ways = [start; 64];
    let mut known = 1;
    for k in first..=last {
        let magnitude = exact[k].abs();
        let nearest = (magnitude + 0.5) as i32;
        if nearest == 0 {
            continue;
        }
        let size_of = |value: i32| 32 - value.leading_zeros() as usize;
        let mut best = Way { cost: f32::INFINITY, at: k, value: 0, from: 0 };
        // The nearest value, the next smaller one, and the largest one that takes a bit less.
        let candidates = [nearest, nearest - 1, (1 << (size_of(nearest) - 1)) - 1];
        for (from, way) in ways.iter().enumerate().take(known) {
            let before = way.cost + left_out[k] - left_out[way.at + 1];
            if before >= best.cost {
                continue;
            }
            let run = k - way.at - 1;
            for value in candidates.into_iter().filter(|&value| value > 0) {
                let error = magnitude - value as f32;
                let cost = before + error * error * weights[k] + prices.step(run, size_of(value));
                if cost < best.cost {
                    best = Way { cost, at: k, value: if exact[k] < 0.0 { -value as i16 } else { value as i16 }, from };
                }
            }
        }
        ways[known & 63] = best;
        known += 1;
    }
    let end_after =
        |way: &Way| way.cost + left_out[last + 1] - left_out[way.at + 1] + if way.at < last { prices.end } else { 0.0 };
    let mut at = 0;
    for index in 1..known {
        if end_after(&ways[index]) < end_after(&ways[at]) {
            at = index;
        }
    }
    block[first..=last].fill(0);
    while at != 0 {
        block[ways[at].at] = ways[at].value;
        at = ways[at].from;
    }
}
