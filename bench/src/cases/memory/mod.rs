//! `bench memory`: the allocators under one load, and the server beside Node.
//!
//! ```text
//!   start ─ warm up ─ settle ─▶ resting level ─ burst of uploads ─▶ req/s, CPU, peak ─ 3 s ─▶ level ─ 30 s ─▶ level
//!                                                                                     └ meanwhile the next server starts
//! ```
//!
//! Levels and peaks are sums over the tree of processes of their proportional sets, at 20 Hz, so that a page that several
//! share counts once; where control groups can be written, the kernel's own peak stands beside.

mod burst;
mod group;
mod peak;
mod profile;
mod report;
mod variant;

use std::path::PathBuf;
use std::time::Duration;

use super::results::Results;
use super::settings::Timing;
use super::{in_turn, progress};
use crate::load::closed::Clients;
use crate::load::{Request, Reuse};
use crate::table::number;
use burst::{Burst, Load};
use pictures::photos::{self, Photo};
use variant::Variant;

const ROUNDS: usize = 4;
/// Each takes some seconds, and what is looked for is one part in a hundred.
const PROFILE_ROUNDS: usize = 15;
const SECONDS: f64 = 8.0;
const QUICK_SECONDS: f64 = 3.0;
/// From the end of the burst to the last look.
const REST: Duration = Duration::from_secs(30);
const QUICK_REST: Duration = Duration::from_secs(5);
const WARM_UP: Duration = Duration::from_secs(3);
const CLIENTS: usize = 16;

/// Options of this case.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct MemorySettings {
    #[command(flatten)]
    timing: Timing,
    /// Clients of the closed loop
    #[arg(long, default_value_t = CLIENTS)]
    clients: usize,
    /// Worker processes of each server
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Only these allocators
    #[arg(long, value_delimiter = ',')]
    only: Vec<Variant>,
    /// Only one of the tables
    #[arg(long)]
    table: Option<WhichTable>,
    /// Folder of JPEG files [default: PHALANX_PHOTOS, or shared/photos beside the repository, or made pictures]
    #[arg(long)]
    photos: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum WhichTable {
    /// The allocators
    Allocators,
    /// The peak beside express + multer + sharp + cluster
    Peak,
    /// What heap profiles cost
    Profile,
}

impl MemorySettings {
    fn has(&self, table: WhichTable) -> bool {
        self.table.is_none_or(|only| only == table)
    }

    fn variants(&self) -> Vec<Variant> {
        Variant::ALL.into_iter().filter(|variant| self.only.is_empty() || self.only.contains(variant)).collect()
    }

    fn rounds(&self) -> usize {
        self.timing.rounds(ROUNDS)
    }

    fn load(&self, photos: &[Photo]) -> Load {
        let rest = self.timing.duration_or_quick(REST.as_secs_f64(), QUICK_REST.as_secs_f64());
        Load {
            requests: photos.iter().map(|photo| Request::upload("/upload", &photo.jpeg, Reuse::KeepAlive)).collect(),
            clients: Clients { count: self.clients.max(1), reuse: Reuse::KeepAlive },
            warm_up: WARM_UP,
            duration: self.timing.duration_or_quick(SECONDS, QUICK_SECONDS),
            // `--seconds` is the length of the burst; the rest is what the promise says, but in a smoke run.
            rest: rest.max(QUICK_REST).min(REST),
        }
    }
}

type Bursts = Results<Variant, Burst>;

/// Runs the case and prints its tables.
pub(crate) async fn run(settings: &MemorySettings) {
    let photos = photos::load(settings.photos.as_deref());
    println!("## memory: allocators under uploads, and the peak beside Node");
    if settings.has(WhichTable::Allocators) {
        let bursts = allocators(settings, &settings.load(&photos)).await;
        report::print(settings, &photos, &bursts);
    }
    if settings.has(WhichTable::Peak) {
        peak::run(settings, &photos).await;
    }
    if settings.has(WhichTable::Profile) {
        profile::run(settings.timing.rounds(PROFILE_ROUNDS));
    }
}

async fn allocators(settings: &MemorySettings, load: &Load) -> Bursts {
    let mut bursts = Bursts::new();
    for round in 0..settings.rounds() {
        let mut resting = Vec::new();
        for variant in in_turn(&settings.variants(), round) {
            let burnt = burst::burst(load, |address| variant.launch(address, settings.workers)).await;
            resting.push((variant, burnt.map(|burnt| tokio::spawn(burnt.rest()))));
        }
        for (variant, rest) in resting {
            let burst = match rest {
                Ok(rest) => rest.await.map_err(|error| crate::peers::Absent(error.to_string())),
                Err(absent) => Err(absent),
            };
            match &burst {
                Ok(burst) => progress(&format!(
                    "round {}, {}: {} req/s, peak {} MiB, from {} to {} MiB {}",
                    round + 1,
                    variant.name(),
                    number(burst.sample.per_second()),
                    number(burst.sample.peak_mebibytes()),
                    number(burst.resting_mebibytes()),
                    number(burst.rested_mebibytes()),
                    burst.sample.tally.trouble()
                )),
                Err(absent) => progress(&format!("round {}, {}: {absent}", round + 1, variant.name())),
            }
            bursts.add(variant, burst);
        }
    }
    bursts
}
