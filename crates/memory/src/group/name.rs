//! The names of groups: whose they are, so that those of a primary that was killed can be told from those of one that lives.

use std::path::Path;

use super::tree::Tree;

const PREFIX: &str = "phalanx";

/// The process that makes groups: its id, and the moment of its start, since ids are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pid: u32,
    /// Clock ticks from the start of the machine to that of the process (`starttime` of `proc_pid_stat(5)`).
    start: u64,
}

impl Owner {
    /// This process. An exec in place changes neither of the two.
    pub(super) fn this(tree: &dyn Tree) -> Option<Owner> {
        let pid = std::process::id();
        Some(Owner { pid, start: start_of(&tree.read(Path::new("/proc/self/stat"))?)? })
    }

    /// The full name of a group of this owner.
    pub(super) fn name(&self, of: &str) -> String {
        format!("{PREFIX}-{}-{}-{of}", self.pid, self.start)
    }

    /// Whose group this is; `None` if it is not of our making.
    pub(super) fn of(name: &str) -> Option<Owner> {
        let mut parts = name.strip_prefix(PREFIX)?.strip_prefix('-')?.splitn(3, '-');
        let (pid, start) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        parts.next().map(|_| Owner { pid, start })
    }

    /// Whether that very process exists.
    pub(super) fn lives(&self, tree: &dyn Tree) -> bool {
        let stat = tree.read(Path::new(&format!("/proc/{}/stat", self.pid)));
        stat.and_then(|stat| start_of(&stat)) == Some(self.start)
    }
}

/// The 22nd field of `/proc/PID/stat`; the second, the name of the program, may hold blanks and parentheses.
fn start_of(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_read_from_the_name_of_a_group() {
        let owner = Owner { pid: 77, start: 123_456 };
        assert_eq!(owner.name("worker-3"), "phalanx-77-123456-worker-3");
        assert_eq!(Owner::of("phalanx-77-123456-worker-3"), Some(owner));
        for other in ["phalanx", "phalanx-77", "phalanx-77-1", "phalanx-x-1-a", "phalanx-1-y-a", "docker-1-2-a", ""] {
            assert_eq!(Owner::of(other), None, "{other}");
        }
    }

    #[test]
    fn the_start_of_a_process_is_found_behind_any_name() {
        let stat = "77 (a) b (c) S 1 77 77 0 -1 4194560 1 0 0 0 5 6 7 8 20 0 1 0 123456 99 1 18446744073709551615\n";
        assert_eq!(start_of(stat), Some(123_456));
        for garbage in ["", "77 (a", "77 (a) S 1", ") ) )"] {
            assert_eq!(start_of(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn this_process_lives_and_one_with_its_number_that_began_at_another_time_does_not() {
        let this = Owner::this(&crate::files::Machine).unwrap();
        assert!(this.lives(&crate::files::Machine));
        assert!(!Owner { start: this.start + 1, ..this }.lives(&crate::files::Machine));
    }
}
