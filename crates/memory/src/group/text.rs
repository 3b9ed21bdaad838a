//! What the files of a group say.

/// A file that is one number.
pub(super) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The line `oom_kill N` of `memory.events` (version 2) or `memory.oom_control` (version 1).
pub(super) fn oom_kills(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")).and_then(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_read_in_both_versions() {
        assert_eq!(oom_kills("low 0\nhigh 0\nmax 40\noom 3\noom_kill 2\noom_group_kill 1\n"), Some(2));
        assert_eq!(oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"), Some(5));
        assert_eq!(oom_kills("oom_kill_disable 0\nunder_oom 0\n"), None, "Linux before 4.13");
    }

    #[test]
    fn garbage_is_no_number() {
        for text in ["", "max", "-1", "oom_kill", "oom_kill x", "oom_kill 99999999999999999999999", "\u{0}"] {
            assert_eq!((number(text), oom_kills(text)), (None, None), "{text:?}");
        }
    }
}
