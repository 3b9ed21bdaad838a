//! zstd: frames cut off by the heads of their blocks, large ones in parts; the same in all splits, and as zstd says.

#![no_main]

use libfuzzer_sys::fuzz_target;
use phalanx_fuzz::{Script, stream};
use phalanx_stream::unzstd;

/// 1 MiB: what a stream remembers is allocated at once.
const MOST_WINDOW_LOG: u32 = 20;

fuzz_target!(|input: &[u8]| {
    let script = Script::parse(input);
    let ours = stream::decoded(&script, || unzstd().limit(stream::LIMITS).window(MOST_WINDOW_LOG));
    let mut theirs = zstd::stream::read::Decoder::with_buffer(script.stream).expect("a decoder");
    theirs.window_log_max(MOST_WINDOW_LOG).expect("a window");
    stream::as_another_says(ours, theirs);
});
