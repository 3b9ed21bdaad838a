//! What is executed: the program, its interpreter, and whether they are there.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Which program runs files with these endings.
const INTERPRETERS: [(&[&str], &str); 5] = [
    (&["js", "mjs", "cjs", "ts", "mts", "cts"], "node"),
    (&["py"], "python3"),
    (&["rb"], "ruby"),
    (&["php"], "php"),
    (&["sh"], "sh"),
];
/// What switches the interpreter off.
const NONE: &str = "none";
/// Programs whose first argument that is no option is what really runs.
const LANGUAGES: [&str; 10] = ["node", "nodejs", "python", "python3", "ruby", "php", "perl", "sh", "bash", "bun"];
/// Their options behind which a program as text follows.
const TEXT_FOLLOWS: [&str; 5] = ["-c", "-e", "--eval", "-p", "--print"];
/// Where programs are searched without a `PATH`.
const DEFAULT_PATH: &str = "/bin:/usr/bin";
/// Longest name of an app.
const LONGEST_NAME: usize = 64;

/// What is executed, in words: the program and its arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) program: String,
    pub(super) arguments: Vec<String>,
    /// The script, if an interpreter was put before it.
    script: Option<String>,
}

/// Where it will be searched: what the child will have.
pub(super) struct Surroundings<'a> {
    pub(super) cwd: &'a Path,
    pub(super) path: Option<OsString>,
}

impl Line {
    /// What was asked for, with the interpreter that it needs.
    pub(super) fn new(
        program: String,
        arguments: Vec<String>,
        interpreter: Option<&str>,
        its_arguments: Vec<String>,
    ) -> Result<Line, String> {
        if program.is_empty() {
            return Err("the program has no name".into());
        }
        let interpreter = match interpreter {
            Some(NONE) => None,
            Some("") => return Err("the interpreter has no name; `none` is for none".into()),
            Some(named) => Some(named),
            None => usual_interpreter(&program),
        };
        match interpreter {
            Some(interpreter) => Ok(Line {
                script: Some(program.clone()),
                arguments: its_arguments.into_iter().chain([program]).chain(arguments).collect(),
                program: interpreter.to_owned(),
            }),
            None if !its_arguments.is_empty() => {
                Err("interpreter-args without an interpreter: name one with --interpreter".into())
            }
            None => Ok(Line { program, arguments, script: None }),
        }
    }

    /// Whether this is Node.
    pub(super) fn is_node(&self) -> bool {
        matches!(base_name(&self.program), "node" | "nodejs")
    }

    /// A name for the app, after what runs.
    pub(super) fn name(&self) -> String {
        let subject = self.script.as_deref().or_else(|| self.script_of_language());
        let file = base_name(subject.unwrap_or(&self.program));
        let stem = file.split_once('.').map_or(file, |(stem, _)| stem);
        let name: String = stem.chars().map(|c| if is_of_name(c) { c } else { '-' }).take(LONGEST_NAME).collect();
        if check_name(&name).is_ok() { name } else { "app".to_owned() }
    }

    /// What a language runs, if it is a file and not a text.
    fn script_of_language(&self) -> Option<&str> {
        let mut arguments = self.arguments.iter().map(String::as_str);
        let first = arguments.find(|argument| !argument.starts_with('-') || TEXT_FOLLOWS.contains(argument))?;
        (LANGUAGES.contains(&base_name(&self.program)) && !first.starts_with('-')).then_some(first)
    }

    /// Whether all of it is there, so that what is missing is said before anything starts.
    pub(super) fn is_there(&self, around: &Surroundings<'_>) -> Result<(), String> {
        match &self.script {
            Some(script) => {
                is_readable(&around.cwd.join(script))
                    .map_err(|why| format!("cannot run {script}: {why} (looked for in {})", around.cwd.display()))?;
                around.find(&self.program).map_err(|why| {
                    format!(
                        "{script} needs {}, and {why}; install it, or name another with --interpreter",
                        self.program
                    )
                })
            }
            None => around.find(&self.program).map_err(|why| format!("cannot run {}: {why}", self.program)),
        }
    }
}

/// Whether apps can be called so: the name becomes part of the names of files.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let fits = !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(is_of_name);
    match fits && !name.starts_with(['.', '-']) {
        true => Ok(()),
        false => Err(format!(
            "{name:?} is no name for an app; write at most {LONGEST_NAME} letters, digits, dots, dashes and underscores"
        )),
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')
}

/// Whether this word means a script, and not the name of an app.
pub(super) fn looks_like_a_script(word: &str) -> bool {
    word.contains('/') || usual_interpreter(word).is_some()
}

fn usual_interpreter(program: &str) -> Option<&'static str> {
    let (_, ending) = base_name(program).rsplit_once('.')?;
    let known = INTERPRETERS.iter().find(|(endings, _)| endings.contains(&ending));
    known.map(|(_, interpreter)| *interpreter)
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

impl Surroundings<'_> {
    /// Looks where `execvp` would in the child.
    fn find(&self, program: &str) -> Result<(), String> {
        if program.contains('/') {
            return is_executable(&self.cwd.join(program));
        }
        let path = self.path.clone().unwrap_or_else(|| DEFAULT_PATH.into());
        let candidates: Vec<PathBuf> =
            std::env::split_paths(&path).map(|folder| self.cwd.join(folder).join(program)).collect();
        let reasons: Vec<String> = candidates.iter().map_while(|file| is_executable(file).err()).collect();
        if reasons.len() < candidates.len() {
            return Ok(());
        }
        // One that is there and cannot be executed is what is meant.
        let present = candidates.iter().zip(reasons).find(|(file, _)| file.exists()).map(|(_, why)| why);
        Err(present.unwrap_or_else(|| match self.cwd.join(program).is_file() {
            true => format!("it is not in PATH; for the file in the working directory write ./{program}"),
            false => format!("{program} is not in PATH ({})", path.to_string_lossy()),
        }))
    }
}

fn is_readable(file: &Path) -> Result<(), String> {
    match std::fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err("there is no such file".to_owned()),
        Err(error) => Err(error.to_string()),
        Ok(about) if about.is_dir() && !file.join("package.json").exists() => Err("it is a folder".to_owned()),
        Ok(_) => Ok(()),
    }
}

fn is_executable(file: &Path) -> Result<(), String> {
    match std::fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(format!("there is no file {}", file.display()))
        }
        Err(error) => Err(format!("{}: {error}", file.display())),
        Ok(about) if about.is_dir() => Err(format!("{} is a folder", file.display())),
        Ok(about) if about.permissions().mode() & 0o111 == 0 => Err(format!(
            "{} is not executable; chmod +x it, or name its interpreter with --interpreter",
            file.display()
        )),
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &[&str]) -> Line {
        let mut words = words.iter().map(|word| (*word).to_owned());
        Line::new(words.next().unwrap(), words.collect(), None, Vec::new()).unwrap()
    }

    #[test]
    fn a_script_brings_its_interpreter() {
        for (script, interpreter) in
            [("app.js", "node"), ("src/app.mjs", "node"), ("job.py", "python3"), ("./run.sh", "sh")]
        {
            let line = line(&[script, "-x"]);
            assert_eq!((&*line.program, line.arguments), (interpreter, vec![script.to_owned(), "-x".to_owned()]));
        }
        let plain = line(&["./server", "app.js"]);
        assert_eq!((&*plain.program, plain.is_node()), ("./server", false));
    }

    #[test]
    fn an_interpreter_can_be_named_or_left_out() {
        let with = |interpreter| Line::new("app.js".into(), vec!["x".into()], interpreter, Vec::new()).unwrap();
        assert_eq!(with(Some("bun")).program, "bun");
        assert_eq!(with(Some("none")).program, "app.js");
        let arguments = Line::new("app.js".into(), vec![], None, vec!["--inspect".into()]).unwrap().arguments;
        assert_eq!(arguments, ["--inspect", "app.js"]);
        assert!(Line::new("./app".into(), vec![], None, vec!["-x".into()]).unwrap_err().contains("--interpreter"));
    }

    #[test]
    fn an_app_is_called_after_what_runs() {
        for (words, name) in [
            (&["node", "--max-old-space-size=100", "src/api.server.js"][..], "api"),
            (&["/usr/bin/python3", "-m", "uvicorn"], "uvicorn"),
            (&["./bin/server", "--port", "1"], "server"),
            (&["job.py"], "job"),
            (&["sh", "-c", "exec sleep 1"], "sh"),
            (&["./we ird"], "we-ird"),
            (&["node"], "node"),
            (&["./.hidden"], "app"),
        ] {
            assert_eq!(line(words).name(), name, "{words:?}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("app.js"), "").unwrap();
        std::fs::write(folder.path().join("plain"), "").unwrap();
        let around = Surroundings { cwd: folder.path(), path: Some("/nowhere".into()) };
        let why = |words: &[&str]| line(words).is_there(&around).unwrap_err();
        assert!(
            why(&["app.js"]).starts_with("app.js needs node, and node is not in PATH (/nowhere)"),
            "{}",
            why(&["app.js"])
        );
        assert!(why(&["other.js"]).starts_with("cannot run other.js: there is no such file"), "{}", why(&["other.js"]));
        assert!(why(&["plain"]).contains("write ./plain"), "{}", why(&["plain"]));
        assert!(why(&["./plain"]).contains("is not executable"), "{}", why(&["./plain"]));
        assert!(why(&["./none"]).contains("there is no file"), "{}", why(&["./none"]));
        let usual = Surroundings { cwd: folder.path(), path: None };
        assert_eq!(line(&["sh", "-c", "true"]).is_there(&usual), Ok(()));
    }
}
