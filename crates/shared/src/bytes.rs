//! Copying bytes into and out of shared memory, eight at a time.
//!
//! Another process may write there at any moment, so every access is an atomic one: what comes out may be a mixture of
//! old and new bytes, and nothing worse.

use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::Segment;

const WORD_BYTES: usize = size_of::<u64>();

/// Stores `bytes` into `places`; a rest that fills no word is padded with zeros.
pub(crate) fn store(places: &[AtomicU64], bytes: &[u8]) {
    let (whole, rest) = bytes.as_chunks::<WORD_BYTES>();
    for (place, chunk) in places.iter().zip(whole) {
        place.store(u64::from_ne_bytes(*chunk), Ordering::Relaxed);
    }
    if let (Some(place), false) = (places.get(whole.len()), rest.is_empty()) {
        let mut last = [0; WORD_BYTES];
        last[..rest.len()].copy_from_slice(rest);
        place.store(u64::from_ne_bytes(last), Ordering::Relaxed);
    }
}

/// Appends the first `count` bytes of `places` to `into`.
pub(crate) fn append(places: &[AtomicU64], count: usize, into: &mut Vec<u8>) {
    let places = &places[..count.div_ceil(WORD_BYTES)];
    into.reserve(places.len() * WORD_BYTES);
    let (spare, _) = into.spare_capacity_mut().as_chunks_mut::<WORD_BYTES>();
    for (chunk, place) in spare.iter_mut().zip(places) {
        *chunk = place.load(Ordering::Relaxed).to_ne_bytes().map(MaybeUninit::new);
    }
    let end = into.len() + count;
    // SAFETY: `reserve` made room for all of `places`, so the loop above stopped for want of places and not of chunks:
    // it initialised at least `count` bytes behind the old end.
    unsafe { into.set_len(end) };
}

/// Copies the bytes of `segment` from `start` on into `bytes`. The caller has checked that they are there.
pub(crate) fn read(segment: &Segment, start: usize, bytes: &mut [u8]) {
    let (edges, words) = split(start, bytes.len());
    let [before, after] = edges.map(|edge| &segment.words::<AtomicU8>()[edge]);
    let words = &segment.words::<AtomicU64>()[words];
    let (first, rest) = bytes.split_at_mut(before.len());
    let (whole, last) = rest.split_at_mut(words.len() * WORD_BYTES);
    for (byte, place) in first.iter_mut().zip(before).chain(last.iter_mut().zip(after)) {
        *byte = place.load(Ordering::Relaxed);
    }
    for (chunk, place) in whole.as_chunks_mut::<WORD_BYTES>().0.iter_mut().zip(words) {
        *chunk = place.load(Ordering::Relaxed).to_ne_bytes();
    }
}

/// Copies `bytes` to the bytes of `segment` from `start` on. The caller has checked that they are there and writable.
pub(crate) fn write(segment: &Segment, start: usize, bytes: &[u8]) {
    let (edges, words) = split(start, bytes.len());
    let [before, after] = edges.map(|edge| &segment.words::<AtomicU8>()[edge]);
    let words = &segment.words::<AtomicU64>()[words];
    let (first, rest) = bytes.split_at(before.len());
    let (whole, last) = rest.split_at(words.len() * WORD_BYTES);
    for (byte, place) in first.iter().zip(before).chain(last.iter().zip(after)) {
        place.store(*byte, Ordering::Relaxed);
    }
    store(words, whole);
}

/// The bytes before the first whole word and after the last one, and the whole words.
fn split(start: usize, count: usize) -> ([Range<usize>; 2], Range<usize>) {
    let end = start + count;
    let aligned = start.next_multiple_of(WORD_BYTES).min(end);
    let words = aligned.div_ceil(WORD_BYTES)..(end / WORD_BYTES).max(aligned.div_ceil(WORD_BYTES));
    let after = if words.is_empty() { aligned } else { words.end * WORD_BYTES };
    ([start..aligned, after..end], words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_of_bytes_is_copied_and_no_byte_beside_it() {
        let segment = Segment::create("test", 48).unwrap();
        for start in 0..32 {
            for count in 0..=48 - start {
                write(&segment, 0, &[0xee; 48]);
                let bytes: Vec<u8> = (0..count as u8).collect();
                write(&segment, start, &bytes);
                let mut all = [0; 48];
                read(&segment, 0, &mut all);
                assert_eq!(all[start..start + count], bytes, "{count} bytes at {start}");
                assert!(all[..start].iter().chain(&all[start + count..]).all(|byte| *byte == 0xee));
                let mut again = vec![0; count];
                read(&segment, start, &mut again);
                assert_eq!(again, bytes);
            }
        }
    }
}
