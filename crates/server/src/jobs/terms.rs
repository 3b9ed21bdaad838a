//! [`Terms`]: on which terms a job is queued, as clients write them: `options` of the JSON, or parameters of a picture.

use crate::config::quantity::Span;
use crate::problem::Problem;
use phalanx::task::Priority;
use phalanx_queue::job::{NewJob, Unique};
use phalanx_queue::{QueueName, UnixMillis};
use serde_json::{Map, Value};
use std::time::Duration;

/// Longest key of `unique`, in bytes.
const LONGEST_KEY: usize = 255;
/// A job cannot be put off for longer, nor its result be kept. Dead jobs are kept as long.
const LONGEST_TIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Inputs and results in the blob store that nobody has put or read for so long are not needed any more.
pub(crate) const BLOBS_UNUSED_FOR: Duration = LONGEST_TIME.saturating_add(Duration::from_secs(24 * 60 * 60));
/// The most attempts that can be asked for.
const MOST_ATTEMPTS: u64 = 100;

/// All names, for the answer to an unknown one.
const NAMES: &str = "queue, priority, delay, deadline, attempts, unique, unique_for, keep";

/// What a client says of its job.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Terms {
    queue: Option<QueueName>,
    priority: Option<u8>,
    delay: Option<Duration>,
    deadline: Option<Duration>,
    attempts: Option<u32>,
    pub(super) unique: Option<String>,
    unique_for: Option<Duration>,
    keep: Option<Duration>,
}

impl Terms {
    /// Whether a parameter of this name is one of these.
    pub(crate) fn has(name: &str) -> bool {
        NAMES.split(", ").any(|known| known == name)
    }

    /// The member `options` of a job.
    pub(crate) fn of_json(options: &Map<String, Value>) -> Result<Terms, Problem> {
        let mut terms = Terms::default();
        for (name, value) in options {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => return Err(wrong(name, &value.to_string(), "a text or a number")),
            };
            terms.set(name, &text)?;
        }
        terms.checked()
    }

    /// Parameters of a query.
    pub(crate) fn of_pairs(pairs: &[(String, String)]) -> Result<Terms, Problem> {
        let mut terms = Terms::default();
        for (index, (name, value)) in pairs.iter().enumerate() {
            if pairs[..index].iter().any(|(other, _)| other == name) {
                return Err(Problem::parameter(name, format!("the parameter {name:?} is given more than once")));
            }
            terms.set(name, value)?;
        }
        terms.checked()
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        match name {
            "queue" => {
                let queue = QueueName::new(value).map_err(|error| Problem::parameter(name, error.to_string()))?;
                self.queue = Some(queue);
            }
            "priority" => self.priority = Some(number(name, value, 0..=9)? as u8),
            "delay" => self.delay = Some(time(name, value)?),
            "deadline" => self.deadline = Some(time(name, value)?),
            "attempts" => self.attempts = Some(number(name, value, 1..=MOST_ATTEMPTS)? as u32),
            "unique" if (1..=LONGEST_KEY).contains(&value.len()) => self.unique = Some(value.to_owned()),
            "unique" => return Err(wrong(name, value, &format!("1 to {LONGEST_KEY} bytes long"))),
            "unique_for" => self.unique_for = Some(time(name, value)?),
            "keep" => self.keep = Some(time(name, value)?),
            _ => {
                let why = format!("the option {name:?} is unknown; the names are {NAMES}");
                return Err(Problem::parameter(name, why));
            }
        }
        Ok(())
    }

    fn checked(self) -> Result<Terms, Problem> {
        if self.unique_for.is_some() && self.unique.is_none() {
            return Err(Problem::parameter(
                "unique_for",
                "unique_for says how long the key in unique is held: give both",
            ));
        }
        Ok(self)
    }

    /// For a client that waits for the answer of a synchronous route: it goes first, and late is useless.
    pub(super) fn within(deadline: Duration) -> Terms {
        Terms { deadline: Some(deadline), priority: Some(Priority::HIGHEST.level()), ..Terms::default() }
    }

    /// In which of the queues that there are; the first is the usual one.
    pub(super) fn queue(&self, known: &[QueueName]) -> Result<QueueName, Problem> {
        let names = || known.iter().map(QueueName::as_str).collect::<Vec<_>>().join(", ");
        match &self.queue {
            None => Ok(known.first().cloned().unwrap_or_default()),
            Some(queue) if known.contains(queue) => Ok(queue.clone()),
            // Each queue has a bound of its own: who could name new ones would have none.
            Some(queue) => {
                let why = format!("this server has no queue \"{queue}\"; its queues are {}", names());
                Err(Problem::parameter("queue", why))
            }
        }
    }

    /// Puts them on a job.
    pub(super) fn apply(&self, job: &mut NewJob) {
        let now = UnixMillis::now();
        if let Some(priority) = self.priority {
            job.priority = priority;
        }
        if let Some(delay) = self.delay {
            job.not_before = now.after(delay);
        }
        job.deadline = self.deadline.map(|deadline| now.after(deadline));
        if let Some(attempts) = self.attempts {
            job.retry = job.retry.attempts(attempts).crashes(attempts.min(job.retry.crashes));
        }
        if let Some(keep) = self.keep {
            job.keep = keep;
        }
        if let Some(key) = &self.unique {
            let ttl = self.unique_for.unwrap_or(Duration::ZERO);
            job.unique = Some(Unique { key: format!("unique:{key}"), ttl });
        }
    }
}

fn number(name: &str, value: &str, range: std::ops::RangeInclusive<u64>) -> Result<u64, Problem> {
    match value.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(wrong(name, value, &format!("a whole number from {} to {}", range.start(), range.end()))),
    }
}

fn time(name: &str, value: &str) -> Result<Duration, Problem> {
    match value.parse::<Span>() {
        Ok(Span(time)) if time <= LONGEST_TIME => Ok(time),
        _ => Err(wrong(name, value, "a time of at most 7 days, such as 10s, 500ms, 2m or 1h")),
    }
}

fn wrong(name: &str, value: &str, expected: &str) -> Problem {
    let shown: String = value.chars().take(40).collect();
    Problem::parameter(name, format!("the option {name:?} is {shown:?} and must be {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Code;
    use serde_json::json;

    fn of(options: Value) -> Result<Terms, Problem> {
        Terms::of_json(options.as_object().unwrap())
    }

    #[test]
    fn every_option_has_its_effect() {
        let terms = of(json!({ "queue": "slow", "priority": 7, "delay": "2m", "deadline": "1h", "attempts": 2,
            "unique": "k", "unique_for": "10s", "keep": "5s" }))
        .unwrap();
        let known = [QueueName::default(), QueueName::new("slow").unwrap()];
        assert!(terms.queue(&known[..1]).unwrap_err().detail().contains("its queues are default"));
        assert_eq!(Terms::default().queue(&known).unwrap(), known[0]);
        let mut job = NewJob::new(terms.queue(&known).unwrap(), "numbers", Vec::new());
        let before = UnixMillis::now();
        terms.apply(&mut job);
        assert_eq!((job.queue.as_str(), job.priority, job.retry.attempts, job.retry.crashes), ("slow", 7, 2, 2));
        assert!(job.not_before >= before.after(Duration::from_secs(120)));
        assert!(job.deadline.unwrap() >= before.after(Duration::from_secs(3600)));
        assert_eq!(job.unique, Some(Unique { key: "unique:k".into(), ttl: Duration::from_secs(10) }));
        assert_eq!(job.keep, Duration::from_secs(5));
    }

    #[test]
    fn what_is_wrong_is_refused_by_name() {
        for (options, complaint) in [
            (json!({ "prioritty": 1 }), "\"prioritty\" is unknown; the names are queue, priority"),
            (json!({ "priority": 10 }), "0 to 9"),
            (json!({ "priority": -1 }), "0 to 9"),
            (json!({ "priority": [1] }), "a text or a number"),
            (json!({ "queue": "a/b" }), "a/b"),
            (json!({ "delay": "soon" }), "such as 10s"),
            (json!({ "delay": "99999999h" }), "at most 7 days"),
            (json!({ "attempts": 0 }), "1 to 100"),
            (json!({ "unique": "" }), "1 to 255"),
            (json!({ "unique_for": "1s" }), "give both"),
        ] {
            let problem = of(options.clone()).unwrap_err();
            assert_eq!(problem.code(), Code::BadParameter, "{options}");
            assert!(problem.detail().contains(complaint), "{options}: {}", problem.detail());
        }
        let twice = [("priority", "1"), ("priority", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert!(Terms::of_pairs(&twice).unwrap_err().detail().contains("more than once"));
    }
}
