//! Allocates and frees as a server does, and prints what a pair of the two costs, in nanoseconds of processor time.
//!
//! `cargo run --release -p phalanx-memory --features heap-profile --example allocations [sampled]`; without the feature `sampled`
//! is refused. `cargo xtask bench memory --table profile` compares.

use std::error::Error;
use std::hint::black_box;

use phalanx_memory::profile;
use rustix::time::{ClockId, clock_gettime};

#[global_allocator]
static ALLOCATOR: phalanx_memory::Allocator = phalanx_memory::Allocator;

const PAIRS: u32 = 8_000_000;
/// Blocks that live at once.
const LIVING: usize = 4096;
/// From a short string to a page; one block in 256 is a buffer of 64 KiB.
const LARGEST_SHIFT: u32 = 12;
const BUFFER_BYTES: usize = 64 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("sampled") {
        profile::start()?;
    }
    let mut living: Vec<Vec<u8>> = vec![Vec::new(); LIVING];
    // The first round finds the heap empty.
    work(&mut living, PAIRS / 8);
    let begun = processor_nanoseconds();
    work(&mut living, PAIRS);
    println!("{:.3}", (processor_nanoseconds() - begun) / f64::from(PAIRS));
    Ok(())
}

fn work(living: &mut [Vec<u8>], pairs: u32) {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..pairs {
        // xorshift64 (Marsaglia 2003).
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let bytes = match random >> 56 {
            0 => BUFFER_BYTES,
            other => 16 + (random as usize & ((1 << (4 + other as u32 % (LARGEST_SHIFT - 4))) - 1)),
        };
        living[(random >> 20) as usize % LIVING] = black_box(Vec::with_capacity(bytes));
    }
}

fn processor_nanoseconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
