//! kill -9 of a random worker, again and again, under load.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Context, Scenario};
use crate::oracle::{Load, Mode, Outcome, Plan, Tally};
use crate::report::{Report, Row};
use crate::subject::{LOOK, PATIENCE, Settings, Subject};
use crate::system;
use crate::trouble::Trouble;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "kill -9 workers",
    promise: "only connections that a killed worker had accepted fail; nothing is refused, nothing waits in vain",
    run,
};

/// From one kill to the next.
const BETWEEN_KILLS: Duration = Duration::from_millis(50);
/// Load without kills, before and after, to know what full throughput is.
const CALM: Duration = Duration::from_secs(1);
/// What the primary may grow by; the allocator's own movement.
const FLAT_KIB: u64 = 1024;

fn run(context: &mut Context, report: &mut Report) {
    let lasts = context.lasts(Duration::from_secs(4));
    for (mode, clients) in [(Mode::NewConnections, 16), (Mode::KeepAlive, 8)] {
        report.row(&format!("every {} ms for {} s, {mode}", BETWEEN_KILLS.as_millis(), lasts.as_secs()), |row| {
            kill_loop(context, row, mode, clients, lasts)
        });
    }
    report.row("all at once, ×5", |row| all_at_once(context, row));
}

fn kill_loop(context: &mut Context, row: &mut Row, mode: Mode, clients: usize, lasts: Duration) -> Result<(), Trouble> {
    let mut subject = Subject::start(&context.victim, &Settings { workers: 4, ..Settings::default() })?;
    let load = Load::start(&Plan::new(&subject.target(), mode, clients));
    let calm_began = Instant::now();
    std::thread::sleep(CALM);
    let began = Instant::now();
    let mut kills = Kills::default();
    let resident_before = system::resident_kib(subject.pid());
    while began.elapsed() < lasts {
        kills.one(context, &subject);
        std::thread::sleep(BETWEEN_KILLS);
    }
    let last_kill = kills.last.unwrap_or(began);
    subject.wait(PATIENCE, "all workers to be back", |log| (log.serving().len() == 4).then_some(()))?;
    std::thread::sleep(CALM);
    let recovery = load.timeline.recovery(last_kill, calm_began, began);
    let during = load.timeline.rate(began, last_kill);
    let before = load.timeline.rate(calm_began, began);
    let tally = load.finish();
    let resident = system::resident_kib(subject.pid());
    row.figure(format!("{} kills", kills.count));
    row.figure(format!("{before:.0} → {during:.0} answers/s"));
    row.figure(match recovery {
        Some(recovery) => format!("full again {} ms after the last kill", recovery.as_millis()),
        None => "not full again within a second".into(),
    });
    let mut starts = subject.log().start_times();
    starts.sort();
    if let Some(median) = starts.get(starts.len() / 2) {
        row.figure(format!("a worker starts in {:.1} ms (median)", median.as_secs_f64() * 1e3));
    }
    row.figure(format!("primary {resident_before} → {resident} KiB"));
    row.require(resident <= resident_before + FLAT_KIB, || {
        format!("the primary grew from {resident_before} to {resident} KiB in {} kills", kills.count)
    });
    row.require(kills.count > 0, || "no worker was ever ready to be killed".into());
    judge(row, &subject, tally);
    subject.stop()
}

/// Failures against what the killed held.
fn judge(row: &mut Row, subject: &Subject, tally: Tally) {
    let held = subject.log().held_by_the_killed();
    row.figure(format!("at most {held} connections held by the killed"));
    let failed = tally.failed();
    row.require(failed <= held, || {
        format!(
            "{failed} requests failed, but the killed held {held} connections at most: {}",
            tally.failures_in_words()
        )
    });
    let never = [Outcome::Refused, Outcome::TimedOut, Outcome::WrongAnswer, Outcome::Duplicate];
    row.require(never.iter().all(|outcome| tally.count(*outcome) == 0), || tally.failures_in_words());
    row.require(tally.count(Outcome::Ok) > 0, || "no request was answered".into());
    row.tally(tally);
}

/// The kills so far.
#[derive(Default)]
struct Kills {
    count: u64,
    last: Option<Instant>,
}

impl Kills {
    /// Kills one of the workers that are ready, if there is any.
    fn one(&mut self, context: &mut Context, subject: &Subject) {
        let ready = subject.log().serving();
        let Some(victim) = context.random.one_of(&ready) else { return };
        system::send(victim.pid, Signal::KILL);
        self.count += 1;
        self.last = Some(Instant::now());
        // It counts as serving until the primary says otherwise; it is not to be killed twice.
        while system::lives(victim.pid) {
            std::thread::sleep(LOOK);
        }
    }
}

fn all_at_once(context: &mut Context, row: &mut Row) -> Result<(), Trouble> {
    let mut subject = Subject::start(&context.victim, &Settings::default())?;
    let load = Load::start(&Plan::new(&subject.target(), Mode::NewConnections, 16));
    for _ in 0..5 {
        let workers = subject.log().serving();
        workers.iter().for_each(|worker| system::send(worker.pid, Signal::KILL));
        subject.wait(PATIENCE, "the replacements of all workers", |log| {
            let new = log.serving().into_iter().filter(|seen| workers.iter().all(|old| old.number != seen.number));
            (new.count() == workers.len()).then_some(())
        })?;
    }
    let tally = load.finish();
    judge(row, &subject, tally);
    subject.stop()
}
