//! A backlog of a million jobs: what it costs in memory, and that it is given out in order.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::rig::{Rig, job, secs};
use crate::embedded::engine::Settings;
use crate::embedded::words::{Reply, Request};
use crate::job::{Finish, Outcome, Work};

/// How many wait; bytes of each; what the whole process may have.
const JOBS: u64 = 1_000_000;
const MOST_MEMORY_KIB: u64 = 100 * 1024;

#[test]
fn a_backlog_of_a_million_jobs_is_in_the_file_and_not_in_memory() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "embedded::engine::tests::many::backlog", "--ignored", "--nocapture", "--test-threads=1"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}{}", String::from_utf8_lossy(&child.stderr));
    let peak = said
        .lines()
        .find_map(|line| line.split_once("VmHWM:"))
        .and_then(|(_, rest)| rest.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()));
    let peak = peak.expect("the child said what it used");
    println!("{JOBS} jobs: {} MiB at most", peak / 1024);
    assert!(peak <= MOST_MEMORY_KIB, "{peak} KiB");
}

#[test]
#[ignore = "runs in a process of its own, by the test above"]
fn backlog() {
    let mut rig = Rig::with(Settings { max_waiting: 2 * JOBS, ..Settings::default() });
    // One by the engine, the others as copies of its row.
    let mut first = job("a");
    first.payload = vec![7; 256];
    rig.submit(first);
    rig.engine = None;
    let connection = rusqlite::Connection::open(rig.folder.path().join("queue.db")).unwrap();
    connection
        .execute_batch(&format!(
            "PRAGMA synchronous = OFF; BEGIN;
             INSERT INTO item SELECT value, randomblob(16), space, line, state, rank + value, due, parent, version, not_before,
                 epoch, leases, attempts, errors, crashes, settled, held, ended, bytes, terms, details, outcome, payload
                 FROM item, (WITH RECURSIVE each(value) AS (VALUES (2) UNION ALL SELECT value + 1 FROM each WHERE value < {JOBS}) SELECT value FROM each);
             UPDATE queue SET ready = {JOBS}, bytes = {JOBS} * 256; COMMIT;"
        ))
        .unwrap();
    drop(connection);
    rig.open().unwrap();
    rig.hello(super::rig::ME);
    rig.pass(secs(3));
    assert_eq!(rig.stats().ready, JOBS);
    let mut last = 0;
    for _ in 0..20 {
        let leases = rig.claim(&["a"], 1000);
        assert_eq!(leases.len(), 1000);
        let engine = rig.engine.as_ref().unwrap();
        for lease in &leases {
            let seq = engine.ids[&lease.token.job];
            assert!(seq > last, "out of order");
            last = seq;
        }
        let finishes = leases.iter().map(|lease| Finish { token: lease.token, outcome: Outcome::Done(vec![]) });
        rig.ask(Request::Finish(finishes.collect())).unwrap();
        let works = (0..1000).map(|_| Work::Job(job("a"))).collect();
        assert!(matches!(rig.ask(Request::Submit(works)), Ok(Reply::Submitted(_))));
    }
    assert_eq!(rig.stats().ready, JOBS);
    let engine = rig.engine.as_ref().unwrap();
    assert!(engine.items.len() <= 4 * super::super::line::WINDOW, "{}", engine.items.len());
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap());
}

#[test]
fn lines_that_are_many_are_cut_to_a_part_of_their_windows() {
    let mut rig = Rig::with(Settings { max_waiting: 1_000_000, ..Settings::default() });
    for kind in 0..80 {
        let works = (0..1000).map(|_| Work::Job(job(&format!("kind{kind}")))).collect();
        rig.ask(Request::Submit(works)).unwrap();
    }
    let engine = rig.engine();
    assert!(engine.windowed <= 2 * super::super::submit::MOST_IN_WINDOWS, "{}", engine.windowed);
    assert_eq!(engine.windowed, engine.items.len());
    for kind in 0..80 {
        let kind = format!("kind{kind}");
        assert_eq!(rig.claim(&[&kind], 1000).len(), 1000);
    }
    assert_eq!(rig.stats().ready, 0);
}

#[test]
fn the_log_is_brought_over_beside_the_commits_and_nothing_is_lost() {
    let mut rig = Rig::with(Settings { max_waiting: 1_000_000, ..Settings::default() });
    let mut checkpointer = rig.engine().checkpointer().unwrap();
    let times = Arc::new(AtomicU32::new(0));
    let counted = times.clone();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let beside = std::thread::spawn(move || {
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            counted.fetch_add(u32::from(checkpointer.run().unwrap()), Ordering::Relaxed);
        }
    });
    let mut ids = Vec::new();
    // Some 60 MiB: the log of 8 MiB has to begin anew. On a machine that has no time for the thread beside, more.
    for round in 0.. {
        if round >= 120 && times.load(Ordering::Relaxed) > 0 {
            break;
        }
        assert!(round < 2000, "the log was never brought over beside the commits");
        let mut works: Vec<Work> = (0..100).map(|_| Work::Job(job("a"))).collect();
        for work in &mut works {
            let Work::Job(job) = work else { continue };
            job.payload = vec![7; 5000];
            ids.push(job.id);
        }
        rig.ask(Request::Submit(works)).unwrap();
    }
    drop(stop);
    beside.join().unwrap();
    let log = std::fs::metadata(rig.folder.path().join("queue.db-wal")).unwrap().len();
    assert!(log < 30 << 20, "{log}");
    rig.restart();
    assert_eq!(rig.stats().ready, ids.len() as u64);
    assert!(ids.iter().step_by(100).all(|id| rig.status(*id).is_ok()));
}
