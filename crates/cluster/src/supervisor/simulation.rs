//! The supervisor in an invented world: random events, an injected clock, and after every step the promises that must
//! hold whatever happens. A failure prints its seed; `PHALANX_SEED=N` runs that one alone.

use std::collections::HashMap;
use std::time::Duration;

use phalanx_process::ExitStatus;
use phalanx_shared::SlotIndex;

use super::*;

/// Event sequences of a run in CI.
const SEQUENCES: u64 = 20_000;

/// Events of one sequence.
const LENGTH: usize = 60;

struct World {
    supervisor: Supervisor,
    random: policy::Random,
    now: Now,
    /// Processes that exist: their slot, and whether they were told to leave or killed.
    processes: HashMap<WorkerId, Process>,
    listeners_open: bool,
    stopping: bool,
    finished: bool,
    next_worker: u32,
}

#[derive(Debug)]
struct Process {
    slot: SlotIndex,
    killed: bool,
}

impl World {
    fn new(seed: u64) -> World {
        World {
            supervisor: Supervisor::new(Policy::default(), seed),
            random: policy::Random::new(seed ^ 0xabcd),
            now: Duration::ZERO,
            processes: HashMap::new(),
            listeners_open: true,
            stopping: false,
            finished: false,
            next_worker: 1,
        }
    }

    /// A number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        let unit = (self.random.around(0.2) - 0.8) / 0.4;
        ((unit * bound as f64) as u64).min(bound - 1)
    }

    fn some_process(&mut self) -> Option<WorkerId> {
        let mut workers: Vec<WorkerId> = self.processes.keys().copied().collect();
        workers.sort();
        if workers.is_empty() { None } else { Some(workers[self.below(workers.len() as u64) as usize]) }
    }

    fn random_input(&mut self) -> Option<Input> {
        let someone = self.some_process();
        match self.below(100) {
            0..=24 => someone.map(Input::Ready),
            25..=29 => someone.map(Input::Listening),
            30..=54 => {
                let worker = someone?;
                self.processes.remove(&worker);
                let status = [ExitStatus::Code(0), ExitStatus::Code(1), ExitStatus::Signal(9), ExitStatus::Signal(11)];
                Some(Input::Exited(worker, status[self.below(4) as usize]))
            }
            55..=57 => someone.map(|worker| Input::Failed(worker, "words".into())),
            58..=60 => someone.map(Input::Disconnect),
            61..=63 => Some(Input::Fork),
            64 => Some(Input::DisconnectAll),
            65..=84 => {
                let beats = self
                    .processes
                    .keys()
                    .map(|worker| Vitals { worker: *worker, beat: 0, requests: 0, resident_bytes: 0 })
                    .collect();
                self.now += Duration::from_secs(1);
                Some(Input::Tick(beats))
            }
            85 => Some(Input::Stop),
            86 => Some(Input::StopNow),
            _ => {
                self.now = self.supervisor.wakes_at().unwrap_or(self.now).max(self.now);
                Some(Input::Elapsed)
            }
        }
    }

    fn feed(&mut self, input: Input) {
        self.stopping |= matches!(input, Input::Stop | Input::StopNow);
        if std::env::var_os("PHALANX_TRACE").is_some() {
            eprintln!("{:?} {input:?}", self.now);
        }
        for action in self.supervisor.step(input, self.now) {
            self.perform(action);
        }
        self.check();
    }

    fn perform(&mut self, action: Action) {
        if std::env::var_os("PHALANX_TRACE").is_some() {
            eprintln!("    {action:?}");
        }
        assert!(!self.finished, "an action after the end: {action:?}");
        match action {
            Action::Spawn(Birth { worker, page: slot, .. }) => {
                assert!(!self.stopping, "worker {worker} was started while the cluster stops");
                assert_eq!(worker.get(), self.next_worker, "a worker's number was used twice or left out");
                self.next_worker += 1;
                let taken = self.processes.values().any(|process| process.slot == slot);
                assert!(!taken, "slot {} has two processes", slot.0);
                self.listeners_open = true;
                self.processes.insert(worker, Process { slot, killed: false });
            }
            Action::Drain(worker, ..) => assert!(self.processes.contains_key(&worker), "a ghost is drained"),
            Action::Kill(worker, _) => {
                let process = self.processes.get_mut(&worker).expect("a ghost is killed");
                process.killed = true;
            }
            Action::Bury(worker, ..) => assert!(!self.processes.contains_key(&worker), "the living are buried"),
            Action::BackOff(_, wait) => {
                let limit = Policy::default().back_off_limit.mul_f64(1.2);
                assert!(wait <= limit && wait >= Duration::from_millis(80), "a back-off of {wait:?}");
            }
            Action::Break(..) => assert!(!self.stopping),
            Action::Probe(_) | Action::Admit(_) | Action::DumpStacks(_) | Action::Over { .. } => {}
            Action::Recycle(..) | Action::GiveUp(_) => {}
            Action::CloseListeners => {
                assert!(self.listeners_open, "the listeners are closed twice");
                self.listeners_open = false;
            }
            Action::Finish(_) => {
                assert!(self.processes.is_empty(), "the cluster ended while {:?} live", self.processes);
                self.finished = true;
            }
        }
    }

    fn check(&self) {
        if self.finished {
            return;
        }
        let mut known = self.supervisor.live();
        let mut real: Vec<WorkerId> = self.processes.keys().copied().collect();
        known.sort();
        real.sort();
        assert_eq!(known, real, "the supervisor lost sight of its children");
        // Whatever is not running waits for something that will happen: nothing is forgotten.
        let waits = self.supervisor.wakes_at().is_some();
        assert!(!real.is_empty() || waits, "no process, and nothing that would start one or end the cluster");
        assert!(self.supervisor.wakes_at().is_none_or(|at| at > self.now), "a deadline was passed over");
    }
}

#[test]
fn whatever_happens_no_child_is_lost_no_slot_is_doubled_and_the_end_comes_after_the_last() {
    let seeds: Box<dyn Iterator<Item = u64>> = match std::env::var("PHALANX_SEED") {
        Ok(seed) => Box::new(std::iter::once(seed.parse().expect("PHALANX_SEED is a number"))),
        Err(_) => {
            let count = std::env::var("PHALANX_SEQUENCES").ok().and_then(|n| n.parse().ok()).unwrap_or(SEQUENCES);
            Box::new(0..count)
        }
    };
    for seed in seeds {
        let run = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            let workers = 1 + world.below(4) as usize;
            world.feed(Input::Start { workers });
            for _ in 0..LENGTH {
                world.now += Duration::from_millis(world.random.around(0.2) as u64 * 100);
                if let Some(input) = world.random_input() {
                    world.feed(input);
                }
            }
            // However it stood: told to stop, and with every process dead or killed, it ends.
            world.feed(Input::Stop);
            world.feed(Input::StopNow);
            while let Some(worker) = world.some_process() {
                assert!(world.processes[&worker].killed, "worker {worker} was not killed by a stop at once");
                world.processes.remove(&worker);
                world.feed(Input::Exited(worker, ExitStatus::Signal(9)));
            }
            assert!(world.finished, "it did not end");
        });
        if let Err(panic) = run {
            eprintln!("the failing sequence: PHALANX_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
