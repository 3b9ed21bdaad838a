//! Two channels of tokio, an event loop on either side.

use measuring::{During, Failure};
use tokio::sync::mpsc;

use super::sides::{count_awaited, send_back_awaited};
use super::{QUEUED_AT_MOST, ended, event_loop};
use crate::Task;
use crate::figures::Figures;

pub(super) fn measure<T: Send + 'static>(task: Task, value: T) -> Result<Figures, Failure> {
    let (to_peer, mut at_peer) = mpsc::channel::<T>(QUEUED_AT_MOST);
    let (to_us, mut at_us) = mpsc::channel(QUEUED_AT_MOST);
    std::thread::spawn(move || {
        event_loop()?.block_on(send_back_awaited(task, async || {
            let value = at_peer.recv().await.ok_or_else(ended)?;
            to_us.send(value).await.during("send back")
        }))
    });
    event_loop()?.block_on(count_awaited(task, value, async |value| {
        to_peer.send(value).await.during("send")?;
        at_us.recv().await.ok_or_else(ended)
    }))
}
