//! What a run of `cargo test` said, so that its end alone tells which tests failed, and why.
//!
//! ```text
//!   output of cargo, line by line ──► note ──┬── Running …            the program whose lines follow
//!                                            ├── test NAME ... FAILED  by our own programs: with the lines since the test before it
//!                                            ├── ---- NAME stdout ---- by libtest, after all its tests: the output of one that failed
//!                                            ├── error: test failed    a program that failed, also if it named no test (it died)
//!                                            └── test result: …        kept as it is
//!   print ◄── results of all, then each failure with its output, cut to what fits
//! ```

use std::collections::VecDeque;
use std::fmt;

/// Lines of output that are shown of each failure.
const LINES_SHOWN: usize = 60;
/// Of these, how many from the first panic on; the others are the last ones, where property tests tell their counter-example.
const LINES_FROM_THE_FIRST_PANIC: usize = 30;
/// What a test said before it panicked.
const LINES_BEFORE_A_PANIC: usize = 5;
/// Lines that are remembered of one test, or of a program: its first and its last ones.
const LINES_KEPT: usize = 2000;

/// All test programs of a run.
#[derive(Default)]
pub(crate) struct Verdicts {
    results: Vec<String>,
    failures: Vec<Failure>,
    program: String,
    /// Failures that were there when the program began.
    failures_before: usize,
    /// What was said since the last verdict on a test.
    since: Output,
    /// Whose output follows, in the part in which libtest tells it.
    told: Option<usize>,
}

struct Failure {
    program: String,
    /// None if it is the program itself that failed.
    test: Option<String>,
    output: Output,
}

impl Verdicts {
    /// The next line that cargo, or a test program, has written.
    pub(crate) fn note(&mut self, line: &str) {
        if let Some(program) = program(line) {
            self.program = program.to_owned();
            self.failures_before = self.failures.len();
            (self.since, self.told) = (Output::default(), None);
        } else if let Some(test) = line.strip_prefix("---- ").and_then(|line| line.strip_suffix(" stdout ----")) {
            let found = self.of_this_program().position(|failure| failure.test.as_deref() == Some(test));
            self.told = found.map(|at| at + self.failures_before);
            if let Some(at) = self.told {
                self.failures[at].output = Output::default();
            }
        } else if line.starts_with("test result: ") {
            self.results.push(line.to_owned());
            self.told = None;
        } else if line == "failures:" {
            self.told = None;
        } else if let Some((test, has_failed)) = verdict(line) {
            let output = std::mem::take(&mut self.since);
            if has_failed {
                self.fails(Some(test.to_owned()), output);
            }
        } else if line.starts_with("error: test failed, to rerun") || line.starts_with("error: doctest failed") {
            let output = std::mem::take(&mut self.since);
            if self.of_this_program().next().is_none() {
                self.fails(None, output);
            }
        } else if let Some(at) = self.told {
            self.failures[at].output.push(line);
        } else {
            self.since.push(line);
        }
    }

    fn of_this_program(&self) -> impl Iterator<Item = &Failure> {
        self.failures[self.failures_before..].iter()
    }

    fn fails(&mut self, test: Option<String>, output: Output) {
        self.failures.push(Failure { program: self.program.clone(), test, output });
    }
}

/// The results, and what failed.
impl fmt::Display for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n==> results of {} test programs", self.results.len())?;
        for result in &self.results {
            writeln!(f, "{result}")?;
        }
        if !self.failures.is_empty() {
            writeln!(f, "\n==> {} failed", self.failures.len())?;
        }
        for Failure { program, test, output } in &self.failures {
            let what = test.as_deref().unwrap_or("the program failed and named no test; its last words");
            write!(f, "\n---- {what} ({program}) ----\n{output}")?;
        }
        Ok(())
    }
}

/// The program that cargo says it starts: `     Running tests/x.rs (target/debug/deps/x-…)`, `   Doc-tests phalanx`.
fn program(line: &str) -> Option<&str> {
    let said = line.strip_prefix("     Running ").map(|said| said.split(" (").next().unwrap_or(said));
    said.or_else(|| line.strip_prefix("   ").filter(|said| said.starts_with("Doc-tests ")))
}

/// The test that this line is the verdict on, and whether it failed: `test NAME ... FAILED`, by libtest and by our own programs.
fn verdict(line: &str) -> Option<(&str, bool)> {
    let (test, word) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let begins = |with: &str| word.starts_with(with);
    (begins("ok") || begins("ignored") || begins("skipped") || begins("FAILED")).then(|| (test, begins("FAILED")))
}

/// What a test wrote: its first lines, and its last.
#[derive(Default)]
struct Output {
    first: Vec<String>,
    last: VecDeque<String>,
    left_out: usize,
}

impl Output {
    fn push(&mut self, line: &str) {
        if self.first.len() < LINES_KEPT / 2 {
            return self.first.push(line.to_owned());
        }
        if self.last.len() == LINES_KEPT / 2 {
            self.last.pop_front();
            self.left_out += 1;
        }
        self.last.push_back(line.to_owned());
    }
}

/// Cut to what fits: from the first panic on, and the last lines.
impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<&String> = self.first.iter().chain(&self.last).collect();
        let panic = lines.iter().position(|line| line.contains("panicked at"));
        let from = panic.map_or(0, |at| at.saturating_sub(LINES_BEFORE_A_PANIC));
        let from = from.min(lines.len().saturating_sub(LINES_SHOWN));
        let first_end = (from + LINES_FROM_THE_FIRST_PANIC).min(lines.len());
        let last_begin = lines.len().saturating_sub(LINES_SHOWN - LINES_FROM_THE_FIRST_PANIC).max(first_end);
        let is_cut = self.left_out + from + (last_begin - first_end) > 0;
        for line in &lines[from..first_end] {
            writeln!(f, "{line}")?;
        }
        if is_cut {
            writeln!(f, "[… {} lines are above, where it ran]", self.left_out + from + last_begin - first_end)?;
        }
        for line in &lines[last_begin..] {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(lines: &str) -> Verdicts {
        let mut verdicts = Verdicts::default();
        lines.lines().for_each(|line| verdicts.note(line));
        verdicts
    }

    const LIBTEST: &str = "     Running unittests src/lib.rs (target/debug/deps/phalanx_queue-06bd)

running 3 tests
test cron::tests::never ... ok
test a::fails ... FAILED
test b::fails ... FAILED

failures:

---- a::fails stdout ----

thread 'a::fails' (7) panicked at crates/queue/src/a.rs:9:5:
assertion failed: one

---- b::fails stdout ----
thread 'b::fails' (8) panicked at crates/queue/src/b.rs:9:5:
two


failures:
    a::fails
    b::fails

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s

error: test failed, to rerun pass `-p phalanx-queue --lib`
";

    #[test]
    fn each_test_that_failed_is_told_at_the_end_with_its_own_output() {
        let said = verdicts(LIBTEST).to_string();
        let (results, failures) = said.split_once("==> 2 failed").expect("both");
        assert!(results.contains("==> results of 1 test programs\ntest result: FAILED. 1 passed;"), "{said}");
        let (a, b) = failures.split_once("---- b::fails (unittests src/lib.rs) ----").expect("b");
        assert!(a.contains("---- a::fails (unittests src/lib.rs) ----\n\nthread 'a::fails'"), "{said}");
        assert!(a.contains("one") && !a.contains("two"), "{said}");
        assert!(b.contains("b.rs:9:5:\ntwo") && !b.contains("one"), "{said}");
    }

    #[test]
    fn a_program_of_ours_has_said_why_before_its_verdict() {
        let said = verdicts(
            "     Running tests/cluster/main.rs (target/debug/deps/cluster-06bd)
test a_worker_is_replaced ... ok
worker 1 is late
thread 'main' (7) panicked at crates/cluster/tests/cluster/limits.rs:9:5:
never
test a_limit_is_kept ... FAILED
1 passed, 1 failed
error: test failed, to rerun pass `-p phalanx-cluster --test cluster`
     Running tests/other.rs (target/debug/deps/other-06bd)
test other ... ok (3 ms)
",
        )
        .to_string();
        let (_, failures) = said.split_once("==> 1 failed\n").expect("one");
        assert_eq!(
            failures,
            "\n---- a_limit_is_kept (tests/cluster/main.rs) ----\nworker 1 is late\n\
             thread 'main' (7) panicked at crates/cluster/tests/cluster/limits.rs:9:5:\nnever\n"
        );
    }

    #[test]
    fn a_program_that_dies_is_a_failure_too_and_so_is_one_of_the_same_name_after_another() {
        let said = verdicts(
            "     Running tests/one.rs (target/debug/deps/one-06bd)
test fine ... FAILED
     Running tests/two.rs (target/debug/deps/two-06bd)
test fine ... ok
cannot go on
error: test failed, to rerun pass `-p x --test two`
",
        )
        .to_string();
        assert!(said.contains("==> 2 failed"), "{said}");
        assert!(said.ends_with("its last words (tests/two.rs) ----\ncannot go on\n"), "{said}");
    }

    #[test]
    fn of_a_long_output_the_panic_and_the_end_are_shown() {
        let mut output = Output::default();
        (0..100_000).for_each(|line| output.push(&format!("before {line}")));
        assert!(output.first.len() + output.last.len() <= LINES_KEPT);
        let mut output = Output::default();
        (0..500).for_each(|line| output.push(&format!("before {line}")));
        output.push("thread 'x' panicked at x.rs:1:1:");
        (0..100_000).for_each(|line| output.push(&format!("shrinks {line}")));
        output.push("minimal failing input");
        let shown = output.to_string();
        assert!(shown.starts_with("before 495\n") && shown.ends_with("minimal failing input\n"), "{shown}");
        assert!(shown.contains("panicked at x.rs:1:1:\nshrinks 0\n"), "{shown}");
        assert_eq!(shown.lines().count(), LINES_SHOWN + 1);
        assert!(shown.contains("lines are above"), "{shown}");
    }

    #[test]
    fn what_fits_is_shown_whole() {
        let mut output = Output::default();
        (0..LINES_SHOWN).for_each(|line| output.push(&format!("line {line}")));
        assert_eq!(output.to_string().lines().count(), LINES_SHOWN);
    }
}
