//! `phalanx ctl`: whether what it says, and its exit code, is the truth.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Context, Scenario};
use crate::oracle::{Load, Mode, Plan};
use crate::report::{Report, Row};
use crate::subject::{LOOK, PATIENCE, Settings, Subject};
use crate::system;
use crate::trouble::{Trouble, cannot};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "ctl",
    promise: "`phalanx ctl reload --wait` ends with 0 if all workers are new, and with another code and the words if not",
    run,
};

/// `EX_UNAVAILABLE`: the server was lost before it answered.
const UNAVAILABLE: i32 = 69;
/// By then the front has answered what it was asked first; the reload lasts a second at least.
const UNDER_WAY: Duration = Duration::from_millis(400);
const BOOT_DEADLINE: Duration = Duration::from_millis(300);

fn run(context: &mut Context, report: &mut Report) {
    report.row("reload to good code, then to bad, then to good", |row| good_bad_good(context, row));
    report.row("the front is killed while it waits for a reload", |row| without_front(context, row, UNDER_WAY));
    report.row("the front is killed as the reload begins", |row| without_front(context, row, Duration::ZERO));
}

/// Exit code and what was written to standard error.
struct Said {
    code: Option<i32>,
    words: String,
}

fn command(context: &Context, subject: &Subject, arguments: &[&str]) -> Command {
    let mut command = Command::new(&context.phalanx);
    command.arg("ctl").arg("--control").arg(subject.control_socket()).args(arguments);
    command.current_dir(subject.folder()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Runs it to its end.
fn ctl(context: &Context, subject: &Subject, arguments: &[&str]) -> Result<Said, Trouble> {
    end_of(command(context, subject, arguments).spawn().map_err(cannot("start phalanx ctl"))?)
}

/// It has its own deadlines, and ours is above them.
fn end_of(mut child: Child) -> Result<Said, Trouble> {
    let deadline = Instant::now() + PATIENCE * 2;
    while child.try_wait().map_err(cannot("wait for phalanx ctl"))?.is_none() {
        if Instant::now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Trouble::Broken("phalanx ctl does not end".into()));
        }
        std::thread::sleep(LOOK);
    }
    let output = child.wait_with_output().map_err(cannot("read what phalanx ctl says"))?;
    Ok(Said { code: output.status.code(), words: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
}

fn good_bad_good(context: &Context, row: &mut Row) -> Result<(), Trouble> {
    let settings = Settings { control: true, boot_deadline: BOOT_DEADLINE, ..Settings::default() };
    let mut subject = Subject::start(&context.victim, &settings)?;
    let load = Load::start(&Plan::new(&subject.target(), Mode::NewConnections, 8));
    let first = ctl(context, &subject, &["reload", "--wait"])?;
    row.require(first.code == Some(0), || format!("good: code {:?}: {}", first.code, first.words));
    let before = pids(&subject);
    subject.set_fault(Some("exit-1"))?;
    let second = ctl(context, &subject, &["reload", "--wait"])?;
    row.require(second.code == Some(1), || format!("bad: code {:?}: {}", second.code, second.words));
    row.require(second.words.contains("told to fail at start"), || {
        format!("the worker's own words are missing: {}", second.words)
    });
    row.require(before == pids(&subject), || "a reload that failed changed the workers".into());
    subject.set_fault(None)?;
    let third = ctl(context, &subject, &["reload", "--wait"])?;
    row.require(third.code == Some(0), || format!("good again: code {:?}: {}", third.code, third.words));
    row.tally(load.finish());
    row.require_no_failure();
    row.figure(format!("told: {}", second.words));
    subject.stop()
}

/// Kills the front this long after the reload has begun.
fn without_front(context: &mut Context, row: &mut Row, after: Duration) -> Result<(), Trouble> {
    let mut subject = Subject::start(&context.victim, &Settings { control: true, ..Settings::default() })?;
    let newest = subject.log().newest();
    let asked = command(context, &subject, &["reload", "--wait"]).spawn().map_err(cannot("start phalanx ctl"))?;
    subject.wait(PATIENCE, "the reload to begin", |log| (log.newest() > newest).then_some(()))?;
    std::thread::sleep(after);
    subject.helpers().iter().for_each(|front| system::send(*front, Signal::KILL));
    let said = end_of(asked)?;
    // Whoever was not told the number of its operation cannot wait for it, and says so.
    let unknown = after.is_zero() && said.code == Some(UNAVAILABLE) && !said.words.is_empty();
    row.require(said.code == Some(0) || unknown, || format!("code {:?}: {}", said.code, said.words));
    row.figure(format!("code {:?} {}", said.code, said.words));
    subject.stop()
}

fn pids(subject: &Subject) -> Vec<u32> {
    subject.log().serving().iter().map(|worker| worker.pid).collect()
}
