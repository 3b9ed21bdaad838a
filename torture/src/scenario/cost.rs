//! What supervision itself costs: memory and processor time at rest, after many crashes, and the time to start.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Context, Scenario};
use crate::oracle::ask;
use crate::report::{Report, Row};
use crate::subject::{PATIENCE, Settings, Subject};
use crate::system;
use crate::trouble::Trouble;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "cost",
    promise: "primary and front are small, sleep at rest, and are as small after many crashes",
    run,
};

/// Workers of the resting cluster.
const MANY: usize = 64;
/// Most resident memory of primary and front together, in KiB; the program that both map is there once.
const RESIDENT_KIB: u64 = 10 * 1024;
/// What the primary may grow by while its workers crash: pages of its allocator, not one a crash.
const FLAT_KIB: u64 = 512;
/// Most processor time at rest, of all time.
const AT_REST: f64 = 0.001;
/// Until the last of the workers has settled.
const SETTLE: Duration = Duration::from_secs(3);

fn run(context: &mut Context, report: &mut Report) {
    report.row(&format!("{MANY} workers at rest"), |row| at_rest(context, row));
    let crashes = context.either(300, 10_000);
    report.row(&format!("{crashes} crashes"), |row| many_crashes(context, row, crashes));
    report.row("start", |row| start(context, row));
}

fn at_rest(context: &Context, row: &mut Row) -> Result<(), Trouble> {
    let settings = Settings { workers: MANY, control: true, ..Settings::default() };
    let mut subject = Subject::start(&context.victim, &settings)?;
    std::thread::sleep(SETTLE);
    let processes: Vec<u32> = subject.helpers().into_iter().chain([subject.pid()]).collect();
    let used = || processes.iter().map(|pid| system::processor_time(*pid)).sum::<Duration>();
    let (began, before) = (Instant::now(), used());
    // The kernel counts in ticks of 10 ms: one of them is 0.1 % of ten seconds.
    std::thread::sleep(context.either(Duration::from_secs(10), Duration::from_secs(60)));
    let part = (used() - before).as_secs_f64() / began.elapsed().as_secs_f64();
    let resident = system::resident_together_kib(&processes);
    let apart: u64 = processes.iter().map(|pid| system::resident_kib(*pid)).sum();
    row.figure(format!(
        "primary and front: {resident} KiB ({apart} if counted apart), {:.2} % of a core",
        part * 100.0
    ));
    row.require(processes.len() == 2, || format!("{} processes beside the workers", processes.len() - 1));
    row.require(resident <= RESIDENT_KIB, || format!("{resident} KiB are more than {RESIDENT_KIB}"));
    // In a short run the grain of the clock decides.
    row.require(part <= context.either(2.0 * AT_REST, AT_REST), || format!("{:.2} % at rest", part * 100.0));
    subject.stop()
}

fn many_crashes(context: &Context, row: &mut Row, crashes: u64) -> Result<(), Trouble> {
    let settings = Settings { workers: 4, control: true, ..Settings::default() };
    let mut subject = Subject::start(&context.victim, &settings)?;
    // The first tenth fills what is allocated once.
    crash(&mut subject, crashes / 10)?;
    let descriptors = system::descriptors_at_rest(subject.pid());
    let before = system::resident_kib(subject.pid());
    let began = Instant::now();
    crash(&mut subject, crashes - crashes / 10)?;
    let rate = (crashes - crashes / 10) as f64 / began.elapsed().as_secs_f64();
    let (after, left) = (system::resident_kib(subject.pid()), system::descriptors_at_rest(subject.pid()));
    row.figure(format!("primary {before} → {after} KiB, {left} descriptors, {rate:.0} crashes a second"));
    row.require(after <= before + FLAT_KIB, || format!("the primary grew from {before} to {after} KiB"));
    row.require(left == descriptors, || format!("{descriptors} descriptors became {left}"));
    row.require(system::zombies(subject.pid()) == 0, || "there are zombies".into());
    subject.stop()
}

/// Kills workers that are ready, one after the other, and waits until all places have one again.
fn crash(subject: &mut Subject, crashes: u64) -> Result<(), Trouble> {
    let mut killed = 0;
    while killed < crashes {
        let mut ready = subject.log().serving();
        let wanted = ready.len();
        ready.truncate((crashes - killed) as usize);
        ready.iter().for_each(|victim| system::send(victim.pid, Signal::KILL));
        killed += ready.len() as u64;
        subject.wait(PATIENCE, "the replacements", |log| {
            let serving = log.serving();
            let gone = serving.iter().all(|seen| ready.iter().all(|old| old.number != seen.number));
            (gone && serving.len() >= wanted).then_some(())
        })?;
    }
    Ok(())
}

fn start(context: &Context, row: &mut Row) -> Result<(), Trouble> {
    let mut times = Vec::new();
    let mut starts = Vec::new();
    for _ in 0..context.either(5, 20) {
        let began = Instant::now();
        let mut subject = Subject::launch(&context.victim, &Settings { control: true, ..Settings::default() })?;
        subject.wait(PATIENCE, "an address", |log| log.address())?;
        subject.find_address()?;
        let answer = ask(&subject.target(), "/");
        times.push(began.elapsed());
        row.require(answer.is_ok(), || format!("the first answer: {answer:?}"));
        subject.all_ready()?;
        starts.extend(subject.log().start_times());
        subject.stop()?;
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    row.figure(format!("first answer after {:.1} ms, with a copy of the program", median(&mut times)));
    row.figure(format!("a worker is ready after {:.1} ms", median(&mut starts)));
    Ok(())
}
