//! Jobs, while clients and owners are killed.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use phalanx_queue::job::{Lease, Recorded, Work};
use phalanx_queue::{Error, JobEnd, Queue};
use rustix::process::Signal;

use crate::Test;
use crate::process::{Place, Running, block_on, until};
use crate::programs::{claim, done, job};

pub(crate) const TESTS: &[Test] = &[
    ("a job goes from one program to another, and its result comes back", round_trip),
    ("what a killed owner had confirmed is there, and callers have seen no error", nothing_lost),
    ("the jobs of a killed worker are claimed elsewhere at once", killed_worker),
    ("a storm of killed owners and workers loses no job, and records each result once", storm),
    ("after the death of the owner a runner still has its leases", || leases_survive(Signal::KILL)),
    ("after an orderly restart of the owner a runner still has its leases", || leases_survive(Signal::TERM)),
    ("a handle that is closed or dropped hands its leases back, uncounted", handed_back),
    ("leases for a caller that is gone are handed back", caller_gone),
    ("a stopped owner is unavailable at the deadline, not before, and goes on", stopped),
    ("many callers share one connection, and each gets its own answer", many_callers),
    ("two handles in one process are two clients", two_handles),
    ("a batch that is longer than a frame is divided, a job that is longer is refused", large),
];

const SOON: Duration = Duration::from_secs(20);

async fn submit(queue: &Queue, payload: &[u8]) -> phalanx_queue::JobId {
    let job = job(payload);
    let id = job.id;
    queue.store().submit(vec![Work::Job(job)]).await.unwrap().remove(0).unwrap();
    id
}

async fn one(queue: &Queue) -> Lease {
    claim(queue.store().as_ref(), 1, SOON).await.remove(0)
}

fn round_trip() {
    let place = Place::new();
    let mut worker = Running::start("work", &place.url());
    worker.says("connected");
    block_on(async {
        let queue = Queue::connect(&place.url()).await.unwrap();
        for payload in [&b"one"[..], b"two", b"three"] {
            let id = submit(&queue, payload).await;
            assert_eq!(queue.store().ended(id, SOON).await.unwrap(), Some(JobEnd::Done(payload.to_vec())));
        }
    });
}

fn nothing_lost() {
    let place = Place::new();
    let mut clients: Vec<Running> = (0..4).map(|_| Running::start("submit", &place.url())).collect();
    clients.iter_mut().for_each(|client| drop(client.says("took")));
    for _ in 0..5 {
        place.signal(Signal::KILL).ends();
        clients.iter_mut().for_each(|client| drop(client.says("took")));
    }
    let mut confirmed = HashSet::new();
    for client in &mut clients {
        client.tell("end");
        for line in client.rest() {
            assert!(!line.starts_with("error"), "{line}");
            confirmed.extend(line.strip_prefix("took ").map(str::to_owned));
        }
    }
    block_on(async {
        let queue = Queue::connect(&place.url()).await.unwrap();
        let mut found = HashSet::new();
        loop {
            let leases = claim(queue.store().as_ref(), 1000, Duration::from_secs(3)).await;
            if leases.is_empty() {
                break;
            }
            for lease in leases {
                assert!(found.insert(lease.token.job.to_string()), "{} came twice", lease.token.job);
                done(queue.store().as_ref(), &lease).await;
            }
        }
        let lost: Vec<&String> = confirmed.difference(&found).collect();
        assert!(lost.is_empty(), "{} of {} confirmed jobs are lost", lost.len(), confirmed.len());
    });
}

fn killed_worker() {
    let place = Place::new();
    block_on(async {
        let queue = Queue::connect(&place.url()).await.unwrap();
        let ids = [submit(&queue, b"a").await, submit(&queue, b"b").await];
        let mut worker = Running::start("claim", &place.url());
        worker.says("holds 2");
        // Nothing is left for us, until it is dead.
        assert!(claim(queue.store().as_ref(), 10, Duration::ZERO).await.is_empty());
        worker.kill();
        let mut again = one(&queue).await;
        for _ in 0..2 {
            assert!(ids.contains(&again.token.job));
            assert_eq!((again.attempt, again.crashes), (2, 1));
            assert_eq!(done(queue.store().as_ref(), &again).await, Recorded::Yes);
            if again.token.job == ids[0] {
                break;
            }
            again = one(&queue).await;
        }
    });
}

fn storm() {
    let place = Place::new();
    let start = |program: &str| Running::start(program, &place.url());
    let (mut submitter, mut workers) = (start("submit"), vec![start("work"), start("work"), start("work")]);
    submitter.says("took");
    let mut gone = Vec::new();
    for round in 0..12 {
        if round % 3 == 0 {
            place.signal(Signal::KILL).ends();
        } else {
            let mut worker = workers.remove(0);
            worker.kill();
            gone.push(worker);
            workers.push(start("work"));
        }
        submitter.says("took");
        workers[0].says("did");
    }
    submitter.tell("end");
    let taken: Vec<String> =
        submitter.rest().iter().filter_map(|line| line.strip_prefix("took ").map(str::to_owned)).collect();
    assert!(submitter.rest().iter().all(|line| !line.starts_with("error")));
    block_on(async {
        let queue = Queue::connect(&place.url()).await.unwrap();
        for id in &taken {
            let end = queue.store().ended(id.parse().unwrap(), SOON).await.unwrap();
            assert_eq!(end, Some(JobEnd::Done(b"x".to_vec())), "{id}");
        }
    });
    workers.iter_mut().for_each(Running::kill);
    let mut recorded = HashSet::new();
    for worker in workers.iter_mut().chain(&mut gone) {
        for line in worker.rest() {
            assert!(!line.starts_with("error"), "{line}");
            if let Some(id) = line.strip_prefix("did ") {
                assert!(recorded.insert(id.to_owned()), "the result of {id} was recorded twice");
            }
        }
    }
}

fn leases_survive(signal: Signal) {
    let place = Place::new();
    let mut worker = block_on(async {
        let queue = Queue::connect(&place.url()).await.unwrap();
        submit(&queue, b"a").await;
        submit(&queue, b"b").await;
        let mut worker = Running::start("claim", &place.url());
        worker.says("holds 2");
        worker
    });
    place.signal(signal).ends();
    block_on(async {
        let queue = Queue::connect(&place.url()).await.unwrap();
        // Longer than leases can be claimed again.
        assert!(claim(queue.store().as_ref(), 10, Duration::from_secs(4)).await.is_empty());
        worker.tell("finish");
        assert_eq!([worker.says("recorded"), worker.says("recorded")], ["Yes", "Yes"]);
    });
}

fn handed_back() {
    let place = Place::new();
    block_on(async {
        let queue = Queue::connect(&place.url()).await.unwrap();
        let id = submit(&queue, b"a").await;
        for round in 0..4 {
            let other = Queue::connect(&place.url()).await.unwrap();
            let lease = one(&other).await;
            assert_eq!((lease.token.job, lease.attempt, lease.crashes), (id, 1, 0));
            if round % 2 == 0 {
                other.close().await;
                assert_eq!(other.store().finish(vec![]).await, Ok(vec![]));
                assert_eq!(other.store().cancel(id).await, Err(Error::Closed));
            } else {
                drop(other);
            }
        }
    });
}

fn caller_gone() {
    let place = Place::new();
    block_on(async {
        let queue = Queue::connect(&place.url()).await.unwrap();
        {
            let gone = claim(queue.store().as_ref(), 1, SOON);
            // It has asked, and gives up.
            assert!(tokio::time::timeout(Duration::from_millis(50), gone).await.is_err());
        }
        let id = submit(&queue, b"a").await;
        let lease = one(&queue).await;
        assert_eq!((lease.token.job, lease.attempt, lease.crashes), (id, 1, 0));
    });
}

fn stopped() {
    let place = Place::new();
    block_on(async {
        let queue = Queue::connect(&format!("{}?timeout=2", place.url())).await.unwrap();
        let id = submit(&queue, b"a").await;
        let owner = place.signal(Signal::STOP);
        let begun = Instant::now();
        let error = queue.store().cancel(id).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
        assert!(begun.elapsed() >= Duration::from_secs(2), "after {:?}", begun.elapsed());
        owner.signal(Signal::CONT);
        let lease = until_ok(|| async { Ok::<_, Error>(claim(queue.store().as_ref(), 1, Duration::ZERO).await) }).await;
        // The cancel may have been heard after all, when it went on.
        assert!(lease.iter().all(|lease| lease.token.job == id));
        let second = submit(&queue, b"b").await;
        assert_eq!(queue.store().changed(second, 0, Duration::ZERO).await.unwrap().id, second);
        assert_eq!(place.owner(), Some(owner.pid));
    });
}

/// The first answer that is no error.
async fn until_ok<T, E: std::fmt::Debug, F: Future<Output = Result<T, E>>>(mut ask: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => assert!(Instant::now() < deadline, "{error:?}"),
        }
    }
}

fn many_callers() {
    let place = Place::new();
    let queue = block_on(Queue::connect(&place.url())).unwrap();
    // Any thread, without any runtime.
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let queue = &queue;
            scope.spawn(move || {
                block_on(async {
                    for n in 0..50_u8 {
                        let id = submit(queue, &[thread, n]).await;
                        let status = queue.store().changed(id, 0, Duration::ZERO).await.unwrap();
                        assert_eq!(status.id, id);
                    }
                });
            });
        }
    });
}

fn two_handles() {
    let place = Place::new();
    block_on(async {
        let one_handle = Queue::connect(&place.url()).await.unwrap();
        let other = Queue::connect(&place.url()).await.unwrap();
        let id = submit(&one_handle, b"a").await;
        let lease = one(&other).await;
        assert_eq!(lease.token.job, id);
        drop(one_handle);
        assert_eq!(done(other.store().as_ref(), &lease).await, Recorded::Yes);
        assert_eq!(other.store().ended(id, SOON).await.unwrap(), Some(JobEnd::Done(b"a".to_vec())));
    });
    until("both to be gone", || place.owner().is_none().then_some(()));
}

fn large() {
    let place = Place::new();
    block_on(async {
        let queue = Queue::connect(&place.url()).await.unwrap();
        let works: Vec<Work> = (0..40).map(|_| Work::Job(job(vec![7; 1 << 20]))).collect();
        let taken = queue.store().submit(works).await.unwrap();
        assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 40);
        let too_long = queue.store().submit(vec![Work::Job(job(vec![7; 17 << 20]))]).await;
        assert!(matches!(too_long, Err(Error::TooBig { .. })), "{:?}", too_long.map(drop));
        let mut found = 0;
        while found < 40 {
            let leases = claim(queue.store().as_ref(), 40, SOON).await;
            assert!(!leases.is_empty(), "{found} of 40 came");
            found += leases.len();
        }
    });
}
