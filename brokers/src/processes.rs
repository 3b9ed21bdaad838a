//! A process and all below it: killed at once, and seen to be gone.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const GONE_WITHIN: Duration = Duration::from_secs(10);
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// Those below a process.
pub(crate) struct Family(Vec<Pid>);

impl Family {
    /// Kills all below `root` and `root` itself, which is still to be waited for. It is stopped before: so it neither reaps
    /// nor starts anyone while we look.
    pub(crate) fn kill(root: Pid) -> Self {
        let _ = kill_process(root, Signal::STOP);
        let below = descendants(root);
        for pid in &below {
            let _ = kill_process(*pid, Signal::KILL);
        }
        let _ = kill_process(root, Signal::KILL);
        Self(below)
    }

    /// Returns when none of them runs any more.
    pub(crate) fn wait_until_gone(&self) -> Result<(), String> {
        let deadline = Instant::now() + GONE_WITHIN;
        while let Some(pid) = self.0.iter().find(|pid| runs(**pid)) {
            if Instant::now() > deadline {
                return Err(format!("process {pid} still runs {GONE_WITHIN:?} after SIGKILL"));
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        Ok(())
    }
}

fn descendants(root: Pid) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let parents: Vec<(Pid, Pid)> = entries
        .flatten()
        .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
        .filter_map(|pid| Some((pid, parent(pid)?)))
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(above) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, parent)| *parent == above).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

fn parent(pid: Pid) -> Option<Pid> {
    Pid::from_raw(status(pid)?.1)
}

/// One that ended and that nobody has waited for does not run.
fn runs(pid: Pid) -> bool {
    status(pid).is_some_and(|(state, _)| state != "Z" && state != "X")
}

/// Its state, and the number of its parent.
fn status(pid: Pid) -> Option<(String, i32)> {
    let text = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?;
    // The name, in brackets, may hold anything.
    let (_, after_name) = text.rsplit_once(") ")?;
    let mut fields = after_name.split(' ');
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    #[test]
    fn a_grandchild_in_a_session_of_its_own_goes_too() {
        let mut shell = Command::new("sh")
            .args(["-c", "setsid sh -c 'echo $$; exec sleep 600' & wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let grandchild = Pid::from_raw(line.trim().parse().unwrap()).unwrap();
        assert!(runs(grandchild));
        let family = Family::kill(Pid::from_raw(shell.id().cast_signed()).unwrap());
        shell.wait().unwrap();
        family.wait_until_gone().unwrap();
        assert!(!runs(grandchild));
    }
}
