//! Upgrades in place under load, and upgrades that must not happen.

use std::time::Duration;

use super::{Context, Scenario};
use crate::oracle::{Load, Mode, Plan};
use crate::report::{Report, Row};
use crate::subject::{PATIENCE, Replacement, Settings, Subject};
use crate::system;
use crate::trouble::Trouble;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "upgrade",
    promise: "the program is replaced under load: no request fails, the pid stays, nothing leaks; a bad file changes nothing",
    run,
};

/// Files that cannot be upgraded to.
const BAD_FILES: [(BadFile, &str); 4] = [
    (BadFile::Missing, "missing"),
    (BadFile::NotExecutable, "not executable"),
    (BadFile::NoProgram, "no program"),
    (BadFile::Crashes, "crashes at start"),
];

#[derive(Debug, Clone, Copy)]
enum BadFile {
    Missing,
    NotExecutable,
    NoProgram,
    Crashes,
}

fn run(context: &mut Context, report: &mut Report) {
    let upgrades = context.either(2, 10);
    for (mode, clients) in [(Mode::NewConnections, 12), (Mode::KeepAlive, 8), (Mode::SlowUpload, 12), (Mode::Http2, 8)]
    {
        report.row(&format!("{mode}, ×{upgrades}"), |row| under_load(context, row, mode, clients, upgrades));
    }
    report.row("pid file", |row| pid_file(context, row));
    for (bad, name) in BAD_FILES {
        report.row(&format!("to a file that is {name}"), |row| to_bad_file(context, row, bad));
    }
}

fn under_load(context: &Context, row: &mut Row, mode: Mode, clients: usize, upgrades: usize) -> Result<(), Trouble> {
    let mut subject = Subject::start(&context.victim, &Settings::default())?;
    let load = Load::start(&Plan::new(&subject.target(), mode, clients));
    let mut longest = Duration::ZERO;
    let mut descriptors = Vec::new();
    let mut zombies = 0;
    let mut outcome = Ok(());
    for _ in 0..upgrades {
        match subject.upgrade() {
            Ok(took) => longest = longest.max(took),
            Err(trouble) => {
                outcome = Err(trouble);
                break;
            }
        }
        descriptors.push(match descriptors.last() {
            Some(before) => system::descriptors_back_to(*before, subject.pid()),
            None => system::descriptors_at_rest(subject.pid()),
        });
        zombies += system::zombies(subject.pid());
    }
    row.tally(load.finish());
    outcome?;
    row.require_no_failure();
    row.require(zombies == 0, || format!("{zombies} zombies"));
    // The first upgrade keeps the old image for a way back; from then on nothing is added.
    row.require(descriptors.windows(2).all(|pair| pair[0] == pair[1]), || {
        format!("the primary's descriptors after each upgrade: {descriptors:?}")
    });
    row.figure(format!("longest upgrade {} ms", longest.as_millis()));
    subject.stop()
}

fn pid_file(context: &Context, row: &mut Row) -> Result<(), Trouble> {
    let mut subject = Subject::start(&context.victim, &Settings { pid_file: true, ..Settings::default() })?;
    row.require(subject.pid_in_file() == Some(subject.pid()), || "it does not name the primary".into());
    subject.upgrade()?;
    row.require(subject.pid_in_file() == Some(subject.pid()), || "after an upgrade it names another".into());
    subject.stop()?;
    row.require(subject.pid_in_file().is_none(), || "it outlived the primary".into());
    Ok(())
}

fn to_bad_file(context: &Context, row: &mut Row, bad: BadFile) -> Result<(), Trouble> {
    let mut subject = Subject::start(&context.victim, &Settings::default())?;
    let load = Load::start(&Plan::new(&subject.target(), Mode::NewConnections, 8));
    // What is refused is refused at once: the load has to be there before.
    load.wait_for_an_answer(PATIENCE)?;
    let before: Vec<u32> = subject.log().serving().iter().map(|worker| worker.pid).collect();
    let (bytes, mode): (Option<&[u8]>, u32) = match bad {
        BadFile::Missing => (None, 0),
        BadFile::NotExecutable => (Some(b"#!/bin/sh\nexit 0\n"), 0o644),
        BadFile::NoProgram => (Some(b"\x7fELF and nothing behind it"), 0o755),
        BadFile::Crashes => (Some(b"#!/bin/sh\nkill -SEGV $$\n"), 0o755),
    };
    subject.spoil_executable(bytes, mode)?;
    let words = subject.fails(Replacement::Upgrade);
    row.tally(load.finish());
    row.figure(format!("told: {}", words?));
    row.require_no_failure();
    let after: Vec<u32> = subject.log().serving().iter().map(|worker| worker.pid).collect();
    row.require(before == after, || format!("the workers were {before:?} and are {after:?}"));
    // It is not stuck: a sound file is upgraded to all the same.
    subject.upgrade()?;
    subject.stop()
}
