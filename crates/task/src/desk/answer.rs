//! [`Answer`]: what a job process says, held against what the owner knows.

use std::time::Duration;

use super::wire::{self, Hello, Reader, Which};
use super::{Desk, Malformed, Output, malformed};
use crate::{Attempt, Progress, TaskError};

/// What a job process says.
#[derive(Debug)]
pub enum Answer {
    /// It is there; always the first.
    Hello(Hello),
    /// How far a job has come.
    Progress {
        /// Number of the submission.
        job: u64,
        /// Its word.
        progress: Progress,
    },
    /// A job keeps this for its next attempt: at most [`Attempt::LONGEST_DETAILS`].
    Checkpoint {
        /// Number of the submission.
        job: u64,
        /// What it keeps.
        details: Vec<u8>,
    },
    /// A job blocks, and needs no core.
    Waits {
        /// Number of the submission.
        job: u64,
    },
    /// A job that blocked goes on.
    Runs {
        /// Number of the submission.
        job: u64,
    },
    /// A job is over: it is on the desk no more.
    Ended {
        /// Number of the submission.
        job: u64,
        /// What came of it.
        result: Result<Output, TaskError>,
        /// How long it ran, as the job process says: a hint.
        ran: Duration,
    },
}

impl Desk {
    /// The next thing that the job process says, if it has said anything. Never blocks. After an error the process is to be
    /// killed, and nothing else that it said counts.
    ///
    /// A process may say things faster than they are read: who loops over them should stop after some.
    pub fn next_answer(&mut self) -> Result<Option<Answer>, Malformed> {
        let mut message = std::mem::take(&mut self.message);
        let answer = loop {
            match self.answers.try_recv(&mut message) {
                Ok(None) => break Ok(None),
                Ok(Some(_)) => {}
                Err(error) => break Err(error.into()),
            }
            match self.understand(&message) {
                Ok(None) => {}
                answer => break answer,
            }
        };
        self.message = message;
        answer
    }

    /// `None` for what is of no interest to others.
    fn understand(&mut self, message: &[u8]) -> Result<Option<Answer>, Malformed> {
        let mut message = Reader::new(message);
        let kind = message.byte().ok_or_else(|| malformed("an empty message"))?;
        if self.tasks.is_none() && kind != wire::HELLO {
            return Err(malformed(format_args!("message {kind} before the first word")));
        }
        match kind {
            wire::HELLO => self.hello(message.rest()).map(Some),
            wire::PROGRESS => self.progress(message).map(Some),
            wire::KEEPS => self.keeps(message).map(Some),
            wire::DONE => self.done(message).map(Some),
            wire::FAILED => self.failed(message).map(Some),
            wire::WAITS => self.said_of(message).map(|job| Some(Answer::Waits { job })),
            wire::RUNS => self.said_of(message).map(|job| Some(Answer::Runs { job })),
            wire::RETURNED => self.returned(message.rest()).map(|()| None),
            other => Err(malformed(format_args!("a message of the unknown kind {other}"))),
        }
    }

    fn hello(&mut self, message: &[u8]) -> Result<Answer, Malformed> {
        if self.tasks.is_some() {
            return Err(malformed("a second hello"));
        }
        let hello: Hello = postcard::from_bytes(message).map_err(|_| malformed("a hello that cannot be read"))?;
        if !hello.tasks.is_sorted() {
            return Err(malformed("tasks that are not in order"));
        }
        self.tasks = Some(hello.tasks.clone());
        Ok(Answer::Hello(hello))
    }

    fn progress(&mut self, mut message: Reader<'_>) -> Result<Answer, Malformed> {
        let which = Which::read(&mut message);
        let words = message.word().zip(message.word());
        let ((_, job), (done, total)) =
            which.zip(words).ok_or_else(cut_off).and_then(|(which, words)| Ok((self.begun(&which)?, words)))?;
        Ok(Answer::Progress { job, progress: Progress { done, total } })
    }

    fn keeps(&self, mut message: Reader<'_>) -> Result<Answer, Malformed> {
        let which = Which::read(&mut message).ok_or_else(cut_off)?;
        let (_, job) = self.begun(&which)?;
        let details = message.rest();
        if details.len() > Attempt::LONGEST_DETAILS {
            return Err(malformed(format_args!("{} bytes to keep for the next attempt", details.len())));
        }
        Ok(Answer::Checkpoint { job, details: details.to_vec() })
    }

    /// The job that this is about.
    fn said_of(&self, mut message: Reader<'_>) -> Result<u64, Malformed> {
        let which = Which::read(&mut message).ok_or_else(cut_off)?;
        self.begun(&which).map(|(_, job)| job)
    }

    fn done(&mut self, mut message: Reader<'_>) -> Result<Answer, Malformed> {
        let (which, parcel) = Which::read(&mut message).zip(message.parcel()).ok_or_else(cut_off)?;
        let (index, job) = self.begun(&which)?;
        let output = self.output.announce(which.output, parcel, message.rest())?;
        self.end(index, which.is_returned)?;
        Ok(Answer::Ended { job, result: Ok(output), ran: which.ran() })
    }

    fn failed(&mut self, mut message: Reader<'_>) -> Result<Answer, Malformed> {
        let which = Which::read(&mut message).ok_or_else(cut_off)?;
        let (index, job) = self.begun(&which)?;
        let error: TaskError =
            postcard::from_bytes(message.rest()).map_err(|_| malformed("an error that cannot be read"))?;
        self.end(index, which.is_returned)?;
        Ok(Answer::Ended { job, result: Err(error), ran: which.ran() })
    }

    /// The place and number of a job that is on the desk and has begun.
    fn begun(&self, which: &Which) -> Result<(usize, u64), Malformed> {
        let index = usize::from(which.slot);
        let entry = self.occupant(index, which.number);
        let entry =
            entry.ok_or_else(|| malformed(format_args!("an answer to a job that it was not given: {which:?}")))?;
        if !self.board.has_begun(index, entry.number) {
            return Err(malformed(format_args!("an answer to a job that has not begun: {which:?}")));
        }
        Ok((index, entry.job))
    }

    /// A job is over. With an error it is still on the desk, so that it can be blamed.
    fn end(&mut self, index: usize, is_returned: bool) -> Result<(), Malformed> {
        match (is_returned, self.entries[index].region) {
            // A task that keeps some of its input returns it later.
            (false, _) => {}
            (true, Some(region)) => self.take_back(region)?,
            (true, None) => return Err(malformed("an input was returned that was not lent")),
        }
        self.occupied &= !(1 << index);
        Ok(())
    }

    fn returned(&mut self, regions: &[u8]) -> Result<(), Malformed> {
        let (words, rest) = regions.as_chunks::<{ size_of::<u64>() }>();
        if words.is_empty() || !rest.is_empty() {
            return Err(malformed("a return of nothing"));
        }
        words.iter().try_for_each(|word| self.take_back(u64::from_ne_bytes(*word)))
    }

    fn take_back(&mut self, region: u64) -> Result<(), Malformed> {
        let cold = self
            .regions
            .give_back(region)
            .map_err(|_| malformed(format_args!("bytes were returned that were not lent, at {region}")))?;
        if let Some(cold) = cold {
            // Memory that stays until the process ends is all that a refusal means.
            let _ = self.input.forget(cold.offset, cold.bytes);
        }
        Ok(())
    }
}

fn cut_off() -> Malformed {
    malformed("a message that is cut off")
}
