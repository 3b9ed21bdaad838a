//! A JPEG file from a stranger, the whole way: probe, plan, process.

#![no_main]

use libfuzzer_sys::fuzz_target;
use phalanx_fuzz::counting::Counting;
use phalanx_fuzz::picture;
use phalanx_image::Format;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fuzz_target!(|input: &[u8]| picture::make(input, Format::Jpeg));
