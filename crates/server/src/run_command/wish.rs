//! [`Wish`]: what `phalanx run` is to do, from what was typed.

use std::path::{Path, PathBuf};

use super::app::Wrong;
use super::arguments::RunArguments;
use super::file::{DEFAULT_FILE, File};
use super::options::Options;
use super::program::looks_like_a_script;
use super::source::Source;
use super::values::Words;

/// What to run.
#[derive(Debug, PartialEq)]
pub(super) enum Wish {
    /// One app, in this process.
    One(Source),
    /// Several of a file, each in a process of its own.
    Several { file: PathBuf, names: Vec<String> },
}

impl Wish {
    /// A program behind `--`, or a script; else apps of a file.
    pub(super) fn of(arguments: &RunArguments) -> Result<Wish, Wrong> {
        let RunArguments { words, command, config, options, .. } = arguments;
        match (&words[..], &command[..]) {
            // As PM2 has it: what stands behind the `--` are arguments of the script.
            ([script, rest @ ..], _) if config.is_none() && looks_like_a_script(script) => {
                Wish::typed(options, script, &[rest, command].concat())
            }
            ([word, ..], [_, ..]) => Err(Wrong(format!(
                "{word:?} stands before the `--`, and a program behind it: what belongs to the program stands behind"
            ))),
            ([], [program, rest @ ..]) => Wish::typed(options, program, rest),
            (names, []) => {
                let file = config.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
                Wish::from_file(file, config.is_some(), names, options)
            }
        }
    }

    fn typed(options: &Options, program: &str, arguments: &[String]) -> Result<Wish, Wrong> {
        let folder =
            std::env::current_dir().map_err(|error| Wrong(format!("the working directory is gone: {error}")))?;
        let options =
            Options { program: Some(program.to_owned()), args: Some(Words(arguments.to_vec())), ..options.clone() };
        Ok(Wish::One(Source::Typed { options: Box::new(options), folder }))
    }

    fn from_file(file: &Path, named: bool, names: &[String], options: &Options) -> Result<Wish, Wrong> {
        if !named && !file.exists() {
            return Err(match names.first() {
                Some(name) => Wrong(format!(
                    "there is no {DEFAULT_FILE} here in which {name} could be an app; to run a program: phalanx run -- {}",
                    names.join(" ")
                )),
                None => Wrong(format!(
                    "nothing to run: name a program, as in phalanx run -- node app.js, or write apps into {DEFAULT_FILE}"
                )),
            });
        }
        if *options != Options::default() {
            return Err(Wrong(format!(
                "what is said of an app of {0} stands in {0}: write the flags there, as keys without --",
                file.display()
            )));
        }
        let file = std::path::absolute(file).map_err(|error| Wrong(format!("{}: {error}", file.display())))?;
        let apps = File::read(&file)?;
        let mut names = apps.choose(names)?;
        // What is wrong with one of them is said before any of them starts.
        names.iter().try_for_each(|name| apps.app(name).map(drop))?;
        match names.len() {
            1 => Ok(Wish::One(Source::Table { name: names.remove(0), file })),
            _ => Ok(Wish::Several { file, names }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Arguments, Mode};
    use clap::Parser;

    fn wish(words: &[&str]) -> Result<Wish, Wrong> {
        let line = ["phalanx", "run"].iter().chain(words);
        let Mode::Run(run) = Arguments::try_parse_from(line).unwrap().mode() else { panic!("{words:?}") };
        Wish::of(&run)
    }

    /// The program, and its arguments.
    fn typed(words: &[&str]) -> (String, Vec<String>) {
        match wish(words) {
            Ok(Wish::One(Source::Typed { options, .. })) => {
                (options.program.unwrap(), options.args.unwrap_or_default().0)
            }
            other => panic!("{words:?}: {other:?}"),
        }
    }

    #[test]
    fn a_program_stands_behind_the_dashes_and_a_script_may_stand_before() {
        for (words, program, arguments) in [
            (&["--", "./server", "-n", "2"][..], "./server", &["-n", "2"][..]),
            (&["-n", "2", "app.js"], "app.js", &[]),
            (&["app.js", "-n", "2", "a", "b"], "app.js", &["a", "b"]),
            (&["app.js", "--", "--port", "3000"], "app.js", &["--port", "3000"]),
            (&["./server", "x"], "./server", &["x"]),
        ] {
            let (its_program, its_arguments) = typed(words);
            assert_eq!(
                (&*its_program, &its_arguments[..]),
                (program, &arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>()[..])
            );
        }
        assert!(wish(&["api", "--", "sh"]).unwrap_err().0.contains("stands before the `--`"));
    }
}
