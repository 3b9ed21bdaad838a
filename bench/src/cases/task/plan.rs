//! What is measured, and for how long.

use std::time::Duration;

use clap::ValueEnum;

/// The parts of the report, each with a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Part {
    /// Empty tasks, one at a time and 64 at a time
    Empty,
    /// 1 KiB to 16 MiB, there and back
    Payload,
    /// A fresh process to its first result, and a replacement after a crash
    Fresh,
    /// Photos on threads and in processes
    Photo,
    /// The same by HTTP: `phalanx serve --isolate thread` and `--isolate process`
    Upload,
}

impl Part {
    pub(super) const ALL: [Self; 5] = [Self::Empty, Self::Payload, Self::Fresh, Self::Photo, Self::Upload];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum Measure {
    Lone,
    Crowd,
    Kibibyte,
    Kibibytes64,
    Mebibyte,
    Mebibytes16,
    Start,
    Crash,
    Photo,
    Upload,
}

impl Measure {
    pub(super) const PAYLOADS: [Self; 4] = [Self::Kibibyte, Self::Kibibytes64, Self::Mebibyte, Self::Mebibytes16];

    /// Its name on the command lines of both `phalanx-bench-task` and `task.js`.
    pub(super) fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    pub(super) fn part(self) -> Part {
        match self {
            Self::Lone | Self::Crowd => Part::Empty,
            Self::Kibibyte | Self::Kibibytes64 | Self::Mebibyte | Self::Mebibytes16 => Part::Payload,
            Self::Start | Self::Crash => Part::Fresh,
            Self::Photo => Part::Photo,
            Self::Upload => Part::Upload,
        }
    }

    /// Whether it is done for each photo.
    fn has_photo(self) -> bool {
        matches!(self, Self::Photo | Self::Upload)
    }
}

/// A measure, and of which photo if of any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Measurement {
    pub(super) measure: Measure,
    pub(super) photo: Option<usize>,
}

impl Measurement {
    pub(super) const LONE: Self = Self::of(Measure::Lone);
    pub(super) const CROWD: Self = Self::of(Measure::Crowd);
    pub(super) const START: Self = Self::of(Measure::Start);
    pub(super) const CRASH: Self = Self::of(Measure::Crash);

    pub(super) const fn of(measure: Measure) -> Self {
        Self { measure, photo: None }
    }

    /// All there are with so many photos.
    pub(super) fn all(photos: usize) -> impl Iterator<Item = Self> {
        Measure::value_variants().iter().flat_map(move |measure| {
            let count = if measure.has_photo() { photos } else { 1 };
            (0..count).map(|photo| Self { measure: *measure, photo: measure.has_photo().then_some(photo) })
        })
    }
}

/// How often and how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    pub(super) rounds: usize,
    /// Of photos, whose figures are compared within a twentieth.
    pub(super) photo_rounds: usize,
    pub(super) warm_up: Duration,
    pub(super) counted: Duration,
    /// Of photos.
    pub(super) photo_counted: Duration,
}

impl Schedule {
    pub(super) fn rounds_of(self, measurement: Measurement) -> usize {
        if measurement.photo.is_some() { self.photo_rounds } else { self.rounds }
    }

    pub(super) fn counted_of(self, measurement: Measurement) -> Duration {
        if measurement.photo.is_some() { self.photo_counted } else { self.counted }
    }
}
