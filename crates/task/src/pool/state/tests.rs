//! Random lives of pools in a world without processes: whatever happens, every task ends exactly once, none is in two places,
//! a death harms one task, and the bounds hold.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use phalanx_process::Sandbox;
use phalanx_thread::line::Terms;
use proptest::prelude::*;

use super::*;
use crate::{Crash, Ending};

struct Fake;

impl Work for Fake {
    type Payload = u64;
    type Output = ();
    type Slot = u64;
}

/// A process of the fake world.
#[derive(Default)]
struct Desk {
    serial: u64,
    /// Slot, number, whether it was begun.
    jobs: VecDeque<(u64, u64, bool)>,
    is_ready: bool,
}

/// A large input on its way.
struct Way {
    seat: Seat,
    serial: u64,
    key: JobKey,
    id: u64,
}

#[derive(Default)]
struct World {
    desks: HashMap<usize, Desk>,
    ways: Vec<Way>,
    slots: u64,
    room: usize,
}

impl Desks<Fake> for World {
    fn offer(&mut self, seat: Seat, offer: Offer<'_, Fake>) -> Offered<u64> {
        assert!(self.desks.values().all(|desk| desk.jobs.iter().all(|(_, id, _)| *id != offer.id)), "in two places");
        let desk = self.desks.get_mut(&seat.0).expect("a process");
        assert!(desk.is_ready, "an offer before hello");
        if desk.jobs.len() >= self.room {
            return Offered::NoRoom;
        }
        if offer.id.is_multiple_of(5) {
            self.ways.push(Way { seat, serial: desk.serial, key: offer.key, id: offer.id });
            return Offered::Underway;
        }
        self.slots += 1;
        desk.jobs.push_back((self.slots, offer.id, false));
        Offered::Placed(self.slots)
    }

    fn retract(&mut self, seat: Seat, slot: u64) -> bool {
        let jobs = &mut self.desks.get_mut(&seat.0).expect("a process").jobs;
        let Some(index) = jobs.iter().position(|(its, _, is_begun)| *its == slot && !is_begun) else { return false };
        jobs.remove(index);
        true
    }

    fn cancel(&mut self, _: Seat, _: u64) {}

    fn has_begun(&self, seat: Seat, slot: u64) -> bool {
        self.desks[&seat.0].jobs.iter().any(|(its, _, is_begun)| *its == slot && *is_begun)
    }
}

#[derive(Debug, Clone)]
enum Step {
    Submit { kind: usize, due: Option<u64>, from_start: Option<u64> },
    Cancel(usize),
    Begin(usize),
    Answer(usize),
    Die(usize),
    Lie(usize),
    Hello(usize),
    FailToStart(usize),
    Arrive { is_full: bool },
    Pass(u64),
    Obey,
    Weigh(usize),
    Wait { seat: usize, blocks: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let seat = 0..3_usize;
    let few = prop_oneof![3 => Just(None), 1 => (1..50_u64).prop_map(Some)];
    prop_oneof![
        6 => (0..3_usize, few.clone(), few).prop_map(|(kind, due, from_start)| Step::Submit { kind, due, from_start }),
        1 => (0..40_usize).prop_map(Step::Cancel),
        6 => seat.clone().prop_map(Step::Begin),
        6 => seat.clone().prop_map(Step::Answer),
        1 => seat.clone().prop_map(Step::Die),
        1 => seat.clone().prop_map(Step::Lie),
        3 => seat.clone().prop_map(Step::Hello),
        1 => seat.clone().prop_map(Step::FailToStart),
        3 => any::<bool>().prop_map(|is_full| Step::Arrive { is_full }),
        3 => (0..30_u64).prop_map(Step::Pass),
        4 => Just(Step::Obey),
        1 => seat.clone().prop_map(Step::Weigh),
        2 => (seat, any::<bool>()).prop_map(|(seat, blocks)| Step::Wait { seat, blocks }),
    ]
}

struct Run {
    state: State<Fake>,
    world: World,
    now: Instant,
    serials: u64,
    last: u64,
    keys: Vec<JobKey>,
    taken: HashMap<u64, Option<Result<(), TaskError>>>,
    over: HashMap<u64, u32>,
    crashes: usize,
    harmful_deaths: usize,
}

const LIMIT: usize = 8;

impl Run {
    fn new(least: usize) -> Run {
        let second = Duration::from_secs(1);
        let rules = Rules {
            least,
            most: 3,
            cores: 2,
            queue_limit: LIMIT,
            max_wait: second * 1000,
            standing_wait: second * 1000,
            idle_timeout: Duration::from_millis(200),
            max_jobs: Some(7),
            max_memory: 100,
            kill_grace: Duration::from_millis(10),
            ahead: 3,
        };
        let now = Instant::now();
        let kinds = [Sandbox::Full, Sandbox::Full, Sandbox::None];
        Run {
            state: State::new(rules, &kinds, Share::new(None), now),
            world: World { room: 3, ..World::default() },
            now,
            serials: 0,
            last: 0,
            keys: Vec::new(),
            taken: HashMap::new(),
            over: HashMap::new(),
            crashes: 0,
            harmful_deaths: 0,
        }
    }

    fn step(&mut self, step: Step) {
        let Run { state, world, now, .. } = self;
        match step {
            Step::Submit { kind, due, from_start } => {
                let before = state.queued();
                self.last += 1;
                let time = |millis| Duration::from_millis(millis);
                let terms = Terms { due: due.map(|due| *now + time(due)), ..Terms::default() };
                let new = NewJob { id: self.last, payload: self.last, kind, terms, from_start: from_start.map(time) };
                match state.submit(new, world, *now) {
                    Ok(key) => {
                        assert!(before < LIMIT, "the bound of the queue");
                        self.keys.push(key);
                        self.taken.insert(self.last, None);
                    }
                    Err((_, refusal)) => assert!(
                        before >= LIMIT || matches!(refusal, Refusal::NotStarted { .. }),
                        "refused though there is room: {refusal}"
                    ),
                }
            }
            Step::Cancel(index) => {
                if let Some(key) = self.keys.get(index) {
                    state.cancel(*key, world, *now);
                }
            }
            Step::Begin(seat) => {
                if let Some(first) = world.desks.get_mut(&seat).and_then(|desk| desk.jobs.front_mut()) {
                    first.2 = true;
                }
            }
            Step::Answer(seat) => {
                let first = world.desks.get_mut(&seat).and_then(|desk| match desk.jobs.front() {
                    Some((_, _, true)) => desk.jobs.pop_front(),
                    _ => None,
                });
                if let Some((_, id, _)) = first {
                    let answered = state.answered(Seat(seat), id, Ok(()), *now);
                    assert_eq!(answered, Ok(()), "an honest answer");
                    state.dispatch(world, *now);
                }
            }
            Step::Die(seat) => self.die(seat),
            Step::Lie(seat) => {
                if world.desks.get(&seat).is_some_and(|desk| desk.is_ready) {
                    let lie = state.answered(Seat(seat), u64::MAX, Ok(()), *now);
                    state.malformed(Seat(seat), lie.expect_err("a lie"));
                }
            }
            Step::Hello(seat) => {
                if let Some(desk) = world.desks.get_mut(&seat).filter(|desk| !desk.is_ready) {
                    desk.is_ready = true;
                    state.ready(Seat(seat), world, *now);
                }
            }
            Step::FailToStart(seat) => {
                if world.desks.get(&seat).is_some_and(|desk| !desk.is_ready) {
                    world.desks.remove(&seat);
                    state.start_failed(Seat(seat), "no".to_owned(), *now);
                }
            }
            Step::Arrive { is_full } => {
                if !world.ways.is_empty() {
                    let Way { seat, serial, key, id } = world.ways.remove(0);
                    let is_wanted = state.is_wanted(seat, key);
                    if let Some(desk) = world.desks.get_mut(&seat.0).filter(|desk| desk.serial == serial) {
                        let outcome = if is_wanted && !is_full {
                            world.slots += 1;
                            desk.jobs.push_back((world.slots, id, false));
                            Offered::Placed(world.slots)
                        } else {
                            Offered::NoRoom
                        };
                        state.carried(seat, key, outcome, *now);
                        state.dispatch(world, *now);
                    }
                }
            }
            Step::Pass(millis) => {
                *now += Duration::from_millis(millis);
                if state.due().is_some_and(|due| due <= *now) {
                    state.tick(world, *now);
                }
            }
            Step::Obey => self.obey(),
            Step::Weigh(seat) => state.weighed(Seat(seat), 101),
            Step::Wait { seat, blocks } => {
                if let Some((_, id, true)) = world.desks.get(&seat).and_then(|desk| desk.jobs.front()) {
                    state.waits(Seat(seat), *id, if blocks { Waits::ForSomething } else { Waits::Not });
                }
            }
        }
        self.check();
    }

    fn obey(&mut self) {
        for order in self.state.take_orders() {
            match order {
                Order::Start { seat, .. } => {
                    self.serials += 1;
                    let desk = Desk { serial: self.serials, ..Desk::default() };
                    assert!(self.world.desks.insert(seat.0, desk).is_none(), "two processes in one seat");
                }
                Order::Kill { seat, .. } => self.die(seat.0),
                Order::Weigh { .. } => {}
            }
        }
    }

    fn die(&mut self, seat: usize) {
        let Some(desk) = self.world.desks.get(&seat) else { return };
        if !desk.is_ready {
            self.world.desks.remove(&seat);
            self.state.start_failed(Seat(seat), "it died".to_owned(), self.now);
            return;
        }
        let crash = Crash { ending: Ending::Signal(11), stderr_tail: String::new() };
        let death = self.state.died(Seat(seat), crash, &mut self.world, self.now);
        self.harmful_deaths += usize::from(death.is_some_and(|death| death.task.is_some()));
        self.world.desks.remove(&seat);
        self.state.dispatch(&mut self.world, self.now);
    }

    fn check(&mut self) {
        for Ended { payload, result, is_over } in self.state.take_ended() {
            if let Some(result) = result {
                self.crashes += usize::from(matches!(result, Err(TaskError::Crashed(_))));
                let told = self.taken.get_mut(&payload).expect("a task that was taken");
                assert_eq!(told.replace(result), None, "told twice");
            }
            if is_over {
                assert_eq!(self.over.insert(payload, 1), None, "over twice");
            }
        }
        assert!(self.crashes <= self.harmful_deaths, "a death harms one task at most");
        let (processes, _) = self.state.population();
        assert!(processes <= 3, "{processes} processes");
        assert_eq!(
            self.state.share_running(),
            self.state.processes().filter(|(_, its)| !its.queue.is_empty() && its.waits == Waits::Not).count(),
            "permits are counted by processes that run tasks"
        );
    }

    /// All that was taken ends if the world is good from now on.
    fn finish(mut self, least: usize) {
        for _ in 0..3000 {
            self.obey();
            for seat in 0..3 {
                self.step(Step::Hello(seat));
                self.step(Step::Begin(seat));
                self.step(Step::Answer(seat));
            }
            self.step(Step::Arrive { is_full: false });
            self.step(Step::Pass(1));
            if self.taken.keys().all(|id| self.over.contains_key(id)) {
                break;
            }
        }
        for (id, told) in &self.taken {
            assert!(told.is_some() && self.over.contains_key(id), "task {id} has not ended: {told:?}");
        }
        for _ in 0..1200 {
            self.obey();
            (0..3).for_each(|seat| self.step(Step::Hello(seat)));
            self.step(Step::Pass(1));
        }
        if self.state.trouble(self.now).is_none() && self.state.last_failure().is_none() {
            assert!(self.state.lives() >= least, "{} processes of at least {least}", self.state.lives());
        }
        self.state.drain();
        for _ in 0..10 {
            self.obey();
            self.step(Step::Pass(1));
        }
        assert!(self.state.is_over(), "a drained pool has nothing left");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_task_ends_exactly_once_whatever_happens(steps in prop::collection::vec(step(), 1..200), least in 1..=3_usize) {
        let mut run = Run::new(least);
        steps.into_iter().for_each(|step| run.step(step));
        run.finish(least);
    }
}
