//! A worker's end of the dispatcher: claims what is offered, as fast as it can be served.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use phalanx_channel::{Packets, Received, Watched};
use tokio::sync::watch;

use super::claims::{Claims, Ticket};
use super::link::{FromDesk, ToDesk};
use crate::Error;
use crate::lifeline::Life;
use crate::passed::{Passed, Sender};

/// When the whole cluster stops: longest wait for the dispatcher to hand over what waits in the backlog. It gives up
/// earlier by itself.
const LAST_WORD_DEADLINE: Duration = Duration::from_secs(6);

/// The same when the primary is gone.
const ORPHAN_LAST_WORD_DEADLINE: Duration = Duration::from_millis(800);

/// The desk of this worker.
pub(crate) struct Intake {
    /// For readiness only; shares the socket of `link`.
    readiness: Watched,
    link: Packets,
    claims: Claims,
    life: watch::Receiver<Life>,
    open: bool,
}

impl Intake {
    /// Must be called inside a runtime.
    pub(crate) fn new(desk: OwnedFd, claims: OwnedFd, life: watch::Receiver<Life>) -> Result<Intake, Error> {
        let link = Packets::from_descriptor(desk)?;
        let copy = link.as_fd().try_clone_to_owned();
        let readiness = copy.and_then(Watched::for_reading).map_err(Error::system("watch the dispatcher's link"))?;
        let claims = Claims::open(claims).map_err(Error::system("open the claims"))?;
        Ok(Intake { readiness, link, claims, life, open: false })
    }

    /// Takes connections, from when this worker is admitted and somebody wants them, until it leaves.
    pub(crate) async fn run(mut self, passed: Arc<Passed>, mut admitted: watch::Receiver<bool>) {
        let mut life = self.life.clone();
        let opened = async {
            let sender = passed.sender().await?;
            admitted.wait_for(|admitted| *admitted).await.ok()?;
            Some(sender)
        };
        let sender = tokio::select! {
            sender = opened => sender,
            _ = life.wait_for(|life| *life != Life::Serving) => None,
        };
        if let Some(sender) = sender {
            self.open = true;
            self.say(&FromDesk::Open);
            let leaves_alone = life.wait_for(|life| matches!(life, Life::Leaving { with_all: false, .. }));
            let mut all_leave = self.life.clone();
            let last_word = async move {
                let left = all_leave.wait_for(|life| *life != Life::Serving).await.map(|life| *life);
                match left {
                    Ok(Life::Orphaned { .. }) => tokio::time::sleep(ORPHAN_LAST_WORD_DEADLINE).await,
                    _ => tokio::time::sleep(LAST_WORD_DEADLINE).await,
                }
            };
            tokio::select! {
                () = self.take_all(&sender) => {}
                _ = leaves_alone => {}
                () = last_word => {}
            }
        }
        self.open = false;
        // What was offered and not claimed goes to others.
        self.say(&FromDesk::Shut);
    }

    /// Takes what is offered until no more will come.
    async fn take_all(&self, sender: &Sender) {
        loop {
            let Ok(mut ready) = self.readiness.readable().await else { return };
            match self.link.receive::<ToDesk>() {
                Ok(Received::Message(ToDesk::Hello, _)) => self.say(&FromDesk::Open),
                Ok(Received::Message(ToDesk::Offer(tickets), sockets)) => {
                    if self.take(tickets, sockets, sender).await.is_none() {
                        return;
                    }
                }
                Ok(Received::Nothing) => ready.clear_ready(),
                Ok(Received::Message(ToDesk::Last, _) | Received::Closed) => return,
                // Descriptors were lost, because we have too many open. The dispatcher has its own.
                Err(error) => {
                    tracing::warn!("connections of the dispatcher were not taken: {error}");
                    self.say(&FromDesk::Lost);
                }
            }
        }
    }

    /// Claims each when there is room for it, so that what is not claimed can still go to another worker.
    async fn take(&self, tickets: Vec<Ticket>, sockets: Vec<OwnedFd>, sender: &Sender) -> Option<()> {
        let mut looked = false;
        for (ticket, socket) in tickets.into_iter().zip(sockets) {
            let room = match sender.room_now() {
                Some(room) => room,
                None => {
                    if std::mem::take(&mut looked) {
                        self.say(&FromDesk::Looked);
                    }
                    sender.room().await?
                }
            };
            // From here on it is ours, or was never: then it is dropped, and the dispatcher has its own copy.
            if self.claims.claim(ticket) {
                room.fill(socket);
            }
            looked = true;
        }
        if looked {
            self.say(&FromDesk::Looked);
        }
        Some(())
    }

    /// A dispatcher that does not read has not more than this to hear: that there is something to look at.
    fn say(&self, word: &FromDesk) {
        let _ = self.link.send(word, &[]);
    }
}
