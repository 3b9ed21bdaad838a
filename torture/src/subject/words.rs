//! [`Words`]: what a victim writes to its standard error.

use std::io::Read;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most bytes that are kept.
const KEPT: usize = 16 * 1024;

#[derive(Debug, Default)]
struct Content {
    text: String,
    at_end: bool,
}

/// The words so far.
#[derive(Debug, Default)]
pub(super) struct Words {
    content: Mutex<Content>,
    changed: Condvar,
}

impl Words {
    /// Reads until the last holder of the stream is gone.
    pub(super) fn read(&self, mut stream: impl Read) {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            let mut content = self.content();
            if content.text.len() < KEPT {
                content.text.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        }
        self.content().at_end = true;
        self.changed.notify_all();
    }

    pub(super) fn wait_for_end(&self, longest: Duration) {
        drop(self.changed.wait_timeout_while(self.content(), longest, |content| !content.at_end));
    }

    pub(super) fn text(&self) -> String {
        self.content().text.trim().to_owned()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
