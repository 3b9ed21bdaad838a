//! The file of apps: `[[app]]` tables in `phalanx.toml`, whose other keys are those of `phalanx serve`. An unknown key in a table is an
//! error, never ignored.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::app::{App, Wrong};
use super::options::Options;
use crate::start;

/// Read if no other is named.
pub(super) const DEFAULT_FILE: &str = "phalanx.toml";
/// More than any real file of apps has.
const LARGEST_FILE_BYTES: u64 = 1 << 20;

/// A file that was read.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    /// Where its relative paths begin.
    folder: PathBuf,
    tables: Vec<Table>,
}

/// What it says of one app.
#[derive(Debug)]
struct Table {
    line: usize,
    options: Options,
}

/// What of the file is ours.
#[derive(Deserialize)]
struct Ours {
    #[serde(default)]
    app: Vec<Spanned<Options>>,
}

impl File {
    /// Or which key or value on which line is wrong.
    pub(super) fn read(path: &Path) -> Result<File, Wrong> {
        let unreadable = |why: String| Wrong(format!("cannot read {}: {why}", path.display()));
        let length = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
        if length > LARGEST_FILE_BYTES {
            return Err(unreadable(format!("it has {length} bytes, more than {LARGEST_FILE_BYTES}")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
        let whole = std::path::absolute(path).map_err(|error| unreadable(error.to_string()))?;
        let folder = whole.parent().map_or_else(PathBuf::new, Path::to_owned);
        File::parse(&text, path, folder)
    }

    fn parse(text: &str, path: &Path, folder: PathBuf) -> Result<File, Wrong> {
        let line_of = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        let ours: Ours = toml::from_str(text).map_err(|error| {
            let line = line_of(error.span().map_or(0, |span| span.start));
            Wrong(format!("{} line {line}: {}", path.display(), in_one_line(error.message())))
        })?;
        let tables: Vec<Table> = ours
            .app
            .into_iter()
            .map(|table| Table { line: line_of(table.span().start), options: table.into_inner() })
            .collect();
        let file = File { path: path.to_owned(), folder, tables };
        file.names_differ()?;
        Ok(file)
    }

    /// The names of all apps, in order.
    pub(super) fn names(&self) -> Vec<String> {
        self.tables.iter().map(Table::name).collect()
    }

    /// Of these names, or of all if there are none; in the order of the file.
    pub(super) fn choose(&self, wanted: &[String]) -> Result<Vec<String>, Wrong> {
        let names = self.names();
        if names.is_empty() {
            let how = "add a table [[app]] with a program, or name a program: phalanx run -- PROGRAM";
            return Err(Wrong(format!("there is no app in {}: {how}", self.path.display())));
        }
        if let Some(unknown) = wanted.iter().find(|name| !names.contains(name)) {
            return Err(self.unknown(unknown));
        }
        Ok(names.into_iter().filter(|name| wanted.is_empty() || wanted.contains(name)).collect())
    }

    /// One app, checked.
    pub(super) fn app(&self, name: &str) -> Result<App, Wrong> {
        let table = self.tables.iter().find(|table| table.name() == name).ok_or_else(|| self.unknown(name))?;
        App::check(&table.options, &self.folder, start::machine().cores)
            .map_err(|Wrong(why)| Wrong(format!("{} line {}: app {name}: {why}", self.path.display(), table.line)))
    }

    fn unknown(&self, name: &str) -> Wrong {
        Wrong(format!("there is no app {name:?} in {}; there are: {}", self.path.display(), self.names().join(", ")))
    }

    fn names_differ(&self) -> Result<(), Wrong> {
        let names = self.names();
        let again = names.iter().enumerate().find(|(index, name)| names[..*index].contains(name));
        match again {
            None => Ok(()),
            Some((index, name)) => Err(Wrong(format!(
                "{} line {}: there is already an app {name}; give this one another `name`",
                self.path.display(),
                self.tables[index].line
            ))),
        }
    }
}

impl Table {
    /// Its name, or that of what it runs.
    fn name(&self) -> String {
        self.options.name.clone().unwrap_or_else(|| self.options.usual_name())
    }
}

/// `unknown field `x`, expected one of …` becomes one short line.
fn in_one_line(message: &str) -> String {
    match message.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`')) {
        Some((key, _)) => format!(
            "unknown key `{key}`; the keys are the flags of `phalanx run --help` without `--`, and program, args"
        ),
        None => message.lines().collect::<Vec<_>>().join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<File, Wrong> {
        File::parse(text, Path::new("phalanx.toml"), "/".into())
    }

    #[test]
    fn apps_stand_beside_the_settings_of_serve() {
        let file = parse(
            "workers = 3\n[[app]]\nname = \"api\"\nprogram = \"sh\"\nargs = \"-c 'sleep 1'\"\ninstances = \"max\"\n\n\
             [[app]]\nscript = \"jobs/mail.js\"\nenv = { A = 1 }\nwatch = true\n",
        )
        .unwrap();
        assert_eq!(file.names(), ["api", "mail"]);
        assert_eq!(file.choose(&["mail".into()]).unwrap(), ["mail"]);
        let why = file.choose(&["web".into()]).unwrap_err().0;
        assert_eq!(why, "there is no app \"web\" in phalanx.toml; there are: api, mail");
        let app = file.app("api").unwrap();
        assert_eq!(app.program.line.arguments, ["-c", "sleep 1"]);
        assert_eq!(app.program.cwd, Path::new("/"));
    }

    #[test]
    fn a_wrong_key_is_named_with_its_line() {
        let why = |text: &str| parse(text).unwrap_err().0;
        let text = "[[app]]\nprogram = \"x\"\n[[app]]\nprogram = \"y\"\ninstanses = 2\n";
        assert!(why(text).starts_with("phalanx.toml line 5: unknown key `instanses`; "), "{}", why(text));
        let text = "[[app]]\nprogram = \"x\"\nkill-timeout = \"soon\"\n";
        assert!(why(text).starts_with("phalanx.toml line 3: \"soon\" is not a time"), "{}", why(text));
        let text = "[[app]]\nprogram = \"x\"\nprogram = \"y\"\n";
        assert!(why(text).starts_with("phalanx.toml line 3: duplicate key"), "{}", why(text));
    }

    #[test]
    fn what_is_wrong_with_an_app_is_said_with_its_name() {
        let file = parse("\n[[app]]\nname = \"a\"\nprogram = \"sh\"\nnice = 99\n[[app]]\nname = \"b\"\n").unwrap();
        assert_eq!(file.app("a").unwrap_err().0, "phalanx.toml line 2: app a: nice must be between -20 and 19, not 99");
        assert!(file.app("b").unwrap_err().0.contains("app b: no program is named"));
        let twice = parse("[[app]]\nprogram = \"sh\"\n[[app]]\nprogram = \"sh\"\n").unwrap_err().0;
        assert_eq!(twice, "phalanx.toml line 3: there is already an app sh; give this one another `name`");
        assert!(parse("workers = 2").unwrap().choose(&[]).unwrap_err().0.contains("there is no app in phalanx.toml"));
    }
}
