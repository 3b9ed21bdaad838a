//! What `/proc` knows of the threads of a process.

use std::path::PathBuf;

use crate::signal_mask::bit;

/// Most threads that are asked. More are counted only.
pub(super) const MAX_THREADS: usize = 4096;

/// Names of the system calls that threads wait in.
const CALLS: [(libc::c_long, &str); 22] = [
    (libc::SYS_futex, "futex"),
    (libc::SYS_epoll_pwait, "epoll_pwait"),
    (libc::SYS_ppoll, "ppoll"),
    (libc::SYS_pselect6, "pselect6"),
    (libc::SYS_read, "read"),
    (libc::SYS_write, "write"),
    (libc::SYS_readv, "readv"),
    (libc::SYS_writev, "writev"),
    (libc::SYS_pread64, "pread64"),
    (libc::SYS_pwrite64, "pwrite64"),
    (libc::SYS_openat, "openat"),
    (libc::SYS_fsync, "fsync"),
    (libc::SYS_fdatasync, "fdatasync"),
    (libc::SYS_accept4, "accept4"),
    (libc::SYS_connect, "connect"),
    (libc::SYS_recvfrom, "recvfrom"),
    (libc::SYS_recvmsg, "recvmsg"),
    (libc::SYS_sendmsg, "sendmsg"),
    (libc::SYS_clock_nanosleep, "clock_nanosleep"),
    (libc::SYS_wait4, "wait4"),
    (libc::SYS_waitid, "waitid"),
    (libc::SYS_flock, "flock"),
];

/// A thread of another process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task {
    pub(super) process: u32,
    pub(super) thread: u32,
}

/// Numbers of the threads, in order. Empty if there is no such process.
pub(super) fn threads(process: u32) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let mut threads: Vec<u32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).take(MAX_THREADS).collect();
    threads.sort_unstable();
    threads
}

/// Whether the process handles the signal that asks for a dump. (It would end one that does not.)
pub(super) fn handles(process: u32, signal: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    has_signal(&status, "SigCgt:", signal)
}

fn has_signal(status: &str, field: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix(field));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & bit(signal) != 0)
}

impl Task {
    /// Nothing if the thread is gone, or we may not know.
    fn read(self, file: &str) -> String {
        let path = PathBuf::from(format!("/proc/{}/task/{}/{file}", self.process, self.thread));
        // A name may be no text.
        std::fs::read(path).map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    pub(super) fn name(self) -> String {
        self.read("comm")
    }

    /// The letter of `ps`: R, S, D, T, …; `None` if the thread is gone.
    pub(super) fn state(self) -> Option<char> {
        state_of(&self.read("stat"))
    }

    pub(super) fn blocks(self, signal: i32) -> bool {
        has_signal(&self.read("status"), "SigBlk:", signal)
    }

    /// Whether it can answer now: it runs, or will as soon as it is signalled.
    pub(super) fn can_answer(self) -> bool {
        !matches!(self.state(), None | Some('T' | 't' | 'Z' | 'X'))
    }

    /// Why it did not answer, as far as can be known.
    pub(super) fn silence(self, signal: i32) -> String {
        let Some(state) = self.state() else { return "it has ended".into() };
        let mut words = format!("state {state} ({})", state_name(state));
        let call = self.read("syscall");
        if let Some(number) = call.split(' ').next().and_then(|number| number.parse::<libc::c_long>().ok())
            && number >= 0
        {
            match CALLS.iter().find(|(its, _)| *its == number) {
                Some((_, name)) => words.push_str(&format!(", in the system call {name}")),
                None => words.push_str(&format!(", in the system call {number}")),
            }
        }
        let waits_in = self.read("wchan");
        if !waits_in.is_empty() && waits_in != "0" {
            words.push_str(&format!(", waits in the kernel's {waits_in}"));
        }
        if self.blocks(signal) {
            words.push_str(", holds back signals");
        }
        words
    }
}

/// The third field of a `stat` file; the second is a name in brackets, which may hold anything.
fn state_of(stat: &str) -> Option<char> {
    stat.rsplit_once(") ")?.1.chars().next()
}

fn state_name(state: char) -> &'static str {
    match state {
        'R' => "running",
        'S' => "sleeping",
        'D' => "sleeping in the kernel, cannot be interrupted",
        'T' => "stopped by a signal",
        't' => "stopped by a debugger",
        'Z' => "ended, not reaped",
        'X' => "ended",
        'I' => "idle",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_of_ours_is_told_of() {
        let process = std::process::id();
        let own = rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs();
        assert!(threads(process).contains(&own));
        let task = Task { process, thread: own };
        assert_eq!((task.state(), task.can_answer()), (Some('R'), true));
        assert!(task.silence(libc::SIGUSR1).starts_with("state R (running)"));
        assert_eq!(Task { process, thread: 1 }.silence(libc::SIGUSR1), "it has ended");
    }

    #[test]
    fn fields_are_read_whatever_a_name_holds() {
        assert_eq!(state_of("7 (a) S (b)) D 1 2"), Some('D'));
        assert_eq!(state_of("7 (a"), None);
        let status = "Name:\tx\nSigBlk:\t0000000000000000\nSigCgt:\t0000004000000000\n";
        assert!(has_signal(status, "SigCgt:", 39) && !has_signal(status, "SigBlk:", 39));
        assert!(!has_signal("", "SigCgt:", 39));
    }
}
