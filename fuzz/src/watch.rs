//! What must not happen over many inputs: descriptors that stay open, an end that never comes.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::channel::RUNTIME;

/// No input needs this long for its end.
pub const END_DEADLINE: Duration = Duration::from_secs(5);
/// Turns for what a channel does in the background.
const SETTLING: Duration = Duration::from_millis(2);
/// Looking costs more than most inputs.
const INPUTS_BETWEEN_LOOKS: u32 = 256;

thread_local! {
    static INPUTS: Cell<u32> = const { Cell::new(0) };
    static OPEN_BEFORE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// To be called between two inputs, when all that the first one opened must be closed, or soon is: what a channel left to
/// the event loop gets the turns that it needs.
pub fn no_descriptor_stays_open() {
    let inputs = INPUTS.get().wrapping_add(1);
    INPUTS.set(inputs);
    if !inputs.is_multiple_of(INPUTS_BETWEEN_LOOKS) {
        return;
    }
    let Some(before) = OPEN_BEFORE.get() else {
        RUNTIME.with(|runtime| runtime.block_on(async { tokio::time::sleep(SETTLING).await }));
        OPEN_BEFORE.set(Some(open_descriptors()));
        return;
    };
    let deadline = Instant::now() + END_DEADLINE;
    while open_descriptors() > before {
        assert!(Instant::now() < deadline, "{before} descriptors were open earlier, now {:?}", what_is_open());
        RUNTIME.with(|runtime| runtime.block_on(async { tokio::time::sleep(SETTLING).await }));
    }
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count())
}

fn what_is_open() -> Vec<String> {
    let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let target = std::fs::read_link(entry.path()).ok()?;
            Some(format!("{} {}", entry.file_name().display(), target.display()))
        })
        .collect()
}
