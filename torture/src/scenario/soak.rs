//! Everything together for as long as asked: reloads and kills under load, and nothing that grows.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Context, Scenario};
use crate::oracle::{Load, Mode, Outcome, Plan};
use crate::report::{Report, Row};
use crate::subject::{PATIENCE, Settings, Subject};
use crate::system;
use crate::trouble::Trouble;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "soak",
    promise: "reloads and kills in any order: memory, descriptors and threads of the primary stay as they are",
    run,
};

/// Longest pause between two acts.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Each may have a successor and one that drains.
const WORKERS: usize = 3;
/// What the primary may grow by.
const FLAT_KIB: u64 = 1024;

fn run(context: &mut Context, report: &mut Report) {
    let lasts = context.lasts(Duration::from_secs(5));
    report.row(&format!("{} s", lasts.as_secs()), |row| soak(context, row, lasts));
}

/// What is measured of the primary at rest.
#[derive(Debug, Clone)]
struct Size {
    resident_kib: u64,
    threads: usize,
    /// Descriptors by kind, but for the next.
    descriptors: BTreeMap<String, usize>,
    /// Pages of the scoreboard: kept for the next worker, so there are as many as there were ever workers at once.
    pages: usize,
}

impl Size {
    fn of(pid: u32) -> Size {
        system::descriptors_at_rest(pid);
        let (pages, descriptors): (BTreeMap<_, _>, BTreeMap<_, _>) =
            system::descriptor_kinds(pid).into_iter().partition(|(kind, _)| kind.contains("scoreboard"));
        Size {
            resident_kib: system::resident_kib(pid),
            threads: system::threads(pid),
            descriptors,
            pages: pages.into_values().sum(),
        }
    }
}

fn soak(context: &mut Context, row: &mut Row, lasts: Duration) -> Result<(), Trouble> {
    let mut subject = Subject::start(&context.victim, &Settings { workers: WORKERS, ..Settings::default() })?;
    let load = Load::start(&Plan::new(&subject.target(), Mode::NewConnections, 8));
    let outcome = act(context, &mut subject, lasts);
    let tally = load.finish();
    let held = subject.log().held_by_the_killed();
    row.require(tally.failed() <= held, || format!("the killed held {held} at most: {}", tally.failures_in_words()));
    row.require(tally.count(Outcome::Ok) > 0, || "no request was answered".into());
    row.tally(tally);
    let (before, after, reloads, kills) = outcome?;
    row.figure(format!("{reloads} reloads, {kills} kills"));
    row.figure(format!("primary {} → {} KiB", before.resident_kib, after.resident_kib));
    row.require(after.resident_kib <= before.resident_kib + FLAT_KIB, || {
        format!("the primary grew from {} to {} KiB", before.resident_kib, after.resident_kib)
    });
    row.require((&after.descriptors, after.threads) == (&before.descriptors, before.threads), || {
        format!("descriptors and threads were {before:?} and are {after:?}")
    });
    row.require(after.pages <= WORKERS * 3 + 1, || format!("{} pages for {WORKERS} workers", after.pages));
    row.require(system::zombies(subject.pid()) == 0, || "there are zombies".into());
    subject.stop()
}

/// The primary's size at rest before and after, and how many reloads and kills there were.
fn act(context: &mut Context, subject: &mut Subject, lasts: Duration) -> Result<(Size, Size, u32, u32), Trouble> {
    // One reload first: what is made once is made.
    subject.reload()?;
    let before = Size::of(subject.pid());
    let (mut reloads, mut kills) = (0, 0);
    let began = Instant::now();
    while began.elapsed() < lasts {
        if context.random.below(2) == 0 {
            subject.reload()?;
            reloads += 1;
        } else {
            let workers = subject.log().serving();
            if let Some(worker) = context.random.one_of(&workers) {
                system::send(worker.pid, Signal::KILL);
                subject.wait(PATIENCE, "its end", |log| log.worker(worker.number)?.ended)?;
                kills += 1;
            }
        }
        std::thread::sleep(context.random.duration(LONGEST_PAUSE));
    }
    subject.wait(PATIENCE, "all workers to be back", |log| {
        let alive = log.workers().iter().filter(|worker| worker.ended.is_none()).count();
        (log.serving().len() == WORKERS && alive == WORKERS).then_some(())
    })?;
    Ok((before, Size::of(subject.pid()), reloads, kills))
}
