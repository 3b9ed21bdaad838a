//! [`Priority`]: who goes first.

use std::fmt;

/// How urgent a job is: 0 to 9, and 9 goes first (the numbers of AMQP, so that jobs keep theirs on their way through a
/// queue). Default 4.
///
/// A job of a lower priority waits while more urgent ones come, but not for ever: as soon as 32 jobs have started since
/// its priority last had a turn, its turn has come. So of any 42 jobs that start, at least one is of each priority that
/// waits all the time.
///
/// ```
/// use phalanx_thread::{Priority, ThreadPool};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let pool = ThreadPool::builder().threads(1).build().unwrap();
/// let urgent = pool.job().priority(Priority::HIGHEST).spawn(|_| "a person waits for this");
/// let idle = pool.job().priority(Priority::new(1)).spawn(|_| "thumbnails of last year");
/// assert!(urgent.await.is_ok() && idle.await.is_ok());
/// # });
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

impl Priority {
    /// 0: when nothing else is to be done.
    pub const LOWEST: Priority = Priority(0);
    /// 4: what a job has that says nothing.
    pub const DEFAULT: Priority = Priority(4);
    /// 9: before all others.
    pub const HIGHEST: Priority = Priority(9);
    /// How many there are.
    pub const COUNT: usize = 10;

    /// The priority of this number; above 9 it is 9, as AMQP has it.
    pub const fn new(level: u8) -> Priority {
        if level > Priority::HIGHEST.0 { Priority::HIGHEST } else { Priority(level) }
    }

    /// Its number, 0 to 9.
    pub const fn level(self) -> u8 {
        self.0
    }

    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl Default for Priority {
    fn default() -> Priority {
        Priority::DEFAULT
    }
}

impl fmt::Debug for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Priority({})", self.0)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
