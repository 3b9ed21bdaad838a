//! `bench run`: programs that know nothing of us, under `phalanx run`, `node:cluster` and PM2.
//!
//! ```text
//!   speed     one plain Node server: keep-alive requests/s, fresh connections/s
//!   kills     a worker is killed every second: what became of each connection
//!   reloads   again and again, under load: the same
//!   memory    of the supervisor, over restarts and over what a program writes
//!   chatty    a program that writes while nobody reads
//! ```

mod chatty;
mod fates;
mod kills;
mod memory;
mod output;
mod reloads;
mod speed;
mod workers;

use super::Settings;
use crate::peers::Contender;
use crate::table::{Targets, print_environment};

/// Options of this case.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct RunSettings {
    #[command(flatten)]
    settings: Settings,
    /// Only these parts
    #[arg(long, value_delimiter = ',')]
    part: Vec<Part>,
    /// 1 000 restarts and 1 GiB of output instead of 100 and 64 MiB
    #[arg(long)]
    long: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Speed,
    Kills,
    Reloads,
    Memory,
    Chatty,
}

impl RunSettings {
    fn has(&self, part: Part) -> bool {
        self.part.is_empty() || self.part.contains(&part)
    }
}

/// All that take part in any part.
const CONTENDERS: [Contender; 5] =
    [Contender::Run, Contender::RunShared, Contender::RunCluster, Contender::RunPm2, Contender::RunPm2Asked];

/// Runs the parts and prints their tables and the targets.
pub(crate) async fn run(settings: &RunSettings) {
    println!("## run: a plain Node server with {} workers, and programs of any kind", settings.settings.workers);
    print_environment(&settings.settings.contenders(&CONTENDERS));
    let mut targets = Targets::new();
    if settings.has(Part::Speed) {
        speed::run(&settings.settings, &mut targets).await;
    }
    if settings.has(Part::Kills) {
        kills::run(&settings.settings, &mut targets).await;
    }
    if settings.has(Part::Reloads) {
        reloads::run(&settings.settings, &mut targets).await;
    }
    if settings.has(Part::Memory) {
        memory::run(settings.long, &mut targets).await;
    }
    if settings.has(Part::Chatty) {
        chatty::run(settings.long, &mut targets).await;
    }
    targets.print();
}
