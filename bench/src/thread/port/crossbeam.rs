//! Two channels of crossbeam, which blocks threads.

use measuring::{During, Failure};

use super::QUEUED_AT_MOST;
use super::sides::{count, send_back};
use crate::Task;
use crate::figures::Figures;

pub(super) fn measure<T: Send + 'static>(task: Task, value: T) -> Result<Figures, Failure> {
    let (to_peer, at_peer) = crossbeam_channel::bounded(QUEUED_AT_MOST);
    let (to_us, at_us) = crossbeam_channel::bounded(QUEUED_AT_MOST);
    std::thread::spawn(move || {
        send_back(task, || {
            let value: T = at_peer.recv().during("receive")?;
            to_us.send(value).during("send back")
        })
    });
    count(task, value, |value| {
        to_peer.send(value).during("send")?;
        at_us.recv().during("receive")
    })
}
