//! What happens in the invented world, by chance.

use std::time::Duration;

use phalanx_memory::Resource;
use phalanx_process::ExitStatus;

use super::super::policy::Random;
use super::super::{Admission, Holder, Input, Now, Policy, Supervisor, Vitals};
use super::body::{Body, MOODS, Mood};
use super::promises::{Promises, generations};
use super::{CALM_EVERY, Trace};
use crate::WorkerId;

/// Statuses that a process can end with when it is not told to.
const STATUSES: [ExitStatus; 7] = [
    ExitStatus::Code(0),
    ExitStatus::Code(1),
    ExitStatus::Code(64),
    ExitStatus::Code(78),
    ExitStatus::Signal(9),
    ExitStatus::Signal(9),
    ExitStatus::Signal(11),
];

/// How much memory is free in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Memory {
    Unknown,
    Plenty,
    Short,
    Changing,
}

const MEMORIES: [Memory; 4] = [Memory::Unknown, Memory::Plenty, Memory::Short, Memory::Changing];

/// Steps after which a world in which all is well must have come to rest.
const PATIENCE: usize = 400;

pub(super) struct World {
    pub(super) supervisor: Supervisor,
    pub(super) policy: Policy,
    pub(super) random: Random,
    pub(super) now: Now,
    pub(super) bodies: Vec<Body>,
    pub(super) promises: Promises,
    pub(super) generation: u32,
    /// Memory that is free, as it was told last, and how much that is in this world.
    pub(super) free: Option<u64>,
    memory: Memory,
    /// From here on everybody is well.
    pub(super) calm: bool,
    pub(super) trace: Trace,
}

impl World {
    pub(super) fn new(seed: u64, trace: Trace) -> World {
        let mut random = Random::new(seed ^ 0xabcd);
        let chance = |random: &mut Random| random.bits() >> 63 == 0;
        let policy = Policy {
            liveness_ticks: 3,
            admission: if chance(&mut random) { Admission::Ready } else { Admission::Probed },
            proof: Duration::from_secs(random.bits() % 2),
            max_requests: chance(&mut random).then_some(300),
            max_lifetime: chance(&mut random).then_some(Duration::from_secs(20)),
            soft_memory: Some(100),
            hard_memory: Some(400),
            recycle_leaks: chance(&mut random),
            ..Policy::default()
        };
        World {
            supervisor: Supervisor::new(policy.clone(), seed),
            policy,
            random,
            now: Duration::ZERO,
            bodies: Vec::new(),
            promises: Promises::default(),
            generation: 0,
            free: None,
            memory: MEMORIES[(seed / CALM_EVERY % 4) as usize],
            calm: false,
            trace,
        }
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.random.bits() % bound as u64) as usize
    }

    pub(super) fn begin(&mut self) {
        let workers = 1 + self.below(4);
        self.feed(Input::Start { workers });
    }

    pub(super) fn something_happens(&mut self) {
        self.now += Duration::from_millis(self.random.bits() % 4 * 25);
        match self.below(200) {
            0..=94 => self.somebody_goes_on(),
            95..=102 => self.somebody_dies(),
            103..=126 => self.tick(Duration::from_secs(1)),
            127..=128 => self.tick(Duration::from_secs(60)),
            129..=164 => self.time_passes(),
            165..=178 => self.reload(),
            179..=182 => self.scale(),
            183..=185 => self.somebody_is_sent_away(),
            186..=187 => self.feed(Input::Fork),
            188..=190 => self.the_primary_is_upgraded(),
            191..=197 => self.something_senseless_is_said(),
            198 => self.feed(Input::DisconnectAll),
            _ => self.somebody_has_had_enough(),
        }
    }

    /// The natural next step of one process.
    fn somebody_goes_on(&mut self) {
        let Some(index) = self.somebody() else { return };
        let body = &mut self.bodies[index];
        let (worker, mood, now) = (body.birth.worker, body.mood, self.now);
        if body.killed {
            return self.ends(index, ExitStatus::Signal(9));
        }
        if body.leaving.is_some() {
            return if mood == Mood::Stubborn { self.time_passes() } else { self.ends(index, ExitStatus::Code(0)) };
        }
        match (mood, body.ready, body.probed) {
            (Mood::Slow, None, _) | (Mood::Mute, _, Some(_)) => self.time_passes(),
            (Mood::Broken, None, _) => {
                self.feed(Input::Failed(worker, "its own words".into()));
                if let Some(index) = self.bodies.iter().position(|body| body.birth.worker == worker) {
                    self.ends(index, ExitStatus::Code(1));
                }
            }
            (_, None, _) => {
                self.feed(Input::Listening(worker));
                self.bodies[index].ready = Some(now);
                self.feed(Input::Ready(worker));
            }
            (Mood::Ill, Some(_), Some(_)) => {
                body.probed = None;
                self.feed(Input::Probed(worker, Err("503".into())));
            }
            (_, Some(_), Some(_)) => {
                (body.probed, body.healthy) = (None, true);
                self.feed(Input::Probed(worker, Ok(())));
            }
            (Mood::Fleeting, Some(_), None) => self.ends(index, ExitStatus::Signal(11)),
            (_, Some(_), None) => {}
        }
    }

    fn somebody_dies(&mut self) {
        let status = STATUSES[self.below(STATUSES.len())];
        let Some(index) = self.somebody() else { return };
        if self.bodies[index].born == self.now && self.below(2) == 0 {
            let worker = self.bodies.swap_remove(index).birth.worker;
            self.promises.disturb();
            self.feed(Input::SpawnFailed(worker, "no more processes".into()));
        } else {
            self.ends(index, status);
        }
    }

    fn ends(&mut self, index: usize, status: ExitStatus) {
        let body = self.bodies.swap_remove(index);
        if !body.killed && body.leaving.is_none() {
            self.promises.disturb();
        }
        self.feed(Input::Exited(body.birth.worker, status));
    }

    fn tick(&mut self, after: Duration) {
        let free = match self.memory {
            Memory::Unknown => None,
            Memory::Plenty => Some(u64::MAX),
            Memory::Short => Some(0),
            // One worker that is not fat fits in beside the others, or none does.
            Memory::Changing => Some(self.random.bits() % 3),
        };
        if let Some(free) = free {
            self.free = Some(free);
            // It does nothing by itself, and runs no clock.
            assert!(self.supervisor.step(Input::HeadRoom(free), self.now).is_empty());
        }
        self.now += after;
        let (calm, chance) = (self.calm, self.random.bits());
        let vitals = self.bodies.iter_mut().map(|body| {
            if body.mood != Mood::Hanging || body.ready.is_none() || chance.is_multiple_of(8) {
                body.beat += 1;
                // Whatever made it seem to hang is over.
                body.dumped = None;
            }
            body.requests += if calm { 0 } else { 50 };
            body.bytes *= if body.mood == Mood::Fat { 3 } else { 1 };
            Vitals {
                worker: body.birth.worker,
                beat: body.beat,
                requests: body.requests,
                resident_bytes: body.bytes,
                holder: Holder::Primary,
            }
        });
        let vitals = vitals.collect();
        self.feed(Input::Tick(vitals));
    }

    fn time_passes(&mut self) {
        self.now = self.supervisor.wakes_at().unwrap_or(self.now).max(self.now);
        self.feed(Input::Elapsed);
    }

    fn reload(&mut self) {
        self.generation += 1;
        let operation = self.promises.asked();
        let generation = self.generation;
        self.feed(Input::Reload { operation, generation });
    }

    fn scale(&mut self) {
        let operation = self.promises.asked();
        let workers = self.below(7);
        self.feed(Input::Scale { operation, workers });
    }

    fn somebody_is_sent_away(&mut self) {
        if let Some(index) = self.somebody() {
            self.feed(Input::Disconnect(self.bodies[index].birth.worker));
        }
    }

    fn somebody_has_had_enough(&mut self) {
        let input = if self.below(2) == 0 { Input::Stop } else { Input::StopNow };
        self.feed(input);
    }

    fn something_senseless_is_said(&mut self) {
        let worker = match self.somebody() {
            Some(index) if self.below(4) > 0 => self.bodies[index].birth.worker,
            _ => WorkerId::new(9999),
        };
        let ready = self.bodies.iter().any(|body| body.birth.worker == worker && body.ready.is_some());
        match self.below(6) {
            5 => {
                let resource = if self.below(2) == 0 { Resource::Memory } else { Resource::Descriptors };
                self.feed(Input::Leaks(worker, resource));
            }
            4 => self.feed(Input::CodeEnded),
            0 if ready => self.feed(Input::Ready(worker)),
            1 => self.feed(Input::Listening(worker)),
            2 => self.feed(Input::Failed(worker, "words".into())),
            _ => {
                let asked = self.bodies.iter().any(|body| body.birth.worker == worker && body.probed.is_some());
                if !asked {
                    self.feed(Input::Probed(worker, Ok(())));
                }
            }
        }
    }

    /// A new supervisor goes on with what the old one hands down.
    fn the_primary_is_upgraded(&mut self) {
        if self.promises.upgrade_is_possible() {
            let heritage = self.supervisor.heritage(self.now);
            let before = generations(&self.supervisor);
            self.supervisor = Supervisor::new(self.policy.clone(), self.random.bits());
            for body in &mut self.bodies {
                (body.leaving, body.dumped) = (body.leaving.map(|_| self.now), None);
            }
            self.feed(Input::Adopt(heritage));
            assert_eq!(generations(&self.supervisor), before, "the places of the new image and their generations");
        }
    }

    /// From now on all is well: after a while every place serves, and no operation is under way.
    pub(super) fn calm_down(&mut self) {
        self.calm = true;
        self.bodies.iter_mut().for_each(Body::get_well);
        for _ in 0..PATIENCE {
            if self.promises.finished || self.is_at_rest() {
                return;
            }
            match self.below(8) {
                0 => self.tick(Duration::from_secs(1)),
                1 => self.time_passes(),
                _ => self.somebody_goes_on(),
            }
        }
        panic!("it does not come to rest: {:#?}", self.supervisor);
    }

    fn is_at_rest(&self) -> bool {
        self.supervisor.is_whole() && !self.promises.is_busy()
    }

    /// However it stands: told to stop, and with every process dead or killed, it ends.
    pub(super) fn end(&mut self) {
        self.feed(Input::Stop);
        self.feed(Input::StopNow);
        while let Some(body) = self.bodies.pop() {
            assert!(body.killed, "worker {} was not killed by a stop at once", body.birth.worker);
            self.feed(Input::Exited(body.birth.worker, ExitStatus::Signal(9)));
        }
        assert!(self.promises.finished, "it did not end");
        assert!(!self.promises.is_busy(), "it ended in the middle of an operation");
    }

    fn somebody(&mut self) -> Option<usize> {
        (!self.bodies.is_empty()).then(|| self.below(self.bodies.len()))
    }

    /// How the workers of a generation behave: half of the generations are good throughout.
    pub(super) fn mood_of_a_newborn(&mut self, generation: u32) -> Mood {
        let good = (u64::from(generation) * 0x9e37_79b9) & 2 == 0;
        let mood = MOODS[self.below(MOODS.len())];
        if good || self.calm { Mood::Well } else { mood }
    }
}

impl Body {
    fn get_well(&mut self) {
        self.mood = Mood::Well;
    }
}
