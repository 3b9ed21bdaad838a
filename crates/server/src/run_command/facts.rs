//! What the status of an app tells of it, beside its workers: for `phalanx ctl describe`.

use super::app::App;
use super::source::Source;
use crate::config::quantity::{ByteSize, Span};

/// Names of facts that others look for.
pub(super) const COMMAND: &str = "command";
pub(super) const FOLDER: &str = "folder";
pub(super) const KILL_TIMEOUT: &str = "kill timeout";
/// Flags that say how this process was started, not what it does.
const OF_THE_START: [&str; 3] = ["--background", "--detach", "-d"];

/// Names and texts, in the order of reading. The environment is no fact for everybody: only the names of its files are.
pub(super) fn of(app: &App, source: &Source) -> Vec<(&'static str, String)> {
    let launch = &app.program;
    let words = std::iter::once(&launch.line.program).chain(&launch.line.arguments).map(String::as_str);
    let line = shlex::try_join(words).unwrap_or_else(|_| launch.line.program.clone());
    let recycling = [
        app.limits.soft_memory_bytes.map(|bytes| format!("memory {}", ByteSize(bytes))),
        app.limits.hard_memory_bytes.map(|bytes| format!("hard memory {}", ByteSize(bytes))),
        app.limits.max_lifetime.map(|age| format!("lifetime {}", Span(age))),
    ];
    let recycling: Vec<String> = recycling.into_iter().flatten().collect();
    let said = |set: bool, text: &str| set.then(|| text.to_owned());
    let is_typed = matches!(source, Source::Typed { .. });
    let facts = [
        ("name", Some(app.name.clone())),
        (COMMAND, is_typed.then(command)),
        (FOLDER, is_typed.then(|| std::env::current_dir().unwrap_or_default().display().to_string())),
        ("program", Some(line)),
        ("working directory", Some(launch.cwd.display().to_string())),
        ("from", Some(source.to_string())),
        ("kind", said(launch.node, "Node")),
        ("distribution", said(launch.node || !app.sockets.listen.is_empty(), distribution(app))),
        ("reload", said(app.sockets.old_first, "old worker first")),
        ("limits", (!recycling.is_empty()).then(|| recycling.join(", "))),
        (KILL_TIMEOUT, Some(Span(app.patience.kill).to_string())),
        ("user", app.account.clone().map(String::from)),
        ("reloaded at", app.cron.as_ref().map(ToString::to_string)),
        ("reloaded when", app.watch.as_ref().map(|watch| format!("{} change", watch))),
        ("log file", app.log_file.as_ref().map(|log| log.path.display().to_string())),
        ("primary script", app.primary_script.as_ref().map(|path| path.display().to_string())),
        ("restarts", said(app.finishing, "not after exit code 0")),
        ("pid file", app.pid_file.as_ref().map(|path| path.display().to_string())),
    ];
    facts.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
}

/// The command line of this process, as it would be typed again.
fn command() -> String {
    let words: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let (ours, program) = words.split_at(end);
    let ours = ours.iter().filter(|word| !OF_THE_START.contains(&word.as_str()));
    shlex::try_join(ours.chain(program).map(String::as_str)).unwrap_or_default()
}

fn distribution(app: &App) -> &'static str {
    super::cluster::distribution(app.sockets.distribution).name()
}
