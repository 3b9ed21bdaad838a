//! `phalanx run`: any program becomes a cluster.
//!
//! ```text
//!   what was typed, or an [[app]] table ─▶ Options ─▶ App, checked ─▶ phalanx::Cluster of a Program ─▶ runs until it is stopped
//!   (arguments, file)                      (options)  (app)           (cluster)
//! ```
//!
//! Exit codes: those of `serve`.

mod app;
mod arguments;
mod cluster;
mod cron;
mod detach;
mod facts;
mod file;
mod import;
mod notices;
mod options;
pub(crate) mod places;
mod program;
mod reloads;
mod several;
mod source;
mod startup;
mod values;
mod variables;
mod watch;
mod wish;

pub(crate) use arguments::RunArguments;
pub(crate) use startup::{StartupArguments, run as startup};

use app::{App, Wrong};
use phalanx::Event;
use reloads::Reloads;
use source::Source;
use wish::Wish;

use crate::logs;
use crate::serve::log_event;
use crate::start::Failure;

/// This program, also after its file was replaced.
const OURSELVES: &str = "/proc/self/exe";

impl From<Wrong> for Failure {
    fn from(wrong: Wrong) -> Failure {
        Failure::Setting(wrong.to_string())
    }
}

/// Runs the app, or the apps. In the processes of a cluster it does not return.
pub(crate) fn run(arguments: &RunArguments) -> Result<(), Failure> {
    if phalanx::process::role().is_some() {
        return ended(phalanx::cluster().run_program());
    }
    if let Some(file) = &arguments.import {
        return import::run(file);
    }
    match Wish::of(arguments)? {
        wish if arguments.detach && !arguments.background => detach::run(wish),
        Wish::One(source) => one(source, Told::of(arguments)),
        Wish::Several { file, names } => several::run(&file, &names, arguments.background),
    }
}

/// Where what happens is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// On standard error.
    Here,
    /// There too, with the name of the app, for there are others.
    HereByName,
    /// In a log file.
    InFile,
}

impl Told {
    fn of(arguments: &RunArguments) -> Told {
        match (arguments.background, arguments.labelled) {
            (true, _) => Told::InFile,
            (_, true) => Told::HereByName,
            _ => Told::Here,
        }
    }
}

/// Runs one app until it is stopped.
fn one(source: Source, told: Told) -> Result<(), Failure> {
    let mut app = source.read()?;
    if told == Told::InFile && app.log_file.is_none() {
        app.log_file = Some(detach::log_of(&app.name).map_err(Failure::Other)?);
    }
    prepare(&app)?;
    let mut reloads = Reloads::of(&app).map_err(Failure::Other)?;
    let logs = logs::start(app.log_format, app.log_level);
    if app.sockets.own && app.instances > 1 {
        tracing::warn!(
            "{} workers of a program that opens its sockets itself: without SO_REUSEPORT only one of them gets a port; hand it out with \
             --listen, or say --no-listen if they get along",
            app.instances
        );
    }
    let label = if told == Told::HereByName { format!("{}: ", app.name) } else { String::new() };
    let cluster = cluster::describe(&app, source, told).on_event({
        let label = label.clone();
        move |event| {
            let _logs_until_the_end = &logs;
            if matches!(event, Event::Ready { .. }) {
                reloads.take().into_iter().for_each(Reloads::begin);
            }
            // A log file has the events by itself.
            if told != Told::InFile {
                log_event(&label, event);
            }
        }
    });
    ended(cluster.run_program()).map_err(|failure| failure.of(&label))
}

/// What an app needs on this machine, before it starts.
fn prepare(app: &App) -> Result<(), Failure> {
    app.control.as_deref().map_or(Ok(()), places::prepare).map_err(Failure::Other)
}

/// Whether a line of a table is understood, for a test of all flags.
#[cfg(test)]
pub(crate) fn known_key(line: &str) -> Result<(), String> {
    toml::from_str::<options::Options>(line).map(drop).map_err(|error| error.message().to_owned())
}

fn ended(outcome: Result<(), phalanx::Error>) -> Result<(), Failure> {
    outcome.map_err(|error| Failure::Ended(error.to_string(), error.exit_code()))
}
