//! [`Connection`]: the worker's handle on the queue: made in the background, so that a broker that cannot be reached keeps no
//! request waiting that does not need it.

use crate::config::{QueueAt, Queueing};
use crate::problem::{Code, Problem};
use phalanx_queue::{Error, Queue, QueueName, QueueOptions};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// How long a request waits for the very first attempt to connect.
const FIRST_ATTEMPT: Duration = Duration::from_secs(5);
/// From one attempt to connect to the next at first; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The queue of this worker, as far as there is one.
pub(crate) struct Connection {
    at: Option<QueueAt>,
    state: watch::Receiver<State>,
}

#[derive(Clone)]
enum State {
    Connecting,
    /// The last attempt failed; the next one comes.
    Failed(Error),
    Connected(Queue),
}

impl Connection {
    /// Begins to connect. Within a runtime.
    pub(crate) fn begin(queueing: &Queueing) -> Connection {
        let (told, state) = watch::channel(State::Connecting);
        if let Some(at) = queueing.queue.clone() {
            tokio::spawn(connect(at, bounds(queueing), told));
        }
        Connection { at: queueing.queue.clone(), state }
    }

    /// Whether this server has a queue.
    pub(crate) fn is_wanted(&self) -> bool {
        self.at.is_some()
    }

    /// The queue, for a request.
    pub(crate) async fn queue(&self) -> Result<Queue, Problem> {
        if !self.is_wanted() {
            return Err(no_queue());
        }
        let mut state = self.state.clone();
        // Whatever came of it is in the state.
        let _ = timeout(FIRST_ATTEMPT, state.wait_for(|state| !matches!(state, State::Connecting))).await;
        match &*self.state.borrow() {
            State::Connected(queue) => Ok(queue.clone()),
            // Why is in the log, and in `/readyz`.
            State::Connecting | State::Failed(_) => {
                Err(Problem::new(Code::QueueUnavailable, "the queue cannot be used at the moment; it is tried again")
                    .retry_after(FIRST_PAUSE))
            }
        }
    }

    /// The queue, as soon as there is one; `None` if there never will be.
    pub(crate) async fn connected(&self) -> Option<Queue> {
        let mut state = self.state.clone();
        match &*state.wait_for(|state| matches!(state, State::Connected(_))).await.ok()? {
            State::Connected(queue) => Some(queue.clone()),
            _ => None,
        }
    }

    /// The queue, if it is there now.
    pub(crate) fn present(&self) -> Option<Queue> {
        match &*self.state.borrow() {
            State::Connected(queue) => Some(queue.clone()),
            _ => None,
        }
    }

    /// For `/readyz`.
    pub(crate) fn state(&self) -> Value {
        let Some(at) = &self.at else { return json!({ "state": "none" }) };
        match &*self.state.borrow() {
            State::Connecting => json!({ "state": "connecting", "url": at.to_string() }),
            State::Failed(error) => {
                json!({ "state": "unreachable", "url": at.to_string(), "error": error.to_string() })
            }
            State::Connected(queue) => {
                json!({ "state": "connected", "url": at.to_string(), "broker": queue.store().name() })
            }
        }
    }
}

/// There is no queue here.
pub(crate) fn no_queue() -> Problem {
    Problem::new(
        Code::NoQueue,
        "this server was started without a queue (queue = \"none\"); ask without Prefer and Idempotency-Key",
    )
}

async fn connected(at: &QueueAt, bounds: &[QueueOptions]) -> Result<Queue, Error> {
    let queue = Queue::connect(at.as_str()).await?;
    for options in bounds {
        queue.declare(options).await?;
    }
    Ok(queue)
}

/// How the queues are to be declared, if they are.
fn bounds(queueing: &Queueing) -> Vec<QueueOptions> {
    let Some(limit) = queueing.limit else { return Vec::new() };
    let options = |name: &QueueName| QueueOptions::new(name.clone()).map(|options| options.max_messages(limit)).ok();
    queueing.names.iter().filter_map(options).collect()
}

/// Connects, however long it takes. From then on the handle connects again by itself.
async fn connect(at: QueueAt, bounds: Vec<QueueOptions>, told: watch::Sender<State>) {
    let mut pause = FIRST_PAUSE;
    let mut before = None;
    loop {
        match connected(&at, &bounds).await {
            Ok(queue) => {
                tracing::debug!(queue = %at, broker = queue.store().name(), "the queue is connected");
                told.send_replace(State::Connected(queue));
                // Whoever asks later finds it.
                told.closed().await;
                return;
            }
            Err(error) => {
                if before.as_ref() != Some(&error) {
                    tracing::warn!(queue = %at, "the queue cannot be used, it is tried again and again: {error}");
                }
                before = Some(error.clone());
                told.send_replace(State::Failed(error));
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
