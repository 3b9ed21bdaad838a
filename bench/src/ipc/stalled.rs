//! What a sender holds while nobody reads.

use std::time::Duration;

/// A counter that stands still for so long has stalled.
const STILL: Duration = Duration::from_millis(500);

/// Waits until `counter` reaches `most` or stands still.
pub(crate) fn wait(counter: impl Fn() -> u64, most: u64) {
    let mut before = counter();
    loop {
        std::thread::sleep(STILL);
        let now = counter();
        if now == before || now >= most {
            return;
        }
        before = now;
    }
}

/// Memory of this process.
pub(crate) fn resident_mebibytes() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|statm| statm.split(' ').nth(1)?.parse::<usize>().ok())
        .unwrap_or(0);
    (pages * rustix::param::page_size()) as f64 / f64::from(1 << 20)
}
