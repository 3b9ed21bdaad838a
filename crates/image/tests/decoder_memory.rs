//! `jpeg::Decoder::announced_bytes` is an upper bound, counted by the allocator itself, and not a generous one.
#![allow(clippy::unwrap_used)] // Also in the functions that make the files.

#[path = "pictures/counting.rs"]
mod counting;
mod pictures;

use std::num::NonZero;
use std::sync::Mutex;

use counting::{Counting, peak_of};
use jpeg_encoder::SamplingFactor;
use phalanx_image::Scratch;
use phalanx_image::jpeg::{Damage, Decoder, Scale};
use pictures::*;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Held by the test that counts.
static TURN: Mutex<()> = Mutex::new(());

/// What a decoder may announce beyond what it takes: tables that the file does not use.
const SLACK_BYTES: u64 = 640 * 1024;

#[test]
fn announced_bytes_are_never_exceeded_and_nothing_is_taken_twice() {
    let _turn = TURN.lock();
    let (width, height) = (1000, 700);
    let wild: Vec<u8> = (0..width * height * 3u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for progressive in [false, true] {
        for sampling in [SamplingFactor::F_1_1, SamplingFactor::F_2_2, SamplingFactor::F_4_1] {
            let file = Jpeg { progressive, sampling, ..Jpeg::default() }.encode(&wild, width, height);
            let cut = &file[..file.len() / 2];
            for eighths in [1, 2, 3, 5, 8] {
                let name = format!("progressive {progressive}, {sampling:?} at {eighths}/8");
                let decoder = |bytes| Decoder::new(bytes).unwrap().scale(Scale::eighths(eighths).unwrap());
                let announced = decoder(&file).announced_bytes();
                let mut scratch = Scratch::new();
                let (peak, planes) = peak_of(|| decoder(&file).decode(&mut scratch).unwrap());
                assert!(peak as u64 <= announced, "{name}: {peak} of {announced}");
                assert!(peak as u64 + SLACK_BYTES >= announced, "{name}: {peak} of {announced}");
                planes.give_back(&mut scratch);
                let (again, planes) = peak_of(|| decoder(&file).decode(&mut scratch).unwrap());
                assert!(again as u64 <= SLACK_BYTES, "{name}: {again} bytes anew for a second picture");
                planes.give_back(&mut scratch);
                let keeping = decoder(cut).damage(Damage::Keep);
                let (peak, planes) = peak_of(|| keeping.decode(&mut Scratch::new()).unwrap());
                assert!(!planes.warnings().is_empty());
                assert!(peak as u64 <= announced, "{name}, cut: {peak} of {announced}");
            }
        }
    }
}

/// What a thread beside the caller's takes of the heap; its stack is announced, too, but no allocator counts it.
const THREAD_BYTES: usize = 8 * 1024;

#[test]
fn a_thread_takes_a_stack_and_next_to_nothing_else() {
    let _turn = TURN.lock();
    let (width, height) = (1000, 700);
    let wild: Vec<u8> = (0..width * height * 3u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let file = Jpeg { restart: 3, ..Jpeg::default() }.encode(&wild, width, height);
    let mut broken = file.clone();
    // A fault in most of the intervals, and no new marker.
    for at in (file.len() / 4..file.len() - 2).step_by(97) {
        if file[at - 1] != 0xFF && !matches!(file[at], 0xFF | 0xEF) {
            broken[at] ^= 0x10;
        }
    }
    for (name, file, damage) in [("whole", file, Damage::Refuse), ("damaged", broken, Damage::Keep)] {
        let decoder = |threads| Decoder::new(&file).unwrap().damage(damage).threads(NonZero::new(threads).unwrap());
        let (alone, planes) = peak_of(|| decoder(1).decode(&mut Scratch::new()).unwrap());
        drop(planes);
        let (many, planes) = peak_of(|| decoder(5).decode(&mut Scratch::new()).unwrap());
        assert_eq!(planes.warnings().is_empty(), damage == Damage::Refuse);
        assert!(many <= alone + 4 * THREAD_BYTES, "{name}: {many} bytes by five threads, {alone} by one");
        assert!(many as u64 <= decoder(5).announced_bytes(), "{name}: {many}");
    }
}
