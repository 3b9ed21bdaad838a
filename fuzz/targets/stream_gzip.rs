//! gzip: members that say their size, and lie; all others; the same in all splits, and as zlib says.

#![no_main]

use libfuzzer_sys::fuzz_target;
use phalanx_fuzz::{Script, stream};
use phalanx_stream::gunzip;

fuzz_target!(|input: &[u8]| {
    let script = Script::parse(input);
    let ours = stream::decoded(&script, || gunzip().limit(stream::LIMITS));
    stream::as_another_says(ours, flate2::bufread::MultiGzDecoder::new(script.stream));
});
