//! [`Queue`]: a lane with the manners of waiting: look first, sleep then, let others have their turn.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::task::coop::poll_proceed;

use crate::port::blocking::wait_for;
use crate::port::lane::Lane;
use crate::port::spin::Spin;
use crate::port::waiters::Ticket;
use crate::port::{Closed, PostError};

pub(crate) struct Queue<T> {
    lane: Lane<T>,
    receiving: Spin,
    sending: Spin,
}

impl<T> Queue<T> {
    pub(crate) fn new(bound: usize) -> Queue<T> {
        Queue { lane: Lane::new(bound), receiving: Spin::default(), sending: Spin::default() }
    }

    pub(crate) fn lane(&self) -> &Lane<T> {
        &self.lane
    }

    pub(crate) fn try_post(&self, value: T) -> Result<(), PostError<T>> {
        self.lane.try_push(value)
    }

    pub(crate) async fn post(&self, value: T) -> Result<(), PostError<T>> {
        self.sending.look(|| self.lane.is_settled_for_senders()).await;
        let mut slot = Some(value);
        self.push(&mut slot).await
    }

    pub(crate) fn post_blocking(&self, value: T, deadline: Duration) -> Result<(), PostError<T>> {
        self.sending.look_blocking(|| self.lane.is_settled_for_senders());
        let mut slot = Some(value);
        let posted = wait_for(self.push(&mut slot), deadline);
        match (posted, slot) {
            (Some(result), _) => result,
            (None, Some(value)) => Err(PostError::Full(value)),
            (None, None) => Ok(()),
        }
    }

    async fn push(&self, slot: &mut Option<T>) -> Result<(), PostError<T>> {
        let mut place = SenderPlace { lane: &self.lane, ticket: Ticket::default() };
        poll_fn(|context| {
            // A task that posts and posts lets the others of its thread have their turn.
            let turn = ready!(poll_proceed(context));
            let pushed = ready!(place.lane.poll_push(context, &mut place.ticket, slot));
            turn.made_progress();
            Poll::Ready(pushed)
        })
        .await
    }

    pub(crate) fn try_recv(&self) -> Result<Option<T>, Closed> {
        self.try_take(VecDeque::pop_front)
    }

    pub(crate) async fn recv(&self) -> Option<T> {
        self.take(VecDeque::pop_front).await
    }

    pub(crate) fn recv_blocking(&self, deadline: Duration) -> Result<Option<T>, Closed> {
        self.take_blocking(VecDeque::pop_front, deadline)
    }

    pub(crate) fn try_take<R>(&self, take: impl FnOnce(&mut VecDeque<T>) -> Option<R>) -> Result<Option<R>, Closed> {
        match self.lane.try_take(take) {
            Poll::Ready(Some(taken)) => Ok(Some(taken)),
            Poll::Ready(None) => Err(Closed),
            Poll::Pending => Ok(None),
        }
    }

    pub(crate) async fn take<R>(&self, take: impl Fn(&mut VecDeque<T>) -> Option<R>) -> Option<R> {
        self.receiving.look(|| self.lane.is_settled_for_receivers()).await;
        self.pull(take).await
    }

    pub(crate) fn take_blocking<R>(
        &self,
        take: impl Fn(&mut VecDeque<T>) -> Option<R>,
        deadline: Duration,
    ) -> Result<Option<R>, Closed> {
        self.receiving.look_blocking(|| self.lane.is_settled_for_receivers());
        match wait_for(self.pull(take), deadline) {
            Some(Some(taken)) => Ok(Some(taken)),
            Some(None) => Err(Closed),
            None => Ok(None),
        }
    }

    async fn pull<R>(&self, take: impl Fn(&mut VecDeque<T>) -> Option<R>) -> Option<R> {
        let mut place = ReceiverPlace { lane: &self.lane, ticket: Ticket::default() };
        poll_fn(|context| {
            // A port that never runs empty lets the other tasks of its thread have their turn.
            let turn = ready!(poll_proceed(context));
            let taken = ready!(place.lane.poll_take(context, &mut place.ticket, &take));
            turn.made_progress();
            Poll::Ready(taken)
        })
        .await
    }
}

/// A place in the line of those who receive; given up when the wait is cancelled.
struct ReceiverPlace<'a, T> {
    lane: &'a Lane<T>,
    ticket: Ticket,
}

impl<T> Drop for ReceiverPlace<'_, T> {
    fn drop(&mut self) {
        self.lane.receiver_left(&mut self.ticket);
    }
}

/// A place in the line of those who send; given up when the wait is cancelled.
struct SenderPlace<'a, T> {
    lane: &'a Lane<T>,
    ticket: Ticket,
}

impl<T> Drop for SenderPlace<'_, T> {
    fn drop(&mut self) {
        self.lane.sender_left(&mut self.ticket);
    }
}
