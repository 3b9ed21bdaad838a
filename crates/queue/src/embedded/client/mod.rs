//! The client: one connection of a handle to the owner of a folder.
//!
//! ```text
//!   caller ── encodes, writes ──────────► socket ─► owner        who calls writes itself, if nobody else is at it:
//!     ▲                                     │                     one wake-up less, and many callers become one write
//!     └── oneshot ◄── keeper (Io thread) ◄──┘
//!                       │ end of the socket: connect again, or start an owner; say which leases are held;
//!                       └─ repeat what was not answered; go on consuming
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `link` | what callers and keeper share: what waits for an answer, what is held |
//! | `line` | the way out: bytes on their way into the socket |
//! | `keeper` | the task that reads, reconnects, and watches deadlines |
//! | `reach` | connecting, and starting an owner |
//! | `broker`, `consumer`, `store` | [`Broker`](crate::Broker) and [`JobStore`](crate::job::JobStore) |

mod answer;
mod broker;
mod consumer;
mod keeper;
mod line;
mod link;
mod reach;
mod store;

use std::sync::Arc;
use std::time::Duration;

use crate::embedded::frames::FRAME_AIM;
use crate::embedded::words::{Reply, Request};
use crate::io::Io;
use crate::queue::Backend;
use crate::url::{Place, QueueUrl};
use crate::{Error, JobId, blobs};
use link::{Holds, Link};

/// For messages to people.
pub(crate) const NAME: &str = "the embedded queue";

/// How long a connect may take, the start of an owner included: 10 s.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take, beside what the call itself waits: 30 s.
const ANSWER: Duration = Duration::from_secs(30);

/// A handle on an embedded queue. Its consumers share it, so that it lives as long as they do.
#[derive(Clone)]
pub(crate) struct Client(Arc<Handle>);

struct Handle {
    link: Arc<Link>,
    /// Where the keeper runs.
    io: Io,
}

/// Connects to the owner of the URL's folder; starts one if there is none.
///
/// Settings: `timeout=SECONDS`, the time after which a call without an answer is [`Error::Unavailable`], default 30.
pub(crate) async fn connect(url: &QueueUrl) -> Result<Backend, Error> {
    let bad = |reason: String| Error::BadUrl { url: format!("{url:?}"), reason };
    let Place::Embedded(folder) = &url.place else { return Err(bad("it is not an embedded queue".to_owned())) };
    let folder = std::path::absolute(folder).map_err(|error| bad(error.to_string()))?;
    let patience = match url.setting("timeout").map(str::parse::<f64>) {
        None => ANSWER,
        Some(Ok(seconds)) if (0.1..=3600.0).contains(&seconds) => Duration::from_secs_f64(seconds),
        Some(_) => return Err(bad("timeout is a number of seconds, 0.1 to 3600".to_owned())),
    };
    let blobs = blobs::of(url, Some(folder.join("blobs")))?;
    let io = Io::start("queue-embedded")?;
    let link = Arc::new(Link::new(JobId::new(), folder, patience));
    let reached = {
        let link = link.clone();
        let first = async move { reach::reach(&link.folder, link.handle, Vec::new(), reach::Urgency::Now).await };
        io.run(first).await?
    };
    io.handle().spawn(keeper::keep(link.clone(), reached));
    let client = Arc::new(Client(Arc::new(Handle { link, io })));
    Ok(Backend { broker: client.clone(), store: client, blobs })
}

impl Client {
    async fn done(&self, request: Request) -> Result<(), Error> {
        match self.0.link.ask(request, Holds::Nothing).await? {
            Reply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    async fn count(&self, request: Request) -> Result<u64, Error> {
        match self.0.link.ask(request, Holds::Nothing).await? {
            Reply::Count(count) => Ok(count),
            other => Err(unexpected(&other)),
        }
    }
}

/// An answer to something else.
fn unexpected(reply: &Reply) -> Error {
    let mut reason = format!("{reply:?}");
    reason.truncate(reason.char_indices().nth(80).map_or(reason.len(), |(at, _)| at));
    Error::Malformed { what: "the answer of the queue's owner".to_owned(), reason }
}

/// All of these in pieces whose frames are not too long, in their order. One that is too long by itself is in its own piece.
fn pieces<T>(all: Vec<T>, bytes_of: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let (mut pieces, mut piece, mut bytes) = (Vec::new(), Vec::new(), 0);
    for one in all {
        let more = bytes_of(&one);
        if bytes + more > FRAME_AIM && !piece.is_empty() {
            pieces.push(std::mem::take(&mut piece));
            bytes = 0;
        }
        bytes += more;
        piece.push(one);
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.link.hang_up();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_divided_in_order_and_nothing_is_lost() {
        let sizes = vec![1, FRAME_AIM, 5, FRAME_AIM * 2, 7, 8];
        let divided = pieces(sizes.clone(), |size| *size);
        assert_eq!(divided, [vec![1], vec![FRAME_AIM], vec![5], vec![FRAME_AIM * 2], vec![7, 8]]);
        assert!(pieces(Vec::<usize>::new(), |size| *size).is_empty());
    }
}
