//! Folders in which no queue can live.

use std::os::unix::fs::{PermissionsExt, chown};

use phalanx_queue::{Error, Queue};
use rustix::process::Signal;

use crate::Test;
use crate::process::{Place, Running, block_on};

pub(crate) const TESTS: &[Test] = &[
    ("a folder that everybody may write to is refused", everybodys),
    ("a folder of another user is refused", anothers),
    ("a folder in which nothing can be written is a clear error", read_only),
    ("a folder that is a file, or has something else in the place of the socket, is a clear error", no_folder),
    ("a store that is none is a clear error, for those who connect and for those who wait", no_store),
];

fn refused(place: &Place) -> String {
    match block_on(Queue::connect(&place.url())) {
        Err(error @ Error::Store { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn everybodys() {
    let place = Place::new();
    std::fs::create_dir(place.path()).unwrap();
    std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let error = refused(&place);
    assert!(error.contains("chmod o-w") && error.contains(&place.path().display().to_string()), "{error}");
    std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
    Running::start("hold", &place.url()).says("connected");
}

/// An unprivileged program of this test: `nobody`, on every Linux.
const NOBODY: u32 = 65534;

fn as_nobody(place: &Place, program: &str) -> Running {
    use std::os::unix::process::CommandExt;
    Running::start_with(program, &place.url(), |command| {
        command.uid(NOBODY).gid(NOBODY);
    })
}

fn anothers() {
    if !rustix::process::geteuid().is_root() {
        println!("(skipped: another user needs root)");
        return;
    }
    let place = Place::new();
    std::fs::create_dir(place.path()).unwrap();
    let above = place.path().parent().unwrap();
    std::fs::set_permissions(above, PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let error = as_nobody(&place, "hold").says("error");
    assert!(error.contains("belongs to user 0"), "{error}");
    // Root may use anybody's; the owner then runs as that user, so that the user may go on.
    chown(place.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    Running::start("hold", &place.url()).says("connected");
    let status = std::fs::read_to_string(format!("/proc/{}/status", place.owned())).unwrap();
    assert!(status.lines().any(|line| line.starts_with("Uid:\t65534\t65534")), "{status}");
    as_nobody(&place, "hold").says("connected");
}

fn read_only() {
    let place = Place::new();
    std::fs::create_dir(place.path()).unwrap();
    std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o555)).unwrap();
    if !rustix::process::geteuid().is_root() {
        let error = refused(&place);
        assert!(error.contains("ermission denied"), "{error}");
        return;
    }
    // Root writes anywhere; its queue would have to be on a file system that is mounted so.
    chown(place.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let above = place.path().parent().unwrap();
    std::fs::set_permissions(above, PermissionsExt::from_mode(0o755)).unwrap();
    let error = as_nobody(&place, "hold").says("error");
    assert!(error.contains("ermission denied") && error.contains("lock"), "{error}");
}

fn no_folder() {
    let place = Place::new();
    std::fs::write(place.path(), "a file").unwrap();
    let error = refused(&place);
    assert!(error.contains("cannot be made"), "{error}");
    std::fs::remove_file(place.path()).unwrap();
    std::fs::create_dir(place.path()).unwrap();
    std::fs::create_dir(place.path().join("socket")).unwrap();
    let error = refused(&place);
    assert!(error.contains("socket"), "{error}");
}

fn no_store() {
    let place = Place::new();
    let mut client = Running::start("submit", &place.url());
    client.says("took");
    // A client that waits for an answer while the owner dies and its file is spoilt.
    let owner = place.signal(Signal::STOP);
    let store = place.path().join("queue.db");
    for file in [store.clone(), store.with_extension("db-wal")] {
        std::fs::write(file, "this is not a database, and never was one\n".repeat(400)).unwrap();
    }
    owner.signal(Signal::KILL);
    let error = client.says("error");
    assert!(error.contains("queue.db") || error.contains("store"), "{error}");
    client.kill();
    let error = refused(&place);
    assert!(error.contains(&place.path().display().to_string()), "{error}");
    assert!(place.log().contains("the queue's store"), "{}", place.log());
}
