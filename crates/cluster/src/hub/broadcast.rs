//! Broadcasts: one message to all workers, of which one may not take its messages.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::relay::{Breach, Relay};
use crate::WorkerId;
use crate::messages::{Body, Kind, Letter, Member, SEND_DEADLINE};

/// What became of news to one worker.
enum Reached {
    Yes,
    Full,
    No,
}

impl Relay {
    /// Sends a body to all workers but its sender; how many it has reached.
    ///
    /// It waits for those that do not take their news, but for each of them only once: until it takes something, it is
    /// left out.
    pub(crate) async fn broadcast(&self, from: Member, body: Body) -> usize {
        let until = Instant::now() + SEND_DEADLINE;
        let mut waiting: Vec<WorkerId> = self.workers().into_iter().map(|(worker, _)| worker).collect();
        waiting.retain(|worker| Member::Worker(*worker) != from);
        let mut reached = 0;
        loop {
            let room = self.room.notified();
            let mut room = std::pin::pin!(room);
            room.as_mut().enable();
            waiting.retain(|worker| match self.tell_news(from, *worker, &body) {
                Reached::Yes => {
                    reached += 1;
                    false
                }
                Reached::Full => true,
                Reached::No => false,
            });
            if waiting.is_empty() {
                return reached;
            }
            if tokio::time::timeout_at(until, room).await.is_err() {
                let mut state = self.state();
                for worker in waiting {
                    if let Some(seat) = state.seats.get_mut(&worker) {
                        seat.stalled = true;
                    }
                }
                return reached;
            }
        }
    }

    fn tell_news(&self, from: Member, worker: WorkerId, body: &Body) -> Reached {
        let line = match self.state().seats.get_mut(&worker) {
            Some(seat) if seat.news.has_room() => {
                seat.news.add(body.len());
                Arc::clone(&seat.line)
            }
            Some(seat) if seat.stalled => return Reached::No,
            Some(_) => return Reached::Full,
            None => return Reached::No,
        };
        line.post(Letter::new(from, Kind::News, body.clone()));
        Reached::Yes
    }

    pub(super) fn begin_broadcast(self: &Arc<Self>, from: Member, id: u64, body: Body) -> Result<(), Breach> {
        let Member::Worker(worker) = from else { return Err(Breach("the primary's code broadcasts by itself")) };
        let turns = self.state().seats.get(&worker).map(|seat| Arc::clone(&seat.broadcasts));
        let turn: Option<OwnedSemaphorePermit> = turns.and_then(|turns| turns.try_acquire_owned().ok());
        let turn = turn.ok_or(Breach("too many broadcasts at once"))?;
        let relay = Arc::clone(self);
        tokio::spawn(async move {
            let reached = relay.broadcast(from, body).await;
            drop(turn);
            relay.answer(from, id, &reached);
        });
        Ok(())
    }
}
