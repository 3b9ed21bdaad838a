//! What must hold whatever happens: checked at every action, and of the whole after every step.

use std::collections::HashMap;

use super::super::process::Part;
use super::super::recycle::BETWEEN_LEAKS;
use super::super::replacement::{Purpose, Stage};
use super::super::seat::Rest;
use super::super::{Action, Admission, Departure, Input, KillReason, Now, RecycleReason, Supervisor};
use super::Trace;
use super::body::Body;
use super::world::World;
use crate::WorkerId;

/// What the promises need to know of the past.
#[derive(Debug)]
pub(super) struct Promises {
    next_worker: u32,
    listeners_open: bool,
    stopping: bool,
    pub(super) finished: bool,
    operations_asked: u64,
    operation: Option<Running>,
    /// The worker that is being recycled, and the one that leaves because it was.
    recycling: Option<WorkerId>,
    recycled: Option<WorkerId>,
    /// When a place was last recycled for a leak.
    leaks_recycled: HashMap<usize, Now>,
}

/// An operation whose end was not said yet.
#[derive(Debug)]
struct Running {
    number: u64,
    reload_to: Option<u32>,
    generation_before: u32,
    generations_before: Vec<(usize, u32)>,
    served_before: usize,
    /// The first worker that was started since.
    first_worker: u32,
    /// Whether something else than the reload took workers away.
    disturbed: bool,
    /// 1 if a place has made room: it may lack its worker.
    lent: usize,
}

impl Default for Promises {
    fn default() -> Promises {
        Promises {
            next_worker: 1,
            listeners_open: true,
            stopping: false,
            finished: false,
            operations_asked: 0,
            operation: None,
            recycling: None,
            recycled: None,
            leaks_recycled: HashMap::new(),
        }
    }
}

impl Promises {
    /// The number of a new operation.
    pub(super) fn asked(&mut self) -> u64 {
        self.operations_asked += 1;
        self.operations_asked
    }

    pub(super) fn is_busy(&self) -> bool {
        self.operation.is_some()
    }

    pub(super) fn upgrade_is_possible(&self) -> bool {
        !self.is_busy() && !self.stopping && !self.finished
    }

    /// A worker went that the operation did not send away.
    pub(super) fn disturb(&mut self) {
        if let Some(operation) = &mut self.operation {
            operation.disturbed = true;
        }
    }
}

impl World {
    pub(super) fn feed(&mut self, input: Input) {
        self.say(&input);
        self.note(&input);
        let adopting = matches!(input, Input::Adopt(_));
        for action in self.supervisor.step(input, self.now) {
            self.say(&action);
            self.perform(action);
        }
        if adopting {
            self.bodies
                .iter_mut()
                .filter(|body| body.birth.held)
                .for_each(|body| body.admitted |= body.ready.is_some());
        }
        self.check();
    }

    fn say(&self, what: &dyn std::fmt::Debug) {
        if self.trace == Trace::On {
            eprintln!("{:>10.3?} {what:?}", self.now);
        }
    }

    fn note(&mut self, input: &Input) {
        let served_before = self.bodies.iter().filter(|body| body.serves()).count();
        let promises = &mut self.promises;
        match input {
            Input::Stop | Input::StopNow => promises.stopping = true,
            Input::Disconnect(_) | Input::DisconnectAll => {
                promises.recycling = None;
                promises.disturb();
            }
            Input::Adopt(_) => {
                promises.leaks_recycled.clear();
                (promises.recycling, promises.recycled) = (None, None);
                promises.listeners_open = true;
            }
            Input::Reload { operation, .. } | Input::Scale { operation, .. } if promises.operation.is_none() => {
                promises.recycling = None;
                let reload_to = match input {
                    Input::Reload { generation, .. } => Some(*generation),
                    _ => None,
                };
                promises.operation = Some(Running {
                    number: *operation,
                    reload_to,
                    generation_before: self.supervisor.generation(),
                    generations_before: generations(&self.supervisor),
                    served_before,
                    first_worker: promises.next_worker,
                    disturbed: false,
                    lent: 0,
                });
            }
            _ => {}
        }
    }

    fn perform(&mut self, action: Action) {
        assert!(
            !self.promises.finished || matches!(action, Action::Over { .. }),
            "an action after the end: {action:?}"
        );
        let now = self.now;
        match action {
            Action::Spawn(birth) => {
                let worker = birth.worker;
                assert!(!self.promises.stopping, "worker {worker} was started while the cluster stops");
                assert_eq!(worker.get(), self.promises.next_worker, "a worker's number was used twice or left out");
                self.promises.next_worker += 1;
                let smallest = (0..).find(|page| !self.bodies.iter().any(|body| body.birth.page.0 == *page));
                assert_eq!(Some(birth.page.0), smallest, "the page is not the smallest that is free");
                self.promises.listeners_open = true;
                let mood = self.mood_of_a_newborn(birth.generation);
                self.bodies.push(Body::new(birth, now, mood));
            }
            Action::Probe(worker) => {
                let body = self.body(worker);
                assert!(body.birth.held && body.ready.is_some() && !body.admitted, "{body:?} is probed");
                body.probed = Some(now);
            }
            Action::Admit(worker) => self.admitted(worker),
            Action::DumpStacks(worker) => {
                let body = self.body(worker);
                assert!(body.serves(), "{body:?} has no liveness clock");
                body.dumped = Some(now);
            }
            Action::Recycle(worker, reason) => {
                if matches!(reason, RecycleReason::Leak(_)) {
                    self.recycled_for_a_leak(worker);
                }
                assert!(self.promises.operation.is_none(), "worker {worker} is recycled during an operation");
                assert_eq!(self.promises.recycled, None, "worker {worker} is recycled while another still leaves");
                self.promises.recycling = Some(worker);
            }
            Action::ShortOfMemory { worker, needed, free } => {
                assert!(
                    free < needed && self.free == Some(free),
                    "worker {worker} needs {needed}, and {free} are free"
                );
                self.body(worker);
            }
            Action::Over { operation, result } => self.over(operation, result),
            Action::Drain(worker, departure, _) => {
                let stopping = self.promises.stopping;
                self.may_leave_first(worker);
                let body = self.body(worker);
                assert!(!body.killed && body.leaving.is_none(), "{body:?} is told to leave again");
                assert!(departure == Departure::Alone || stopping, "worker {worker} leaves with all, but all stay");
                body.leaving = Some(now);
                if self.promises.recycling == Some(worker) {
                    self.promises.recycled = self.promises.recycling.take();
                }
            }
            Action::Kill(worker, reason) => self.killed(worker, reason),
            Action::Bury(worker, ref reason) => {
                assert!(!self.bodies.iter().any(|body| body.birth.worker == worker), "the living are buried");
                assert!(!self.promises.stopping || !reason.voluntary || reason.error.as_deref() != Some(""));
                self.promises.recycled.take_if(|recycled| *recycled == worker);
                self.promises.recycling.take_if(|recycling| *recycling == worker);
            }
            Action::BackOff(_, wait) => {
                let limit = self.policy.back_off_limit.mul_f64(1.2);
                assert!(wait <= limit && wait >= Now::from_millis(80), "a back-off of {wait:?}");
            }
            Action::Break(..) | Action::GiveUp(_) => assert!(!self.promises.stopping),
            Action::CloseListeners => {
                assert!(self.promises.listeners_open, "the listeners are closed twice");
                assert!(!self.bodies.iter().any(Body::serves), "the listeners are closed while somebody serves");
                self.promises.listeners_open = false;
            }
            Action::Finish(_) => {
                assert!(self.bodies.is_empty(), "the cluster ended while {:?} live", self.bodies);
                assert!(!self.promises.is_busy(), "the cluster ended in the middle of an operation");
                self.promises.finished = true;
            }
        }
    }

    /// Who leaves before its successor starts does so because there is no memory for both, and the others serve.
    fn may_leave_first(&mut self, worker: WorkerId) {
        let replacement = self.supervisor.replacement.as_ref();
        if !replacement.is_some_and(|its| matches!(its.stage, Stage::Leaving { old, .. } if old == worker)) {
            return;
        }
        let bytes = self.body(worker).bytes;
        assert!(self.free.is_some_and(|free| free < 2 * bytes), "worker {worker} leaves first, and there is room");
        assert!(self.bodies.iter().any(|other| other.birth.worker != worker && other.serves()), "nobody else serves");
        if let Some(operation) = &mut self.promises.operation {
            operation.lent = 1;
        }
    }

    fn body(&mut self, worker: WorkerId) -> &mut Body {
        let body = self.bodies.iter_mut().find(|body| body.birth.worker == worker);
        body.unwrap_or_else(|| panic!("worker {worker} does not exist"))
    }

    fn admitted(&mut self, worker: WorkerId) {
        let target = self.promises.operation.as_ref().and_then(|operation| operation.reload_to);
        let probed = self.policy.admission == Admission::Probed;
        let body = self.body(worker);
        assert!(body.birth.held && body.ready.is_some() && body.leaving.is_none(), "{body:?} is admitted");
        let gated = probed && target == Some(body.birth.generation);
        assert!(!gated || body.healthy, "{body:?} is admitted, and its gate did not say so");
        body.admitted = true;
    }

    /// Only where that is wanted, and no place again within the minute.
    fn recycled_for_a_leak(&mut self, worker: WorkerId) {
        assert!(self.policy.recycle_leaks, "worker {worker} is recycled for a leak, but that was not wanted");
        let place = usize::from(self.body(worker).birth.place.0);
        let (now, before) = (self.now, self.promises.leaks_recycled.insert(place, self.now));
        assert!(
            before.is_none_or(|before| now - before >= BETWEEN_LEAKS),
            "place {place} is recycled for a leak again"
        );
    }

    /// Nobody is killed without the reason that is said.
    fn killed(&mut self, worker: WorkerId, reason: KillReason) {
        let (policy, now) = (self.policy.clone(), self.now);
        let body = self.body(worker);
        assert!(!body.killed, "{body:?} is killed twice");
        let since = |then: Option<Now>| then.map_or(Now::ZERO, |then| now - then);
        let justified = match reason {
            KillReason::Boot => body.ready.is_none() && now - body.born >= policy.boot_deadline,
            KillReason::Gate => !body.admitted && !body.healthy,
            KillReason::Hung => since(body.dumped) >= policy.hung_grace,
            KillReason::Memory => policy.hard_memory.is_some_and(|limit| body.bytes > limit),
            KillReason::Drain => since(body.leaving) >= policy.drain_deadline,
            KillReason::OldGeneration => body.leaving.is_some(),
            KillReason::Unneeded => body.leaving.is_none(),
            KillReason::StopNow => true,
        };
        assert!(justified, "{body:?} is killed: {reason}");
        body.killed = true;
        // End of the first start, by a worker whose settings cannot work.
        self.promises.stopping |= reason == KillReason::StopNow;
        if matches!(reason, KillReason::Hung | KillReason::Memory) {
            self.promises.disturb();
        }
    }

    fn over(&mut self, number: u64, result: Result<(), String>) {
        let Some(operation) = self.promises.operation.take_if(|operation| operation.number == number) else {
            // Another one was under way, or all is over: it never began.
            assert_eq!(number, self.promises.operations_asked, "operation {number} was over already");
            let why = result.expect_err("an operation that never began is done");
            let known = ["under way", "ended", "can have"];
            assert!(known.iter().any(|words| why.contains(words)), "{why}");
            return;
        };
        let Some(target) = operation.reload_to else { return };
        let now = generations(&self.supervisor);
        match result {
            Ok(()) => {
                assert_eq!(self.supervisor.generation(), target);
                assert!(now.iter().all(|(_, generation)| *generation == target), "{now:?} is not all {target}");
            }
            Err(why) => {
                assert_eq!(self.supervisor.generation(), operation.generation_before);
                for (seat, generation) in now {
                    let mut before = operation.generations_before.iter().filter(|(its, _)| *its == seat);
                    let before = before.next().map_or(operation.generation_before, |(_, generation)| *generation);
                    // A place that was left and taken again during the operation began anew.
                    let expected = [before, operation.generation_before];
                    assert!(expected.contains(&generation), "place {seat} is of generation {generation}: {why}");
                    let current = self.supervisor.current(seat).map(|process| process.birth);
                    let young = current.filter(|birth| birth.worker.get() >= operation.first_worker);
                    let undone = !why.contains("all but");
                    assert!(!undone || young.is_none_or(|its| its.generation == generation), "{current:?}: {why}");
                }
            }
        }
    }

    fn check(&self) {
        if self.promises.finished {
            return;
        }
        let supervisor = &self.supervisor;
        // No child is lost, none is imagined, and no two share a page.
        assert_eq!(supervisor.processes.len(), self.bodies.len(), "the supervisor lost sight of its children");
        for (index, body) in self.bodies.iter().enumerate() {
            let known = supervisor.process(body.birth.worker).expect("a child that the supervisor does not know");
            assert_eq!(known.birth, body.birth);
            let leaves = body.drains() || known.is_let_go();
            assert_eq!(supervisor.leaves(body.birth.worker), Some(leaves), "{body:?}");
            let shares = self.bodies[..index].iter().any(|other| other.birth.page == body.birth.page);
            assert!(!shares, "page {} has two processes", body.birth.page.0);
        }
        self.check_places();
        if !self.promises.stopping {
            self.check_draining();
            self.check_capacity();
        }
        // Whatever does not run waits for something that will happen; no deadline is passed over.
        let wakes_at = supervisor.wakes_at();
        assert!(!self.bodies.is_empty() || wakes_at.is_some(), "no process, and nothing that would start one");
        assert!(wakes_at.is_none_or(|at| at > self.now), "a deadline was passed over");
    }

    /// A place has one current worker at most, and one exactly if it says so; there is one successor at most.
    fn check_places(&self) {
        let supervisor = &self.supervisor;
        for (index, seat) in supervisor.seats.iter().enumerate() {
            let here = supervisor.processes.iter().filter(|process| process.seat() == index);
            let currents = here.filter(|process| process.part == Part::Current).count();
            let expected = usize::from(seat.rest == Rest::Taken);
            assert!(currents == expected || self.promises.stopping, "place {index} has {currents} current workers");
        }
        let mut successors = supervisor.processes.iter().filter(|process| process.part == Part::Successor);
        let successor = successors.next().map(|process| (process.birth.worker, process.seat()));
        assert!(successors.next().is_none(), "two successors at once");
        if self.promises.stopping {
            return;
        }
        let replacement = supervisor.replacement.as_ref();
        let started = replacement.and_then(|its| Some((its.successor()?, its.seat)));
        assert_eq!(successor, started, "a successor that nobody waits for");
        let recycles = replacement.is_some_and(|its| its.purpose == Purpose::Recycle);
        assert!(!(recycles && self.promises.is_busy()), "recycling goes on during an operation");
        assert_eq!(supervisor.operation.is_some(), self.promises.is_busy());
    }

    /// Never more than two workers of a place drain, and never more than two generations.
    fn check_draining(&self) {
        let mut generations = [None; 2];
        for body in self.bodies.iter().filter(|body| body.drains()) {
            let its = Some(body.birth.generation);
            if generations.contains(&its) {
                continue;
            }
            let free = generations.iter().position(Option::is_none).expect("more than two generations drain");
            generations[free] = its;
        }
        for body in self.bodies.iter().filter(|body| body.drains()) {
            let here = self.bodies.iter().filter(|other| other.drains() && other.birth.place == body.birth.place);
            assert!(here.count() <= 2, "more than two workers of place {} drain", body.birth.place);
        }
    }

    /// A reload that nothing disturbs never has fewer workers that serve than there were, or one less if there was no
    /// memory for one more; and whoever serves, serves.
    fn check_capacity(&self) {
        let serving = self.bodies.iter().filter(|body| body.serves()).count();
        if let Some(operation) = &self.promises.operation
            && operation.reload_to.is_some()
            && !operation.disturbed
        {
            let served = operation.served_before;
            assert!(serving + operation.lent >= served, "{serving} serve, {served} did");
        }
        let known = self.supervisor.processes.iter().filter(|process| process.serves()).count();
        assert_eq!(serving, known, "the supervisor is wrong about who serves");
    }
}

/// The generation of each place that is wanted.
pub(super) fn generations(supervisor: &Supervisor) -> Vec<(usize, u32)> {
    let wanted = supervisor.seats.iter().enumerate().filter(|(_, seat)| seat.wanted());
    wanted.map(|(index, seat)| (index, seat.generation)).collect()
}

impl Supervisor {
    /// Whether every place that is not given up has a worker that serves.
    pub(super) fn is_whole(&self) -> bool {
        let serves = |index: usize| self.current(index).is_some_and(|process| process.serves());
        let fine = |rest: Rest, index: usize| matches!(rest, Rest::Vacant | Rest::GivenUp) || serves(index);
        self.seats.iter().enumerate().all(|(index, seat)| fine(seat.rest, index))
    }
}

impl super::super::process::Process {
    /// Killed so that its end is no crash.
    fn is_let_go(&self) -> bool {
        use super::super::process::{End, State};
        matches!(self.state, State::Dying { end: End::Voluntary })
    }
}
