//! The kernel's table of processes, as `/proc` shows it.

use std::io;

/// One process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) group: u32,
    state: u8,
    /// Clock ticks after boot.
    pub(crate) started: u64,
}

impl Entry {
    /// Ended and not reaped yet.
    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }

    /// Whether it can start no other process now: ended, stopped, or held in the kernel (as who waits for a `vfork`).
    pub(crate) fn is_still(&self) -> bool {
        self.is_dead() || matches!(self.state, b'T' | b't' | b'D')
    }

    /// `pid (name) state parent group session terminal … started …`; the name may hold anything, even `)`.
    fn parse(line: &str) -> Option<Entry> {
        /// Fields after the name: state is the first, the start time the twentieth (`proc(5)`).
        const STARTED: usize = 19;
        let (pid, rest) = line.split_once(" (")?;
        let (_, rest) = rest.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').take(STARTED + 1).collect();
        Some(Entry {
            pid: pid.parse().ok()?,
            state: *fields.first()?.as_bytes().first()?,
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            started: fields.get(STARTED)?.parse().ok()?,
        })
    }
}

/// All processes. One that ends while we read may be missing.
pub(crate) fn read() -> io::Result<Vec<Entry>> {
    let mut all = Vec::new();
    for item in std::fs::read_dir("/proc")? {
        let pid = item?.file_name().to_str().and_then(|name| name.parse().ok());
        all.extend(pid.and_then(entry));
    }
    Ok(all)
}

/// This process; `None` if there is none of this number.
pub(crate) fn entry(pid: u32) -> Option<Entry> {
    // A name may be no text.
    let line = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    Entry::parse(&String::from_utf8_lossy(&line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_brackets_and_spaces() {
        let line = "42 (a) S (b) T 7 40 41 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 2";
        assert_eq!(Entry::parse(line), Some(Entry { pid: 42, parent: 7, group: 40, state: b'T', started: 987_654 }));
        assert_eq!(Entry::parse("nonsense"), None);
        assert_eq!(Entry::parse("42 (short) S 7"), None);
    }

    #[test]
    fn this_process_is_in_the_table_under_its_parent() {
        let us = entry(std::process::id()).unwrap();
        assert_eq!(us.parent, std::os::unix::process::parent_id());
        assert!(read().unwrap().iter().any(|entry| entry.pid == us.pid && entry.started == us.started));
    }
}
