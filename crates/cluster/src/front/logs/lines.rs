//! [`Lines`]: the bytes of one pipe as lines of a bounded length.

/// Longest line, in bytes; what is longer is split. systemd's journal has a limit of 48 KiB, docker's of 16.
pub(super) const LONGEST: usize = 16 * 1024;
/// Where a line was split, or ended without an end of line.
const CUT: &str = "…";

/// Puts lines together from pieces. It keeps less than [`LONGEST`] bytes.
#[derive(Debug, Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
    /// Whether `rest` goes on with a line whose beginning was given out.
    goes_on: bool,
}

impl Lines {
    /// Calls `each` for every line, without its end, that is complete now or too long.
    pub(super) fn add(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let room = LONGEST - self.rest.len();
            match end {
                Some(end) if end <= room => {
                    if self.rest.is_empty() && !self.goes_on {
                        each(&bytes[..end]);
                    } else {
                        self.rest.extend_from_slice(&bytes[..end]);
                        self.give(false, &mut each);
                    }
                    bytes = &bytes[end + 1..];
                }
                None if bytes.len() < room => {
                    self.rest.extend_from_slice(bytes);
                    return;
                }
                _ => {
                    self.rest.extend_from_slice(&bytes[..room]);
                    bytes = &bytes[room..];
                    self.give(true, &mut each);
                }
            }
        }
    }

    /// The pipe has ended: what has no end of line is given out as it is.
    pub(super) fn finish(&mut self, mut each: impl FnMut(&[u8])) {
        if !self.rest.is_empty() {
            // A whole JSON object needs no mark, and must not get one.
            let whole = !self.goes_on && super::mark::is_object(&self.rest);
            self.give(!whole, &mut each);
        }
    }

    fn give(&mut self, cut: bool, each: &mut impl FnMut(&[u8])) {
        if self.goes_on {
            self.rest.splice(0..0, CUT.bytes());
        }
        if cut {
            self.rest.extend_from_slice(CUT.as_bytes());
        }
        each(&self.rest);
        // Frees the memory of a long line: most are short, and there are many pipes.
        self.rest = Vec::new();
        self.goes_on = cut;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(pieces: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut seen) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.add(piece, |line| seen.push(String::from_utf8_lossy(line).into_owned()));
            assert!(lines.rest.len() < LONGEST);
        }
        lines.finish(|line| seen.push(String::from_utf8_lossy(line).into_owned()));
        seen
    }

    #[test]
    fn lines_are_whole_however_the_pipe_cut_them() {
        assert_eq!(collect(&[b"one\ntw", b"o", b"\n\nthree\n"]), ["one", "two", "", "three"]);
    }

    #[test]
    fn the_last_words_of_a_dead_worker_are_kept_and_marked() {
        assert_eq!(collect(&[b"one\nI am abou"]), ["one", "I am abou…"]);
        assert_eq!(collect(&[b"{\"a\":1}"]), ["{\"a\":1}"]);
    }

    #[test]
    fn a_line_without_end_is_split_and_both_sides_are_marked() {
        let long = vec![b'x'; 2 * LONGEST + 5];
        for step in [1000, LONGEST, 100_000] {
            let mut pieces: Vec<&[u8]> = long.chunks(step).collect();
            pieces.push(b"\nnext\n");
            let seen = collect(&pieces);
            let cut = seen.iter().map(|line| (line.starts_with('…'), line.ends_with('…'))).collect::<Vec<_>>();
            assert_eq!(cut, [(false, true), (true, true), (true, false), (false, false)]);
            assert_eq!(seen.iter().map(|line| line.matches('x').count()).sum::<usize>(), long.len() + 1);
        }
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_whole() {
        let line = "y".repeat(LONGEST);
        assert_eq!(collect(&[line.as_bytes(), b"\n"]).len(), 2, "split where the end was not yet known");
        assert_eq!(collect(&[format!("{line}\n").as_bytes()]), [line]);
    }
}
