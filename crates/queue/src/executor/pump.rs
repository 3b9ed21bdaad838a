//! [`Pump`]: carries the words of all submissions of an executor to the store, as many at once as there are, in their order.

use std::sync::Arc;
use std::time::Duration;

use phalanx_task::{Packed, Refusal, TaskError};
use tokio::sync::mpsc;

use super::as_task_error;
use super::ticket::{Outcome, Ticket};
use crate::blobs::BlobStore;
use crate::job::{JobEnd, JobStore, NewJob, Submitted, Work};
use crate::{Error, payload};

/// Words that are taken at once.
const MOST_WORDS: usize = 1024;
/// Jobs of one call.
const MOST_JOBS: usize = 256;
/// How long one question waits for its answer.
const LONGEST_QUESTION: Duration = Duration::from_secs(60);

/// What is to be done for a ticket.
pub(super) enum Word {
    Submit {
        ticket: Arc<Ticket>,
        job: Box<NewJob>,
        input: Packed,
    },
    /// As above, once the large parts are in the blob store.
    Packed {
        ticket: Arc<Ticket>,
        job: Box<NewJob>,
    },
    Cancel(Arc<Ticket>),
    Listen(Arc<Ticket>),
}

#[derive(Clone)]
pub(super) struct Pump {
    store: Arc<dyn JobStore>,
    blobs: Option<Arc<dyn BlobStore>>,
    /// For what is packed aside; it does not keep the pump alive.
    words: mpsc::WeakUnboundedSender<Word>,
}

/// What goes into one call.
type Batch = Vec<(Arc<Ticket>, Work)>;

impl Pump {
    pub(super) fn new(
        store: Arc<dyn JobStore>,
        blobs: Option<Arc<dyn BlobStore>>,
        words: mpsc::WeakUnboundedSender<Word>,
    ) -> Pump {
        Pump { store, blobs, words }
    }

    /// Until the executor and all its submissions are gone.
    pub(super) async fn run(self, mut heard: mpsc::UnboundedReceiver<Word>) {
        let mut words = Vec::with_capacity(MOST_WORDS);
        while heard.recv_many(&mut words, MOST_WORDS).await > 0 {
            let mut batch = Batch::new();
            for word in words.drain(..) {
                match word {
                    Word::Submit { ticket, job, input } => match payload::pack_small(input) {
                        Ok(Ok(payload)) => batch.push((ticket, Work::Job(NewJob { payload, ..*job }))),
                        Ok(Err(error)) => ticket.complete(Outcome::Failed(as_task_error(error))),
                        Err(large) => self.pack_aside(ticket, job, large),
                    },
                    Word::Packed { ticket, job } => batch.push((ticket, Work::Job(*job))),
                    Word::Cancel(ticket) => {
                        // What came before it is known to the store by then.
                        self.submit(std::mem::take(&mut batch));
                        self.cancel(ticket);
                    }
                    Word::Listen(ticket) => self.listen(ticket),
                }
                if batch.len() >= MOST_JOBS {
                    self.submit(std::mem::take(&mut batch));
                }
            }
            self.submit(batch);
        }
    }

    /// Puts large parts into the blob store, without holding up the others.
    fn pack_aside(&self, ticket: Arc<Ticket>, job: Box<NewJob>, input: Packed) {
        let pump = self.clone();
        tokio::spawn(async move {
            match payload::pack(input, pump.blobs.as_ref()).await {
                Ok(payload) => {
                    let job = Box::new(NewJob { payload, ..*job });
                    match pump.words.upgrade() {
                        Some(words) => drop(words.send(Word::Packed { ticket, job })),
                        None => ticket.complete(Outcome::Failed(Refusal::ShuttingDown.into())),
                    }
                }
                Err(error) => ticket.complete(Outcome::Failed(as_task_error(error))),
            }
        });
    }

    /// Those that were cancelled meanwhile are left out.
    fn submit(&self, mut batch: Batch) {
        batch.retain(|(ticket, _)| {
            let is_wanted = !ticket.is_cancelled();
            if !is_wanted {
                ticket.complete(Outcome::Failed(TaskError::Cancelled));
            }
            is_wanted
        });
        if batch.is_empty() {
            return;
        }
        let pump = self.clone();
        tokio::spawn(async move {
            let (tickets, works): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            match pump.store.submit(works).await {
                Ok(taken) => tickets.into_iter().zip(taken).for_each(|(ticket, taken)| pump.submitted(ticket, taken)),
                Err(error) => {
                    let failed = |ticket: Arc<Ticket>| ticket.complete(Outcome::Failed(as_task_error(error.clone())));
                    tickets.into_iter().for_each(failed);
                }
            }
        });
    }

    fn submitted(&self, ticket: Arc<Ticket>, taken: Result<Submitted, Error>) {
        ticket.is_confirmed();
        match taken {
            Ok(Submitted::Taken(_)) => {
                // The store may have seen the cancel before the job.
                if ticket.is_cancelled() {
                    self.cancel(ticket);
                } else if ticket.is_wanted() {
                    let following = tokio::spawn(self.clone().end_of(ticket.clone()));
                    ticket.is_followed_by(following.abort_handle());
                }
            }
            Ok(Submitted::Held(_)) => ticket.complete(Outcome::Failed(Refusal::Duplicate.into())),
            Err(error) => ticket.complete(Outcome::Failed(as_task_error(error))),
        }
    }

    /// A job that never was, or has ended, is as good as cancelled.
    fn cancel(&self, ticket: Arc<Ticket>) {
        let store = self.store.clone();
        tokio::spawn(async move {
            let _ = store.cancel(ticket.id()).await;
        });
    }

    /// Waits for the end of a job.
    async fn end_of(self, ticket: Arc<Ticket>) {
        let outcome = loop {
            match self.store.ended(ticket.id(), LONGEST_QUESTION).await {
                Ok(None) => {}
                Ok(Some(end)) => break self.outcome(end).await,
                Err(error) => break Outcome::Failed(as_task_error(error)),
            }
        };
        if let Some(cell) = ticket.listener()
            && let Ok(status) = self.store.changed(ticket.id(), 0, Duration::ZERO).await
            && let Some(last) = status.progress
        {
            cell.set(last);
        }
        ticket.complete(outcome);
    }

    async fn outcome(&self, end: JobEnd) -> Outcome {
        match end {
            JobEnd::Cancelled => Outcome::Failed(TaskError::Cancelled),
            JobEnd::Dead(error) => Outcome::Failed(payload::as_error(&error)),
            JobEnd::Done(result) => match payload::unpack(&result, self.blobs.as_ref()).await {
                Ok(packed) => Outcome::Done(packed),
                Err(error) => Outcome::Failed(TaskError::failed(error)),
            },
        }
    }

    /// Fetches words of progress for as long as somebody listens and the job has not ended.
    fn listen(&self, ticket: Arc<Ticket>) {
        let store = self.store.clone();
        tokio::spawn(async move {
            let mut seen = 0;
            while let Some(cell) = ticket.listener() {
                match store.changed(ticket.id(), seen, LONGEST_QUESTION).await {
                    Ok(status) => {
                        seen = status.version;
                        if let Some(progress) = status.progress {
                            cell.set(progress);
                        }
                        if status.state.is_end() {
                            return;
                        }
                    }
                    // It is not submitted yet.
                    Err(Error::NoSuchJob { .. }) if seen == 0 => tokio::time::sleep(UNTIL_SUBMITTED).await,
                    Err(_) => return,
                }
            }
        });
    }
}

/// Between two looks for a job that somebody listens to before it was submitted.
const UNTIL_SUBMITTED: Duration = Duration::from_millis(1);
