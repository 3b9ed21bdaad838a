//! [`Stop`]: a [`Cancellation`] that destroys a stream.

use std::sync::{Arc, Weak};

use phalanx_thread::Cancellation;

use crate::Error;
use crate::joint::Joint;

type Listener = Arc<dyn Fn() + Send + Sync>;

/// Listens for as long as it lives.
#[derive(Default)]
pub(crate) struct Stop(Vec<Listener>);

impl Stop {
    pub(crate) fn at<T: Send + 'static>(&mut self, cancellation: &Cancellation, joint: &Arc<Joint<T>>) {
        let joint: Weak<Joint<T>> = Arc::downgrade(joint);
        let listener: Listener = Arc::new(move || {
            if let Some(joint) = joint.upgrade() {
                joint.fail(&Error::Aborted { reason: "cancelled".to_owned() });
            }
        });
        cancellation.tell(&listener);
        self.0.push(listener);
    }
}
