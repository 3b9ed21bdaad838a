//! Jobs without a state store: what messages can carry of the job model.

use std::time::{Duration, Instant};

use phalanx_queue::conformance::wait;
use phalanx_queue::job::{Claim, Finish, Lease, NewJob, Outcome, Recorded, Submitted, Unique, Work};
use phalanx_queue::{Capability, Error, JobEnd, JobId, Queue, QueueName, RetryPolicy, Token, UnixMillis, payload};
use phalanx_task::{Phase, Refusal, TaskError};

use crate::{GIVE_UP, Shared, Test, connect, next, shared};

pub(crate) const TESTS: &[Test] = &[
    ("the_result_of_a_job_comes_to_whoever_submitted_it", the_result_comes_to_its_submitter),
    ("a_failed_job_is_tried_again_and_then_dead", a_failed_job_is_tried_again_and_then_dead),
    ("a_hopeless_job_is_dead_at_once", a_hopeless_job_is_dead_at_once),
    ("a_job_that_loses_its_runners_is_poison", a_job_that_loses_its_runners_is_poison),
    ("a_job_that_is_handed_back_has_lost_nothing", a_job_that_is_handed_back_has_lost_nothing),
    ("jobs_that_were_not_begun_are_handed_back_uncounted", jobs_that_were_not_begun_are_handed_back),
    ("a_runner_that_asks_no_more_keeps_no_jobs", a_runner_that_asks_no_more_keeps_no_jobs),
    ("a_job_of_an_unknown_kind_waits_for_whoever_knows_it", an_unknown_kind_waits),
    ("a_job_that_is_late_is_not_begun", a_job_that_is_late_is_not_begun),
    ("what_needs_a_state_store_is_unsupported", what_needs_a_state_store_is_unsupported),
];

/// One broker for each test, with a queue of its own.
struct Place {
    queue: Queue,
    name: QueueName,
    shared: Shared,
}

fn place() -> Option<Place> {
    let shared = shared()?;
    let queue = connect(&shared.url);
    Some(Place { queue, name: QueueName::new(format!("jobs-{}", JobId::new())).unwrap(), shared })
}

impl Place {
    fn job(&self) -> NewJob {
        let mut job = NewJob::new(self.name.clone(), "kind", b"input".to_vec());
        job.awaited = true;
        job.retry = RetryPolicy::default().backoff(Duration::from_millis(50), Duration::from_millis(50));
        job
    }

    fn submit(&self, job: NewJob) -> JobId {
        let id = job.id;
        let submitted = wait(self.queue.store().submit(vec![Work::Job(job)])).unwrap();
        assert_eq!(submitted, [Ok(Submitted::Taken(id))]);
        id
    }

    fn end(&self, job: JobId) -> JobEnd {
        wait(self.queue.store().ended(job, GIVE_UP)).unwrap().expect("it does not end")
    }

    /// What the dead-letter queue got.
    fn dead(&self) -> phalanx_queue::Message {
        let dead = QueueName::new(format!("{}.dead", self.name)).unwrap();
        let mut consumer = wait(self.queue.consume(&dead, 1)).unwrap();
        let delivery = next(&mut consumer);
        let message = delivery.message.clone();
        wait(delivery.ack()).unwrap();
        message
    }
}

/// A runner on a connection of its own.
struct Runner {
    queue: Queue,
    claim: Claim,
}

impl Runner {
    fn new(place: &Place, kinds: &[&str]) -> Runner {
        let queues = vec![place.name.clone()];
        let kinds = kinds.iter().map(|&kind| kind.to_owned()).collect();
        let claim = Claim { runner: JobId::new(), name: "test".to_owned(), queues, kinds, most: 1, wait: GIVE_UP };
        Runner { queue: connect(&place.shared.url), claim }
    }

    fn claims(&self, most: usize, time: Duration) -> Vec<Lease> {
        wait(self.queue.store().claim(Claim { most, wait: time, ..self.claim.clone() })).unwrap()
    }

    fn claim(&self) -> Lease {
        self.claims(1, GIVE_UP).pop().expect("no job came")
    }

    fn finish(&self, token: Token, outcome: Outcome) -> Recorded {
        wait(self.queue.store().finish(vec![Finish { token, outcome }])).unwrap()[0]
    }
}

fn failed(hopeless: bool) -> Outcome {
    Outcome::Failed { error: payload::error(&TaskError::failed("no luck")), hopeless }
}

fn the_result_comes_to_its_submitter() {
    let Some(place) = place() else { return };
    let runner = Runner::new(&place, &["kind"]);
    let jobs: Vec<JobId> = (0..10).map(|_| place.submit(place.job())).collect();
    assert_eq!(wait(place.queue.store().ended(jobs[0], Duration::from_millis(50))), Ok(None));
    for _ in &jobs {
        let lease = runner.claim();
        assert_eq!((lease.kind.as_str(), lease.payload.as_slice(), lease.attempt), ("kind", b"input".as_slice(), 1));
        let result = lease.token.job.as_bytes().to_vec();
        assert_eq!(runner.finish(lease.token, Outcome::Done(result.clone())), Recorded::Yes);
        // The same again: the same answer.
        assert_eq!(runner.finish(lease.token, Outcome::Done(result)), Recorded::Yes);
    }
    for job in jobs {
        assert_eq!(place.end(job), JobEnd::Done(job.as_bytes().to_vec()));
        assert_eq!(place.end(job), JobEnd::Done(job.as_bytes().to_vec()));
    }
    assert!(runner.claims(1, Duration::from_millis(300)).is_empty());
    assert_eq!(runner.finish(Token { job: JobId::new(), epoch: 0, attempt: 1 }, Outcome::Returned), Recorded::Stale);
}

fn a_failed_job_is_tried_again_and_then_dead() {
    let Some(place) = place() else { return };
    let runner = Runner::new(&place, &["kind"]);
    let mut job = place.job();
    job.retry = job.retry.attempts(3);
    let job = place.submit(job);
    for attempt in 1..=3 {
        let lease = runner.claim();
        assert_eq!((lease.token.job, lease.attempt, lease.crashes), (job, attempt, 0));
        assert_eq!(runner.finish(lease.token, failed(false)), Recorded::Yes);
    }
    let JobEnd::Dead(error) = place.end(job) else { panic!("it is not dead") };
    assert_eq!(payload::as_error(&error), TaskError::failed("no luck"));
    let letter = place.dead();
    assert_eq!((letter.id.0, letter.body.as_slice()), (job, b"input".as_slice()));
    assert_eq!(letter.headers.get("phalanx-error"), Some(&error));
}

fn a_hopeless_job_is_dead_at_once() {
    let Some(place) = place() else { return };
    let runner = Runner::new(&place, &["kind"]);
    let job = place.submit(place.job());
    assert_eq!(runner.finish(runner.claim().token, failed(true)), Recorded::Yes);
    assert!(matches!(place.end(job), JobEnd::Dead(_)));
    assert_eq!(place.dead().id.0, job);
}

fn a_job_that_loses_its_runners_is_poison() {
    let Some(place) = place() else { return };
    let job = place.submit(place.job());
    for crashes in 0..2 {
        // It ends without a word.
        let lost = Runner::new(&place, &["kind"]);
        let lease = lost.claim();
        assert_eq!((lease.attempt, lease.crashes), (crashes + 1, crashes));
    }
    let runner = Runner::new(&place, &["kind"]);
    let lease = runner.claim();
    assert_eq!((lease.attempt, lease.crashes), (3, 2));
    let crashed = Outcome::Crashed { error: payload::error(&TaskError::failed("killed")) };
    assert_eq!(runner.finish(lease.token, crashed), Recorded::Yes);
    let JobEnd::Dead(error) = place.end(job) else { panic!("it is not dead") };
    assert_eq!(payload::as_error(&error), TaskError::Refused(Refusal::Poison { crashes: 3 }));
    assert_eq!(place.dead().id.0, job);
}

fn a_job_that_is_handed_back_has_lost_nothing() {
    let Some(place) = place() else { return };
    let runner = Runner::new(&place, &["kind"]);
    let job = place.submit(place.job());
    for _ in 0..5 {
        let lease = runner.claim();
        assert_eq!((lease.token.job, lease.attempt, lease.crashes), (job, 1, 0));
        assert_eq!(runner.finish(lease.token, Outcome::Returned), Recorded::Yes);
    }
    assert_eq!(runner.finish(runner.claim().token, Outcome::Cancelled), Recorded::Yes);
    assert_eq!(place.end(job), JobEnd::Cancelled);
}

fn jobs_that_were_not_begun_are_handed_back() {
    let Some(place) = place() else { return };
    let jobs: Vec<JobId> = (0..6).map(|_| place.submit(place.job())).collect();
    for _ in 0..4 {
        let stops = Runner::new(&place, &["kind"]);
        // Six slots, so that RabbitMQ hands out all of them; of those that were claimed, too, none is begun.
        assert!(!stops.claims(6, GIVE_UP).is_empty());
        wait(stops.queue.close());
    }
    let runner = Runner::new(&place, &["kind"]);
    for _ in &jobs {
        let lease = runner.claim();
        assert_eq!((lease.attempt, lease.crashes), (1, 0));
        assert_eq!(runner.finish(lease.token, Outcome::Done(Vec::new())), Recorded::Yes);
    }
}

fn a_runner_that_asks_no_more_keeps_no_jobs() {
    let Some(place) = place() else { return };
    let first = Runner::new(&place, &["kind"]);
    // It has room for five, and asks no more.
    assert!(first.claims(5, Duration::from_millis(100)).is_empty());
    let jobs: Vec<JobId> = (0..3).map(|_| place.submit(place.job())).collect();
    let second = Runner::new(&place, &["kind"]);
    for _ in &jobs {
        let lease = second.claim();
        assert_eq!((lease.attempt, lease.crashes), (1, 0));
        assert_eq!(second.finish(lease.token, Outcome::Done(Vec::new())), Recorded::Yes);
    }
    for job in jobs {
        place.end(job);
    }
}

fn an_unknown_kind_waits() {
    let Some(place) = place() else { return };
    let (older, newer) = (Runner::new(&place, &["other"]), Runner::new(&place, &["kind"]));
    let job = place.submit(place.job());
    assert!(older.claims(1, Duration::from_millis(500)).is_empty());
    let lease = newer.claim();
    assert_eq!((lease.token.job, lease.attempt), (job, 1));
    assert_eq!(newer.finish(lease.token, Outcome::Done(Vec::new())), Recorded::Yes);
}

fn a_job_that_is_late_is_not_begun() {
    let Some(place) = place() else { return };
    let mut job = place.job();
    job.deadline = Some(UnixMillis::now().after(Duration::from_millis(1)));
    let job = place.submit(job);
    let late = Instant::now() + Duration::from_millis(5);
    while Instant::now() < late {
        std::thread::yield_now();
    }
    let runner = Runner::new(&place, &["kind"]);
    assert!(runner.claims(1, Duration::from_millis(500)).is_empty());
    let JobEnd::Dead(error) = place.end(job) else { panic!("it is not dead") };
    assert_eq!(payload::as_error(&error), TaskError::TimedOut(Phase::Queue));
}

fn what_needs_a_state_store_is_unsupported() {
    let Some(place) = place() else { return };
    let store = place.queue.store();
    let unsupported = |capability: Capability, result: Result<(), Error>| match result {
        Err(Error::Unsupported { capability: which, .. }) => assert_eq!(which, capability),
        other => panic!("{capability:?}: {other:?}"),
    };
    let refused = |change: &dyn Fn(&mut NewJob)| {
        let mut job = place.job();
        change(&mut job);
        wait(store.submit(vec![Work::Job(job)])).unwrap().remove(0).map(drop)
    };
    let key = Unique { key: "k".to_owned(), ttl: Duration::ZERO };
    unsupported(Capability::Unique, refused(&|job| job.unique = Some(key.clone())));
    unsupported(Capability::Schedule, refused(&|job| job.not_before = UnixMillis::now().after(GIVE_UP)));
    unsupported(Capability::Priority, refused(&|job| job.priority = 9));
    assert!(matches!(refused(&|job| job.payload = vec![0; payload::LONGEST + 1]), Err(Error::TooBig { .. })));
    let nobody = JobId::new();
    unsupported(Capability::Results, wait(store.ended(nobody, Duration::ZERO)).map(drop));
    unsupported(Capability::Status, wait(store.changed(nobody, 0, Duration::ZERO)).map(drop));
    unsupported(Capability::Cancel, wait(store.cancel(nobody)));
    unsupported(Capability::Schedule, wait(store.schedules()).map(drop));
    let can = [Capability::Reply, Capability::DeadLetter, Capability::Bound, Capability::Stats, Capability::Purge];
    assert!(can.iter().all(|capability| store.can(*capability)));
    let cannot = [Capability::Flow, Capability::Results, Capability::Fencing, Capability::Details, Capability::Pause];
    assert!(!cannot.iter().any(|capability| store.can(*capability)));
}
