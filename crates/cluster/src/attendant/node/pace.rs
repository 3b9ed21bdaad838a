//! Lets events gather while the workers have enough to do.
//!
//! Each new connection, and each of the two answers of the worker that gets it, would wake this process: at ten thousand
//! connections a second it would be switched in and out for every one, and take the cores from the workers each time. But as
//! long as every worker has connections before it that it has not looked at, nobody is waiting for this process: so it rests for
//! about as long as they last, and finds several events at once. With an idle worker it never rests.

use std::cell::RefCell;
use std::rc::Weak;
use std::time::Duration;

use super::hall::Hall;

/// A worker needs at least so long for a connection: `node:http` with a constant answer needs 70 to 90 µs of a core.
const EACH: Duration = Duration::from_micros(50);
/// The longest rest. Longer ones save nothing more.
const LONGEST: Duration = Duration::from_millis(1);

thread_local! {
    /// The hall whose workers are looked at.
    static HALL: RefCell<Weak<Hall>> = const { RefCell::new(Weak::new()) };
}

/// From now on this thread rests when the workers of this hall have enough to do.
pub(super) fn follow(hall: Weak<Hall>) {
    HALL.set(hall);
}

/// For [`Builder::on_thread_park`](tokio::runtime::Builder::on_thread_park): the event loop has done everything.
pub(crate) fn gather() {
    let hall = HALL.try_with(|hall| hall.borrow().upgrade()).ok().flatten();
    let rest = rest(hall.map_or(0, |hall| hall.work_ahead()));
    if !rest.is_zero() {
        std::thread::sleep(rest);
    }
}

/// How long to rest when each worker has at least so many connections before it.
fn rest(ahead: usize) -> Duration {
    let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
    EACH.saturating_mul(ahead).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_a_rest() {
        assert_eq!(rest(0), Duration::ZERO);
        assert_eq!(rest(3), 3 * EACH);
        assert_eq!(rest(1000), LONGEST);
    }
}
