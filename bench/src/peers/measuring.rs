//! A program that measures by itself and prints one line of JSON: not a server, but two processes, or a parent of many.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::Child;

use super::Absent;

/// A program has so long for its start and its end, beside the time that it measures.
const GRACE: Duration = Duration::from_secs(20);
/// So much of what it said stands in the error message when it gave no figures.
const SHOWN_ERROR_LINES: usize = 6;

/// Runs `command`, which measures for `measuring`, and gives the line that it printed.
pub(crate) async fn figures(mut command: Command, measuring: Duration) -> Result<serde_json::Value, Absent> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let child = tokio::process::Command::from(command)
        .spawn()
        .map_err(|error| Absent(format!("cannot start {program}: {error}")))?;
    // Held until we are done, whichever way: a peer that is stopped or stuck goes with its driver.
    let _group = Group::of(&child);
    let deadline = measuring + GRACE;
    let output = tokio::time::timeout(deadline, child.wait_with_output())
        .await
        .map_err(|_| Absent(format!("no figures within {deadline:?}")))?
        .map_err(|error| Absent(format!("cannot wait for {program}: {error}")))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let said: Vec<&str> = said.lines().take(SHOWN_ERROR_LINES).collect();
        return Err(Absent(format!("it ended with {}: {}", output.status, said.join(" / "))));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| Absent(format!("its figures cannot be read: {error}; it said {said:?}")))
}

/// The process group of a program, killed when this goes.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn figures_are_what_the_program_printed() {
        let figures = figures(shell(r#"echo '{"figure":2.5}'"#), Duration::ZERO).await.unwrap();
        assert_eq!(figures["figure"], 2.5);
    }

    #[tokio::test]
    async fn a_program_that_fails_says_why() {
        let absent = figures(shell("echo no socket >&2; exit 3"), Duration::ZERO).await.unwrap_err();
        assert!(absent.0.contains("no socket") && absent.0.contains('3'), "{absent}");
    }

    #[tokio::test]
    async fn what_the_program_left_behind_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let held = folder.path().join("held");
        assert!(Command::new("mkfifo").arg(&held).status().unwrap().success());
        let (ended, end) = std::sync::mpsc::channel();
        let reader = held.clone();
        std::thread::spawn(move || ended.send(std::fs::read(reader)));
        // The background program inherits descriptor 3: the reader sees the end when it is gone.
        let command = shell(&format!("exec 3>{}; sleep 600 >/dev/null 2>&1 & echo '{{}}'", held.display()));
        figures(command, Duration::ZERO).await.unwrap();
        assert_eq!(end.recv_timeout(Duration::from_secs(10)).expect("it was ended").unwrap(), b"");
    }
}
