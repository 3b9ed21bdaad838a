//! [`Modules`]: which file an address of this process belongs to, and where in that file.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What runs, even if it was replaced on disk.
const RUNNING: &str = "/proc/self/exe";
/// `ET_EXEC` of ELF: a file that is loaded exactly where it says.
const FIXED: [u8; 2] = [2, 0];
/// Where an ELF file says what it is.
const TYPE_AT: u64 = 16;

/// The files that this process has mapped for execution.
#[derive(Debug, Default)]
pub(super) struct Modules(pub(super) Vec<Module>);

/// A mapping of a file.
#[derive(Debug, PartialEq)]
pub(super) struct Module {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) offset: u64,
    /// As the kernel names it.
    pub(super) path: String,
    /// Where to read it.
    pub(super) file: PathBuf,
    /// What was added to the addresses in the file.
    pub(super) moved_by: u64,
}

impl Modules {
    /// Out of the text of `/proc/self/maps`.
    pub(super) fn of(maps: &str) -> Modules {
        let running = std::fs::read_link(RUNNING).ok();
        let mut modules: Vec<Module> = Vec::new();
        // The first mapping of a file is its beginning.
        let mut beginning = ("", 0);
        for line in maps.lines() {
            let Some(mapping) = Mapping::parse(line) else { continue };
            if beginning.0 != mapping.path {
                beginning = (mapping.path, mapping.from.wrapping_sub(mapping.offset));
            }
            if !mapping.executed {
                continue;
            }
            let file = match running.as_deref() == Some(Path::new(mapping.path)) {
                true => RUNNING.into(),
                false => PathBuf::from(mapping.path),
            };
            let moved_by = if is_fixed(&file) { 0 } else { beginning.1 };
            let (from, to, offset) = (mapping.from, mapping.to, mapping.offset);
            modules.push(Module { from, to, offset, path: mapping.path.to_owned(), file, moved_by });
        }
        Modules(modules)
    }

    /// The index of the mapping in which an address lies.
    pub(super) fn find(&self, address: u64) -> Option<usize> {
        self.0.iter().position(|module| (module.from..module.to).contains(&address))
    }
}

impl Module {
    /// An address as the file itself counts.
    pub(super) fn within(&self, address: u64) -> u64 {
        address.wrapping_sub(self.moved_by)
    }

    /// Last part of the file's name.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// A line of `/proc/self/maps` that speaks of a file.
struct Mapping<'a> {
    from: u64,
    to: u64,
    executed: bool,
    offset: u64,
    path: &'a str,
}

impl Mapping<'_> {
    fn parse(line: &str) -> Option<Mapping<'_>> {
        let mut words = line.splitn(6, ' ');
        let (from, to) = words.next()?.split_once('-')?;
        let executed = words.next()?.contains('x');
        let offset = words.next()?;
        let path = words.nth(2)?.trim_start();
        let hex = |text| u64::from_str_radix(text, 16).ok();
        let (from, to, offset) = (hex(from)?, hex(to)?, hex(offset)?);
        (!path.is_empty()).then_some(Mapping { from, to, executed, offset, path })
    }
}

fn is_fixed(file: &Path) -> bool {
    let mut kind = [0; 2];
    File::open(file).and_then(|file| file.read_exact_at(&mut kind, TYPE_AT)).is_ok() && kind == FIXED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_of_ours_is_in_our_file() {
        let modules = Modules::of(&std::fs::read_to_string("/proc/self/maps").unwrap());
        let module = &modules.0[modules.find(is_fixed as fn(&Path) -> bool as usize as u64).unwrap()];
        assert_eq!(module.file, Path::new(RUNNING));
        assert_eq!(module.name(), std::env::current_exe().unwrap().file_name().unwrap().to_str().unwrap());
        assert_eq!(modules.find(0), None);
    }

    #[test]
    fn addresses_count_from_the_first_mapping_of_their_file() {
        let maps = "7000-8000 r--p 00000000 00:01 5      /a b/lib.so\n\
            8000-9000 r-xp 00001000 00:01 5      /a b/lib.so\nnonsense\n9000-a000 rw-p 00000000 00:00 0\n";
        let modules = Modules::of(maps);
        let module = &modules.0[modules.find(0x8010).unwrap()];
        assert_eq!((module.path.as_str(), module.within(0x8010)), ("/a b/lib.so", 0x1010));
    }
}
