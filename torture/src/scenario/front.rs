//! The front process is killed again and again, while somebody asks it and others are served.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Context, Scenario};
use crate::oracle::{Load, Mode, Outcome, Plan, Target, Wire};
use crate::report::{Report, Row};
use crate::subject::{LOOK, PATIENCE, Settings, Subject};
use crate::system;
use crate::trouble::Trouble;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "front",
    promise: "kill -9 of the front costs no request, and the next question to the control socket is answered",
    run,
};

const STATUS: &[u8] = b"GET /status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

fn run(context: &mut Context, report: &mut Report) {
    let kills = context.either(5, 50);
    report.row(&format!("killed ×{kills} under load"), |row| kill_front(context, row, kills));
}

fn kill_front(context: &Context, row: &mut Row, kills: usize) -> Result<(), Trouble> {
    let mut subject = Subject::start(&context.victim, &Settings { control: true, ..Settings::default() })?;
    let load = Load::start(&Plan::new(&subject.target(), Mode::NewConnections, 8));
    let before: Vec<u32> = subject.log().serving().iter().map(|worker| worker.pid).collect();
    let mut longest = Duration::ZERO;
    let mut outcome = Ok(());
    for _ in 0..kills {
        match asked_after_kill(&mut subject) {
            Ok(took) => longest = longest.max(took),
            Err(trouble) => {
                outcome = Err(trouble);
                break;
            }
        }
    }
    row.tally(load.finish());
    outcome?;
    row.require_no_failure();
    row.figure(format!("status again after {} ms at most", longest.as_millis()));
    let after: Vec<u32> = subject.log().serving().iter().map(|worker| worker.pid).collect();
    row.require(before == after, || format!("the workers were {before:?} and are {after:?}"));
    row.require(system::zombies(subject.pid()) == 0, || "there are zombies".into());
    subject.stop()
}

/// Kills what is neither primary nor worker, and asks for the status until it comes.
fn asked_after_kill(subject: &mut Subject) -> Result<Duration, Trouble> {
    let deadline = Instant::now() + PATIENCE;
    let front = loop {
        match subject.helpers().first() {
            Some(front) => break *front,
            None if Instant::now() >= deadline => return Err(Trouble::NotAvailable("no front process".into())),
            None => std::thread::sleep(LOOK),
        }
    };
    system::send(front, Signal::KILL);
    let killed = Instant::now();
    loop {
        let answer = Wire::connect(&Target::Unix(subject.control_socket())).and_then(|mut wire| {
            wire.send(STATUS, Outcome::ResetBeforeSend)?;
            wire.answer()
        });
        match answer {
            Ok(response) if response.status == 200 => return Ok(killed.elapsed()),
            // The connection was with the front that died.
            Err(failure) if failure.outcome != Outcome::Refused && killed.elapsed() < PATIENCE => {}
            other => return Err(Trouble::Broken(format!("the control socket says {other:?}"))),
        }
    }
}
