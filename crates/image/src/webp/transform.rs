//! The two transforms of VP8 (RFC 6386, section 14): from coefficients to differences, and from the block of means to the means.

/// sqrt(2) * cos(pi / 8) - 1 and sqrt(2) * sin(pi / 8), times 65 536; the second one less 65 536, so that it fits 16 bits with a sign.
const COSINE: i32 = 20_091;
const SINE: i32 = 35_468 - 65_536;

/// Where the low 16 bits are dropped of a product: one instruction for all lanes.
#[inline(always)]
fn times(value: i16, factor: i32) -> i16 {
    value.wrapping_add(((i32::from(value) * factor) >> 16) as i16)
}

type Lanes = [i16; 4];

#[inline(always)]
fn each(a: Lanes, b: Lanes, operation: impl Fn(i16, i16) -> i16) -> Lanes {
    std::array::from_fn(|lane| operation(a[lane], b[lane]))
}

/// Four lanes at once along one direction.
#[inline(always)]
fn pass([in0, in1, in2, in3]: [Lanes; 4]) -> [Lanes; 4] {
    let add = |a, b| each(a, b, i16::wrapping_add);
    let sub = |a, b| each(a, b, i16::wrapping_sub);
    let (a, b) = (add(in0, in2), sub(in0, in2));
    let c = sub(in1.map(|value| times(value, SINE)), in3.map(|value| times(value, COSINE)));
    let d = add(in1.map(|value| times(value, COSINE)), in3.map(|value| times(value, SINE)));
    [add(a, d), add(b, c), sub(b, c), sub(a, d)]
}

#[inline(always)]
fn transposed(rows: [Lanes; 4]) -> [Lanes; 4] {
    std::array::from_fn(|column| std::array::from_fn(|row| rows[row][column]))
}

/// The differences of a block, row by row.
#[inline(always)]
pub(super) fn differences(coefficients: &[i16; 16]) -> [[i16; 4]; 4] {
    let rows = coefficients.as_chunks::<4>().0;
    let mut columns = transposed(pass([rows[0], rows[1], rows[2], rows[3]]));
    // Rounding: the first lanes are in every sum once.
    columns[0] = columns[0].map(|value| value.wrapping_add(4));
    transposed(pass(columns)).map(|row| row.map(|value| value >> 3))
}

/// Puts the means of 16 blocks, which are a transform of their own, into the blocks.
pub(super) fn spread_means(coefficients: &[i16; 16], blocks: &mut [[i16; 16]]) {
    let input = coefficients.map(i32::from);
    let mut sums = [0; 16];
    for i in 0..4 {
        let (a0, a1) = (input[i] + input[12 + i], input[4 + i] + input[8 + i]);
        let (a2, a3) = (input[4 + i] - input[8 + i], input[i] - input[12 + i]);
        (sums[i], sums[8 + i], sums[4 + i], sums[12 + i]) = (a0 + a1, a0 - a1, a3 + a2, a3 - a2);
    }
    for (row, blocks) in sums.as_chunks::<4>().0.iter().zip(blocks.as_chunks_mut::<4>().0) {
        let (a0, a3) = (row[0] + 3 + row[3], row[0] + 3 - row[3]);
        let (a1, a2) = (row[1] + row[2], row[1] - row[2]);
        for (block, sum) in blocks.iter_mut().zip([a0 + a1, a3 + a2, a0 - a1, a3 - a2]) {
            block[0] = (sum >> 3) as i16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_alone_is_the_same_everywhere() {
        for mean in [-2000, -5, -4, 0, 3, 4, 11, 1999] {
            let mut block = [0; 16];
            block[0] = mean;
            assert_eq!(differences(&block), [[(mean + 4) >> 3; 4]; 4]);
        }
        let mut blocks = [[0; 16]; 16];
        let mut means = [0; 16];
        means[0] = 80;
        spread_means(&means, &mut blocks);
        assert!(blocks.iter().all(|block| block[0] == 10));
    }

    #[test]
    fn the_transform_is_near_to_its_definition() {
        let mut seed = 9u32;
        let mut random = |most: i32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((seed >> 16) as i32 % (2 * most + 1) - most) as i16
        };
        let cosine = |k: usize, x: usize| {
            let factor = if k == 0 { 1.0 } else { std::f64::consts::SQRT_2 };
            factor * (std::f64::consts::PI * k as f64 * (2 * x + 1) as f64 / 8.0).cos()
        };
        for _ in 0..1000 {
            let block: [i16; 16] = std::array::from_fn(|_| random(300));
            let got = differences(&block);
            for (y, row) in got.iter().enumerate() {
                for (x, &value) in row.iter().enumerate() {
                    let exact: f64 = (0..16).map(|i| f64::from(block[i]) * cosine(i % 4, x) * cosine(i / 4, y)).sum();
                    assert!((exact / 8.0 - f64::from(value)).abs() < 1.5, "{block:?}");
                }
            }
        }
    }
}
