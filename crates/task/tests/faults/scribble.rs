//! Garbage for everything that a job process shares with its owner.

use std::io::{BufRead, BufReader};

/// Descriptors that a process is tried for.
const DESCRIPTORS: i32 = 1024;
/// Bytes of each file that are overwritten.
const FILE_BYTES: i64 = 1 << 20;

/// Pseudo-random words: the same for the same seed.
struct Garbage(u64);

impl Garbage {
    fn new(seed: u64) -> Garbage {
        Garbage(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Small numbers, all bits set and plain noise: what a length, a position or a state could be mistaken for.
    fn word(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        match self.0 % 4 {
            0 => self.0 >> 56,
            1 => u64::MAX,
            _ => self.0,
        }
    }

    fn page(&mut self) -> Vec<u8> {
        (0..512).flat_map(|_| self.word().to_ne_bytes()).collect()
    }
}

/// Writes garbage to every descriptor that there may be, as a stream and at every place of a file.
pub(crate) fn over_descriptors(seed: u64) -> String {
    let mut garbage = Garbage::new(seed);
    let mut taken = 0;
    for descriptor in (0..DESCRIPTORS).filter(|&descriptor| descriptor != libc::STDERR_FILENO) {
        for at in (0..FILE_BYTES).step_by(4096) {
            let page = garbage.page();
            // SAFETY: the page is valid for its length, and the kernel only reads it. What the files mean to others is what
            // the owner has to be safe from.
            let count = unsafe { libc::pwrite(descriptor, page.as_ptr().cast(), page.len(), at) };
            if count <= 0 {
                break;
            }
            taken += 1;
        }
        let word = (garbage.word() >> 32).to_ne_bytes();
        // SAFETY: as above. Eight bytes: what an eventfd takes.
        taken += i32::from(unsafe { libc::write(descriptor, word.as_ptr().cast(), word.len()) } > 0);
    }
    format!("{taken} writes were taken")
}

/// Does to every descriptor what its other end would feel, if they shared more than they must.
pub(crate) fn tamper() -> String {
    const SEALS: i32 = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    let mut taken = 0;
    for descriptor in libc::STDERR_FILENO + 1..DESCRIPTORS {
        // SAFETY: all of these take numbers. What they mean to others is what the owner has to be safe from.
        let outcomes = unsafe {
            [
                libc::ftruncate(descriptor, 0),
                libc::ftruncate(descriptor, 1 << 40),
                libc::fcntl(descriptor, libc::F_SETFL, libc::O_APPEND | libc::O_NONBLOCK),
                libc::fcntl(descriptor, libc::F_ADD_SEALS, SEALS),
                libc::flock(descriptor, libc::LOCK_EX | libc::LOCK_NB),
                i32::from(libc::lseek(descriptor, 1 << 30, libc::SEEK_SET) < 0),
            ]
        };
        taken += outcomes.iter().filter(|outcome| **outcome == 0).count();
    }
    format!("{taken} of it were taken")
}

/// Overwrites every page that is mapped for writing and shared.
pub(crate) fn over_mappings(seed: u64) -> String {
    let mut garbage = Garbage::new(seed);
    let Ok(maps) = std::fs::File::open("/proc/self/maps") else { return "no list of mappings".to_owned() };
    let shared: Vec<(usize, usize)> =
        BufReader::new(maps).lines().map_while(Result::ok).filter_map(|l| range(&l)).collect();
    let mut words = 0;
    for &(start, end) in &shared {
        for address in (start..end).step_by(8) {
            // SAFETY: mapped for writing, as the kernel just said, and shared: no Rust object of this process is there, only
            // words that the owner must not trust.
            unsafe { std::ptr::with_exposed_provenance_mut::<u64>(address).write_volatile(garbage.word()) };
            words += 1;
        }
    }
    format!("{words} words in {} mappings", shared.len())
}

/// Start and end of a mapping that is shared and writable.
fn range(line: &str) -> Option<(usize, usize)> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    rest.starts_with("rw-s").then_some((address(start)?, address(end)?))
}
