//! Faults of the file: older and newer formats, damage, no right to write, no room.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::rig::{ME, Rig, job, ms, secs};
use crate::embedded::engine::{Engine, Settings};
use crate::embedded::words::{Reply, Request};
use crate::job::Work;
use crate::{Error, JobEnd, JobState};

fn reason(opened: Result<Engine, Error>) -> String {
    match opened {
        Err(Error::Store { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

/// A store as SQL says.
fn store_of(folder: &Path, sql: &str) {
    let connection = rusqlite::Connection::open(folder.join("queue.db")).unwrap();
    connection.execute_batch(sql).unwrap();
}

#[test]
fn a_newer_format_is_left_alone_and_named() {
    let mut rig = Rig::new();
    let (engine, now) = (rig.engine.take().unwrap(), rig.now);
    engine.close(now).unwrap();
    store_of(rig.folder.path(), "PRAGMA user_version = 99");
    let said = reason(Engine::open(rig.folder.path(), &Settings::default(), now));
    assert!(said.contains("99") && said.contains("newer"), "{said}");
    store_of(rig.folder.path(), "PRAGMA user_version = 1");
    rig.open().unwrap();
}

#[test]
fn a_database_of_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    store_of(folder.path(), "CREATE TABLE guests (name TEXT)");
    let now = Rig::new().now;
    let said = reason(Engine::open(folder.path(), &Settings::default(), now));
    assert!(said.contains("something else"), "{said}");
}

/// A store of format 1, as that wrote it: a job that waits and one that is done (kind "a" in queue "q"), limits of a kind "b", a
/// message in a queue "letters", a schedule "daily".
#[test]
fn a_store_of_format_1_is_read() {
    let mut rig = Rig::new();
    rig.engine = None;
    for file in ["queue.db", "queue.db-wal"] {
        let _ = fs::remove_file(rig.folder.path().join(file));
    }
    store_of(rig.folder.path(), include_str!("format_1.sql"));
    rig.open().unwrap();
    rig.hello(ME);
    rig.pass(secs(3));
    let stats = rig.stats();
    assert_eq!((stats.ready, stats.done, stats.bytes), (1, 1, 5));
    let lease = rig.claim_one("a");
    assert_eq!(lease.payload, b"input");
    rig.done(lease.token);
    let done = "018f0000-0000-7000-8000-000000000002".parse().unwrap();
    assert_eq!(rig.ended(done), Some(JobEnd::Done(b"result".to_vec())));
    let message = rig.ask(Request::Peek { queue: super::rig::queue("letters"), most: 1 });
    let Ok(Reply::Messages(messages)) = message else { panic!("{message:?}") };
    assert_eq!((messages[0].body.as_slice(), messages[0].headers["name"].as_slice()), (&b"body"[..], &b"value"[..]));
    let Ok(Reply::Schedules(schedules)) = rig.ask(Request::Schedules) else { panic!() };
    assert_eq!((schedules[0].name.as_str(), schedules[0].job.kind.as_str()), ("daily", "tick"));
    let other = crate::job::NewJob { payload: vec![], ..job("b") };
    rig.submit(other);
    rig.submit(job("b"));
    assert_eq!(rig.claim(&["b"], 2).len(), 1);
}

#[test]
fn what_is_no_database_is_said_to_be_damaged() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("queue.db"), vec![b'x'; 8192]).unwrap();
    let now = Rig::new().now;
    let said = reason(Engine::open(folder.path(), &Settings::default(), now));
    assert!(said.contains("damaged"), "{said}");
}

#[test]
fn a_log_that_was_cut_off_keeps_what_was_confirmed_before_the_cut() {
    let mut rig = Rig::new();
    let first = rig.submit(job("a"));
    let log = rig.folder.path().join("queue.db-wal");
    let confirmed = fs::metadata(&log).unwrap().len();
    // The crash came in the middle of the next commit.
    let second = job("a");
    rig.apply(ME, Request::Submit(vec![Work::Job(second.clone())]));
    rig.commit();
    let copy = fs::read(&log).unwrap();
    let main = fs::read(rig.folder.path().join("queue.db")).unwrap();
    rig.engine = None;
    fs::write(rig.folder.path().join("queue.db"), main).unwrap();
    fs::write(&log, &copy[..confirmed as usize + 100]).unwrap();
    rig.open().unwrap();
    rig.hello(ME);
    assert_eq!(rig.status(first).unwrap().state, JobState::Ready);
    assert!(rig.status(second.id).is_err());
}

#[test]
fn a_damaged_page_is_told_and_the_file_is_left_alone() {
    let mut rig = Rig::new();
    for _ in 0..200 {
        rig.submit(job("a"));
    }
    let (engine, now) = (rig.engine.take().unwrap(), rig.now);
    engine.close(now).unwrap();
    let file = rig.folder.path().join("queue.db");
    let mut bytes = fs::read(&file).unwrap();
    let pages = bytes.len() / 4096;
    for page in pages / 2..pages {
        bytes[page * 4096..page * 4096 + 64].fill(0xa5);
    }
    fs::write(&file, &bytes).unwrap();
    // Its end was not clean: it is checked.
    store_unclean(&file);
    let said = reason(Engine::open(rig.folder.path(), &Settings::default(), now));
    assert!(said.contains("damaged") && said.contains("backup"), "{said}");
}

fn store_unclean(file: &Path) {
    let connection = rusqlite::Connection::open(file).unwrap();
    // If even that cannot be written, the damage is told all the same.
    let _ = connection.execute_batch("UPDATE meta SET value = 0 WHERE name = 'clean'");
}

#[test]
fn a_folder_that_cannot_be_written_is_told() {
    if rustix::process::geteuid().is_root() {
        println!("skipped: root may write everywhere");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let now = Rig::new().now;
    let said = reason(Engine::open(folder.path(), &Settings::default(), now));
    assert!(said.contains("writable"), "{said}");
}

/// The room of a disk, as SQLite sees it: a bound of pages.
fn set_room(rig: &mut Rig, pages: u64) {
    rig.engine().store.set_room(pages).unwrap();
}

#[test]
fn without_room_requests_fail_and_nothing_confirmed_is_lost_and_with_room_they_are_taken_again() {
    let mut rig = Rig::new();
    let first = rig.submit(job("a"));
    let lease = rig.claim_one("a");
    let waiting = rig.submit(job("b"));
    set_room(&mut rig, 1);
    let mut big = job("a");
    big.payload = vec![7; 1 << 20];
    let (full, ask) = (rig.apply(ME, Request::Submit(vec![Work::Job(big.clone())])), {
        let end = rig.apply(ME, Request::Ended { job: first, wait: secs(60) });
        rig.commit();
        end
    });
    match rig.answer(full) {
        Some(Err(Error::Store { reason, .. })) => assert!(reason.contains("full"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(rig.answer(ask), Some(Err(Error::Store { .. }))));
    // The engine lives, the lease goes on, what was there is there.
    assert_eq!(rig.status(first).unwrap().state, JobState::Leased);
    assert_eq!(rig.status(waiting).unwrap().state, JobState::Ready);
    assert_eq!(rig.stats().ready, 1);
    set_room(&mut rig, u32::MAX.into());
    rig.pass(secs(2));
    rig.submit(big);
    rig.done(lease.token);
    assert_eq!(rig.claim(&["a", "b"], 10).len(), 2);
    rig.restart();
    assert_eq!(rig.ended(first), Some(JobEnd::Done(b"result".to_vec())));
}

#[test]
fn a_finish_that_could_not_be_written_can_be_said_again() {
    let mut rig = Rig::new();
    let id = rig.submit(job("a"));
    let lease = rig.claim_one("a");
    set_room(&mut rig, 1);
    let outcome = crate::job::Outcome::Done(vec![7; 1 << 19]);
    let finish = crate::job::Finish { token: lease.token, outcome: outcome.clone() };
    assert!(matches!(rig.ask(Request::Finish(vec![finish])), Err(Error::Store { .. })));
    assert_eq!(rig.status(id).unwrap().state, JobState::Leased);
    assert_eq!(rig.claim(&["a"], 1), []);
    set_room(&mut rig, u32::MAX.into());
    assert_eq!(rig.finish(lease.token, outcome), crate::job::Recorded::Yes);
    rig.pass(ms(1));
    assert_eq!(rig.ask(Request::Stats(None)).map(|reply| matches!(reply, Reply::Stats(_))), Ok(true));
}

#[test]
fn a_log_that_was_lengthened_in_advance_is_read_after_a_crash() {
    let mut rig = Rig::new();
    rig.settings.log_bytes = super::super::store::LOG_BYTES;
    rig.crash();
    let log = rig.folder.path().join("queue.db-wal");
    assert_eq!(fs::metadata(&log).unwrap().len(), super::super::store::LOG_BYTES);
    rig.hello(ME);
    let ids: Vec<_> = (0..50).map(|_| rig.submit(job("a"))).collect();
    rig.restart();
    assert_eq!(fs::metadata(&log).unwrap().len(), super::super::store::LOG_BYTES);
    assert!(ids.into_iter().all(|id| rig.status(id).is_ok()));
}
