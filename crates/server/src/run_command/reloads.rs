//! [`Reloads`]: a thread in the primary that asks for a reload when files change, or at certain times.
//!
//! It asks with SIGHUP, as anybody would: while one is under way, the primary remembers one more.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{DateTime, Local};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, getpid, kill_process};

use super::app::App;
use super::cron::Cron;
use super::watch::Tree;

/// Files change together: quiet for so long, and the change is over.
const QUIET: Duration = Duration::from_millis(250);
/// A change that never gets quiet is over after this.
const LONGEST_CHANGE: Duration = Duration::from_secs(3);
/// The clock on the wall may be set, and the machine sleep: it is looked at this often.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(30);
/// For a thread that keeps next to nothing.
const STACK_BYTES: usize = 128 * 1024;

/// What calls for reloads. It watches from its making on, and asks from [`begin`](Self::begin) on.
pub(super) struct Reloads {
    tree: Option<Tree>,
    cron: Option<Cron>,
}

impl Reloads {
    /// Those of this app; `None` if nobody wants any.
    pub(super) fn of(app: &App) -> Result<Option<Reloads>, String> {
        let tree = app.watch.clone().map(|watch| Tree::new(watch.without(own_files(app)))).transpose()?;
        let cron = app.cron.clone();
        Ok((tree.is_some() || cron.is_some()).then_some(Reloads { tree, cron }))
    }

    /// Asks from now on: the primary takes signals by now.
    pub(super) fn begin(self) {
        let thread = std::thread::Builder::new().name("reloads".into()).stack_size(STACK_BYTES);
        if let Err(error) = thread.spawn(move || self.keep()) {
            tracing::error!("no reloads by time or change: no thread for them: {error}");
        }
    }

    fn keep(mut self) {
        let mut next = self.cron.as_ref().and_then(|cron| cron.next(Local::now()));
        loop {
            if let Some(path) = self.change(wait(next)) {
                ask(&format!("{} changed", path.display()));
            }
            if next.is_some_and(|time| time <= Local::now()) {
                ask("its time has come (cron-restart)");
                next = self.cron.as_ref().and_then(|cron| cron.next(Local::now()));
            }
        }
    }

    /// A change within this time, when it is over.
    fn change(&mut self, within: Duration) -> Option<PathBuf> {
        let Some(tree) = &mut self.tree else {
            std::thread::sleep(within);
            return None;
        };
        readable(tree, within);
        let path = tree.changed()?;
        let begun = Instant::now();
        while begun.elapsed() < LONGEST_CHANGE && readable(tree, QUIET) {
            tree.changed();
        }
        Some(path)
    }
}

/// Until the clock is looked at again.
fn wait(next: Option<DateTime<Local>>) -> Duration {
    let left = next.map(|time| (time - Local::now()).to_std().unwrap_or_default());
    left.map_or(LOOK_AT_CLOCK, |left| left.min(LOOK_AT_CLOCK))
}

fn readable(tree: &Tree, within: Duration) -> bool {
    let mut polled = [PollFd::new(tree, PollFlags::IN)];
    let timeout = Timespec::try_from(within).ok();
    matches!(poll(&mut polled, timeout.as_ref()), Ok(1..))
}

fn ask(why: &str) {
    tracing::info!("reload: {why}");
    if let Err(error) = kill_process(getpid(), Signal::HUP) {
        tracing::error!("no reload: {error}");
    }
}

/// Files of our own below what is watched: that they change is no news.
fn own_files(app: &App) -> Vec<&Path> {
    let log = app.log_file.as_ref().map(|log| log.path.as_path());
    [log, app.pid_file.as_deref(), app.control.as_deref()].into_iter().flatten().collect()
}
