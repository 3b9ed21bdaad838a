//! [`Ledger`]: what the producers and the tasks themselves said, to be held against what the queue says at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What a producer writes to its standard output, a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    /// It is about to submit this number under this id.
    Offered(u64, String),
    /// The queue has confirmed that.
    Confirmed(u64, String),
    /// The queue has said no (full, unreachable): it may have been taken or not.
    Unsure(u64),
    /// The result came.
    Ended(u64, u64),
    /// The job ended without a result.
    Failed(u64, String),
}

/// All of that.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) offered: BTreeMap<u64, String>,
    pub(crate) confirmed: BTreeMap<u64, String>,
    pub(crate) unsure: BTreeSet<u64>,
    /// Results as callers got them.
    pub(crate) ended: BTreeMap<u64, u64>,
    pub(crate) failed: BTreeMap<u64, String>,
    /// What contradicts itself.
    pub(crate) contradictions: Vec<String>,
}

impl Word {
    /// As a line, and back.
    pub(crate) fn line(&self) -> String {
        match self {
            Word::Offered(number, id) => format!("offered {number} {id}"),
            Word::Confirmed(number, id) => format!("confirmed {number} {id}"),
            Word::Unsure(number) => format!("unsure {number}"),
            Word::Ended(number, result) => format!("ended {number} {result}"),
            Word::Failed(number, why) => format!("failed {number} {}", why.replace('\n', " ")),
        }
    }

    /// `None` for a line that was cut by a kill.
    pub(crate) fn parse(line: &str) -> Option<Word> {
        let mut words = line.splitn(3, ' ');
        let (kind, number) = (words.next()?, words.next()?.parse().ok()?);
        let rest = words.next().unwrap_or_default();
        Some(match kind {
            "offered" => Word::Offered(number, rest.to_owned()),
            "confirmed" => Word::Confirmed(number, rest.to_owned()),
            "unsure" => Word::Unsure(number),
            "ended" => Word::Ended(number, rest.parse().ok()?),
            "failed" => Word::Failed(number, rest.to_owned()),
            _ => return None,
        })
    }
}

impl Ledger {
    /// Writes a word down.
    pub(crate) fn note(&mut self, word: Word) {
        match word {
            Word::Offered(number, id) => {
                self.offered.insert(number, id);
            }
            Word::Confirmed(number, id) => {
                self.confirmed.insert(number, id);
            }
            Word::Unsure(number) => {
                self.unsure.insert(number);
            }
            Word::Ended(number, result) => match self.ended.insert(number, result) {
                Some(before) if before != result => {
                    self.contradictions.push(format!("job {number} ended with {before}, and later with {result}"));
                }
                _ => {}
            },
            Word::Failed(number, why) => {
                self.failed.insert(number, why);
            }
        }
    }
}

/// How often each number was run, by the file into which the task itself writes. A line that was cut by a kill counts as no run.
pub(crate) fn runs(file: &Path) -> BTreeMap<u64, u64> {
    let mut runs = BTreeMap::new();
    let text = std::fs::read_to_string(file).unwrap_or_default();
    for number in text.lines().filter_map(|line| line.strip_suffix('.')).filter_map(|line| line.parse::<u64>().ok()) {
        *runs.entry(number).or_default() += 1;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read_as_it_was_written_and_a_cut_one_is_none() {
        for word in [
            Word::Offered(1, "a".to_owned()),
            Word::Confirmed(2, "b".to_owned()),
            Word::Unsure(3),
            Word::Ended(4, 5),
            Word::Failed(6, "the task failed".to_owned()),
        ] {
            assert_eq!(Word::parse(&word.line()), Some(word));
        }
        assert_eq!(Word::parse("confirm"), None);
        assert_eq!(Word::parse("ended 4"), None);
    }

    #[test]
    fn two_results_of_one_job_are_a_contradiction_and_the_same_twice_is_none() {
        let mut ledger = Ledger::default();
        ledger.note(Word::Ended(1, 10));
        ledger.note(Word::Ended(1, 10));
        assert!(ledger.contradictions.is_empty());
        ledger.note(Word::Ended(1, 11));
        assert_eq!(ledger.contradictions.len(), 1);
    }
}
