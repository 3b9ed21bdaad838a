//! Limits of the machine: descriptors, processes, environment, listeners.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use super::{Context, Scenario};
use crate::oracle::{Load, Mode, Outcome, Plan, ask_often};
use crate::report::{Report, Row};
use crate::subject::{PATIENCE, Settings, Subject};
use crate::system;
use crate::trouble::Trouble;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "resources",
    promise: "what runs out is waited for or told, the survivors serve, and all is well when it is there again",
    run,
};

/// A user of whom no process runs: root is not limited in the number of its processes.
const NOBODY_ELSE: u32 = 61_234;
/// Variables of 100 000 bytes that make an environment of 4 MB; the kernel wants a larger stack for it.
const LARGE_VARIABLES: usize = 40;
const LARGE_STACK: u64 = 32 * 1024 * 1024;
/// How long something is missing.
const MISSING_FOR: Duration = Duration::from_secs(1);

fn run(context: &mut Context, report: &mut Report) {
    report.row("workers have 8 descriptors left", |row| starved_workers(context, row));
    report.row("the primary has no descriptor left", |row| no_descriptor(context, row));
    report.row("the primary may start no process", |row| no_process(context, row));
    report.row("started with 20 descriptors", |row| started_with_few(context, row));
    report.row("4 MB of environment", |row| large_environment(context, row));
    report.row("254 listeners", |row| many_listeners(context, row));
}

/// Sets the soft limit of a process; gives what it was. Needs no rights if the process belongs to the same user.
fn limit(pid: u32, resource: Resource, to: u64) -> Result<u64, Trouble> {
    let of = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let cannot = |error: rustix::io::Errno| Trouble::CannotTry(format!("limit process {pid}: {error}"));
    let (soft, maximum) = limits(pid, resource)?;
    prlimit(of, resource, Rlimit { current: Some(to), maximum }).map_err(cannot)?;
    Ok(soft)
}

/// The soft limit, and the hard one, which is to stay.
fn limits(pid: u32, resource: Resource) -> Result<(u64, Option<u64>), Trouble> {
    let name = match resource {
        Resource::Nofile => "Max open files",
        Resource::Stack => "Max stack size",
        _ => "Max processes",
    };
    let text = std::fs::read_to_string(format!("/proc/{pid}/limits"))
        .map_err(crate::trouble::cannot("read the limits of a process"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let mut columns = line.split_whitespace().map(|column| column.parse().ok());
    let (soft, hard) = (columns.next().flatten(), columns.next().flatten());
    Ok((soft.unwrap_or(u64::MAX), hard))
}

fn starved_workers(context: &Context, row: &mut Row) -> Result<(), Trouble> {
    let mut subject = Subject::start(&context.victim, &Settings::default())?;
    for worker in subject.log().serving() {
        let open = system::descriptors(worker.pid) as u64;
        limit(worker.pid, Resource::Nofile, open + 8)?;
    }
    let plan = Plan { path: "/slow?ms=5".into(), ..Plan::new(&subject.target(), Mode::NewConnections, 40) };
    let load = Load::start(&plan);
    let used_before: Duration = subject.log().serving().iter().map(|worker| system::processor_time(worker.pid)).sum();
    std::thread::sleep(MISSING_FOR * 2);
    let used: Duration = subject.log().serving().iter().map(|worker| system::processor_time(worker.pid)).sum();
    row.tally(load.finish());
    row.require_no_failure();
    row.figure(format!("workers used {} ms in {} ms", (used - used_before).as_millis(), (MISSING_FOR * 2).as_millis()));
    subject.stop()
}

fn no_descriptor(context: &Context, row: &mut Row) -> Result<(), Trouble> {
    let subject = Subject::start(&context.victim, &Settings::default())?;
    let open = system::descriptors(subject.pid()) as u64;
    let mut old = None;
    starved_primary(row, subject, |pid, missing| {
        let to = if missing { open } else { old.unwrap_or(open * 4) };
        old.get_or_insert(limit(pid, Resource::Nofile, to)?);
        Ok(())
    })
}

/// The number of processes is counted by user, and root is not counted: then the victim runs as somebody of whom
/// nothing else runs, and `prlimit` has to, too.
fn no_process(context: &Context, row: &mut Row) -> Result<(), Trouble> {
    let user = rustix::process::geteuid().is_root().then_some(NOBODY_ELSE);
    let subject = Subject::start(&context.victim, &Settings { user, ..Settings::default() })?;
    let (soft, _) = limits(subject.pid(), Resource::Nproc)?;
    starved_primary(row, subject, |pid, missing| {
        let mut command = Command::new("prlimit");
        command.arg(format!("--pid={pid}")).arg(format!("--nproc={}:", if missing { 1 } else { soft }));
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        let status = command.status().map_err(crate::trouble::cannot("run prlimit (of util-linux)"))?;
        if status.success() { Ok(()) } else { Err(Trouble::CannotTry(format!("prlimit ended with {status}"))) }
    })
}

/// Takes something from the primary, kills a worker, and gives it back: the worker comes then.
fn starved_primary(
    row: &mut Row,
    mut subject: Subject,
    mut limit: impl FnMut(u32, bool) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    limit(subject.pid(), true)?;
    let workers = subject.log().serving();
    let victim = workers.first().ok_or_else(|| Trouble::Broken("nobody serves".into()))?;
    system::send(victim.pid, Signal::KILL);
    subject.wait(PATIENCE, "the primary to fail and wait", |log| (log.count("back-off") > 0).then_some(()))?;
    let load = Load::start(&Plan::new(&subject.target(), Mode::NewConnections, 4));
    std::thread::sleep(MISSING_FOR);
    row.tally(load.finish());
    row.require_no_failure();
    row.figure(format!("{} attempts failed", subject.log().count("back-off")));
    limit(subject.pid(), false)?;
    // Five failures in a minute open the breaker, which is tried again after a minute.
    let longest = if subject.log().count("breaker-open") > 0 { Duration::from_secs(70) } else { PATIENCE };
    subject.wait(longest, "a replacement once it is possible", |log| (log.serving().len() == 2).then_some(()))?;
    subject.stop()
}

fn started_with_few(context: &Context, row: &mut Row) -> Result<(), Trouble> {
    let settings = Settings { shell_prelude: Some("ulimit -n 20"), ..Settings::default() };
    let mut subject = Subject::launch(&context.victim, &settings)?;
    let comes_to = subject.wait(PATIENCE, "all workers, or the words why not", |log| {
        let told = log.last_lines().contains("Too many open files");
        let serving = log.serving().len();
        (serving == 2 || (serving > 0 && told)).then_some(serving)
    });
    let Ok(serving) = comes_to else {
        let status = subject.wait_for_end(PATIENCE)?;
        let words = subject.words();
        row.figure(format!("it ends with {status}: {words}"));
        row.require(!status.success() && !words.is_empty(), || format!("it ended with {status}: {words:?}"));
        return Ok(());
    };
    row.figure(format!("{serving} of 2 workers serve"));
    subject.find_address()?;
    row.tally(ask_often(&subject.target(), 100));
    row.require_no_failure();
    subject.stop()
}

fn large_environment(context: &Context, row: &mut Row) -> Result<(), Trouble> {
    let value: std::ffi::OsString = "x".repeat(100_000).into();
    let variables = (0..LARGE_VARIABLES).map(|number| (format!("LARGE_{number}"), value.clone())).collect();
    let own = std::process::id();
    // What we set is inherited, and is put back as soon as the victim runs.
    let stack = limit(own, Resource::Stack, LARGE_STACK)?;
    let started = Subject::start(&context.victim, &Settings { variables, ..Settings::default() });
    limit(own, Resource::Stack, stack)?;
    let mut subject = started?;
    let workers = subject.log().serving();
    workers.iter().for_each(|worker| system::send(worker.pid, Signal::KILL));
    subject.wait(PATIENCE, "the replacements", |log| {
        let new = log.serving().into_iter().filter(|seen| workers.iter().all(|old| old.number != seen.number));
        (new.count() == workers.len()).then_some(())
    })?;
    let tally = ask_often(&subject.target(), 100);
    row.require(tally.count(Outcome::Ok) == 100, || tally.failures_in_words());
    row.tally(tally);
    subject.stop()
}

fn many_listeners(context: &Context, row: &mut Row) -> Result<(), Trouble> {
    let mut subject = Subject::start(&context.victim, &Settings { listeners: 254, ..Settings::default() })?;
    row.tally(ask_often(&subject.target(), 100));
    row.require_no_failure();
    subject.stop()
}
