//! `phalanx startup`: the unit with which systemd runs an app, or all apps of a file, from the start of the machine on.

mod arguments;
mod unit;

pub(crate) use arguments::StartupArguments;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::app::Wrong;
use super::facts;
use super::file::{DEFAULT_FILE, File};
use super::places;
use crate::config::quantity::Span;
use crate::ctl;
use crate::start::Failure;
use unit::{Scope, Unit};

/// For apps that say nothing else.
const KILL_TIMEOUT: Duration = Duration::from_secs(30);

/// Writes the unit, or prints it.
pub(crate) fn run(arguments: &StartupArguments) -> Result<(), Failure> {
    let scope = if arguments.user { Scope::User } else { Scope::System };
    let program =
        std::env::current_exe().map_err(|error| Failure::Other(format!("this program has no path: {error}")))?;
    let what = What::of(arguments)?;
    let unit = what.unit(program, scope, arguments);
    if arguments.print {
        let _ = write!(std::io::stdout(), "{unit}");
        return Ok(());
    }
    let path = scope.folder()?.join(format!("{}.service", unit.name));
    write(&path, &unit.to_string(), arguments.force)?;
    let _ = writeln!(std::io::stdout(), "{}", scope.next(&unit.name, &path));
    Ok(())
}

/// What systemd shall run.
enum What {
    /// Apps of a file: those of these names, or all.
    Apps { file: PathBuf, named: bool, names: Vec<String>, kill: Duration },
    /// What runs now, by its command line.
    Running { name: String, command: Vec<String>, folder: PathBuf, kill: Duration },
}

impl What {
    fn of(arguments: &StartupArguments) -> Result<What, Failure> {
        let wanted = arguments.what.as_deref();
        let is_file = wanted.is_some_and(|text| Path::new(text).extension().is_some_and(|ending| ending == "toml"));
        let file = match (wanted, &arguments.config) {
            (Some(file), None) if is_file => Path::new(file),
            (_, Some(file)) => file,
            _ => Path::new(DEFAULT_FILE),
        };
        let name = wanted.filter(|_| !is_file);
        if arguments.config.is_some() || is_file || file.exists() {
            match What::in_file(file, name) {
                // It may be one that was started by hand.
                Err(_) if arguments.config.is_none() && name.is_some() => {}
                found => return Ok(found?),
            }
        }
        match name {
            Some(name) => What::running(name),
            None => Err(Failure::Setting(format!(
                "there is no {DEFAULT_FILE} here: name an app that runs (phalanx ctl ls), or a file of apps"
            ))),
        }
    }

    fn in_file(file: &Path, name: Option<&str>) -> Result<What, Wrong> {
        let apps = File::read(file)?;
        let names = apps.choose(&name.map(str::to_owned).into_iter().collect::<Vec<_>>())?;
        let mut kill = KILL_TIMEOUT;
        for name in &names {
            kill = kill.max(apps.app(name)?.patience.kill);
        }
        let file = std::path::absolute(file).map_err(|error| Wrong(format!("{}: {error}", file.display())))?;
        Ok(What::Apps { file, named: name.is_some(), names, kill })
    }

    /// As it says of itself.
    fn running(name: &str) -> Result<What, Failure> {
        let status = ctl::status_of(places::socket_of(name)?, name)?;
        let fact = |fact: &str| status["about"][fact].as_str();
        let command = fact(facts::COMMAND).and_then(shlex::split);
        let (Some(command), Some(folder)) = (command, fact(facts::FOLDER)) else {
            return Err(Failure::Setting(format!(
                "{name} runs from a file of apps: name that file, too, with --config"
            )));
        };
        let kill = fact(facts::KILL_TIMEOUT).and_then(|text| text.parse().ok()).map_or(KILL_TIMEOUT, |Span(time)| time);
        Ok(What::Running { name: name.to_owned(), command, folder: folder.into(), kill })
    }

    fn unit(self, program: PathBuf, scope: Scope, arguments: &StartupArguments) -> Unit {
        let name = arguments.name.clone();
        let program = program.display().to_string();
        let (usual_name, words, folder, one, kill) = match self {
            What::Apps { file, named, mut names, kill } => {
                let folder = file.parent().map_or_else(PathBuf::new, Path::to_owned);
                let mut words = vec!["run".to_owned(), "--config".to_owned(), file.display().to_string()];
                let one = (names.len() == 1).then(|| names.remove(0));
                words.extend(one.clone().filter(|_| named));
                let of_folder = folder.file_name().map(|name| name.to_string_lossy().into_owned());
                (one.clone().or(of_folder).unwrap_or_else(|| "apps".to_owned()), words, folder, one, kill)
            }
            What::Running { name, command, folder, kill } => (name.clone(), command, folder, Some(name), kill),
        };
        Unit {
            name: name.unwrap_or(usual_name),
            command: std::iter::once(program.clone()).chain(words).collect(),
            reload: one.map(|app| [&program, "ctl", "--app", &app, "reload", "--wait"].map(str::to_owned).into()),
            folder,
            path: std::env::var("PATH").ok(),
            account: arguments.run_as.clone().map(String::from),
            kill,
            scope,
        }
    }
}

/// A unit that somebody has changed is not lost.
fn write(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let there = std::fs::read_to_string(path).ok();
    if there.as_deref().is_some_and(|there| there != text) && !force {
        return Err(Failure::Setting(format!(
            "{} is there already and says something else; --force writes over it, --print shows what it would be",
            path.display()
        )));
    }
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, text));
    made.map_err(|error| {
        Failure::Other(format!("cannot write {}: {error}; become root, or say --user or --print", path.display()))
    })
}
