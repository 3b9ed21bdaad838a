//! What the primary's own code asks for.

use super::Primary;
use crate::hub::{Command, Commands};
use crate::supervisor::Input;

impl Primary {
    pub(super) fn take_commands(&mut self) {
        let taken = self.commands.as_ref().map(Commands::take).unwrap_or_default();
        for command in taken {
            match command {
                Command::Fork { environment, reply } => {
                    self.forking = Some(environment);
                    self.feed_supervisor(Input::Fork);
                    self.forking = None;
                    let _ = reply.send(self.forked.take());
                }
                Command::Disconnect(worker) => self.feed_supervisor(Input::Disconnect(worker)),
                Command::DisconnectAll => self.feed_supervisor(Input::DisconnectAll),
                Command::Stop => self.request_stop(),
                Command::Operate { wish, reply } => {
                    // The reply tells a refusal too.
                    let _ = self.begin(wish, Some(reply));
                }
                Command::CodeEnded => self.feed_supervisor(Input::CodeEnded),
            }
        }
    }
}
