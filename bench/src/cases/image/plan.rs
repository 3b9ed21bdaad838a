//! What is measured: which work, with which pictures, by whom, how often.

use clap::ValueEnum;

use super::contender::Contender;
use super::subjects::{Coding, Subject};

/// A group of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Part {
    /// Photos to 800 px, one thread: CPU time, quality, bytes, memory
    Photos,
    /// The same by two threads
    Threads,
    /// A large progressive photo to 160 px: only its DC scans are needed
    Dc,
    /// JPEG to planes at N/8 of the size
    Decoder,
    /// PNG, WebP and GIF
    Formats,
}

impl Part {
    pub(super) const ALL: [Self; 5] = [Self::Photos, Self::Threads, Self::Dc, Self::Decoder, Self::Formats];

    pub(super) fn rounds(self) -> usize {
        match self {
            Self::Photos | Self::Dc | Self::Decoder => 5,
            Self::Threads | Self::Formats => 3,
        }
    }

    pub(super) fn seconds(self) -> f64 {
        match self {
            Self::Photos | Self::Formats | Self::Threads => 0.6,
            Self::Dc | Self::Decoder => 0.3,
        }
    }
}

/// The format of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum To {
    Jpeg,
    Png,
    WebP,
}

impl To {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::WebP => "webp",
        }
    }
}

/// What is done with one picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    Shrink { width: u32, to: To, threads: usize },
    Decode { eighths: u32 },
}

/// One cell of a table, before there are contenders and rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Job {
    pub(super) part: Part,
    /// Its index.
    pub(super) subject: usize,
    pub(super) work: Work,
}

pub(super) const WIDTH: u32 = 800;
pub(super) const SMALL_WIDTH: u32 = 160;
pub(super) const SCALES: [u32; 4] = [1, 2, 4, 8];
const TWO_THREADS: usize = 2;
/// From here on a photo is decoded in part where a thumbnail is all that is wanted.
const LARGE_PIXELS: u64 = 12_000_000;

impl Job {
    /// All jobs of `part` with all pictures that it is meant for.
    pub(super) fn of(part: Part, subjects: &[Subject]) -> Vec<Self> {
        let mut jobs = Vec::new();
        for (index, subject) in subjects.iter().enumerate() {
            let mut add = |work| jobs.push(Self { part, subject: index, work });
            let is_jpeg = subject.coding != Coding::Other;
            match part {
                Part::Photos if is_jpeg => add(Work::Shrink { width: WIDTH, to: To::Jpeg, threads: 1 }),
                Part::Threads if is_jpeg && !subject.is_twin => {
                    add(Work::Shrink { width: WIDTH, to: To::Jpeg, threads: TWO_THREADS });
                }
                Part::Dc if subject.coding == Coding::Progressive && subject.pixels >= LARGE_PIXELS => {
                    add(Work::Shrink { width: SMALL_WIDTH, to: To::Jpeg, threads: 1 });
                }
                Part::Decoder if is_jpeg && subject.is_plain => {
                    SCALES.into_iter().for_each(|eighths| add(Work::Decode { eighths }));
                }
                Part::Formats if !is_jpeg => {
                    let kept = if subject.name.ends_with(".png") { Some(To::Png) } else { None };
                    for to in [Some(To::Jpeg), kept].into_iter().flatten() {
                        add(Work::Shrink { width: WIDTH, to, threads: 1 });
                    }
                    if subject.name.ends_with(".webp") {
                        add(Work::Shrink { width: WIDTH, to: To::WebP, threads: 1 });
                    }
                }
                _ => {}
            }
        }
        jobs
    }

    pub(super) fn contenders(self) -> &'static [Contender] {
        use Contender::{Phalanx, Sharp, Symbols, Turbojpeg};
        match (self.part, self.work) {
            (Part::Photos | Part::Dc, _) => &[Phalanx, Sharp, Turbojpeg],
            (Part::Threads | Part::Formats, _) => &[Phalanx, Sharp],
            // The bound has no scale: once is enough.
            (Part::Decoder, Work::Decode { eighths: 1 }) => &[Phalanx, Turbojpeg, Symbols],
            (Part::Decoder, _) => &[Phalanx, Turbojpeg],
        }
    }
}
