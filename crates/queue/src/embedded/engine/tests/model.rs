//! Random requests, batches that are lost, and restarts, against a naive model: nothing confirmed is lost, each end is recorded once,
//! old tokens are refused, what a holder is told is so, counts are right, what is given out is first by rank, the bound is held.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::rig::{ME, Rig, job, ms, secs};
use crate::embedded::engine::Settings;
use crate::embedded::words::{Reply, Request};
use crate::job::{Finish, NewJob, Outcome, Recorded, Submitted, Work, rank};
use crate::{Error, JobEnd, JobId, JobState, RetryPolicy, Token};
use std::time::Duration;

const KINDS: [&str; 3] = ["a", "b", "c"];
const BOUND: u64 = 12;

/// What is asked. Numbers choose among what is there.
#[derive(Debug, Clone)]
enum Word {
    Submit {
        kind: usize,
        priority: u8,
        delay: u64,
    },
    Again(usize),
    Finish {
        lease: usize,
        how: u8,
    },
    OldFinish(usize),
    /// By a holder that was lost from sight.
    LateFinish(usize),
    Cancel(usize),
    Revive(usize),
}

#[derive(Debug, Clone)]
enum Step {
    /// Words in one batch, which is committed, or lost by a crash.
    Batch {
        words: Vec<Word>,
        is_lost: bool,
    },
    Claim {
        kinds: usize,
        most: usize,
    },
    Pass(u64),
    Gone,
    /// The owner dies; the client comes again with these leases, or not.
    Crash {
        comes: bool,
    },
}

fn word() -> impl Strategy<Value = Word> {
    prop_oneof![
        5 => (0..3_usize, 0..10_u8, prop_oneof![3 => Just(0_u64), 1 => 1..5000_u64])
            .prop_map(|(kind, priority, delay)| Word::Submit { kind, priority, delay }),
        1 => any::<usize>().prop_map(Word::Again),
        5 => (any::<usize>(), 0..5_u8).prop_map(|(lease, how)| Word::Finish { lease, how }),
        1 => any::<usize>().prop_map(Word::OldFinish),
        1 => any::<usize>().prop_map(Word::LateFinish),
        1 => any::<usize>().prop_map(Word::Cancel),
        1 => any::<usize>().prop_map(Word::Revive),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (prop::collection::vec(word(), 1..5), prop::bool::weighted(0.1))
            .prop_map(|(words, is_lost)| Step::Batch { words, is_lost }),
        5 => (1..8_usize, 1..4_usize).prop_map(|(kinds, most)| Step::Claim { kinds, most }),
        2 => (1..3000_u64).prop_map(Step::Pass),
        1 => Just(Step::Gone),
        1 => any::<bool>().prop_map(|comes| Step::Crash { comes }),
    ]
}

/// What a job should be.
#[derive(Debug, Clone)]
struct Expected {
    order: usize,
    new: NewJob,
    state: JobState,
    rank: i64,
    errors: u32,
    crashes: u32,
    token: Option<Token>,
    /// Attempts whose holders were lost from sight, since the last one that said how it went.
    late: Vec<Token>,
    /// Attempts whose end was recorded.
    recorded: Vec<Token>,
    end: Option<JobEnd>,
}

struct World {
    rig: Rig,
    jobs: BTreeMap<JobId, Expected>,
    ids: Vec<JobId>,
    old: Vec<Token>,
}

impl World {
    fn new() -> World {
        let rig = Rig::with(Settings { max_waiting: BOUND, seed: Some(1), ..Settings::default() });
        World { rig, jobs: BTreeMap::new(), ids: Vec::new(), old: Vec::new() }
    }

    fn held(&self) -> Vec<Token> {
        self.jobs.values().filter_map(|job| job.token).collect()
    }

    fn waiting(&self) -> u64 {
        let waits = |job: &&Expected| matches!(job.state, JobState::Ready | JobState::Scheduled);
        self.jobs.values().filter(waits).count() as u64
    }

    fn request(&self, word: &Word) -> Option<Request> {
        let pick = |at: usize| (!self.ids.is_empty()).then(|| self.ids[at % self.ids.len()]);
        Some(match word {
            Word::Submit { kind, priority, delay } => {
                let mut new = job(KINDS[*kind]);
                new.priority = *priority;
                if *delay > 0 {
                    new.not_before = self.rig.now.wall.after(ms(*delay));
                }
                // No wait after an error, and no end by crashes.
                let policy = RetryPolicy::default().attempts(3).crashes(1000);
                new.retry = policy.backoff(Duration::ZERO, Duration::ZERO);
                new.keep = secs(1_000_000);
                Request::Submit(vec![Work::Job(new)])
            }
            Word::Again(at) => Request::Submit(vec![Work::Job(self.jobs[&pick(*at)?].new.clone())]),
            Word::Finish { lease, how } => {
                let held = self.held();
                let token = *held.get(lease % held.len().max(1))?;
                let outcome = match how {
                    0 | 1 => Outcome::Done(vec![*how]),
                    2 => Outcome::Failed { error: vec![2], hopeless: false },
                    3 => Outcome::Failed { error: vec![3], hopeless: true },
                    _ => Outcome::Returned,
                };
                Request::Finish(vec![Finish { token, outcome }])
            }
            Word::OldFinish(at) => {
                let token = *self.old.get(at % self.old.len().max(1))?;
                Request::Finish(vec![Finish { token, outcome: Outcome::Done(vec![9]) }])
            }
            Word::LateFinish(at) => {
                let late: Vec<Token> = self.jobs.values().flat_map(|job| job.late.clone()).collect();
                let token = *late.get(at % late.len().max(1))?;
                Request::Finish(vec![Finish { token, outcome: Outcome::Done(vec![8]) }])
            }
            Word::Cancel(at) => Request::Cancel(pick(*at)?),
            Word::Revive(at) => Request::Revive(pick(*at)?),
        })
    }

    /// What the model makes of it; compares the answer.
    fn expect(&mut self, request: Request, reply: Result<Reply, Error>) {
        let wall = self.rig.now.wall;
        match request {
            Request::Submit(works) => {
                let Work::Job(new) = &works[0] else { return };
                let is_new = !self.jobs.contains_key(&new.id);
                let Ok(Reply::Submitted(answers)) = reply else { panic!("{reply:?}") };
                if is_new && self.waiting() >= BOUND {
                    assert!(matches!(answers[0], Err(Error::Full { .. })), "{answers:?}");
                    return;
                }
                assert_eq!(answers[0], Ok(Submitted::Taken(new.id)));
                if is_new {
                    let state = if new.not_before > wall { JobState::Scheduled } else { JobState::Ready };
                    let rank = rank(new.not_before.max(wall), new.priority);
                    let (order, new) = (self.ids.len(), new.clone());
                    self.ids.push(new.id);
                    let job = Expected {
                        order,
                        state,
                        rank,
                        errors: 0,
                        crashes: 0,
                        token: None,
                        late: Vec::new(),
                        recorded: Vec::new(),
                        end: None,
                        new,
                    };
                    self.jobs.insert(job.new.id, job);
                }
            }
            Request::Finish(finishes) => {
                let Finish { token, outcome } = &finishes[0];
                let Ok(Reply::Recorded(recorded)) = reply else { panic!("{reply:?}") };
                let job = self.jobs.get_mut(&token.job).unwrap();
                if job.recorded.contains(token) {
                    // The same word again gets the same answer, unless another attempt was begun and written; it changes nothing.
                    return;
                }
                // Whether the word of a holder that was lost still counts depends on what was written of leases. What it is told is so.
                if job.token.is_none() && job.late.contains(token) && recorded == [Recorded::Yes] {
                    job.token = Some(*token);
                }
                if job.token != Some(*token) {
                    assert_eq!(recorded, [Recorded::Stale]);
                    return;
                }
                assert_eq!(recorded, [Recorded::Yes]);
                job.recorded.extend(job.token.take());
                job.late.clear();
                match outcome {
                    Outcome::Done(result) => job.finish(JobState::Done, JobEnd::Done(result.clone())),
                    Outcome::Failed { error, hopeless } => {
                        job.errors += 1;
                        if *hopeless || job.errors == 3 {
                            job.finish(JobState::Dead, JobEnd::Dead(error.clone()));
                        } else {
                            (job.state, job.rank) = (JobState::Ready, rank(wall, job.new.priority));
                        }
                    }
                    _ => job.state = JobState::Ready,
                }
            }
            Request::Cancel(id) => {
                let job = self.jobs.get_mut(&id).unwrap();
                assert_eq!(reply.is_ok(), !job.state.is_end(), "{reply:?}");
                if !job.state.is_end() {
                    job.token = None;
                    job.late.clear();
                    job.finish(JobState::Cancelled, JobEnd::Cancelled);
                }
            }
            Request::Revive(id) => {
                let job = self.jobs.get_mut(&id).unwrap();
                let can = matches!(job.state, JobState::Dead | JobState::Cancelled);
                assert_eq!(reply.is_ok(), can, "{reply:?}");
                if can {
                    (job.state, job.rank, job.end) = (JobState::Ready, rank(wall, job.new.priority), None);
                    (job.errors, job.crashes) = (0, 0);
                }
            }
            other => panic!("{other:?}"),
        }
    }

    /// Tokens that are held no more, or never were told, are old ones.
    fn retire(&mut self, before: Vec<Token>) {
        let held = self.held();
        self.old.extend(before.into_iter().filter(|token| !held.contains(token)));
    }

    fn take(&mut self, step: &Step) {
        let before = self.held();
        match step {
            Step::Batch { words, is_lost } => {
                // Each word is chosen by what the model knows before the batch; a lease is finished once in it.
                let mut asked: Vec<(u64, Request)> = Vec::new();
                for word in words {
                    let Some(request) = self.request(word) else { continue };
                    let repeats = |of: &(u64, Request)| {
                        matches!((&of.1, &request),
                        (Request::Finish(one), Request::Finish(other)) if one[0].token == other[0].token)
                    };
                    if !asked.iter().any(repeats) {
                        asked.push((self.rig.apply(ME, request.clone()), request));
                    }
                }
                if *is_lost {
                    return self.crash(true);
                }
                self.rig.commit();
                for (ask, request) in asked {
                    let reply = self.rig.answer(ask).expect("an answer after the commit");
                    self.expect(request, reply);
                }
            }
            Step::Claim { kinds, most } => self.claim(*kinds, *most),
            Step::Pass(time) => {
                self.rig.pass(ms(*time));
                self.activate();
            }
            Step::Gone => {
                let now = self.rig.now;
                self.rig.engine().gone(ME, now);
                self.rig.commit();
                self.rig.hello(ME);
                for job in self.jobs.values_mut().filter(|job| job.token.is_some()) {
                    job.late.extend(job.token.take());
                    job.state = JobState::Ready;
                    job.crashes += 1;
                }
            }
            Step::Crash { comes } => self.crash(*comes),
        }
        // What was taken from its holder by a lost socket may still be finished by it, as long as no other attempt was begun.
        if !matches!(step, Step::Gone | Step::Crash { .. }) {
            self.retire(before);
        }
        self.compare();
    }

    fn activate(&mut self) {
        let wall = self.rig.now.wall;
        for job in self.jobs.values_mut() {
            if job.state == JobState::Scheduled && job.new.not_before <= wall {
                job.state = JobState::Ready;
            }
        }
    }

    fn claim(&mut self, kinds: usize, most: usize) {
        let kinds: Vec<&str> = (0..3).filter(|bit| kinds & (1 << bit) != 0).map(|bit| KINDS[bit]).collect();
        let leases = self.rig.claim(&kinds, most);
        let can = |job: &&Expected| job.state == JobState::Ready && kinds.contains(&job.new.kind.as_str());
        let mut first: Vec<(i64, usize, JobId)> =
            self.jobs.values().filter(can).map(|job| (job.rank, job.order, job.new.id)).collect();
        first.sort_unstable();
        first.truncate(most);
        let expected: Vec<JobId> = first.into_iter().map(|(_, _, id)| id).collect();
        assert_eq!(leases.iter().map(|lease| lease.token.job).collect::<Vec<_>>(), expected);
        for lease in leases {
            let job = self.jobs.get_mut(&lease.token.job).unwrap();
            let old = self.old.iter().filter(|old| old.job == lease.token.job);
            assert!(old.chain(&job.late).all(|old| *old < lease.token));
            assert_eq!(lease.payload, job.new.payload);
            (job.state, job.token) = (JobState::Leased, Some(lease.token));
        }
    }

    fn crash(&mut self, comes: bool) {
        let held = self.held();
        self.rig.crash();
        let (handle, now) = (self.rig.handle, self.rig.now);
        let holds = if comes { held.clone() } else { Vec::new() };
        let kept = self.rig.engine().connected(ME, handle, &holds, now);
        assert!(kept.iter().all(|kept| *kept), "{kept:?} of {holds:?}");
        self.rig.pass(secs(3));
        self.activate();
        if !comes {
            for token in held {
                let status = self.rig.status(token.job).unwrap();
                let job = self.jobs.get_mut(&token.job).unwrap();
                assert!(status.crashes == job.crashes || status.crashes == job.crashes + 1);
                job.late.extend(job.token.take());
                (job.state, job.crashes) = (JobState::Ready, status.crashes);
            }
        }
    }

    fn compare(&mut self) {
        let all: Vec<Expected> = self.jobs.values().cloned().collect();
        for job in &all {
            let status = self.rig.status(job.new.id).unwrap();
            assert_eq!((status.state, status.errors, status.crashes), (job.state, job.errors, job.crashes), "{job:?}");
            assert_eq!(self.rig.ended(job.new.id), job.end);
        }
        let Some(stats) = self.rig.stats_or_none() else { return assert!(all.is_empty()) };
        let count = |state: JobState| all.iter().filter(|job| job.state == state).count() as u64;
        let counted = [stats.ready, stats.scheduled, stats.leased, stats.done, stats.dead];
        let states = [JobState::Ready, JobState::Scheduled, JobState::Leased, JobState::Done, JobState::Dead];
        assert_eq!(counted, states.map(count));
        assert_eq!(stats.bytes, 5 * self.waiting());
    }
}

impl Expected {
    fn finish(&mut self, state: JobState, end: JobEnd) {
        (self.state, self.end) = (state, Some(end));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_does_what_a_naive_model_does(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
    }
}
