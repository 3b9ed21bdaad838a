//! [`Clients`]: threads that do one deed after another, chosen by their seed, while the gate is open.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::deed::{Deed, GOOD, Kit, Known, Setback};
use crate::gate::Gate;
use crate::hostile::BAD;
use crate::random::Random;
use crate::tally::{Ended, Tally};

/// Of so many deeds one is hostile.
const ONE_IS_BAD: usize = 5;
/// Longest pause between two deeds.
const PAUSE: Duration = Duration::from_millis(60);
/// Whoever was refused comes back later than that.
const AFTER_A_REFUSAL: Duration = Duration::from_millis(300);

/// All of them.
pub(crate) struct Clients {
    threads: Vec<JoinHandle<()>>,
    gate: Arc<Gate>,
    busy: Arc<AtomicUsize>,
}

impl Clients {
    pub(crate) fn start(count: usize, seed: u64, known: &Arc<Known>, tally: &Arc<Tally>) -> Clients {
        let (gate, busy) = (Arc::new(Gate::open()), Arc::new(AtomicUsize::new(0)));
        let client = |number: usize| {
            let kit =
                Kit { known: Arc::clone(known), random: Random::new(seed, &format!("client {number}")), requests: 0 };
            let (gate, busy, tally) = (Arc::clone(&gate), Arc::clone(&busy), Arc::clone(tally));
            std::thread::spawn(move || act(kit, &gate, &busy, &tally))
        };
        let threads = (0..count).map(client).collect();
        Clients { threads, gate, busy }
    }

    /// Nobody begins anything more; waits until what was begun has ended, or this long.
    pub(crate) fn rest(&self, longest: Duration) {
        self.gate.close();
        let began = Instant::now();
        while self.busy.load(Ordering::SeqCst) > 0 && began.elapsed() < longest {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn go_on(&self) {
        self.gate.reopen();
    }

    pub(crate) fn finish(self) {
        self.gate.end();
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

fn act(mut kit: Kit, gate: &Gate, busy: &AtomicUsize, tally: &Tally) {
    loop {
        busy.fetch_add(1, Ordering::SeqCst);
        // Counted before the gate is looked at, so that nobody slips in unseen.
        if !may_pass(gate, busy) {
            return;
        }
        let deed = choose(&mut kit.random);
        let began = Instant::now();
        kit.requests = 0;
        let (ended, pause) = match (deed.run)(&mut kit) {
            Ok(()) => (Ended::Right, PAUSE),
            Err(Setback::Busy) => (Ended::Busy, AFTER_A_REFUSAL),
            Err(Setback::Failed(failure)) => (Ended::Failed(failure), PAUSE),
        };
        tally.note(deed.name, kit.requests, began, ended);
        busy.fetch_sub(1, Ordering::SeqCst);
        std::thread::sleep(kit.random.duration(pause));
    }
}

/// Waits outside while the gate is closed; still counted as busy if it is open.
fn may_pass(gate: &Gate, busy: &AtomicUsize) -> bool {
    loop {
        if gate.is_open() {
            return true;
        }
        busy.fetch_sub(1, Ordering::SeqCst);
        if !gate.pass() {
            return false;
        }
        busy.fetch_add(1, Ordering::SeqCst);
    }
}

fn choose(random: &mut Random) -> &'static Deed {
    let deeds = if random.below(ONE_IS_BAD) == 0 { BAD } else { GOOD };
    let total = deeds.iter().map(|deed| deed.weight).sum();
    let mut left = random.below(total);
    for deed in deeds {
        if left < deed.weight {
            return deed;
        }
        left -= deed.weight;
    }
    &deeds[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_deed_has_its_turn() {
        let mut random = Random::new(3, "choice");
        let names: BTreeSet<&str> = (0..20_000).map(|_| choose(&mut random).name).collect();
        assert_eq!(names.len(), GOOD.len() + BAD.len());
    }
}
