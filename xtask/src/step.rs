//! Running other programs: each is announced, gets no standard input, and its failure names it.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why a command of ours ended early. The message says what to do next where that is known.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The folder that holds the workspace.
pub(crate) fn repository() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map_or_else(|| manifest.clone(), PathBuf::from)
}

/// Where this workspace's cargo puts its results: our own executable stands in its `debug` folder.
pub(crate) fn target_folder() -> Result<PathBuf, Failure> {
    let own =
        std::env::current_exe().map_err(|error| Failure::new(format!("cannot find the target folder: {error}")))?;
    own.parent()
        .and_then(Path::parent)
        .map(PathBuf::from)
        .ok_or_else(|| Failure::new(format!("cannot find the target folder above {}", own.display())))
}

/// The cargo that runs us, in the root of the workspace.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(repository());
    command
}

/// Announces `command`, runs it to its end, and fails if it fails.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let line = announce(command);
    let status = command.stdin(Stdio::null()).status().map_err(|error| cannot_start(&line, &error))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("`{line}` ended with {status}"))) }
}

/// Runs `command` quietly and gives its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let line = written_out(command);
    let output = command.stdin(Stdio::null()).output().map_err(|error| cannot_start(&line, &error))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("`{line}` ended with {}: {}", output.status, error.trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// How a program ended whose output was passed on line by line.
pub(crate) struct Passed {
    pub(crate) line: String,
    pub(crate) succeeded: bool,
}

/// Announces and runs `command`, passes on what it writes, and shows each line of that to `watch`. Standard output and errors come
/// through one pipe, so that they are in their order.
pub(crate) fn run_watched(command: &mut Command, mut watch: impl FnMut(&str)) -> Result<Passed, Failure> {
    let line = announce(command);
    let (output, input) = std::io::pipe().map_err(|error| cannot_start(&line, &error))?;
    let errors = input.try_clone().map_err(|error| cannot_start(&line, &error))?;
    // Colours would hide words from `watch`.
    command.env("CARGO_TERM_COLOR", "never");
    let child = command.stdin(Stdio::null()).stdout(input).stderr(errors).spawn();
    // Our own ends of the pipe, or it would never be at its end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = child.map_err(|error| cannot_start(&line, &error))?;
    let mut own_stdout = std::io::stdout().lock();
    for text in BufReader::new(output).split(b'\n') {
        let Ok(text) = text else { break };
        let text = String::from_utf8_lossy(&text);
        // A closed terminal must not end the run: the tests' own verdict still counts.
        let _ = writeln!(own_stdout, "{text}");
        watch(&text);
    }
    drop(own_stdout);
    let status = child.wait().map_err(|error| cannot_start(&line, &error))?;
    Ok(Passed { line, succeeded: status.success() })
}

fn announce(command: &Command) -> String {
    let line = written_out(command);
    println!("\n==> {line}");
    line
}

fn written_out(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let mut line = program.file_name().unwrap_or(command.get_program()).to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

fn cannot_start(line: &str, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot run `{line}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_writes_is_seen_in_its_order_and_its_end_too() {
        let mut lines = Vec::new();
        let mut program = Command::new("sh");
        program.args(["-c", "echo one; echo two >&2; echo three; exit 3"]);
        let passed = run_watched(&mut program, |line| lines.push(line.to_owned())).expect("it runs");
        assert_eq!(lines, ["one", "two", "three"]);
        assert!(!passed.succeeded);
    }
}
