//! Peak memory of a process tree, sampled from a thread of its own.
//!
//! Proportional set size counts a page that N processes share as 1/N in each, so the sum over the tree counts it once.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use super::tree;

/// New processes are looked for this often, in samples.
const SAMPLES_BETWEEN_LOOKS: usize = 10;

/// The most that a tree held at once, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Peak {
    /// Sum of the proportional set sizes.
    pub(crate) proportional: u64,
    /// Sum of the resident set sizes; counts shared pages once for each process.
    pub(crate) resident: u64,
    /// What of it is no file's: heaps, stacks, what relocation changed.
    pub(crate) anonymous: u64,
}

pub(super) struct Sampler {
    stop: Sender<()>,
    thread: JoinHandle<Peak>,
}

impl Sampler {
    pub(super) fn start(root: i32, gap: Duration) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut peak = Peak::default();
            let mut pids = Vec::new();
            let mut stopping = false;
            // Once more after the request to stop: a short measurement has at least its end in it.
            for sample in 0.. {
                if sample % SAMPLES_BETWEEN_LOOKS == 0 || stopping {
                    pids = tree::pids(root);
                }
                let now = sum(&pids);
                peak.proportional = peak.proportional.max(now.proportional);
                peak.resident = peak.resident.max(now.resident);
                peak.anonymous = peak.anonymous.max(now.anonymous);
                if stopping {
                    break;
                }
                stopping = stopped.recv_timeout(gap) != Err(RecvTimeoutError::Timeout);
            }
            peak
        });
        Self { stop, thread }
    }

    pub(super) fn stop(self) -> Peak {
        drop(self.stop);
        self.thread.join().unwrap_or_default()
    }
}

/// What the tree below `root` holds now.
pub(crate) fn level(root: i32) -> Peak {
    sum(&tree::pids(root))
}

/// What these processes hold now.
pub(crate) fn level_of(pids: &[i32]) -> Peak {
    sum(pids)
}

fn sum(pids: &[i32]) -> Peak {
    pids.iter().filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()).fold(
        Peak::default(),
        |sum, rollup| Peak {
            proportional: sum.proportional + bytes_after(&rollup, "Pss:"),
            resident: sum.resident + bytes_after(&rollup, "Rss:"),
            anonymous: sum.anonymous + bytes_after(&rollup, "Anonymous:"),
        },
    )
}

fn bytes_after(rollup: &str, label: &str) -> u64 {
    let line = rollup.lines().find_map(|line| line.strip_prefix(label));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    #[test]
    fn what_the_children_of_a_process_hold_is_part_of_its_tree() {
        let hold = r#"sh -c 'held=$(head -c 40000000 /dev/zero | tr "\0" a); echo held; read line'; read line"#;
        let mut shell =
            Command::new("sh").args(["-c", hold]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let sampler = Sampler::start(shell.id() as i32, Duration::from_millis(1));
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "held\n");
        let peak = sampler.stop();
        assert!(peak.proportional > 40_000_000 && peak.resident > peak.proportional, "{peak:?}");
        drop(shell.stdin.take());
        shell.wait().unwrap();
    }

    #[test]
    fn labels_are_told_apart() {
        let rollup = "Rss:                2048 kB\nPss:                1024 kB\nPss_Dirty:           100 kB\n";
        assert_eq!((bytes_after(rollup, "Pss:"), bytes_after(rollup, "Rss:")), (1 << 20, 2 << 20));
    }
}
