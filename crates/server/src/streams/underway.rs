//! [`Underway`]: a stream from its begin to its end, as the scoreboard and the log tell it.

use super::failure::reason;
use http::HeaderValue;
use phalanx::Worker;
use phalanx::shared::Field;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// What a stream does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Compress,
    Decompress,
    Encrypt,
    Decrypt,
    Hash,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Operation::Compress => "compress",
            Operation::Decompress => "decompress",
            Operation::Encrypt => "encrypt",
            Operation::Decrypt => "decrypt",
            Operation::Hash => "hash",
        }
    }

    fn field(self) -> Field {
        match self {
            Operation::Compress => Field::StreamsCompress,
            Operation::Decompress => Field::StreamsDecompress,
            Operation::Encrypt => Field::StreamsEncrypt,
            Operation::Decrypt => Field::StreamsDecrypt,
            Operation::Hash => Field::StreamsHash,
        }
    }
}

/// Counts the bytes of one stream.
pub(super) struct Tally {
    worker: Worker,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

impl Tally {
    pub(super) fn took(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Relaxed);
        self.worker.scoreboard().add(Field::StreamBytesIn, bytes as u64);
    }

    pub(super) fn gave(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Relaxed);
        self.worker.scoreboard().add(Field::StreamBytesOut, bytes as u64);
    }

    pub(super) fn taken(&self) -> u64 {
        self.bytes_in.load(Relaxed)
    }
}

/// Counted until it is dropped; dropped without another word, its client is gone.
pub(super) struct Underway {
    operation: Operation,
    request: HeaderValue,
    begun: Instant,
    tally: Arc<Tally>,
    is_told: bool,
}

impl Underway {
    pub(super) fn begin(operation: Operation, request: HeaderValue, worker: &Worker) -> Underway {
        worker.scoreboard().add(Field::Streams, 1);
        worker.scoreboard().add(operation.field(), 1);
        let tally = Tally { worker: worker.clone(), bytes_in: AtomicU64::new(0), bytes_out: AtomicU64::new(0) };
        Underway { operation, request, begun: Instant::now(), tally: Arc::new(tally), is_told: false }
    }

    pub(super) fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// All of the answer was given.
    pub(super) fn done(mut self) {
        self.count(Field::StreamsDone);
        tracing::debug!(
            request = self.request(),
            operation = self.operation.name(),
            bytes_in = self.tally.taken(),
            bytes_out = self.given(),
            total_ms = self.milliseconds(),
            "a stream has ended"
        );
    }

    /// There is a problem before the answer has begun; it is told with the line of the request.
    pub(super) fn refused(mut self) {
        self.count(Field::StreamsRefused);
    }

    /// It failed in the middle of the answer.
    pub(super) fn cut(mut self, error: &phalanx_stream::Error) {
        self.count(Field::StreamsCut);
        tracing::warn!(
            request = self.request(),
            operation = self.operation.name(),
            bytes_in = self.tally.taken(),
            bytes_out = self.given(),
            total_ms = self.milliseconds(),
            error = reason(error),
            "an answer is cut in the middle"
        );
    }

    fn count(&mut self, field: Field) {
        self.is_told = true;
        self.tally.worker.scoreboard().add(field, 1);
    }

    fn request(&self) -> &str {
        self.request.to_str().unwrap_or("unknown")
    }

    fn given(&self) -> u64 {
        self.tally.bytes_out.load(Relaxed)
    }

    fn milliseconds(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        if !self.is_told {
            self.count(Field::StreamsAbandoned);
            tracing::info!(
                request = self.request(),
                operation = self.operation.name(),
                bytes_in = self.tally.taken(),
                bytes_out = self.given(),
                total_ms = self.milliseconds(),
                "a stream is given up: its client is gone, or its time is over"
            );
        }
        self.tally.worker.scoreboard().subtract(Field::Streams, 1);
    }
}
