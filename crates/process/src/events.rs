//! [`Events`]: what happens to a child, one by one.

use std::sync::Arc;

use crate::child::Core;
use crate::{Error, ExitStatus};

/// What happens to a child.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<M = std::convert::Infallible> {
    /// It runs.
    Spawned {
        /// Its process id.
        pid: u32,
    },
    /// It sent a message (children with a channel).
    Message(M),
    /// Its end of the channel is closed, and everything that it sent was received (children with a channel).
    Disconnected,
    /// The process has ended. Output may still come.
    Exited(ExitStatus),
    /// The process has ended and its output pipes too. The last event.
    Closed(ExitStatus),
}

/// What happens to a child, in order. Nothing is queued: an event waits until it is asked for.
#[derive(Debug)]
pub struct Events {
    core: Arc<Core>,
    told: Told,
}

/// The last event that was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Spawned,
    Exited,
    Closed,
}

impl Events {
    pub(crate) fn of(core: Arc<Core>) -> Events {
        Events { core, told: Told::Nothing }
    }

    pub(crate) fn nothing_was_told(&self) -> bool {
        self.told == Told::Nothing
    }

    /// The next event; `None` after [`Event::Closed`]. Nothing is lost if the call is dropped.
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        let (told, event) = match self.told {
            Told::Nothing => (Told::Spawned, Event::Spawned { pid: self.core.kept().pid() }),
            Told::Spawned => (Told::Exited, Event::Exited(self.core.exited().await?)),
            Told::Exited => (Told::Closed, Event::Closed(self.core.closed().await?)),
            Told::Closed => return Ok(None),
        };
        self.told = told;
        Ok(Some(event))
    }
}
