//! A folder with pictures for one test.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use phalanx::image::{Format, probe};

use crate::harness::pictures::{TEXT, animated_gif, jpeg, png};
use crate::runs::{Folder, Ran, ended};

/// `phalanx image` with these arguments, which are parted by blanks.
pub(crate) fn image(folder: &Folder, line: &str) -> Command {
    let mut command = folder.program(env!("CARGO_BIN_EXE_phalanx"));
    command.arg("image").args(line.split_whitespace());
    command
}

/// Runs it to its end.
pub(crate) fn run(folder: &Folder, line: &str) -> Ran {
    ended(image(folder, line))
}

/// `in` with three pictures, one of them below, a text and a hidden file.
pub(crate) fn album() -> Folder {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("in/below")).unwrap();
    folder.write("in/photo.JPG", jpeg(640, 480));
    folder.write("in/drawing.png", png(300, 900));
    folder.write("in/notes.jpg", TEXT);
    folder.write("in/.hidden.jpg", jpeg(64, 64));
    folder.write("in/below/moving.gif", animated_gif(64, 32));
    folder
}

/// Width, height and format of a picture in the folder.
#[track_caller]
pub(crate) fn made(folder: &Folder, name: &str) -> (u32, u32, Format) {
    let header = probe(&folder.read(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    (header.width, header.height, header.format)
}

/// Names in a folder below, in order.
pub(crate) fn names(folder: &Folder, below: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder.path(below)) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What would change if the file were written, even with the same bytes.
pub(crate) fn inode(folder: &Folder, name: &str) -> (u64, i64) {
    let metadata = fs::metadata(folder.path(name)).unwrap();
    (metadata.ino(), metadata.mtime_nsec())
}
