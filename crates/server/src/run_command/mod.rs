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
mod facts;
mod file;
mod notices;
mod options;
pub(crate) mod places;
mod program;
mod reloads;
mod several;
mod source;
mod values;
mod variables;
mod watch;
mod wish;

pub(crate) use arguments::RunArguments;

use app::{App, Wrong};
use phalanx::Event;
use reloads::Reloads;
use source::Source;
use wish::Wish;

use crate::logs;
use crate::serve::log_event;
use crate::start::Failure;

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
    match Wish::of(arguments)? {
        Wish::One(source) => one(source, arguments.labelled),
        Wish::Several { file, names } => several::run(&file, &names),
    }
}

/// Runs one app until it is stopped; `labelled`, its lines are told from those of others.
fn one(source: Source, labelled: bool) -> Result<(), Failure> {
    let app = source.read()?;
    prepare(&app)?;
    let mut reloads = Reloads::of(&app).map_err(Failure::Other)?;
    let logs = logs::start(app.log_format, app.log_level);
    let label = if labelled { format!("{}: ", app.name) } else { String::new() };
    let cluster = cluster::describe(&app, source, labelled).on_event({
        let label = label.clone();
        move |event| {
            let _logs_until_the_end = &logs;
            if matches!(event, Event::Ready { .. }) {
                reloads.take().into_iter().for_each(Reloads::begin);
            }
            log_event(&label, event);
        }
    });
    ended(cluster.run_program()).map_err(|failure| failure.of(&label))
}

/// What an app needs on this machine, before it starts.
fn prepare(app: &App) -> Result<(), Failure> {
    app.control.as_deref().map_or(Ok(()), places::prepare).map_err(Failure::Other)
}

fn ended(outcome: Result<(), phalanx::Error>) -> Result<(), Failure> {
    outcome.map_err(|error| Failure::Ended(error.to_string(), error.exit_code()))
}
