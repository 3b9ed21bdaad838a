//! [`Line`]: one end of the connection between a worker and the hub. Posting never waits.
//!
//! A letter goes to the kernel at once if nothing waits before it and it is small; else it waits here, and a task writes it. The windows bound what
//! can wait; [`MOST_LETTERS`] and [`MOST_ANSWER_BYTES`] hold against a worker that keeps to none.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use phalanx_channel::{Attachments, Channel, DescriptorPolicy, End, Options};
use tokio::sync::Notify;

use super::{Body, Failure, Kind, LARGEST_MESSAGE, Letter};
use crate::Error;

/// Bodies from this size on travel beside their letter: from there on the channel may carry them in shared memory.
const BESIDE_FROM: usize = 64 * 1024;

/// Letters with a smaller body may be given to the kernel at once: it takes all of one or nothing (a Unix socket cuts at 32 KiB).
const AT_ONCE_BELOW: usize = 16 * 1024;

/// Room for a letter beside its body.
const LETTER_BYTES: usize = 64;

/// Letters that may wait: what well-behaved members can have under way to one of them, many times over.
const MOST_LETTERS: usize = 256 * 1024;

/// While so many bytes wait, an answer is replaced by the word that there is none.
const MOST_ANSWER_BYTES: usize = LARGEST_MESSAGE;

/// The kernel's word is waited for as long as the peer lives: the supervisor ends workers that hang.
const WHILE_THE_PEER_LIVES: Duration = Duration::from_secs(u32::MAX as u64);

#[derive(Debug)]
pub(crate) struct Line {
    channel: Channel<Letter, Letter>,
    outgoing: Mutex<Outgoing>,
    /// Something waits to be written.
    bell: Notify,
    /// Something was written, or nothing more can be.
    progress: Notify,
}

#[derive(Debug, Default)]
struct Outgoing {
    waiting: VecDeque<Letter>,
    waiting_bytes: usize,
    /// Number of the last letter posted, and of the last that the kernel has.
    posted: u64,
    written: u64,
    closed: bool,
}

impl Line {
    /// Begins to use the socket, and starts the task that writes what waits. Must be called inside a runtime.
    pub(crate) fn open(socket: OwnedFd) -> Result<Arc<Line>, Error> {
        let options = Options::default()
            .largest_message(LARGEST_MESSAGE + LETTER_BYTES)
            .descriptors(DescriptorPolicy::Accept)
            .send_deadline(WHILE_THE_PEER_LIVES);
        let channel = End::from_descriptor(socket)?.open_with(options)?;
        let line = Arc::new(Line { channel, outgoing: Mutex::default(), bell: Notify::new(), progress: Notify::new() });
        tokio::spawn(write(Arc::clone(&line)));
        Ok(line)
    }

    /// Posts a letter, after those that were posted before; its number. It is lost if the line is closed.
    pub(crate) fn post(&self, mut letter: Letter) -> u64 {
        let mut outgoing = self.outgoing();
        if outgoing.closed {
            return outgoing.posted;
        }
        outgoing.posted += 1;
        let at_once = outgoing.written + 1 == outgoing.posted;
        if at_once && letter.descriptor.is_none() && letter.body.len() < AT_ONCE_BELOW {
            match self.channel.try_send(&letter) {
                Ok(()) => {
                    outgoing.written += 1;
                    return outgoing.posted;
                }
                Err(phalanx_channel::Error::Full) => {}
                Err(_) => {
                    drop(outgoing);
                    self.close();
                    return 0;
                }
            }
        }
        if let Kind::Answer { id } = letter.kind
            && outgoing.waiting_bytes + letter.body.len() > MOST_ANSWER_BYTES.max(letter.body.len())
        {
            letter = Letter::bare(letter.member, Kind::Failed { id, why: Failure::TooMuch });
        }
        outgoing.waiting_bytes += letter.body.len();
        outgoing.waiting.push_back(letter);
        let number = outgoing.posted;
        if outgoing.waiting.len() > MOST_LETTERS {
            drop(outgoing);
            tracing::error!("a worker takes nothing from its message line, but asks for more: the line is closed");
            self.close();
        }
        self.bell.notify_one();
        number
    }

    /// Waits until the kernel has the letter of this number; false if it never will.
    pub(crate) async fn written(&self, number: u64) -> bool {
        loop {
            let progress = self.progress.notified();
            let mut progress = std::pin::pin!(progress);
            progress.as_mut().enable();
            {
                let outgoing = self.outgoing();
                if outgoing.written >= number {
                    return true;
                }
                if outgoing.closed {
                    return false;
                }
            }
            progress.await;
        }
    }

    /// Waits until the kernel has everything that was posted.
    pub(crate) async fn flush(&self) -> bool {
        let posted = self.outgoing().posted;
        self.written(posted).await
    }

    /// The next letter; nothing when the peer is gone and all that it sent was received.
    pub(crate) async fn next(&self) -> Option<Letter> {
        loop {
            match self.channel.recv().await {
                Ok(Some(message)) => {
                    let mut letter = message.value;
                    if !message.payload.is_empty() {
                        letter.body = Body::new(message.payload);
                    }
                    letter.descriptor = message.descriptors.into_iter().next();
                    return Some(letter);
                }
                Ok(None) => return None,
                // One connection did not fit into this process. Its sender takes it back after its deadline.
                Err(error @ phalanx_channel::Error::DescriptorsLost) => tracing::warn!("{error}"),
                Err(error) => {
                    tracing::error!("what came on a message line is no letter: {error}");
                    return None;
                }
            }
        }
    }

    /// Drops what waits; nothing more is sent.
    pub(crate) fn close(&self) {
        let mut outgoing = self.outgoing();
        outgoing.closed = true;
        outgoing.waiting = VecDeque::new();
        drop(outgoing);
        self.progress.notify_waiters();
        self.bell.notify_one();
    }

    fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what waits until the line is closed.
async fn write(line: Arc<Line>) {
    loop {
        let (letters, closed) = {
            let mut outgoing = line.outgoing();
            (std::mem::take(&mut outgoing.waiting), outgoing.closed)
        };
        if closed {
            return;
        }
        if letters.is_empty() {
            line.bell.notified().await;
            continue;
        }
        let count = letters.len() as u64;
        let mut bytes = 0;
        let mut outcome = Ok(());
        for mut letter in letters {
            bytes += letter.body.len();
            outcome = match (letter.descriptor.take(), letter.body.len()) {
                (None, ..BESIDE_FROM) => line.channel.feed(&letter).await,
                (descriptor, _) => {
                    let body = std::mem::take(&mut letter.body);
                    let mut beside = Attachments::payload(&body);
                    if let Some(descriptor) = descriptor {
                        beside = beside.descriptor(descriptor);
                    }
                    line.channel.send_with(&letter, beside).await
                }
            };
            if outcome.is_err() {
                break;
            }
        }
        if outcome.is_err() || line.channel.flush().await.is_err() {
            return line.close();
        }
        {
            let mut outgoing = line.outgoing();
            outgoing.written += count;
            outgoing.waiting_bytes -= bytes;
        }
        line.progress.notify_waiters();
    }
}
