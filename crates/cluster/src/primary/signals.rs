//! What a signal means.

use phalanx_process::Signal;

use super::{Primary, Wish};
use crate::Event;
use crate::supervisor::Input;

/// The signals that the primary takes.
pub(super) const TAKEN: &[Signal] = &[
    Signal::Terminate,
    Signal::Interrupt,
    Signal::Quit,
    Signal::Hangup,
    Signal::User1,
    Signal::User2,
    Signal::TtyIn,
    Signal::TtyOut,
    Signal::Window,
];

impl Primary {
    pub(super) fn take_signals(&mut self) {
        while let Some(signal) = self.signals.next() {
            match signal {
                Signal::Terminate | Signal::Interrupt => self.request_stop(),
                Signal::Quit => self.stop_now(),
                Signal::Hangup => self.begin_by_signal(Wish::Reload),
                Signal::User2 => self.begin_by_signal(Wish::Upgrade),
                Signal::TtyIn => self.scale_by(1),
                Signal::TtyOut => self.scale_by(-1),
                Signal::User1 => self.emit(Event::ReopenLogs),
                // A terminal that changes its size says nothing about a server.
                _ => {}
            }
        }
    }

    /// The first request drains; a second one means it.
    pub(super) fn request_stop(&mut self) {
        self.stop_requests += 1;
        if self.stop_requests == 1 {
            self.emit(Event::Stopping);
            self.feed_supervisor(Input::Stop);
            // Our copies are not needed any more: the port is free when the last worker has let go of it.
            self.finish_listeners();
        } else {
            self.stop_now();
        }
    }

    /// Nothing is finished, and nothing begun any more.
    pub(super) fn stop_now(&mut self) {
        self.stop_requests += 1;
        self.feed_supervisor(Input::StopNow);
    }
}
