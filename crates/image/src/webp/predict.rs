//! Prediction from the samples above and to the left (RFC 6386, section 12), in a small square that holds these, too.

use super::modes::Mode;

/// The column of the first sample; the one before it is what lies to the left.
const START: usize = 8;
/// What counts as above the picture, and as left of it.
pub(super) const ABOVE: u8 = 127;
const LEFT: u8 = 129;

/// `SIDE` by `SIDE` samples from row 1 and column 8 on. Row 0 is what lies above, with four samples more to the right.
#[derive(Debug)]
pub(super) struct Square<const SIDE: usize, const ROWS: usize, const WIDTH: usize> {
    rows: [[u8; WIDTH]; ROWS],
}

/// The luma of a macroblock.
pub(super) type LumaSquare = Square<16, 17, 32>;
/// One chroma of a macroblock.
pub(super) type ChromaSquare = Square<8, 9, 16>;

impl<const SIDE: usize, const ROWS: usize, const WIDTH: usize> Square<SIDE, ROWS, WIDTH> {
    pub(super) fn new() -> Self {
        Self { rows: [[ABOVE; WIDTH]; ROWS] }
    }

    /// Goes to the first macroblock of row `y`.
    pub(super) fn begin_row(&mut self, y: usize) {
        self.rows.iter_mut().for_each(|row| row[START - 1] = LEFT);
        if y == 0 {
            self.rows[0][START - 1] = ABOVE;
        }
    }

    /// Goes to the macroblock to the right: what was its last column is what lies to the left now.
    #[inline(always)]
    pub(super) fn step(&mut self) {
        self.rows.iter_mut().for_each(|row| row[START - 1] = row[START + SIDE - 1]);
    }

    /// Takes the samples above, `SIDE` of them or more.
    #[inline(always)]
    pub(super) fn set_above(&mut self, above: &[u8]) {
        for (to, from) in self.rows[0].iter_mut().skip(START).zip(above) {
            *to = *from;
        }
    }

    /// The samples, row by row.
    #[inline(always)]
    pub(super) fn samples(&self) -> impl Iterator<Item = &[u8; SIDE]> {
        self.rows.iter().skip(1).filter_map(|row| row.get(START..)?.first_chunk())
    }

    /// Predicts all of it, for the macroblock at `x`, `y`.
    #[inline(always)]
    pub(super) fn predict(&mut self, mode: Mode, (x, y): (usize, usize)) {
        let [above, rows @ ..] = self.rows.as_mut_slice() else { return };
        let corner = i16::from(above[START - 1]);
        let Some(above) = above.get(START..).and_then(<[u8]>::first_chunk::<SIDE>) else { return };
        let mean = match mode {
            Mode::Mean => {
                let (count, log) = (SIDE as u32, SIDE.trailing_zeros());
                let sum_above: u32 = above.iter().map(|&sample| u32::from(sample)).sum();
                let sum_left: u32 = rows.iter().map(|row| u32::from(row[START - 1])).sum();
                match (x > 0, y > 0) {
                    (true, true) => (sum_above + sum_left + count) >> (log + 1),
                    (true, false) => (sum_left + count / 2) >> log,
                    (false, true) => (sum_above + count / 2) >> log,
                    (false, false) => 128,
                }
            }
            _ => 0,
        };
        for row in rows {
            let left = row[START - 1];
            let Some(out) = row.get_mut(START..).and_then(<[u8]>::first_chunk_mut::<SIDE>) else { return };
            match mode {
                Mode::Down => *out = *above,
                Mode::Across => *out = [left; SIDE],
                Mode::Motion => {
                    let change = i16::from(left) - corner;
                    *out = above.map(|sample| (i16::from(sample) + change).clamp(0, 255) as u8);
                }
                _ => *out = [mean as u8; SIDE],
            }
        }
    }

    /// Adds differences to the block of 4 × 4 in this column and row of blocks.
    #[inline(always)]
    pub(super) fn add(&mut self, column: usize, row: usize, differences: &[[i16; 4]; 4]) {
        let start = START + 4 * column;
        for (row, differences) in self.rows.iter_mut().skip(1 + 4 * row).zip(differences) {
            if let Some(samples) = row.get_mut(start..).and_then(<[u8]>::first_chunk_mut::<4>) {
                for (sample, difference) in samples.iter_mut().zip(differences) {
                    *sample = difference.wrapping_add(i16::from(*sample)).clamp(0, 255) as u8;
                }
            }
        }
    }
}

impl LumaSquare {
    /// Copies what lies above and to the right to where the lower blocks of the last column look for it.
    pub(super) fn spread_above_right(&mut self) {
        let right: [u8; 4] = std::array::from_fn(|column| self.rows[0][START + 16 + column]);
        for row in [4, 8, 12] {
            self.rows[row][START + 16..START + 20].copy_from_slice(&right);
        }
    }

    /// Predicts the block of 4 × 4 in this column and row of blocks.
    #[inline(always)]
    pub(super) fn predict_block(&mut self, mode: Mode, column: usize, row: usize) {
        let (column, row) = (column & 3, row & 3);
        let (top, start) = (4 * row, START + 4 * column);
        // From the lowest to the left up to the corner, and on to the right: L K J I X A B C D E F G H H.
        let mut edge = [0u8; 16];
        for (index, sample) in edge.iter_mut().take(4).enumerate() {
            *sample = self.rows[top + 4 - index][start - 1];
        }
        edge[4..13].copy_from_slice(&self.rows[top][start - 1..start + 8]);
        edge[13] = edge[12];
        let samples = predicted(mode, &edge);
        for (index, samples) in samples.iter().enumerate() {
            self.rows[top + 1 + index][start..start + 4].copy_from_slice(samples);
        }
    }
}

/// A block of 4 × 4 from the samples around it.
#[inline(always)]
fn predicted(mode: Mode, edge: &[u8; 16]) -> [[u8; 4]; 4] {
    let wide = edge.map(u16::from);
    // Of two and of three neighbours, the first of them at the index.
    let two: [u8; 15] = std::array::from_fn(|i| ((wide[i] + wide[i + 1] + 1) >> 1) as u8);
    let three: [u8; 14] = std::array::from_fn(|i| ((wide[i] + 2 * wide[i + 1] + wide[i + 2] + 2) >> 2) as u8);
    let pick = |from: &[u8], first: usize| -> [u8; 4] { std::array::from_fn(|i| from[first + i]) };
    let [l, k] = [edge[0], edge[1]];
    // Below the lowest sample to the left the same one goes on.
    let last = ((u16::from(k) + 3 * u16::from(l) + 2) >> 2) as u8;
    match mode {
        Mode::Mean => {
            let sum: u16 = wide[..4].iter().chain(&wide[5..9]).sum();
            [[((sum + 4) >> 3) as u8; 4]; 4]
        }
        Mode::Motion => {
            let corner = i16::from(edge[4]);
            std::array::from_fn(|row| {
                let change = i16::from(edge[3 - row]) - corner;
                std::array::from_fn(|column| (i16::from(edge[5 + column]) + change).clamp(0, 255) as u8)
            })
        }
        Mode::Down => [pick(&three, 4); 4],
        Mode::Across => [[three[2]; 4], [three[1]; 4], [three[0]; 4], [last; 4]],
        Mode::DownRight => [pick(&three, 3), pick(&three, 2), pick(&three, 1), pick(&three, 0)],
        Mode::DownLeft => [pick(&three, 5), pick(&three, 6), pick(&three, 7), pick(&three, 8)],
        Mode::DownRightSteep => [
            pick(&two, 4),
            pick(&three, 3),
            [three[2], two[4], two[5], two[6]],
            [three[1], three[3], three[4], three[5]],
        ],
        Mode::DownLeftSteep => [
            pick(&two, 5),
            pick(&three, 5),
            [two[6], two[7], two[8], three[9]],
            [three[6], three[7], three[8], three[10]],
        ],
        Mode::AcrossDown => [
            [two[3], three[3], three[4], three[5]],
            [two[2], three[2], two[3], three[3]],
            [two[1], three[1], two[2], three[2]],
            [two[0], three[0], two[1], three[1]],
        ],
        Mode::AcrossUp => {
            [[two[2], three[1], two[1], three[0]], [two[1], three[0], two[0], last], [two[0], last, l, l], [l; 4]]
        }
    }
}
