//! [`Answer`]: an answer on its way to who asked.

use std::sync::Weak;

use super::link::Link;
use crate::Error;
use crate::embedded::words::Reply;

/// An answer. Leases in it that nobody takes, because who asked is gone, are handed back.
pub(super) struct Answer {
    reply: Option<Result<Reply, Error>>,
    link: Weak<Link>,
}

impl Answer {
    pub(super) fn new(reply: Result<Reply, Error>, link: Weak<Link>) -> Answer {
        Answer { reply: Some(reply), link }
    }

    pub(super) fn take(mut self) -> Result<Reply, Error> {
        self.reply.take().unwrap_or(Err(Error::Closed))
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(Ok(Reply::Leases(leases))) = self.reply.take()
            && !leases.is_empty()
            && let Some(link) = self.link.upgrade()
        {
            link.hand_back(leases.into_iter().map(|lease| lease.token).collect());
        }
    }
}
