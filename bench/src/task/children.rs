//! The processes that a pool has started: found by their parent, since not every pool names them.

use std::fs;

use measuring::{During, Failure, stay_on_with};
use rustix::process::{Pid, Signal, kill_process};

/// Keeps all threads of all of them on `core`.
pub(crate) fn stay_on(core: usize) -> Result<(), Failure> {
    for process in all()? {
        for thread in numbers(&format!("/proc/{}/task", process.as_raw_pid()))? {
            stay_on_with(thread, core)?;
        }
    }
    Ok(())
}

/// Kills them as a segmentation fault would: at once.
pub(crate) fn kill() -> Result<(), Failure> {
    let processes = all()?;
    if processes.is_empty() {
        return Err(Failure::new("there is no process to be killed"));
    }
    processes.into_iter().try_for_each(|process| kill_process(process, Signal::KILL).during("kill a job process"))
}

fn all() -> Result<Vec<Pid>, Failure> {
    let mut found = Vec::new();
    for thread in numbers("/proc/self/task")? {
        let file = format!("/proc/self/task/{}/children", thread.as_raw_pid());
        // A thread that has ended meanwhile has no children.
        let text = fs::read_to_string(file).unwrap_or_default();
        found.extend(text.split_whitespace().filter_map(pid));
    }
    Ok(found)
}

fn numbers(folder: &str) -> Result<Vec<Pid>, Failure> {
    let entries = fs::read_dir(folder).during(&format!("look into {folder}"))?;
    Ok(entries.flatten().filter_map(|entry| pid(entry.file_name().to_str()?)).collect())
}

fn pid(text: &str) -> Option<Pid> {
    Pid::from_raw(text.parse().ok()?)
}
