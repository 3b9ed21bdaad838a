//! What must not happen over many inputs: descriptors that stay open, an end that never comes.

use std::cell::Cell;
use std::time::Duration;

/// No input needs this long for its end.
pub const END_DEADLINE: Duration = Duration::from_secs(5);
/// Looking costs more than most inputs.
const INPUTS_BETWEEN_LOOKS: u32 = 256;

thread_local! {
    static INPUTS: Cell<u32> = const { Cell::new(0) };
    static OPEN_BEFORE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// To be called between two inputs, when all that the first one opened must be closed.
pub fn no_descriptor_stays_open() {
    let inputs = INPUTS.get().wrapping_add(1);
    INPUTS.set(inputs);
    if !inputs.is_multiple_of(INPUTS_BETWEEN_LOOKS) {
        return;
    }
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count());
    match OPEN_BEFORE.get() {
        None => OPEN_BEFORE.set(Some(open)),
        Some(before) => {
            assert!(open <= before, "{open} descriptors are open, {before} were {INPUTS_BETWEEN_LOOKS} inputs ago")
        }
    }
}
