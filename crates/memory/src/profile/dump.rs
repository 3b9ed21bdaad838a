//! [`Dump`]: what the allocator writes down, in the text format `heap_v2` of jemalloc.
//!
//! ```text
//!   heap_v2/524288                          one sample in so many bytes, on average
//!     t*: 93: 48234496 [0: 0]               all together
//!   @ 0x55d0c0 0x55d1f3 0x7f0e12            a stack, the innermost first
//!     t*: 12: 6291456 [0: 0]                its samples and their bytes, over all threads
//!     t3: 12: 6291456 [0: 0]                those of one thread
//!
//!   MAPPED_LIBRARIES:                       /proc/self/maps
//! ```

/// What was sampled and lives.
#[derive(Debug, PartialEq)]
pub(super) struct Dump<'a> {
    /// Bytes from one sample to the next, on average.
    pub(super) interval: u64,
    pub(super) stacks: Vec<RawStack>,
    /// The mappings of the process.
    pub(super) maps: &'a str,
}

/// Addresses without names.
#[derive(Debug, PartialEq)]
pub(super) struct RawStack {
    /// Return addresses, the innermost first.
    pub(super) addresses: Vec<u64>,
    /// Allocations that were sampled.
    pub(super) samples: u64,
    /// How many there are likely to be.
    pub(super) objects: u64,
    /// Their bytes.
    pub(super) bytes: u64,
}

impl Dump<'_> {
    /// `None` if it is none.
    pub(super) fn parse(text: &str) -> Option<Dump<'_>> {
        let (samples, maps) = text.split_once("MAPPED_LIBRARIES:\n").unwrap_or((text, ""));
        let mut lines = samples.lines();
        let interval = lines.next()?.strip_prefix("heap_v2/")?.parse().ok().filter(|interval| *interval > 0)?;
        let mut stacks = Vec::new();
        let mut open = None;
        for line in lines {
            if let Some(addresses) = line.strip_prefix('@') {
                open = Some(addresses.split_ascii_whitespace().map(address).collect::<Option<Vec<u64>>>()?);
            } else if let Some(counts) = line.trim_start().strip_prefix("t*:")
                && let Some(addresses) = open.take()
            {
                let (samples, bytes) = counts.split_once('[')?.0.split_once(':')?;
                let (samples, bytes): (u64, u64) = (samples.trim().parse().ok()?, bytes.trim().parse().ok()?);
                if samples > 0 {
                    let (objects, bytes) = likely(samples, bytes, interval);
                    stacks.push(RawStack { addresses, samples, objects, bytes });
                }
            }
        }
        Some(Dump { interval, stacks, maps })
    }
}

fn address(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

/// What is likely to be there if so much was sampled: an allocation of `size` bytes is sampled with the probability
/// `1 - exp(-size / interval)`.
fn likely(samples: u64, bytes: u64, interval: u64) -> (u64, u64) {
    let size = bytes as f64 / samples as f64;
    let sampled = -(-size / interval as f64).exp_m1();
    if sampled <= 0.0 {
        return (samples, bytes);
    }
    // Saturates at the end of u64.
    ((samples as f64 / sampled) as u64, (bytes as f64 / sampled) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "heap_v2/524288\n  t*: 3: 1049600 [0: 0]\n  t0: 3: 1049600 [0: 0] main\n\
        @ 0x10 0x20\n  t*: 2: 1048576 [0: 0]\n  t0: 2: 1048576 [0: 0]\n\
        @ 0x30\n  t*: 1: 1024 [0: 0]\n@ 0x40\n  t*: 0: 0 [0: 0]\n\nMAPPED_LIBRARIES:\n1-2 r-xp 0 0:0 0 /x\n";

    #[test]
    fn stacks_come_with_what_is_likely_to_be_there() {
        let dump = Dump::parse(TEXT).unwrap();
        assert_eq!((dump.interval, dump.maps), (524_288, "1-2 r-xp 0 0:0 0 /x\n"));
        assert_eq!(dump.stacks.len(), 2);
        // One allocation of 512 KiB is sampled with 1 - 1/e = 63 %.
        assert_eq!(dump.stacks[0].addresses, [0x10, 0x20]);
        assert_eq!((dump.stacks[0].samples, dump.stacks[0].bytes), (2, 1_658_828));
        // One of 1 KiB stands for about 512 others.
        assert_eq!(dump.stacks[1].objects, 512);
    }

    #[test]
    fn what_is_no_dump_is_refused() {
        for text in ["", "heap_v2/0\n", "heap_v2/x\n", "x", "heap_v2/8\n@ 0x1 zz\n", "heap_v2/8\n@ 0x1\n t*: 1\n"] {
            assert_eq!(Dump::parse(text), None, "{text:?}");
        }
    }
}
