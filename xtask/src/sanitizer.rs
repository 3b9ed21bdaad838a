//! Sanitizers with a stable compiler: they are unstable in rustc, so one build at a time is allowed to use them.

use std::process::Command;

use crate::step::{self, Failure};

/// AddressSanitizer: what is read or written outside of an allocation, used after it was freed, or leaked.
pub(crate) const ADDRESS: &str = "-Zsanitizer=address";
/// libdeflate has the same private table several times, once for each kind of processor, of one name and size: no fault.
pub(crate) const ADDRESS_OPTIONS: (&str, &str) = ("ASAN_OPTIONS", "detect_odr_violation=1");

/// The platform that we run on. Named explicitly, cargo builds its scripts and macros without our flags.
pub(crate) fn host() -> Result<String, Failure> {
    let said = step::output(Command::new("rustc").arg("-vV").current_dir(step::repository()))?;
    said.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| Failure::new("`rustc -vV` named no host"))
}

/// Lets `cargo` compile with `flags` although they are unstable.
pub(crate) fn allow(cargo: &mut Command, flags: impl IntoIterator<Item = &'static str>) -> &mut Command {
    let flags: Vec<&str> = flags.into_iter().collect();
    // Separated by the unit separator, as cargo reads it.
    cargo.env("RUSTC_BOOTSTRAP", "1").env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
}
