//! [`Weather`]: which blow comes next, and when; all of it from the seed.

use std::time::Duration;

use crate::random::Random;

/// Something that is done to a part of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Blow {
    /// SIGKILL to one of the producers.
    KillProducer,
    /// SIGKILL to one of the workers.
    KillWorker,
    /// SIGSTOP to one of the workers, SIGCONT after this time.
    StopWorker(Duration),
    /// SIGKILL to whoever keeps the queue: the owner, or the broker with all its processes, which is then started again.
    KillKeeper,
    /// Nothing comes through to the broker for this time.
    CutOff(Duration),
}

/// The blows of one run.
pub(crate) struct Weather {
    random: Random,
    /// The broker cannot be killed as often as a process of ours: it needs seconds to come back.
    keeper_is_slow: bool,
    can_cut: bool,
}

/// Between two blows, at most.
const LULL: Duration = Duration::from_millis(600);
/// A stopped worker stands still for at most this long: less than its lease.
const LONGEST_STOP: Duration = Duration::from_secs(3);
/// Nothing comes through for at most this long.
const LONGEST_CUT: Duration = Duration::from_secs(4);

impl Weather {
    pub(crate) fn new(random: Random, keeper_is_slow: bool, can_cut: bool) -> Weather {
        Weather { random, keeper_is_slow, can_cut }
    }

    /// The next blow, after this time.
    pub(crate) fn next(&mut self) -> (Duration, Blow) {
        let lull = self.random.duration(LULL);
        // A slow keeper is struck in one of 24, a quick one in one of 6.
        let heavy = if self.keeper_is_slow { 24 } else { 6 };
        let blow = match self.random.below(heavy) {
            0 => Blow::KillKeeper,
            1 if self.can_cut => Blow::CutOff(self.random.duration(LONGEST_CUT)),
            2 => Blow::StopWorker(self.random.duration(LONGEST_STOP)),
            other if other % 3 == 0 => Blow::KillProducer,
            _ => Blow::KillWorker,
        };
        (lull, blow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_blow_comes_and_the_same_seed_brings_the_same_ones() {
        let blows = || {
            let mut weather = Weather::new(Random::new(7, "weather"), true, true);
            (0..500).map(|_| weather.next()).collect::<Vec<_>>()
        };
        assert_eq!(blows(), blows());
        let is = |wanted: fn(&Blow) -> bool| blows().iter().any(|(_, blow)| wanted(blow));
        assert!(is(|blow| matches!(blow, Blow::KillKeeper)) && is(|blow| matches!(blow, Blow::CutOff(_))));
        assert!(is(|blow| matches!(blow, Blow::KillProducer)) && is(|blow| matches!(blow, Blow::KillWorker)));
        assert!(is(|blow| matches!(blow, Blow::StopWorker(_))));
    }
}
