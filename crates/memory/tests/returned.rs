//! Memory that was freed goes back to the system.
//!
//! A test of its own process, one at a time: what others allocate meanwhile would count.

use std::sync::{Mutex, PoisonError};

static ALONE: Mutex<()> = Mutex::new(());

#[global_allocator]
static ALLOCATOR: phalanx_memory::Allocator = phalanx_memory::Allocator;

/// In small pieces, so that none has its own mapping.
const PIECE: usize = 1000;
const PIECES: usize = 256 << 10;

#[test]
fn what_was_allocated_in_small_pieces_and_freed_comes_back_within_a_fifth() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut pieces: Vec<Vec<u8>> = Vec::with_capacity(PIECES);
    phalanx_memory::give_back();
    let before = phalanx_memory::resident().unwrap();
    pieces.extend((0..PIECES).map(|number| vec![number as u8; PIECE]));
    let full = phalanx_memory::resident().unwrap();
    assert!(full - before >= (PIECES * PIECE) as u64, "{before} before, {full} with all of it");
    // The last one stays: what lies before it is not at the end of the heap.
    let last = pieces.pop();
    drop(pieces);
    let begun = std::time::Instant::now();
    phalanx_memory::give_back();
    let took = begun.elapsed();
    let after = phalanx_memory::resident().unwrap();
    println!("{before} bytes before, {full} with all of it, {after} after {took:?} of giving back");
    assert!(after <= before + before / 5, "{before} bytes before, {full} with all of it, {after} after giving back");
    drop(std::hint::black_box(last));
}

#[test]
fn live_bytes_follow_what_is_allocated_whoever_serves_it() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(before) = phalanx_memory::heap() else {
        println!("skipped: this C library does not say what is allocated");
        return;
    };
    let kept: Vec<Vec<u8>> = (0..64).map(|_| std::hint::black_box(vec![1_u8; 1 << 20])).collect();
    let with = phalanx_memory::heap().unwrap();
    let grown = with.allocated - before.allocated;
    assert!((60 << 20..400 << 20).contains(&grown), "{before:?} {with:?}");
    assert!(with.active >= with.allocated, "{with:?}");
    assert_eq!(with.source, phalanx_memory::Allocator::SOURCE);
    drop(kept);
}
