//! New code that does not start: after a crash, in a reload, and at the very first start.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Context, Scenario};
use crate::oracle::{Load, Mode, Plan};
use crate::report::{Report, Row};
use crate::subject::{PATIENCE, Replacement, Settings, Subject};
use crate::system;
use crate::trouble::Trouble;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "crash loop",
    promise: "survivors serve on, the breaker opens, a reload to bad code fails and changes nothing, the primary stays idle",
    run,
};

/// Ways to fail at start; the word is for the fault file.
const WAYS: [&str; 5] = ["exit-0", "exit-1", "segv", "hang", "die-after-ready"];
/// So that `hang` does not take a minute a time.
const BOOT_DEADLINE: Duration = Duration::from_millis(300);
/// Part of a core that the primary may use, all crashes included.
const IDLE: f64 = 0.01;
/// Processor time comes in ticks of this length; one more or less is nothing.
const TICK: Duration = Duration::from_millis(10);
/// Until now so many waits are expected of a place that dies again and again.
const WAITS: u64 = 4;

fn run(context: &mut Context, report: &mut Report) {
    for way in WAYS {
        report.row(&format!("{way} after a crash"), |row| after_a_crash(context, row, way));
    }
    for way in WAYS {
        report.row(&format!("{way} in a reload"), |row| in_a_reload(context, row, way));
    }
    for way in &WAYS[..4] {
        report.row(&format!("{way} at the very first start"), |row| at_first_start(context, row, way));
    }
}

fn settings() -> Settings {
    Settings { boot_deadline: BOOT_DEADLINE, ..Settings::default() }
}

fn after_a_crash(context: &Context, row: &mut Row, way: &str) -> Result<(), Trouble> {
    let mut subject = Subject::start(&context.victim, &settings())?;
    subject.set_fault(Some(&format!("{way} place=0")))?;
    let doomed = subject.log().serving().into_iter().find(|worker| worker.place == 0);
    let doomed = doomed.ok_or_else(|| Trouble::Broken("nobody serves in place 0".into()))?;
    system::send(doomed.pid, Signal::KILL);
    subject.wait(PATIENCE, "the end of the killed worker", |log| log.worker(doomed.number)?.ended)?;
    // Lazy clients: what the primary uses is to be seen, not what the load leaves of the cores.
    let load = Load::start(&Plan::new(&subject.target(), Mode::Lazy(TICK), 4));
    let (began, used_before) = (Instant::now(), system::processor_time(subject.pid()));
    let reached = subject.wait(PATIENCE, "the breaker", |log| match way {
        // A death after ready is none for the breaker.
        "die-after-ready" => (log.count("back-off") >= WAITS).then_some(()),
        _ => (log.count("breaker-open") > 0).then_some(()),
    });
    std::thread::sleep(context.either(Duration::from_secs(1), Duration::from_secs(10)));
    let (lasted, used) = (began.elapsed(), system::processor_time(subject.pid()) - used_before);
    row.tally(load.finish());
    reached?;
    row.require_no_failure();
    row.figure(format!("{} waits", subject.log().count("back-off")));
    row.figure(format!("primary used {} ms in {} ms", used.as_millis(), lasted.as_millis()));
    row.require(used <= lasted.mul_f64(IDLE) + TICK, || {
        format!("the primary used {} ms in {} ms", used.as_millis(), lasted.as_millis())
    });
    row.require(way != "die-after-ready" || subject.log().count("breaker-open") == 0, || {
        "the breaker opened for deaths after ready".into()
    });
    subject.stop()
}

fn in_a_reload(context: &Context, row: &mut Row, way: &str) -> Result<(), Trouble> {
    let mut subject = Subject::start(&context.victim, &settings())?;
    let before: Vec<u32> = subject.log().serving().iter().map(|worker| worker.pid).collect();
    let load = Load::start(&Plan::new(&subject.target(), Mode::NewConnections, 8));
    subject.set_fault(Some(way))?;
    let words = subject.fails(Replacement::Reload);
    row.tally(load.finish());
    row.figure(format!("told: {}", words?));
    row.require_no_failure();
    let serving = subject.log().serving();
    // `die-after-ready` may get as far as the first place before its death is seen.
    let kept = before.iter().filter(|pid| serving.iter().any(|worker| worker.pid == **pid)).count();
    let must_stay = if way == "die-after-ready" { before.len() - 1 } else { before.len() };
    row.require(kept >= must_stay, || format!("of the workers {before:?} only {kept} serve on"));
    subject.set_fault(None)?;
    subject.reload()?;
    subject.stop()
}

fn at_first_start(context: &Context, row: &mut Row, way: &str) -> Result<(), Trouble> {
    // The fault has to be there before the victim is: a first one makes the folder.
    let mut first = Subject::start(&context.victim, &settings())?;
    first.stop()?;
    first.set_fault(Some(way))?;
    let mut subject = first.launch_again(&settings())?;
    let status = subject.wait_for_end(PATIENCE)?;
    row.require(!status.success() && status.code().is_some(), || format!("it ended with {status}"));
    let words = subject.words();
    row.require(!words.is_empty(), || "it ended without a word".into());
    row.require(way != "exit-1" || words.contains("told to fail at start"), || {
        format!("the worker's own words are missing: {words}")
    });
    row.figure(format!("told: {words}"));
    Ok(())
}
