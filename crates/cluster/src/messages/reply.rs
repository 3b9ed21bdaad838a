//! [`Reply`]: the right to answer a request.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::{Desk, Failure, Kind, Letter, Member, SEND_DEADLINE, encode};
use crate::Error;

/// The right to answer one request, once. Clones are the same right. When the last is dropped unused, the asker is told that there
/// will be no answer.
#[derive(Clone)]
pub struct Reply {
    right: Arc<Right>,
}

struct Right {
    desk: Arc<Desk>,
    asker: Member,
    id: u64,
    used: AtomicBool,
}

impl Reply {
    pub(crate) fn new(desk: Arc<Desk>, asker: Member, id: u64) -> Reply {
        Reply { right: Arc::new(Right { desk, asker, id, used: AtomicBool::new(false) }) }
    }

    /// Answers. An asker that has given up or ended does not hear it; that is no error.
    ///
    /// Errors: [`Error::Message`] if the answer cannot be encoded (the right is not used then) or was given before.
    pub async fn send<T: Serialize + ?Sized>(&self, answer: &T) -> Result<(), Error> {
        let body = encode(answer)?;
        let Right { desk, asker, id, used } = &*self.right;
        if used.swap(true, Ordering::Relaxed) {
            return Err(Error::Message { why: "this request was answered before".into() });
        }
        desk.post(Letter::new(*asker, Kind::Answer { id: *id }, body)).written(SEND_DEADLINE).await
    }
}

impl Drop for Right {
    fn drop(&mut self) {
        if !*self.used.get_mut() {
            let kind = Kind::Failed { id: self.id, why: Failure::Unanswered };
            self.desk.post(Letter::bare(self.asker, kind));
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply(to {}, request {})", self.right.asker, self.right.id)
    }
}
