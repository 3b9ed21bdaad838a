//! Messages that wait for their time, in *rungs*: queues beside the main one in which everything waits equally long.
//!
//! ```text
//!   nack(After(3 s)) ─► publish to QUEUE.delay.3200 (confirmed) ─► ack
//!                             │ x-message-ttl 3.2 s, dead-lettered at least once
//!                             └──────────────────────────────────────────────────► QUEUE
//! ```
//!
//! One time for each queue, because messages expire only at its head. The rungs are 100 ms × 2ⁿ, and a wait is rounded up to the
//! next one: a message comes never early, and after at most twice its wait. A rung is made when it is needed.

use std::time::{Duration, Instant};

use super::link::Link;
use super::topology::{self, Made};
use crate::{Capability, Error, QueueOptions};

/// Between the name of the queue and the milliseconds of the rung.
pub(super) const SUFFIX: &str = ".delay.";
const FIRST: Duration = Duration::from_millis(100);
/// The longest is 9.7 days.
const RUNGS: u32 = 24;

/// The rung in which a message waits for at least this long.
pub(super) fn rung(wait: Duration) -> Result<Duration, Error> {
    let rungs = (0..RUNGS).map(|n| FIRST * 2_u32.pow(n));
    rungs.into_iter().find(|rung| *rung >= wait).ok_or(Error::Unsupported {
        capability: Capability::Delay,
        broker: format!("{} for more than {:?}", super::NAME, FIRST * 2_u32.pow(RUNGS - 1)),
    })
}

/// Its queue.
pub(super) fn name(queue: &str, rung: Duration) -> String {
    format!("{queue}{SUFFIX}{}", rung.as_millis())
}

/// All that a queue may have.
pub(super) fn names(queue: &str) -> Vec<String> {
    (0..RUNGS).map(|n| name(queue, FIRST * 2_u32.pow(n))).collect()
}

/// Makes the rung. All that use the queue make it alike: with the default bounds.
pub(super) async fn declare(link: &Link, queue: &str, rung: Duration, until: Instant) -> Result<(), Error> {
    let usual = QueueOptions::new("usual")?;
    let mut arguments = topology::bounded_quorum(usual.max_messages, usual.max_bytes);
    let time = u64::try_from(rung.as_millis()).unwrap_or(u64::MAX);
    arguments.insert("x-message-ttl".into(), topology::number(time));
    topology::forward_to(&mut arguments, queue);
    if topology::provide(link, &name(queue, rung), arguments, until).await? == Made::Now {
        topology::of_age(link).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_rounded_up_to_at_most_twice_itself() {
        let millis = |wait| rung(Duration::from_millis(wait)).map(|rung| rung.as_millis());
        assert_eq!(millis(0), Ok(100));
        assert_eq!(millis(100), Ok(100));
        assert_eq!(millis(101), Ok(200));
        assert_eq!(millis(3_000), Ok(3_200));
        assert_eq!(millis(300_000), Ok(409_600));
        assert!(rung(Duration::from_secs(10 * 24 * 3600)).is_err());
    }
}
