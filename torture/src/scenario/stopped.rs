//! Processes that are stopped (SIGSTOP): as a hung process looks from outside, or a machine that was suspended.

use std::time::Duration;

use rustix::process::Signal;

use super::{Context, Scenario};
use crate::oracle::{Load, Mode, Outcome, Plan, ask_often};
use crate::report::{Report, Row};
use crate::subject::{LOOK, PATIENCE, Settings, Subject};
use crate::system;
use crate::trouble::Trouble;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "stopped",
    promise: "a hung worker costs no new connection and is replaced; a primary that was suspended kills nobody",
    run,
};

/// Requests after the worker stands still.
const REQUESTS: usize = 400;
/// A shorter liveness than the default of 30 s, which nobody would wait for.
const LIVENESS: Duration = Duration::from_secs(3);

fn run(context: &mut Context, report: &mut Report) {
    for listener in ["shared", "round-robin", "least-loaded"] {
        report.row(&format!("a worker, {listener}"), |row| {
            let settings = Settings { listener, ..Settings::default() };
            one_worker(context, row, &settings)
        });
    }
    report.row("a worker, until it is replaced", |row| until_replaced(context, row));
    report.row("the primary, twice the liveness", |row| primary(context, row));
}

fn one_worker(context: &mut Context, row: &mut Row, settings: &Settings) -> Result<(), Trouble> {
    let mut subject = Subject::start(&context.victim, settings)?;
    let stopped = stop_one(context, &subject)?;
    let tally = ask_often(&subject.target(), REQUESTS);
    system::send(stopped, Signal::CONT);
    row.require(!tally.by_pid.contains_key(&stopped), || "a process that stands still has answered".into());
    row.tally(tally);
    row.require_no_failure();
    subject.stop()
}

fn until_replaced(context: &mut Context, row: &mut Row) -> Result<(), Trouble> {
    let settings = Settings { liveness: Some(LIVENESS), ..Settings::default() };
    let mut subject = Subject::start(&context.victim, &settings)?;
    let load = Load::start(&Plan::new(&subject.target(), Mode::NewConnections, 8));
    let began = std::time::Instant::now();
    let stopped = stop_one(context, &subject)?;
    let replaced = subject.wait(LIVENESS * 2 + PATIENCE, "the hung worker to be replaced", |log| {
        let gone = log.workers().iter().any(|worker| worker.pid == stopped && worker.ended.is_some());
        (gone && log.serving().len() == 2).then(|| began.elapsed())
    });
    let tally = load.finish();
    let failed = tally.failed();
    let ends = subject.log().workers().into_iter().filter_map(|worker| worker.ended);
    let held: u64 = ends.map(|end| end.connections).sum();
    // Those that it had accepted when it stopped are lost with it.
    row.require(failed <= held, || format!("it held {held} connections: {}", tally.failures_in_words()));
    row.require(tally.count(Outcome::Ok) > 0, || "no request was answered".into());
    row.tally(tally);
    row.figure(format!("replaced after {} ms", replaced?.as_millis()));
    subject.stop()
}

fn primary(context: &mut Context, row: &mut Row) -> Result<(), Trouble> {
    let settings = Settings { liveness: Some(LIVENESS), ..Settings::default() };
    let mut subject = Subject::start(&context.victim, &settings)?;
    let load = Load::start(&Plan::new(&subject.target(), Mode::NewConnections, 8));
    let before: Vec<u32> = subject.log().serving().iter().map(|worker| worker.pid).collect();
    subject.signal(Signal::STOP);
    std::thread::sleep(LIVENESS * 2);
    subject.signal(Signal::CONT);
    // Enough ticks for a wrong conclusion.
    std::thread::sleep(LIVENESS);
    row.tally(load.finish());
    row.require_no_failure();
    let after: Vec<u32> = subject.log().serving().iter().map(|worker| worker.pid).collect();
    row.require(before == after, || format!("the workers were {before:?} and are {after:?}"));
    subject.stop()
}

/// Stops one worker and waits until it stands still.
fn stop_one(context: &mut Context, subject: &Subject) -> Result<u32, Trouble> {
    let workers = subject.log().serving();
    let pid = context.random.one_of(&workers).map(|worker| worker.pid);
    let pid = pid.ok_or_else(|| Trouble::Broken("no worker serves".into()))?;
    system::send(pid, Signal::STOP);
    let deadline = std::time::Instant::now() + PATIENCE;
    while system::state(pid) != Some('T') && std::time::Instant::now() < deadline {
        std::thread::sleep(LOOK);
    }
    Ok(pid)
}
