//! One picture: read, planned, made and written, within the room that all of them share.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use phalanx::image::{self, Format, Header, Limits, Picture, SCRATCH_KEEPS_BYTES, Scratch, Warning};
use phalanx_stream::{Chunk, FileTarget, Source, pipeline};

use super::order::{Existing, Identity, Input, Item, Order, Target, Wish};
use super::room::{Grown, Room, TooLarge};
use crate::config::quantity::ByteSize;

/// Makes pictures, on as many threads as call it.
#[derive(Debug)]
pub(super) struct Maker<'o> {
    wish: &'o Wish,
    limits: Limits,
    existing: Existing,
    room: Room,
    inputs: HashSet<Identity>,
    is_given_up: &'o AtomicBool,
}

/// What became of a picture.
#[derive(Debug)]
pub(super) enum Outcome {
    Made(Made),
    /// The output was there already.
    Kept(PathBuf),
}

/// A picture that was made and written.
#[derive(Debug)]
pub(super) struct Made {
    /// `None`: standard output.
    pub(super) to: Option<PathBuf>,
    pub(super) format: Format,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) bytes_before: u64,
    pub(super) bytes_after: u64,
    pub(super) warnings: Vec<Warning>,
}

/// Why a picture was not made.
#[derive(Debug)]
pub(super) enum Trouble {
    /// This one cannot be made; others can.
    Picture(String),
    /// No other will be written either: the disk is full.
    Everything(String),
    /// Whoever read standard output is gone.
    ReaderGone,
    /// A signal came.
    GivenUp,
}

impl<'o> Maker<'o> {
    /// For `hands` that make a picture each, and share the threads that there are. None of `inputs` is ever written.
    pub(super) fn new(
        order: &'o Order,
        hands: NonZero<usize>,
        inputs: HashSet<Identity>,
        is_given_up: &'o AtomicBool,
    ) -> Maker<'o> {
        let Order { wish, limits, existing, memory, threads, .. } = order;
        let limits =
            Limits { threads: NonZero::new(threads / hands.get()).unwrap_or(NonZero::<usize>::MIN), ..limits.clone() };
        Maker { wish, limits, existing: *existing, room: Room::new(*memory), inputs, is_given_up }
    }

    /// Makes one picture.
    pub(super) fn make(&self, item: &Item, scratch: &mut Scratch) -> Result<Outcome, Trouble> {
        if let Some(path) = self.wish.format().and_then(|format| item.to.path(format))
            && self.keeps(item, &path)?
        {
            return Ok(Outcome::Kept(path));
        }
        let mut wanted = match &item.from {
            Input::File(path) => fs::metadata(path).map_err(|error| unreadable(&error))?.len(),
            Input::Standard => 0,
        };
        loop {
            if self.is_given_up() {
                return Err(Trouble::GivenUp);
            }
            let mut place = self.room.enter(wanted)?;
            let bytes = self.read(&item.from)?;
            let header = image::probe(&bytes)?;
            let (transform, format) = self.wish.transform(&header);
            let to = item.to.path(format);
            if let Some(path) = &to
                && self.keeps(item, path)?
            {
                return Ok(Outcome::Kept(path.clone()));
            }
            let plan = image::plan(&header, &transform, &self.limits)?;
            let needed = bytes.len() as u64 + plan.estimated_bytes;
            // Standard input cannot be read again, and nobody else is there.
            if place.grow_to(needed)? == Grown::NotNow {
                wanted = needed;
                continue;
            }
            let made = image::process(&bytes, &plan, scratch, &|| self.is_given_up());
            scratch.trim_to(SCRATCH_KEEPS_BYTES as u64);
            let picture = made.map_err(|error| self.with_advice(error, &header))?;
            let (bytes_before, bytes_after) = (bytes.len() as u64, picture.bytes.len() as u64);
            let Picture { bytes, width, height, format, warnings, .. } = picture;
            match &to {
                Some(path) => write(path, bytes, &item.to)?,
                None => write_out(&bytes)?,
            }
            return Ok(Outcome::Made(Made { to, format, width, height, bytes_before, bytes_after, warnings }));
        }
    }

    /// The trouble that a failed picture is, with what could be done about it.
    fn with_advice(&self, error: image::Error, header: &Header) -> Trouble {
        match error {
            image::Error::Damaged { .. } if header.format == Format::Jpeg && !self.wish.keeps_damaged() => {
                Trouble::Picture(format!("{error}; --keep-damaged makes a picture of what there is"))
            }
            error => error.into(),
        }
    }

    fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Relaxed)
    }

    /// Whether an output that is there stays; an input always does.
    fn keeps(&self, item: &Item, path: &Path) -> Result<bool, Trouble> {
        let Ok(there) = fs::metadata(path) else { return Ok(false) };
        if !there.is_file() {
            return Ok(false);
        }
        let identity = Identity::from(&there);
        let is_own = matches!(&item.from, Input::File(from) if Identity::of(from) == Some(identity));
        if is_own || self.inputs.contains(&identity) {
            let told = format!("{} is an input, and inputs are never written; name another output", path.display());
            return Err(Trouble::Picture(told));
        }
        Ok(self.existing == Existing::Kept)
    }

    /// All of a file, but never more than there is room for.
    fn read(&self, from: &Input) -> Result<Vec<u8>, Trouble> {
        let mut bytes = Vec::new();
        let most = self.room.bytes();
        let read = match from {
            Input::Standard => io::stdin().lock().take(most + 1).read_to_end(&mut bytes),
            Input::File(path) => File::open(path).and_then(|file| {
                // One more than it has: the end is seen without growing.
                let length = file.metadata()?.len().min(most);
                bytes.reserve_exact(usize::try_from(length).unwrap_or(0) + 1);
                file.take(most + 1).read_to_end(&mut bytes)
            }),
        };
        read.map_err(|error| unreadable(&error))?;
        if bytes.len() as u64 > most {
            return Err(TooLarge { wanted: bytes.len() as u64, room: most }.into());
        }
        Ok(bytes)
    }
}

fn unreadable(error: &io::Error) -> Trouble {
    Trouble::Picture(format!("it cannot be read: {error}"))
}

/// The file is there as a whole, or not at all.
fn write(path: &Path, bytes: Vec<u8>, target: &Target) -> Result<(), Trouble> {
    // Folders below OUT are made when they are needed.
    if let (Target::Stem(_), Some(folder)) = (target, path.parent()) {
        fs::create_dir_all(folder)
            .map_err(|error| trouble(error.kind(), format!("cannot make the folder {}: {error}", folder.display())))?;
    }
    let sink = FileTarget::new(path).open().map_err(unwritten)?;
    let written = pipeline(Source::iter([Chunk::from(bytes)])).threads(1).into(sink).run_blocking();
    written.map(drop).map_err(unwritten)
}

fn unwritten(error: phalanx_stream::Error) -> Trouble {
    let kind = error.cause_as::<io::Error>().map_or(io::ErrorKind::Other, io::Error::kind);
    trouble(kind, error.to_string())
}

fn trouble(kind: io::ErrorKind, told: String) -> Trouble {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match kind {
        StorageFull | QuotaExceeded | ReadOnlyFilesystem => {
            Trouble::Everything(format!("{told}; make room there, or write elsewhere"))
        }
        _ => Trouble::Picture(told),
    }
}

fn write_out(bytes: &[u8]) -> Result<(), Trouble> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Trouble::ReaderGone,
        kind => trouble(kind, format!("cannot write standard output: {error}")),
    })
}

impl From<image::Error> for Trouble {
    fn from(error: image::Error) -> Trouble {
        match error {
            image::Error::Cancelled => Trouble::GivenUp,
            error => Trouble::Picture(error.to_string()),
        }
    }
}

impl From<TooLarge> for Trouble {
    fn from(TooLarge { wanted, room }: TooLarge) -> Trouble {
        let (wanted, room) = (ByteSize(wanted), ByteSize(room));
        Trouble::Picture(format!(
            "it needs {wanted} of memory, and all pictures may use {room}; allow more with --memory"
        ))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Picture(told) | Trouble::Everything(told) => f.write_str(told),
            Trouble::ReaderGone => f.write_str("whoever read standard output is gone"),
            Trouble::GivenUp => f.write_str("it was given up"),
        }
    }
}
