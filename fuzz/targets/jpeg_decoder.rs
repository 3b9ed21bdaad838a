//! The JPEG decoder by itself, at every scale.

#![no_main]

use libfuzzer_sys::fuzz_target;
use phalanx_fuzz::counting::Counting;
use phalanx_fuzz::decoder;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fuzz_target!(|input: &[u8]| decoder::decode(input));
