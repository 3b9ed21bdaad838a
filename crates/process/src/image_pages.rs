//! [`let_go_of_image_pages`]: the pages of the program's file that only the start needed.

use std::fs;
use std::io;

use rustix::mm::Advice;

/// Takes the pages of the program and its libraries out of this process: those that are needed come back from the page cache
/// by themselves, at some microseconds each; those that only the start needed stay away. For processes that live long and do
/// little. Returns how many bytes were resident in what was let go.
///
/// The kernel maps 16 pages around each one that is touched, so a large program that has just begun has most of what it
/// ran through; it belongs to the page cache, not to this process, but counts as its resident and proportional memory.
pub fn let_go_of_image_pages() -> io::Result<u64> {
    let mut bytes = 0;
    for mapping in mappings(&fs::read_to_string("/proc/self/smaps")?) {
        if !mapping.is_unchanged() {
            continue;
        }
        let (start, length) = (mapping.start, mapping.end - mapping.start);
        // SAFETY: the range is a mapping of a file that this process cannot write to, and of which no page was changed (what
        // relocation has changed counts, and is protected since): the kernel drops its entries in the page table and reads the same bytes from the same file at the next touch. (A file
        // that is being executed cannot be written to.)
        let dropped = unsafe { rustix::mm::madvise(start as *mut _, length, Advice::LinuxDontNeed) };
        if dropped.is_ok() {
            bytes += mapping.resident;
        }
    }
    Ok(bytes)
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Mapping {
    start: usize,
    end: usize,
    writable: bool,
    of_file: bool,
    resident: u64,
    /// Bytes that are no longer those of the file.
    changed: u64,
}

impl Mapping {
    /// Code and constants, exactly as they are in the file.
    fn is_unchanged(&self) -> bool {
        self.of_file && !self.writable && self.changed == 0
    }
}

/// The mappings of `smaps` (proc(5)).
fn mappings(smaps: &str) -> Vec<Mapping> {
    let mut all: Vec<Mapping> = Vec::new();
    for line in smaps.lines() {
        if let Some(mapping) = heading(line) {
            all.push(mapping);
        } else if let Some(mapping) = all.last_mut() {
            let kib = |name: &str| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse::<u64>().ok();
            if let Some(kib) = kib("Rss:") {
                mapping.resident = kib << 10;
            }
            // A changed page is no longer the file's: it is anonymous. ("Dirty" is also what the file's own pages are until
            // the kernel has written them to the disk.)
            if let Some(kib) = kib("Anonymous:").or_else(|| kib("Swap:")) {
                mapping.changed += kib << 10;
            }
        }
    }
    all
}

/// `55d0-55d8 r-xp 00001000 fe:00 1234   /usr/bin/phalanx`
fn heading(line: &str) -> Option<Mapping> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    let permissions = words.next()?;
    let (_offset, _device, inode) = (words.next()?, words.next()?, words.next()?);
    Some(Mapping { start, end, writable: permissions.contains('w'), of_file: inode != "0", ..Mapping::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_as_in_the_file_is_told_from_what_was_changed() {
        let smaps = "\
55d000-55e000 r-xp 00001000 fe:00 1234   /usr/bin/phalanx
Rss:                   4 kB
Private_Dirty:         0 kB
Anonymous:             0 kB
55e000-55f000 r-xp 00002000 fe:00 1234   /usr/bin/patched
Rss:                   4 kB
Private_Dirty:         4 kB
Anonymous:             4 kB
55f000-560000 r--p 00003000 fe:00 1234   /usr/bin/phalanx
Rss:                   4 kB
560000-561000 rw-p 00004000 fe:00 1234   /usr/bin/phalanx
Rss:                   4 kB
7ffc0000-7ffc1000 r-xp 00000000 00:00 0  [vdso]
Rss:                   4 kB
";
        let unchanged: Vec<bool> = mappings(smaps).iter().map(Mapping::is_unchanged).collect();
        assert_eq!(unchanged, [true, false, true, false, false]);
        assert_eq!(mappings(smaps)[0].resident, 4096);
    }

    #[test]
    fn this_program_goes_on_without_its_pages() {
        assert!(let_go_of_image_pages().unwrap() > 0);
        let sum: u64 = (0..1000).map(std::hint::black_box).sum();
        assert_eq!(sum, 499_500);
    }
}
