//! [`Symbols`]: names and lines for addresses, from the symbol tables and the debug information of the files.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;

use addr2line::Loader;

use super::modules::Module;

/// Most characters of a function's name: those of generic functions may have thousands.
const MAX_NAME: usize = 240;

/// A line of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) function: String,
    /// Empty if it is not known.
    pub(super) file: String,
    /// 0 if it is not known.
    pub(super) line: u32,
}

/// Files that were opened; `None` for those that could not be read.
#[derive(Default)]
pub(super) struct Symbols(HashMap<PathBuf, Option<Loader>>);

impl Symbols {
    /// The functions at this place, the innermost first: what was inlined, and into what. Never none.
    pub(super) fn at(&mut self, module: &Module, address: u64) -> Vec<Line> {
        let within = module.within(address);
        let loader = self.0.entry(module.file.clone()).or_insert_with_key(|file| Loader::new(file).ok());
        let mut lines = loader.as_ref().map(|loader| lines(loader, within)).unwrap_or_default();
        if lines.is_empty() {
            let function = match loader.as_ref().and_then(|loader| loader.find_symbol(within)) {
                Some(name) => demangled(name),
                None => format!("{}+{within:#x}", module.name()),
            };
            lines.push(Line { function, file: String::new(), line: 0 });
        }
        lines
    }
}

/// From the debug information, as far as it can be read.
fn lines(loader: &Loader, address: u64) -> Vec<Line> {
    let mut lines = Vec::new();
    let Ok(mut frames) = loader.find_frames(address) else { return lines };
    while let Ok(Some(frame)) = frames.next() {
        let name = frame.function.as_ref().and_then(|function| function.demangle().ok().map(Cow::into_owned));
        let Some(function) = name.map(shortened).or_else(|| loader.find_symbol(address).map(demangled)) else { break };
        let (file, line) = match frame.location {
            Some(location) => (location.file.map(shortened_path).unwrap_or_default(), location.line.unwrap_or(0)),
            None => ("", 0),
        };
        lines.push(Line { function, file: file.to_owned(), line });
    }
    // Debug information without types knows functions by their last name; the one of the machine has a whole name besides.
    if let (Some(outermost), Some(symbol)) = (lines.last_mut(), loader.find_symbol(address)) {
        outermost.function = demangled(symbol);
    }
    lines
}

fn demangled(name: &str) -> String {
    shortened(addr2line::demangle_auto(Cow::Borrowed(name), None).into_owned())
}

fn shortened(mut name: String) -> String {
    if let Some((end, _)) = name.char_indices().nth(MAX_NAME) {
        name.truncate(end);
        name.push('…');
    }
    name
}

/// The standard library's own files without the place where they were compiled.
fn shortened_path(file: &str) -> &str {
    let within = file.strip_prefix("/rustc/").and_then(|rest| rest.split_once('/'));
    within.map_or(file, |(_compiler, file)| file)
}

#[cfg(test)]
mod tests {
    use super::super::modules::Modules;
    use super::*;

    #[test]
    fn a_function_of_ours_has_its_name() {
        let modules = Modules::of(&std::fs::read_to_string("/proc/self/maps").unwrap());
        let address = demangled as fn(&str) -> String as usize as u64;
        let module = &modules.0[modules.find(address).unwrap()];
        let lines = Symbols::default().at(module, address);
        assert!(lines.iter().any(|line| line.function.contains("symbols::demangled")), "{lines:?}");
    }

    #[test]
    fn what_has_no_name_has_its_place() {
        let file = PathBuf::from("/dev/null");
        let module = Module { from: 16, to: 32, offset: 0, path: "/dev/null".into(), file, moved_by: 16 };
        assert_eq!(Symbols::default().at(&module, 20)[0].function, "null+0x4");
    }
}
