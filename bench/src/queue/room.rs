//! [`Room`]: at most so many messages between the beginning of `send` and the acknowledgement.

use std::sync::Arc;
use std::time::{Duration, Instant};

use measuring::{During, Failure};
use tokio::sync::Semaphore;

/// What is still inside when the time is over is waited for so long.
const EMPTY_WITHIN: Duration = Duration::from_secs(5);

/// Shared by those who send and those who acknowledge.
#[derive(Clone)]
pub(crate) struct Room {
    places: Arc<Semaphore>,
    size: u32,
}

impl Room {
    pub(crate) fn new(size: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(size)), size: u32::try_from(size).unwrap_or(u32::MAX) }
    }

    pub(crate) async fn enter(&self) -> Result<(), Failure> {
        self.places.acquire().await.during("send a message")?.forget();
        Ok(())
    }

    pub(crate) fn leave(&self) {
        self.places.add_permits(1);
    }

    /// Returns when nobody is inside any more.
    pub(crate) async fn wait_until_empty(&self) -> Result<(), Failure> {
        let all = tokio::time::timeout(EMPTY_WITHIN, self.places.acquire_many(self.size)).await;
        all.map(drop).map_err(|_| Failure::new(format!("messages did not come back within {EMPTY_WITHIN:?}")))
    }
}

/// When a message was sent, as the first bytes of its body: only the process that sent it understands.
pub(crate) struct Stamp {
    origin: Instant,
}

impl Stamp {
    pub(crate) fn new() -> Self {
        Self { origin: Instant::now() }
    }

    /// A body that says when.
    pub(crate) fn body(&self, start: Instant) -> Vec<u8> {
        let mut body = vec![b'x'; crate::PAYLOAD_BYTES];
        let nanoseconds = u64::try_from((start - self.origin).as_nanos()).unwrap_or(u64::MAX);
        body[..8].copy_from_slice(&nanoseconds.to_be_bytes());
        body
    }

    /// When the message with this body was sent.
    pub(crate) fn start(&self, body: &[u8]) -> Result<Instant, Failure> {
        let (bytes, _) = body.split_first_chunk().ok_or_else(|| Failure::new("a message came back shorter"))?;
        Ok(self.origin + Duration::from_nanos(u64::from_be_bytes(*bytes)))
    }
}
