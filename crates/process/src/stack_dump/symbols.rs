//! [`Symbols`]: names and lines for addresses, from the symbol tables and the debug information of the files.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;

use addr2line::Loader;

use super::dump::Frame;
use super::modules::Found;

/// Most characters of a function's name.
const MAX_NAME: usize = 160;

/// Files that were opened; `None` for those that could not be read.
#[derive(Default)]
pub(super) struct Symbols(HashMap<PathBuf, Option<Loader>>);

impl Symbols {
    /// Adds the functions at this place, the innermost first; false if there is no name for it.
    pub(super) fn add_frames(&mut self, found: &Found<'_>, frames: &mut Vec<Frame>) -> bool {
        let loader = self.0.entry(found.file.to_owned()).or_insert_with_key(|file| Loader::new(file).ok());
        let Some(loader) = loader else { return false };
        let before = frames.len();
        add_from_debug_information(loader, found.address, frames);
        if frames.len() == before
            && let Some(name) = loader.find_symbol(found.address)
        {
            frames.push(Frame { function: demangled(name), location: None, inlined: false });
        }
        // The last one is that of the machine; those before it were put into it.
        if let Some((_outermost, inner)) = frames.get_mut(before..).and_then(<[Frame]>::split_last_mut) {
            inner.iter_mut().for_each(|frame| frame.inlined = true);
        }
        frames.len() > before
    }
}

/// As far as it can be read.
fn add_from_debug_information(loader: &Loader, address: u64, frames: &mut Vec<Frame>) {
    let Ok(mut found) = loader.find_frames(address) else { return };
    while let Ok(Some(frame)) = found.next() {
        let name = frame.function.as_ref().and_then(|function| function.demangle().ok().map(Cow::into_owned));
        let Some(function) = name.map(shortened).or_else(|| loader.find_symbol(address).map(demangled)) else { return };
        let location = frame.location.and_then(|location| {
            let file = shortened_path(location.file?);
            Some(location.line.map_or_else(|| file.to_string(), |line| format!("{file}:{line}")))
        });
        frames.push(Frame { function, location, inlined: false });
    }
}

fn demangled(name: &str) -> String {
    shortened(addr2line::demangle_auto(Cow::Borrowed(name), None).into_owned())
}

/// Names of generic functions may have thousands of characters; a log line should not.
fn shortened(name: String) -> String {
    match name.char_indices().nth(MAX_NAME) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name,
    }
}

/// The standard library's own files without the place where they were compiled.
fn shortened_path(file: &str) -> &str {
    let within = file.strip_prefix("/rustc/").and_then(|rest| rest.split_once('/'));
    within.map_or(file, |(_compiler, file)| file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_cut_between_characters() {
        assert_eq!(shortened("ä".repeat(MAX_NAME)), "ä".repeat(MAX_NAME));
        assert_eq!(shortened("ä".repeat(MAX_NAME + 1)), format!("{}…", "ä".repeat(MAX_NAME)));
        assert_eq!(shortened_path("/rustc/0123abc/library/std/src/panic.rs"), "library/std/src/panic.rs");
        assert_eq!(shortened_path("src/main.rs"), "src/main.rs");
    }
}
