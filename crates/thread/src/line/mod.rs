//! The bounded line in front of whoever runs jobs: who is let in, who goes next, and what is known of the speed.
//!
//! ```text
//!                 would it wait too long? ── yes ─► Refusal (with the time to come back)
//!                        │ no
//!   push ────────────────┴──► ┌ 9 ┬ cheap (< 5 ms) ▒▒▒▒ ┐ 8 : 1
//!                             │   └ heavy            ▒▒ ┘ ───── pop ─► a thread, a process
//!   withdraw ◄── no longer    │ …              1 of 42 at least              │
//!   overdue  ◄── wanted       └ 0 ─ …     ◄──── push_in_front ◄─ given back ─┤
//!                                           pace ◄────── finished ◄──────────┘
//! ```
//!
//! A [`Line`] does nothing by itself: it has no lock, no threads and no clock. Whoever has it keeps it under a lock of
//! their own; every call takes tens of nanoseconds, but for [`Line::overdue`], which walks over all that wait. The
//! [thread pool](crate::ThreadPool) stands on one, and so do job processes.
//!
//! ```
//! use phalanx_thread::line::{Line, LineOptions, Run, Terms};
//! use phalanx_thread::{Priority, Refusal};
//! use std::time::{Duration, Instant};
//!
//! let (second, now) = (Duration::from_secs(1), Instant::now());
//! let mut line = Line::new(LineOptions { servers: 1, cores: 1, limit: 2, max_wait: second, standing_wait: second });
//! let usual = line.push("thumbnail", Terms::default(), now).unwrap();
//! line.push("a person waits", Terms { priority: Priority::HIGHEST, ..Terms::default() }, now).unwrap();
//! let refused = line.push("one too many", Terms::default(), now).unwrap_err();
//! assert_eq!(refused.why, Refusal::Full { queued: 2, limit: 2 });
//!
//! let next = line.pop().unwrap();
//! assert_eq!(next.job, "a person waits");
//! let time = Duration::from_millis(3);
//! line.finished(next.ticket, Run { occupied: time, ran: time, whole: true });
//! assert_eq!(line.withdraw(usual), Some("thumbnail"));
//! assert!(line.is_empty());
//! ```

mod admitted;
mod key;
mod keys_in_use;
mod lanes;
mod levels;
mod pace;
mod priority;
mod queue;
mod refusal;
mod standing;
mod terms;
mod time;
mod whole;

pub use key::Key;
pub use keys_in_use::{KeyInUse, KeysInUse};
pub use priority::Priority;
pub use refusal::Refusal;
pub use terms::{AdmissionNumber, LineOptions, Popped, Refused, Run, Terms, Ticket};
pub use whole::Line;

pub(crate) use lanes::Waiting;
pub(crate) use pace::Finished;
pub(crate) use queue::Queue;
pub(crate) use time::{DEAREST, NEVER, Nanos, cost_of, nanos};
