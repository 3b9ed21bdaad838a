//! [`Modules`]: which file an address of another process belongs to, and where in that file.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What `/proc` appends to the name of a file that was removed.
const REMOVED: &str = " (deleted)";

/// What is read of an ELF file: its header, then the table of segments.
const ELF_HEADER: usize = 64;
const SEGMENT: usize = 56;
/// `PT_LOAD`.
const LOADED: u32 = 1;
/// Most segments of a file; a usual one has a dozen.
const MAX_SEGMENTS: usize = 256;

/// The files that a process has mapped for execution.
#[derive(Debug, Default)]
pub(super) struct Modules(Vec<Module>);

/// One mapping of a file.
#[derive(Debug)]
struct Module {
    from: u64,
    to: u64,
    offset: u64,
    name: String,
    file: PathBuf,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    offset: u64,
    address: u64,
    size: u64,
}

/// Where an address lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found<'a> {
    /// Last part of the file's name.
    pub(super) name: &'a str,
    /// Where to read it.
    pub(super) file: &'a Path,
    /// The address as the file itself counts.
    pub(super) address: u64,
}

impl Modules {
    /// Those of this process; none if we may not know.
    pub(super) fn of(process: u32) -> Modules {
        let maps = std::fs::read(format!("/proc/{process}/maps")).unwrap_or_default();
        // Its own file may have been replaced on disk; this is still the one that runs.
        let running = PathBuf::from(format!("/proc/{process}/exe"));
        let running_name = std::fs::read_link(&running).ok();
        let mut modules: Vec<Module> = String::from_utf8_lossy(&maps).lines().filter_map(Module::parse).collect();
        for module in &mut modules {
            if running_name.as_ref() == Some(&module.file) {
                module.file.clone_from(&running);
            }
            module.segments = segments(&module.file).unwrap_or_default();
        }
        Modules(modules)
    }

    pub(super) fn find(&self, address: u64) -> Option<Found<'_>> {
        let module = self.0.iter().find(|module| (module.from..module.to).contains(&address))?;
        let offset = (address - module.from).wrapping_add(module.offset);
        let address = module.segments.iter().find_map(|segment| {
            let within = offset.checked_sub(segment.offset).filter(|within| *within < segment.size)?;
            Some(within.wrapping_add(segment.address))
        });
        let address = address.unwrap_or(offset);
        Some(Found { name: &module.name, file: &module.file, address })
    }
}

impl Module {
    /// A line of `/proc/PID/maps`; `None` for what is not executed.
    fn parse(line: &str) -> Option<Module> {
        let mut words = line.splitn(6, ' ');
        let (from, to) = words.next()?.split_once('-')?;
        let executed = words.next()?.contains('x');
        let offset = words.next()?;
        let path = words.nth(2)?.trim_start();
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        let file = PathBuf::from(path);
        let shown = path.strip_suffix(REMOVED).unwrap_or(path);
        let name = Path::new(shown).file_name().map_or(shown.into(), |name| name.to_string_lossy().into_owned());
        executed.then_some(())?;
        Some(Module { from: hex(from)?, to: hex(to)?, offset: hex(offset)?, name, file, segments: Vec::new() })
    }
}

/// Which part of an ELF file is loaded where. `None` if it is no 64-bit ELF file of this byte order.
fn segments(file: &Path) -> Option<Vec<Segment>> {
    let file = File::open(file).ok()?;
    let mut header = [0; ELF_HEADER];
    file.read_exact_at(&mut header, 0).ok()?;
    // Class 2 is 64 bits, data 1 is little-endian, as both of our machines are.
    if header.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let (table, size, count) = (long(&header, 32)?, short(&header, 54)?, short(&header, 56)?);
    if usize::from(size) != SEGMENT || usize::from(count) > MAX_SEGMENTS {
        return None;
    }
    let mut bytes = vec![0; SEGMENT * usize::from(count)];
    file.read_exact_at(&mut bytes, table).ok()?;
    let loaded = bytes.chunks_exact(SEGMENT).filter(|segment| word(segment, 0) == Some(LOADED));
    loaded.map(|s| Some(Segment { offset: long(s, 8)?, address: long(s, 16)?, size: long(s, 32)? })).collect()
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_of_ours_is_in_our_file() {
        let modules = Modules::of(std::process::id());
        let found = modules.find(segments as fn(&Path) -> Option<Vec<Segment>> as usize as u64).unwrap();
        let running = std::env::current_exe().unwrap();
        assert_eq!(found.name, running.file_name().unwrap().to_str().unwrap());
        assert!(modules.find(0).is_none());
    }

    #[test]
    fn a_line_of_maps_is_read_also_with_spaces_and_without_a_file() {
        let line = "7f00-7f80 r-xp 00001000 fd:01 1234                       /a b/lib x.so (deleted)";
        let module = Module::parse(line).unwrap();
        assert_eq!((module.from, module.to, module.offset, module.name.as_str()), (0x7f00, 0x7f80, 0x1000, "lib x.so"));
        assert_eq!(Module::parse("7f00-7f80 r-xp 00000000 00:00 0                   [vdso]").unwrap().name, "[vdso]");
        assert!(Module::parse("7f00-7f80 rw-p 00000000 00:00 0 ").is_none());
        assert!(Module::parse("nonsense").is_none());
    }

    #[test]
    fn a_file_that_is_no_program_has_no_segments() {
        assert_eq!(segments(Path::new("/dev/null")), None);
        assert_eq!(segments(Path::new("/proc/self/maps")), None);
    }
}
