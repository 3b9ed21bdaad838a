//! A job as a message: the payload is the body, the rest are headers in plain text, so that any program can write and read them.

use std::time::Duration;

use crate::job::NewJob;
use crate::{Error, JobEnd, JobId, Message, MessageId, RetryPolicy, UnixMillis};

/// The id of the job.
const JOB: &str = "phalanx-job";
/// The name of its task.
const KIND: &str = "phalanx-kind";
/// Attempts so far that ended with an error.
const ERRORS: &str = "phalanx-errors";
/// Attempts so far that crashed.
const CRASHES: &str = "phalanx-crashes";
/// Its policy: attempts, crashes, first wait and longest wait in milliseconds, with spaces between.
const RETRY: &str = "phalanx-retry";
/// Milliseconds since 1970 after which nobody wants it.
const DEADLINE: &str = "phalanx-deadline";
/// Milliseconds that an attempt may take.
const RUN_LIMIT: &str = "phalanx-run-limit";
/// In a dead letter: the error, packed.
const ERROR: &str = "phalanx-error";
/// In a reply: `done`, `dead` or `cancelled`.
const END: &str = "phalanx-end";

/// A job as it came.
#[derive(Debug, Clone)]
pub(super) struct Envelope {
    pub(super) id: JobId,
    pub(super) kind: String,
    pub(super) errors: u32,
    /// As its sender counted. Deliveries that nobody settled come on top.
    pub(super) crashes: u32,
    pub(super) retry: RetryPolicy,
    pub(super) deadline: Option<UnixMillis>,
    pub(super) run_limit: Option<Duration>,
    /// All of it, as it is sent again.
    pub(super) message: Message,
}

impl Envelope {
    /// A job on its first way. `reply_to` is where its end is awaited.
    pub(super) fn message(job: NewJob, reply_to: Option<String>) -> Message {
        let RetryPolicy { attempts, crashes, first, cap } = job.retry;
        let retry = format!("{attempts} {crashes} {} {}", first.as_millis(), cap.as_millis());
        let id = job.id.to_string();
        let mut message = Message::new(job.payload)
            .priority(job.priority)
            .key(job.id.as_bytes().to_vec())
            .header(JOB, id.clone())
            .header(KIND, job.kind)
            .header(RETRY, retry);
        message.id = MessageId(job.id);
        message.correlation_id = Some(id);
        message.reply_to = reply_to;
        if let Some(deadline) = job.deadline {
            message = message.header(DEADLINE, deadline.to_string());
        }
        if let Some(limit) = job.run_limit {
            message = message.header(RUN_LIMIT, limit.as_millis().to_string());
        }
        message
    }

    /// A job, as whoever sent it. Only its kind must be said.
    pub(super) fn of(message: Message) -> Result<Envelope, Box<(Message, Error)>> {
        match Envelope::read(&message) {
            Ok(mut envelope) => {
                envelope.message = message;
                Ok(envelope)
            }
            Err(error) => Err(Box::new((message, error))),
        }
    }

    fn read(message: &Message) -> Result<Envelope, Error> {
        let text = |name: &str| match message.headers.get(name) {
            None => Ok(None),
            Some(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Some(text)),
                Err(_) => Err(malformed(message, name)),
            },
        };
        let number = |name: &str| match text(name)? {
            None => Ok(None),
            Some(digits) => digits.parse::<u64>().map(Some).map_err(|_| malformed(message, name)),
        };
        let count = |name: &str| number(name).map(|count| u32::try_from(count.unwrap_or(0)).unwrap_or(u32::MAX));
        let id = match text(JOB)? {
            Some(id) => id.parse().map_err(|_| malformed(message, JOB))?,
            None => message.id.0,
        };
        let retry = match text(RETRY)? {
            Some(policy) => policy_of(policy).ok_or_else(|| malformed(message, RETRY))?,
            None => RetryPolicy::default(),
        };
        Ok(Envelope {
            id,
            kind: text(KIND)?.ok_or_else(|| malformed(message, KIND))?.to_owned(),
            errors: count(ERRORS)?,
            crashes: count(CRASHES)?,
            retry,
            deadline: number(DEADLINE)?.map(UnixMillis),
            run_limit: number(RUN_LIMIT)?.map(Duration::from_millis),
            message: Message::new(Vec::new()),
        })
    }

    /// The same job, with these counters.
    pub(super) fn again(&self, errors: u32, crashes: u32) -> Message {
        let mut message = self.message.clone();
        for (name, count) in [(ERRORS, errors), (CRASHES, crashes)] {
            if count > 0 {
                message.headers.insert(name.to_owned(), count.to_string().into_bytes());
            }
        }
        message
    }
}

/// What is laid to rest, and why.
pub(super) fn dead_letter(message: &Message, error: Vec<u8>) -> Message {
    let mut message = message.clone().header(ERROR, error);
    message.reply_to = None;
    message
}

/// How a job ended, for its submitter.
pub(super) fn reply(job: JobId, end: JobEnd) -> Message {
    let (word, body) = match end {
        JobEnd::Done(result) => ("done", result),
        JobEnd::Dead(error) => ("dead", error),
        JobEnd::Cancelled => ("cancelled", Vec::new()),
    };
    let mut message = Message::new(body).header(END, word).header(JOB, job.to_string());
    message.correlation_id = Some(job.to_string());
    message
}

/// What a reply says.
pub(super) fn end_of(message: Message) -> Option<(JobId, JobEnd)> {
    let job = message.correlation_id?.parse().ok()?;
    let end = match message.headers.get(END)?.as_slice() {
        b"done" => JobEnd::Done(message.body),
        b"dead" => JobEnd::Dead(message.body),
        b"cancelled" => JobEnd::Cancelled,
        _ => return None,
    };
    Some((job, end))
}

fn policy_of(text: &str) -> Option<RetryPolicy> {
    let mut numbers = text.split(' ').map(|digits| digits.parse::<u64>().ok());
    let mut next = || numbers.next().flatten();
    let (attempts, crashes, first, cap) = (next()?, next()?, next()?, next()?);
    let (attempts, crashes) = (u32::try_from(attempts).ok()?, u32::try_from(crashes).ok()?);
    let policy = RetryPolicy::default().attempts(attempts).crashes(crashes);
    Some(policy.backoff(Duration::from_millis(first), Duration::from_millis(cap)))
}

fn malformed(message: &Message, header: &str) -> Error {
    Error::Malformed {
        what: format!("the message {} in a queue of jobs", message.id),
        reason: format!("its header {header} is not there, or not what it should be"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::QueueName;

    #[test]
    fn a_job_is_read_as_it_was_written() {
        let mut job = NewJob::new(QueueName::new("q").unwrap(), "thumbnail", vec![1, 2]);
        job.retry = RetryPolicy::default().attempts(7).backoff(Duration::from_millis(10), Duration::from_secs(60));
        job.deadline = Some(UnixMillis(99));
        job.run_limit = Some(Duration::from_secs(3));
        let message = Envelope::message(job.clone(), Some("there".to_owned()));
        let came = Envelope::of(message).unwrap();
        assert_eq!((came.id, came.kind.as_str(), &came.message.body), (job.id, "thumbnail", &job.payload));
        assert_eq!((came.retry, came.deadline, came.run_limit), (job.retry, job.deadline, job.run_limit));
        let again = Envelope::of(came.again(2, 1)).unwrap();
        assert_eq!((again.errors, again.crashes, again.id), (2, 1, job.id));
        assert_eq!(again.message.reply_to.as_deref(), Some("there"));
    }

    #[test]
    fn a_foreign_program_needs_to_say_the_kind_only() {
        let came = Envelope::of(Message::from("x").header(KIND, "k")).unwrap();
        assert_eq!((came.errors, came.retry), (0, RetryPolicy::default()));
        assert!(Envelope::of(Message::from("x")).is_err());
        assert!(Envelope::of(Message::from("x").header(KIND, "k").header(RETRY, "5 3")).is_err());
        assert!(Envelope::of(Message::from("x").header(KIND, "k").header(ERRORS, "-1")).is_err());
    }

    #[test]
    fn an_end_is_read_as_it_was_written() {
        let job = JobId::new();
        for end in [JobEnd::Done(vec![1]), JobEnd::Dead(vec![2]), JobEnd::Cancelled] {
            assert_eq!(end_of(reply(job, end.clone())), Some((job, end)));
        }
        assert_eq!(end_of(Message::from("something else")), None);
    }
}
