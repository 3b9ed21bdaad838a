//! The clock of one request: how long it may take, if that is limited, and how long it took.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

/// Costs a look at the clock; a timer is set only for a request that is limited and has to wait.
#[derive(Debug)]
pub(super) struct RequestClock {
    began: Instant,
    limit: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl RequestClock {
    pub(super) fn start(limit: Option<Duration>) -> RequestClock {
        RequestClock { began: Instant::now(), limit, timer: None }
    }

    /// The same clock, for the next part of the request.
    pub(super) fn go_on(&mut self) -> RequestClock {
        RequestClock { began: self.began, limit: self.limit, timer: self.timer.take() }
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Resolves when the request has taken too long. Never, if it is not limited.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        let Some(limit) = self.limit else { return Poll::Pending };
        let end = self.began + limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end.into())));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(limit)
    }
}
