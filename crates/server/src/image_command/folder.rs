//! What of a folder is to be made into what.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use phalanx::image::Format;

use super::order::{Depth, Identity, Input, Item, Target};

/// Bytes of a file that tell whether it is a picture.
const SIGNATURE_BYTES: u64 = 16;

/// What was found, in the order of names.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) items: Vec<Item>,
    /// Files that are no pictures, and what begins with a dot.
    pub(super) skipped: usize,
    /// What cannot be made, and why: names that would become the same, folders that cannot be read.
    pub(super) refused: Vec<(PathBuf, String)>,
    /// The inputs: none of them is ever written.
    pub(super) inputs: HashSet<Identity>,
}

/// Looks through `from`; `to`, which may lie inside of it, is left out.
pub(super) fn look_through(from: &Path, to: &Path, depth: Depth) -> Found {
    let mut search = Search { found: Found::default(), names: HashMap::new(), output: Identity::of(to), depth };
    search.folder(from, to);
    search.found
}

struct Search {
    found: Found,
    /// Which input becomes the file with this name, but for its extension.
    names: HashMap<PathBuf, PathBuf>,
    output: Option<Identity>,
    depth: Depth,
}

impl Search {
    fn folder(&mut self, from: &Path, to: &Path) {
        let listed = fs::read_dir(from).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
        let mut entries = match listed {
            Ok(entries) => entries,
            Err(error) => return self.refuse(from, format!("the folder cannot be read: {error}")),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, name) = (entry.path(), entry.file_name());
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && (self.depth == Depth::This || Identity::of(&path) == self.output) {
                continue;
            }
            match name.as_encoded_bytes().first() {
                Some(b'.') => self.found.skipped += 1,
                _ if is_folder => self.folder(&path, &to.join(&name)),
                _ => self.file(path, to),
            }
        }
    }

    fn file(&mut self, path: PathBuf, to: &Path) {
        match is_picture(&path) {
            Ok(None) => self.found.skipped += 1,
            Ok(Some(identity)) => {
                let stem = to.join(path.file_stem().unwrap_or_default());
                self.found.inputs.insert(identity);
                match self.names.get(&stem) {
                    Some(other) => {
                        let told = format!("{} becomes the file of the same name; rename one of them", other.display());
                        self.refuse(&path, told);
                    }
                    None => {
                        self.names.insert(stem.clone(), path.clone());
                        self.found.items.push(Item { from: Input::File(path), to: Target::Stem(stem) });
                    }
                }
            }
            Err(error) => self.refuse(&path, format!("it cannot be read: {error}")),
        }
    }

    fn refuse(&mut self, path: &Path, why: String) {
        self.found.refused.push((path.to_owned(), why));
    }
}

/// Whether it is a regular file that begins like a picture.
fn is_picture(path: &Path) -> std::io::Result<Option<Identity>> {
    // A FIFO is not even opened.
    if !fs::metadata(path)?.is_file() {
        return Ok(None);
    }
    let mut head = Vec::new();
    let file = File::open(path)?;
    let identity = Identity::from(&file.metadata()?);
    file.take(SIGNATURE_BYTES).read_to_end(&mut head)?;
    Ok(Format::sniff(&head).map(|_| identity))
}
