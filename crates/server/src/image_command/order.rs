//! [`Order`]: what was typed, checked as far as possible before anything is read.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use phalanx::image::{Format, Header, Limits, Transform};

use super::arguments::{Asked, ImageArguments, WishArguments};
use crate::ending::Ending;

/// Of the memory that may be used, what pictures may take if nothing else is said; as `serve` has it.
const USUAL_PART_PERCENT: u64 = 40;

/// What is to be done.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) errand: Errand,
    pub(super) wish: Wish,
    pub(super) limits: Limits,
    /// For all pictures together; each is made by one or more of them.
    pub(super) threads: usize,
    /// Bytes for all pictures that are worked on at once.
    pub(super) memory: u64,
    pub(super) existing: Existing,
    pub(super) told: Told,
}

/// From where to where.
#[derive(Debug)]
pub(super) enum Errand {
    One(Item),
    Folder { from: PathBuf, to: PathBuf, depth: Depth },
}

/// One picture and what it becomes.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) from: Input,
    pub(super) to: Target,
}

/// Where a picture comes from.
#[derive(Debug, Clone)]
pub(super) enum Input {
    Standard,
    File(PathBuf),
}

/// Where it goes.
#[derive(Debug, Clone)]
pub(super) enum Target {
    Standard,
    File(PathBuf),
    /// This and the extension of the format.
    Stem(PathBuf),
}

impl Target {
    /// The file, if it is one.
    pub(super) fn path(&self, format: Format) -> Option<PathBuf> {
        match self {
            Target::Standard => None,
            Target::File(path) => Some(path.clone()),
            Target::Stem(stem) => {
                let mut path = stem.clone().into_os_string();
                path.push(".");
                path.push(format.extension());
                Some(path.into())
            }
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Standard => f.write_str("standard input"),
            Input::File(path) => path.display().fmt(f),
        }
    }
}

/// Which folders are looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    This,
    All,
}

/// What becomes of an output that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    Kept,
    Replaced,
}

/// For whom the results are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    People,
    Json,
}

/// What is to become of each picture.
#[derive(Debug)]
pub(super) struct Wish {
    arguments: WishArguments,
    format: Asked,
}

impl Order {
    pub(super) fn new(arguments: &ImageArguments) -> Result<Order, Ending> {
        let errand = Errand::new(arguments).map_err(Ending::usage)?;
        let format = match (arguments.wish.format(), &errand) {
            (Some(asked), _) => asked,
            (None, Errand::One(Item { to: Target::File(path), .. })) => by_extension(path).map_err(Ending::usage)?,
            (None, _) => Asked::This(Format::Jpeg),
        };
        let mut limits = Limits::default();
        if let Some(size) = arguments.job_memory {
            limits.job_bytes = size.0;
        }
        if let Some(megapixels) = arguments.max_megapixels {
            limits.source_pixels = u64::from(megapixels) * 1_000_000;
        }
        let usual = || phalanx::memory::total().bytes / 100 * USUAL_PART_PERCENT;
        Ok(Order {
            errand,
            wish: Wish { arguments: arguments.wish.clone(), format },
            limits,
            threads: arguments.threads.map_or_else(phalanx::memory::usable_cores, usize::from),
            memory: arguments.memory.map_or_else(usual, |size| size.0),
            existing: if arguments.force { Existing::Replaced } else { Existing::Kept },
            told: if arguments.json { Told::Json } else { Told::People },
        })
    }
}

impl Errand {
    fn new(arguments: &ImageArguments) -> Result<Errand, String> {
        let (from, to) = (&arguments.from, &arguments.to);
        let to_stream = is_stream(to);
        if to_stream && arguments.json {
            return Err("--json and the picture cannot both go to standard output; name OUT".into());
        }
        if is_stream(from) || !from.is_dir() {
            return match arguments.recursive {
                true => Err(format!("--recursive is for a folder, and {} is none", from.display())),
                false => Item::new(from, to).map(Errand::One),
            };
        }
        if to_stream {
            return Err("the pictures of a folder go into a folder, not to standard output; name OUT".into());
        }
        if to.exists() && !to.is_dir() {
            return Err(format!(
                "{} is a folder and {} is a file; name a folder for OUT",
                from.display(),
                to.display()
            ));
        }
        if !is_folder(to) && to.extension().is_some() && by_extension(to).is_ok() {
            return Err(format!(
                "{} is a folder and {} is the name of a picture; name a folder for OUT",
                from.display(),
                to.display()
            ));
        }
        if Identity::of(from).is_some_and(|folder| Identity::of(to) == Some(folder)) {
            return Err(format!("IN and OUT are the same folder, {}; name another for OUT", from.display()));
        }
        let depth = if arguments.recursive { Depth::All } else { Depth::This };
        Ok(Errand::Folder { from: from.clone(), to: to.clone(), depth })
    }
}

impl Item {
    /// One picture; into a folder under its own name.
    fn new(from: &Path, to: &Path) -> Result<Item, String> {
        let to = match (is_stream(from), is_stream(to)) {
            (_, true) => Target::Standard,
            (false, false) if is_folder(to) => match from.file_stem() {
                Some(stem) => Target::Stem(to.join(stem)),
                None => return Err(format!("{} is no name of a file", from.display())),
            },
            (true, false) if is_folder(to) => {
                return Err(format!("{} is a folder; name the file to be written", to.display()));
            }
            _ => Target::File(to.to_owned()),
        };
        let from = if is_stream(from) { Input::Standard } else { Input::File(from.to_owned()) };
        Ok(Item { from, to })
    }
}

impl Wish {
    /// The format that all pictures get, if it does not depend on them.
    pub(super) fn format(&self) -> Option<Format> {
        match self.format {
            Asked::This(format) => Some(format),
            Asked::Auto => None,
        }
    }

    /// Whether a damaged JPEG is made into what there is of it.
    pub(super) fn keeps_damaged(&self) -> bool {
        self.arguments.keeps_damaged()
    }

    /// All that is to become of a picture with this header.
    pub(super) fn transform(&self, header: &Header) -> (Transform, Format) {
        let suits = if header.has_alpha { Format::Png } else { Format::Jpeg };
        let format = self.format().unwrap_or(suits);
        (self.arguments.transform().output(self.arguments.output(format)), format)
    }
}

/// Whether it is one, or is written as one.
fn is_folder(path: &Path) -> bool {
    path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

fn is_stream(path: &Path) -> bool {
    path == Path::new("-")
}

/// What a name such as `small.webp` asks for.
fn by_extension(path: &Path) -> Result<Asked, String> {
    let Some(extension) = path.extension().and_then(|extension| extension.to_str()) else {
        return Ok(Asked::This(Format::Jpeg));
    };
    match extension.to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" | "jpe" | "jfif" => Ok(Asked::This(Format::Jpeg)),
        "png" => Ok(Asked::This(Format::Png)),
        "webp" => Ok(Asked::This(Format::WebP)),
        other => Err(format!("OUT ends in .{other}, and jpg, png and webp can be written; name one, or say --format")),
    }
}

/// What a file or folder is, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// Of what the name leads to.
    pub(super) fn of(path: &Path) -> Option<Identity> {
        fs::metadata(path).ok().map(|metadata| Identity::from(&metadata))
    }
}

impl From<&fs::Metadata> for Identity {
    fn from(metadata: &fs::Metadata) -> Identity {
        Identity { device: metadata.dev(), inode: metadata.ino() }
    }
}
