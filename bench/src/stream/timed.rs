//! One run of a program: how long, how much of the cores, how much memory.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use measuring::{During, Failure};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// The kernel keeps the peak itself; only what grew in the last moments before the end is missed.
const LOOK_EVERY: Duration = Duration::from_millis(2);

pub(super) fn run(
    input: Option<&Path>,
    output: &Path,
    to_stdout: bool,
    program: &OsString,
    arguments: &[OsString],
) -> Result<(), Failure> {
    // A target that is there would be truncated or replaced: other work than writing.
    if output.metadata().is_ok_and(|there| there.is_file()) {
        fs::remove_file(output).during("remove what was written before")?;
    }
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    if let Some(input) = input {
        command.stdin(File::open(input).during("open the input")?);
    }
    if to_stdout {
        command.stdout(File::create(output).during("create the output")?);
    }
    let begun = Instant::now();
    let mut child = command.spawn().during(&format!("start {}", program.display()))?;
    let watched = watch(&child, begun);
    let status = child.wait().during("wait for it")?;
    if !status.success() {
        return Err(Failure::new(format!("{} ended with {status}", program.display())));
    }
    let Watched { seconds, cpu, peak } = watched?;
    let bytes = output.metadata().map_or(0, |there| there.len());
    println!("{}", serde_json::json!({ "seconds": seconds, "cpu": cpu, "peak": peak, "bytes": bytes }));
    Ok(())
}

struct Watched {
    seconds: f64,
    cpu: f64,
    peak: u64,
}

fn watch(child: &Child, begun: Instant) -> Result<Watched, Failure> {
    let pid = child.id();
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let peak = scope.spawn(|| {
            let mut peak = 0;
            while !ended.load(Ordering::Relaxed) {
                peak = peak_of(pid).unwrap_or(peak).max(peak);
                thread::sleep(LOOK_EVERY);
            }
            peak
        });
        let id = Pid::from_raw(pid.cast_signed()).map(WaitId::Pid).ok_or_else(|| Failure::new("it has no id"));
        // Its figures are there as long as nobody has reaped it.
        let waited = id.and_then(|id| {
            waitid(id, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).during("wait for it without reaping it")
        });
        let seconds = begun.elapsed().as_secs_f64();
        ended.store(true, Ordering::Relaxed);
        let peak = peak.join().map_err(|_| Failure::new("the watcher panicked"))?;
        waited?;
        Ok(Watched { seconds, cpu: cpu_of(pid).ok_or_else(|| Failure::new("no figures of it in /proc"))?, peak })
    })
}

/// KiB.
fn peak_of(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Seconds in user and kernel, all threads, and all children that were waited for.
fn cpu_of(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 2..)?.split(' ').collect();
    // proc(5) counts from 1 and names the first two, which stand in front of these.
    let ticks: u64 = (14..=17).map(|number| fields.get(number - 3)?.parse::<u64>().ok()).sum::<Option<u64>>()?;
    Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}
