//! Killed programs, restarted servers, sweeps from two sides, clocks that are wrong.

use std::io::{BufRead, BufReader};
use std::panic::AssertUnwindSafe;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use phalanx_brokers::PostgreSql;
use phalanx_queue::conformance::{Report, wait};
use phalanx_queue::job::{Claim, Finish, Lease, NewJob, Outcome, Work};
use phalanx_queue::{JobEnd, JobId, Queue, QueueName, RetryPolicy};

use super::Postgres;

const GIVE_UP: Duration = Duration::from_secs(60);
const KIND: &str = "fault";

type Test = (&'static str, fn(&Postgres));

const TESTS: &[Test] = &[
    ("jobs_of_a_killed_program_run_again_within_about_a_second", killed),
    ("two_handles_sweep_at_once_and_count_one_crash", swept_twice),
    ("nothing_confirmed_is_lost_when_the_server_is_killed", server_killed),
    ("a_program_that_lost_its_connection_keeps_its_leases", connection_cut),
    ("a_newer_schema_is_refused_with_a_clear_error", newer_schema),
];

pub(crate) fn run(part: &str) -> Option<Report> {
    let server = Postgres::any()?;
    let mut report = Report::default();
    for (name, test) in TESTS.iter().filter(|(name, _)| name.contains(part)) {
        let begun = Instant::now();
        let kept = std::panic::catch_unwind(AssertUnwindSafe(|| test(&server))).is_ok();
        println!(
            "test postgres: {name} ... {} ({} ms)",
            if kept { "ok" } else { "FAILED" },
            begun.elapsed().as_millis()
        );
        if kept { &mut report.passed } else { &mut report.failed }.push(name);
    }
    Some(report)
}

fn connect(url: &str) -> Queue {
    wait(Queue::connect(url)).unwrap()
}

fn fresh() -> QueueName {
    QueueName::new(format!("faults-{}", JobId::new())).unwrap()
}

fn job(name: &QueueName) -> NewJob {
    let retry = RetryPolicy::default().crashes(5);
    NewJob { retry, ..NewJob::new(name.clone(), KIND, b"input".to_vec()) }
}

fn submit(queue: &Queue, name: &QueueName, count: usize) -> Vec<JobId> {
    let works: Vec<Work> = (0..count).map(|_| Work::Job(job(name))).collect();
    let ids = works.iter().map(|work| work.head().id).collect();
    assert!(wait(queue.store().submit(works)).unwrap().iter().all(Result::is_ok));
    ids
}

fn claim(queue: &Queue, name: &QueueName, most: usize, patience: Duration) -> Vec<Lease> {
    let claim = Claim {
        runner: JobId::new(),
        name: "test".to_owned(),
        queues: vec![name.clone()],
        kinds: vec![KIND.to_owned()],
        most,
        wait: patience,
    };
    wait(queue.store().claim(claim)).unwrap()
}

/// A program that has claimed this many jobs of the queue.
fn holder(server: &Postgres, name: &QueueName, count: usize) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env("TEST_PROGRAM", "hold")
        .env("TEST_URL", server.url())
        .env("TEST_QUEUE", name.as_str())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim(), count.to_string());
    child
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn killed(server: &Postgres) {
    let (queue, name) = (connect(server.url()), fresh());
    let mut ids = submit(&queue, &name, 3);
    let child = holder(server, &name, 3);
    assert!(claim(&queue, &name, 3, Duration::ZERO).is_empty());
    kill(child);
    let begun = Instant::now();
    let mut again = Vec::new();
    while again.len() < 3 {
        again.extend(claim(&queue, &name, 3, Duration::from_secs(20)));
        assert!(begun.elapsed() < GIVE_UP);
    }
    println!("    again after {} ms", begun.elapsed().as_millis());
    // Less than the 30 s of a lease, on whatever machine.
    assert!(begun.elapsed() < Duration::from_secs(25));
    let mut given: Vec<JobId> = again.iter().map(|lease| lease.token.job).collect();
    given.sort();
    ids.sort();
    assert_eq!(given, ids);
    assert!(again.iter().all(|lease| lease.crashes == 1 && lease.token.attempt == 2));
    wait(queue.close());
}

fn swept_twice(server: &Postgres) {
    let (one, other, name) = (connect(server.url()), connect(server.url()), fresh());
    submit(&one, &name, 40);
    kill(holder(server, &name, 40));
    let mut crashes = Vec::new();
    let begun = Instant::now();
    while crashes.len() < 40 {
        for queue in [&one, &other] {
            for lease in claim(queue, &name, 10, Duration::from_millis(100)) {
                crashes.push(lease.crashes);
                let finish = Finish { token: lease.token, outcome: Outcome::Done(Vec::new()) };
                wait(queue.store().finish(vec![finish])).unwrap();
            }
        }
        assert!(begun.elapsed() < GIVE_UP);
    }
    assert_eq!(crashes, vec![1; 40]);
    let stats = wait(one.store().stats(Some(name))).unwrap().remove(0);
    assert_eq!((stats.ready, stats.leased, stats.done), (0, 0, 40));
    wait(one.close());
    wait(other.close());
}

fn server_killed(_: &Postgres) {
    // Its own, because it is killed.
    let Some(mut server) = PostgreSql::start().unwrap() else { return println!("    skipped without PostgreSQL") };
    let (url, name, stop) = (server.url(), fresh(), AtomicBool::new(false));
    let (ids, results) = std::thread::scope(|scope| {
        let submitter = scope.spawn(|| {
            let queue = connect(&url);
            let mut confirmed = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                confirmed.extend(submit(&queue, &name, 20));
            }
            confirmed
        });
        let worker = scope.spawn(|| {
            let queue = connect(&url);
            let mut recorded = 0_usize;
            while !stop.load(Ordering::SeqCst) {
                let leases = claim(&queue, &name, 20, Duration::from_millis(100));
                let finish = |lease: &Lease| Finish {
                    token: lease.token,
                    outcome: Outcome::Done(lease.token.job.as_bytes().to_vec()),
                };
                recorded += wait(queue.store().finish(leases.iter().map(finish).collect())).unwrap().len();
            }
            recorded
        });
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(700));
            server.kill_hard().unwrap();
            server.restart().unwrap();
        }
        std::thread::sleep(Duration::from_millis(700));
        stop.store(true, Ordering::SeqCst);
        (submitter.join().unwrap(), worker.join().unwrap())
    });
    println!("    {} confirmed, {results} finished by then, three kills", ids.len());
    assert!(!ids.is_empty() && results > 0);
    let queue = connect(&url);
    let begun = Instant::now();
    // What is left, leases of the closed handles included.
    let mut left = ids.len();
    while left > 0 {
        for lease in claim(&queue, &name, 100, Duration::from_millis(200)) {
            let outcome = Outcome::Done(lease.token.job.as_bytes().to_vec());
            wait(queue.store().finish(vec![Finish { token: lease.token, outcome }])).unwrap();
        }
        let stats = wait(queue.store().stats(Some(name.clone()))).unwrap().remove(0);
        left = usize::try_from(stats.ready + stats.leased + stats.scheduled).unwrap();
        assert!(begun.elapsed() < GIVE_UP, "{stats:?}");
    }
    for id in &ids {
        let end = wait(queue.store().ended(*id, Duration::ZERO)).unwrap();
        assert_eq!(end, Some(JobEnd::Done(id.as_bytes().to_vec())));
    }
    let stats = wait(queue.store().stats(Some(name))).unwrap().remove(0);
    assert!(stats.done >= ids.len() as u64, "{stats:?}");
}

fn connection_cut(server: &Postgres) {
    let (queue, name) = (connect(server.url()), fresh());
    let id = submit(&queue, &name, 1)[0];
    let lease = claim(&queue, &name, 1, Duration::from_secs(10)).remove(0);
    terminate_all(server);
    // Others look for those who are gone meanwhile.
    let other = connect(server.url());
    assert!(claim(&other, &name, 1, Duration::from_secs(3)).is_empty());
    let status = wait(queue.store().changed(id, 0, Duration::ZERO)).unwrap();
    assert_eq!((status.crashes, status.attempts), (0, 1));
    let finish = Finish { token: lease.token, outcome: Outcome::Done(Vec::new()) };
    assert_eq!(wait(queue.store().finish(vec![finish])).unwrap(), [phalanx_queue::job::Recorded::Yes]);
    wait(queue.close());
    wait(other.close());
}

fn terminate_all(server: &Postgres) {
    execute(server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'phalanx'");
}

fn newer_schema(server: &Postgres) {
    let url = format!("{}2", server.url());
    let queue = connect(&url);
    wait(queue.close());
    let schema = url.rsplit('=').next().unwrap();
    execute(server, &format!("UPDATE {schema}.store SET version = version + 1"));
    let refused = wait(Queue::connect(&url)).unwrap_err();
    assert!(refused.to_string().contains("newer program"), "{refused}");
}

/// By a connection that is none of a queue.
fn execute(server: &Postgres, sql: &str) {
    let address = server.url().split('?').next().unwrap().to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&address, tokio_postgres::NoTls).await.unwrap();
        let driver = tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
        driver.abort();
    });
}
