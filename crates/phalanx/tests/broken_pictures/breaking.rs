//! Ways to break a file. The same seed breaks the same files in the same way.

use crate::pictures::zoo::zoo;

/// A file, and what was done to it.
pub(crate) struct Broken {
    pub(crate) what: String,
    pub(crate) file: Vec<u8>,
}

/// A way to break a file: its name, and how it is done.
type Way = (&'static str, fn(&mut Vec<u8>, &mut Dice));

const WAYS: &[Way] = &[
    ("cut", |file, dice| file.truncate(dice.below(file.len()))),
    ("cut near its end", |file, dice| file.truncate(file.len() - 1 - dice.below(file.len().min(20) - 1))),
    ("flipped bits", |file, dice| {
        for _ in 0..=dice.below(8) {
            let at = dice.below(file.len());
            file[at] ^= 1 << dice.below(8);
        }
    }),
    ("a lying header", |file, dice| {
        // Sizes, lengths and counts stand in the first bytes of each format, in both orders of bytes.
        let at = dice.below(HEADER.min(file.len()) - 4);
        let lie = LIES[dice.below(LIES.len())];
        let bytes = if dice.below(2) == 0 { lie.to_be_bytes() } else { lie.to_le_bytes() };
        let from = 2 * dice.below(2);
        file[at..at + 4 - from].copy_from_slice(&bytes[from..]);
    }),
    ("a byte too few", |file, dice| {
        file.remove(dice.below(file.len()));
    }),
    ("a byte too many", |file, dice| {
        let byte = dice.next() as u8;
        file.insert(dice.below(file.len()), byte);
    }),
    ("a part said twice", |file, dice| {
        let (from, to) = dice.range(file.len());
        let part = file[from..to].to_vec();
        file.splice(to..to, part);
    }),
    ("a hole of zeros", |file, dice| {
        let (from, to) = dice.range(file.len());
        file[from..to].fill(0);
    }),
    ("the end of something else", |file, dice| {
        let half = dice.below(file.len());
        file.truncate(half);
        file.extend((0..half).map(|_| dice.next() as u8));
    }),
];

/// Bytes in which each format says how large it is.
const HEADER: usize = 200;
/// What a number in a header could be instead.
const LIES: [u32; 8] = [0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF];

/// Files of every kind, whole and broken in every way.
pub(crate) fn corpus() -> Vec<Broken> {
    let seed = number("PHALANX_SEED", 1);
    let times = number("PHALANX_BROKEN", 6);
    println!("PHALANX_SEED={seed} PHALANX_BROKEN={times}");
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut corpus = Vec::new();
    for (kind, whole) in zoo() {
        corpus.push(Broken { what: format!("{kind}, whole"), file: whole.clone() });
        for (way, break_it) in WAYS {
            for time in 0..times {
                let mut file = whole.clone();
                break_it(&mut file, &mut dice);
                corpus.push(Broken { what: format!("{kind}, {way}, no {time}"), file });
            }
        }
    }
    corpus
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Xorshift: the same numbers for the same seed, on every machine.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 8
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn range(&mut self, len: usize) -> (usize, usize) {
        let from = self.below(len);
        (from, from + 1 + self.below((len - from).min(1000)))
    }
}
