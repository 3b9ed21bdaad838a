//! Messages of a program that are not Node's own: to others of its kind, or to whoever runs the cluster.

use phalanx_channel::node::Value;

use super::hall::Hall;
use super::said::Said;
use crate::WorkerId;

/// What PM2's users send when their program is ready.
const READY: &str = "ready";

impl Hall {
    pub(super) async fn take_message(&self, worker: WorkerId, message: Value) {
        match message.as_str() {
            Some(READY) => self.say(worker, Said::Ready).await,
            _ => self.say(worker, Said::Message(message)).await,
        }
    }
}
