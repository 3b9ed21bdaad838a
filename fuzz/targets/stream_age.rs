//! The age format: the same in all splits, and as the crate `age` says; the pieces of a file in any order but their own are
//! refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use phalanx_fuzz::{Script, sealed, stream};
use phalanx_stream::decrypt;

fuzz_target!(|input: &[u8]| {
    let script = Script::parse(input);
    let with = || decrypt(sealed::identity()).parallel(1).header_limit(sealed::HEADER_LIMIT);
    let ours = stream::decoded(&script, with);
    sealed::as_age_says(ours, script.stream);
    sealed::only_its_own_order_opens(&script);
});
