//! What a case can be told on the command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::peers::Contender;
use pictures::photos::{self, Photo};

const QUICK_ROUNDS: usize = 1;
const QUICK_SECONDS: f64 = 1.0;
const FULL_WARM_UP: Duration = Duration::from_secs(1);
const QUICK_WARM_UP: Duration = Duration::from_millis(300);

/// How long and how often to measure. What is unset has a default in each case.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Timing {
    /// A smoke run: one short round; its figures mean little
    #[arg(long)]
    quick: bool,
    /// Rounds; medians are taken over them
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds that each measurement lasts
    #[arg(long)]
    seconds: Option<f64>,
}

impl Timing {
    pub(crate) fn rounds(&self, default: usize) -> usize {
        self.rounds.unwrap_or(if self.quick { QUICK_ROUNDS } else { default }).max(1)
    }

    pub(crate) fn duration_or_quick(&self, default_seconds: f64, quick_seconds: f64) -> Duration {
        let seconds = self.seconds.unwrap_or(if self.quick { quick_seconds } else { default_seconds });
        Duration::from_secs_f64(seconds.clamp(0.1, 3600.0))
    }

    /// Of something that is counted, not timed.
    pub(crate) fn count_or_quick(&self, default: u32, quick: u32) -> u32 {
        if self.quick { quick } else { default }
    }

    pub(crate) fn warm_up(&self) -> Duration {
        if self.quick { QUICK_WARM_UP } else { FULL_WARM_UP }
    }
}

/// Options that all cases with servers share. Unset ones have a default in each case.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Settings {
    #[command(flatten)]
    timing: Timing,
    /// Clients of the closed loop
    #[arg(long)]
    clients: Option<usize>,
    /// Worker processes of each server
    #[arg(long, default_value_t = 2)]
    pub(crate) workers: usize,
    /// Only these servers
    #[arg(long, value_delimiter = ',')]
    only: Vec<Contender>,
    /// Folder of JPEG files [default: PHALANX_PHOTOS, or shared/photos beside the repository, or made pictures]
    #[arg(long)]
    photos: Option<PathBuf>,
    /// Only photos whose names begin so
    #[arg(long, value_delimiter = ',')]
    photo: Vec<String>,
}

impl Settings {
    pub(crate) fn rounds(&self, default: usize) -> usize {
        self.timing.rounds(default)
    }

    pub(crate) fn duration(&self, default_seconds: f64) -> Duration {
        self.duration_or_quick(default_seconds, QUICK_SECONDS)
    }

    pub(crate) fn duration_or_quick(&self, default_seconds: f64, quick_seconds: f64) -> Duration {
        self.timing.duration_or_quick(default_seconds, quick_seconds)
    }

    /// Of something that is counted, not timed.
    pub(crate) fn count_or_quick(&self, default: u32, quick: u32) -> u32 {
        self.timing.count_or_quick(default, quick)
    }

    pub(crate) fn warm_up(&self) -> Duration {
        self.timing.warm_up()
    }

    pub(crate) fn clients(&self, default: usize) -> usize {
        self.clients.unwrap_or(default).max(1)
    }

    /// Those of `all` that were asked for.
    pub(crate) fn contenders(&self, all: &[Contender]) -> Vec<Contender> {
        all.iter().copied().filter(|contender| self.only.is_empty() || self.only.contains(contender)).collect()
    }

    /// The photos that were asked for.
    pub(crate) fn photos(&self) -> Vec<Photo> {
        let mut photos = photos::load(self.photos.as_deref());
        photos.retain(|photo| self.photo.is_empty() || self.photo.iter().any(|start| photo.name.starts_with(start)));
        photos
    }
}
