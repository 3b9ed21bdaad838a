//! A program that writes as fast as what it writes is taken: when it is let go, and when it has done.

use std::time::{Duration, Instant};

use crate::peers::{Absent, DONE, GO, Running};

const BYTES: u64 = 64 << 20;
const BYTES_LONG: u64 = 1 << 30;
/// A program that has not written everything by then is blocked.
pub(super) const DEADLINE: Duration = Duration::from_secs(120);
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
/// What only the start needed, or the last output, is given back by then.
pub(super) const SETTLING: Duration = Duration::from_secs(5);

pub(super) fn bytes(long: bool) -> u64 {
    if long { BYTES_LONG } else { BYTES }
}

/// Lets the program of [`of_writer`](crate::peers::Supervisor::of_writer) write, and waits until it has: how long that
/// took, or none if it is blocked.
pub(super) async fn all_of_it(server: &Running) -> Result<Option<Duration>, Absent> {
    let (go, done) = (server.folder().join(GO), server.folder().join(DONE));
    std::fs::write(&go, "").map_err(|error| Absent(format!("cannot let the program go: {error}")))?;
    let began = Instant::now();
    while !done.exists() {
        if began.elapsed() > DEADLINE {
            return Ok(None);
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    Ok(Some(began.elapsed()))
}
