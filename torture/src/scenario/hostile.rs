//! A worker that breaks the rules of its control connection.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Context, Scenario};
use crate::oracle::{Load, Mode, Outcome, Plan};
use crate::report::{Report, Row};
use crate::subject::{PATIENCE, Settings, Subject};
use crate::system;
use crate::trouble::Trouble;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "hostile worker",
    promise: "a worker that floods, lies or is silent is replaced; the primary does not block, grow or leak meanwhile",
    run,
};

/// What it does; the word is for the fault file.
const ACTS: [&str; 10] = [
    "hostile-flood",
    "hostile-half",
    "hostile-noise",
    "hostile-huge",
    "hostile-version",
    "hostile-lying-length",
    "hostile-empty",
    "hostile-descriptors",
    "hostile-silent",
    "hostile-closed",
];

/// A hostile worker never says that it is ready: after this it is killed in any case.
const BOOT_DEADLINE: Duration = Duration::from_secs(1);
/// A sibling that is killed meanwhile is replaced by a primary that is not blocked, within this.
const NOT_BLOCKED: Duration = Duration::from_secs(2);
/// What the primary may grow by.
const FLAT_KIB: u64 = 1024;

fn run(context: &mut Context, report: &mut Report) {
    for act in ACTS {
        report.row(act.trim_start_matches("hostile-"), |row| suffer(context, row, act));
    }
}

fn suffer(context: &mut Context, row: &mut Row, act: &str) -> Result<(), Trouble> {
    let settings = Settings { workers: 3, boot_deadline: BOOT_DEADLINE, ..Settings::default() };
    let mut subject = Subject::start(&context.victim, &settings)?;
    let load = Load::start(&Plan::new(&subject.target(), Mode::NewConnections, 4));
    let (descriptors, resident) = (system::descriptors_at_rest(subject.pid()), system::resident_kib(subject.pid()));
    subject.set_fault(Some(act))?;
    let hostile = replace_one(context, &mut subject)?;
    subject.wait_for_fault_to_be_taken()?;
    // While it is at it, another one dies.
    let began = Instant::now();
    replace_one(context, &mut subject)?;
    let blocked = began.elapsed();
    let gone = subject.wait(PATIENCE, "the end of the hostile worker", |log| log.worker(hostile)?.ended);
    let healed = gone.and_then(|_| {
        subject.wait(PATIENCE, "a sound worker in its place", |log| (log.serving().len() == 3).then_some(()))
    });
    let tally = load.finish();
    let held = subject.log().held_by_the_killed();
    row.require(tally.failed() <= held, || format!("the killed held {held} at most: {}", tally.failures_in_words()));
    row.require(tally.count(Outcome::Ok) > 0, || "no request was answered".into());
    row.tally(tally);
    row.figure(format!("a sibling was replaced after {} ms", blocked.as_millis()));
    row.require(blocked < NOT_BLOCKED, || format!("a sibling was replaced after {} ms only", blocked.as_millis()));
    healed?;
    let (now, grown) = (system::descriptors_back_to(descriptors, subject.pid()), system::resident_kib(subject.pid()));
    row.require(now == descriptors, || format!("the primary had {descriptors} descriptors and has {now}"));
    row.require(grown <= resident + FLAT_KIB, || format!("the primary grew from {resident} to {grown} KiB"));
    subject.stop()
}

/// Kills a worker and waits for the process that takes its place; gives that one's number.
fn replace_one(context: &mut Context, subject: &mut Subject) -> Result<u32, Trouble> {
    let newest = subject.log().newest();
    let workers = subject.log().serving();
    let Some(worker) = context.random.one_of(&workers) else { return Err(Trouble::Broken("nobody serves".into())) };
    system::send(worker.pid, Signal::KILL);
    subject.wait(PATIENCE, "a replacement", |log| {
        let in_place = log.workers().into_iter().find(|new| new.number > newest && new.place == worker.place);
        in_place.map(|new| new.number)
    })
}
