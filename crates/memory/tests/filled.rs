//! Memory that is filled shows up in every figure, and goes out of it when it is freed.
//!
//! Tests of a process of their own, one at a time: what others allocate and free meanwhile would count.

#![allow(clippy::unwrap_used)]

use std::sync::{Mutex, PoisonError};

use phalanx_memory::{UsageSource, heap, resident, usage};

static ALONE: Mutex<()> = Mutex::new(());

const SIZE: u64 = 64 << 20;
/// What a figure may miss: the system counts pages in batches, and the test harness allocates too.
const MISSED: u64 = 16 << 20;

#[test]
fn memory_that_we_fill_shows_up() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = resident().unwrap();
    let filled = std::hint::black_box(vec![1_u8; SIZE as usize]);
    let with = resident().unwrap();
    assert!(with >= before + SIZE - MISSED, "{before} before, {with} with it");
    let usage = usage().unwrap();
    assert!(usage.anonymous.unwrap() >= SIZE - MISSED, "{usage:?}");
    assert!(usage.unique.unwrap() >= SIZE - MISSED, "{usage:?}");
    assert!(usage.proportional <= usage.resident, "{usage:?}");
    assert!(usage.file.unwrap() > 0, "{usage:?}");
    assert_eq!(usage.source, UsageSource::SmapsRollup);
    drop(filled);
}

#[test]
#[cfg(target_env = "gnu")]
fn what_is_allocated_is_counted_and_what_is_freed_is_not() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = heap().unwrap();
    let filled = std::hint::black_box(vec![1_u8; SIZE as usize]);
    let with = heap().unwrap();
    assert!(with.allocated >= before.allocated + SIZE - MISSED, "{before:?} {with:?}");
    assert!(with.active >= SIZE, "{with:?}");
    drop(filled);
    let after = heap().unwrap();
    assert!(after.allocated <= with.allocated + MISSED - SIZE, "{with:?} {after:?}");
}
