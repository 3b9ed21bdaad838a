//! What a C library forgets to free is found as well: it asks the same allocator.

#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::time::Instant;

use phalanx_memory::{LeakDetector, Resource, Sample, heap};

/// In whose environment this is set, that process leaks.
const CHILD: &str = "LEAK_IN_C";

#[test]
fn a_leak_of_malloc_is_found_within_5000_requests() {
    if std::env::var_os(CHILD).is_some() {
        return leak_in_c();
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "a_leak_of_malloc_is_found_within_5000_requests", "--nocapture"]).env(CHILD, "yes");
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    if text.contains("skipped") {
        return println!("skipped: the allocator of this build does not count what C libraries allocate");
    }
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let line = text.lines().find(|line| line.contains("memory grew")).unwrap_or_else(|| panic!("not found: {text}"));
    assert!(line.contains("1.0 KiB each"), "{line}");
}

/// Requests of which each keeps 1 KiB, and works with 64 KiB that it gives back.
fn leak_in_c() {
    let Some(before) = heap() else { return println!("skipped") };
    let mut detector = LeakDetector::new(Resource::Memory);
    let mut found = None;
    for request in 1..=5000 {
        let works = std::hint::black_box(vec![0_u8; 64 * 1024]);
        // SAFETY: asks for memory, and nobody uses it; that nobody frees it either is what is tested.
        std::hint::black_box(unsafe { libc::malloc(1008) });
        drop(works);
        if request % 50 == 0 {
            let value = heap().unwrap().allocated;
            let sample = Sample { at: Instant::now(), work: request, load: 0, value };
            found = found.or_else(|| detector.add(sample));
        }
    }
    if heap().unwrap().allocated < before.allocated + (4 << 20) {
        return println!("skipped");
    }
    match found {
        Some(leak) => println!("{leak}"),
        None => println!("nothing"),
    }
}
