//! What a task may not do to others: the kernel says no, as an error and not as a signal, and the task's account of it is the
//! task's result.

use std::net::TcpListener;
use std::sync::OnceLock;

use phalanx_task::{Executor, Sandbox, TaskError};

use crate::Test;
use crate::household::{children_of, end_of, nothing_is_left};
use crate::mischief::{Confined, Free, Level, Mischief, Offline};
use crate::siblings::{among_siblings, pool, task};

pub(crate) const TESTS: &[Test] = &[
    ("a confined task has no files, not even those that anybody may read", files),
    ("a confined task and one without network open no socket", sockets),
    ("a confined task and one without network start no process", processes),
    ("a confined task and one without network send no signal, not even to their owner", signals),
    ("a task that is denied nothing may do what the user may", nothing_denied),
];

const NO: &str = "PermissionDenied";

/// Where a task must not come through. It is there before any pool, so it is not taken for something that a pool has left.
static LISTENER: OnceLock<TcpListener> = OnceLock::new();

/// Listens, from now on.
pub(crate) fn listen() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    LISTENER.set(listener).unwrap();
}

/// Whether the kernel has the parts that these tests are about. Where it has not, the pool says so, and so do we.
fn is_confined() -> bool {
    let pool = pool();
    let levels = pool.confinement();
    let missing: Vec<&String> = levels.iter().flat_map(|confinement| &confinement.missing).collect();
    if !missing.is_empty() {
        println!("  skipped: this kernel lacks {missing:?}");
    }
    missing.is_empty() && levels.iter().any(|confinement| confinement.level == Sandbox::Full)
}

fn denied<L: Level>(what: Mischief) {
    let end = among_siblings::<L>(what.clone());
    assert!(matches!(&end, Ok(said) if said.ends_with(NO)), "{} at {what:?}: {end:?}", L::NAME);
}

fn files() {
    if !is_confined() {
        return;
    }
    for path in ["/etc/passwd", "/proc/self/maps", "/proc/self/mem", "."] {
        denied::<Confined>(Mischief::Read(path.to_owned()));
    }
    let end = among_siblings::<Offline>(Mischief::Read("/etc/passwd".to_owned()));
    assert!(end.as_ref().is_ok_and(|said| said.ends_with(" bytes")), "{end:?}");
}

fn sockets() {
    if !is_confined() {
        return;
    }
    let listener = LISTENER.get().unwrap();
    let address = listener.local_addr().unwrap();
    for what in [Mischief::Connect(address), Mischief::Listen] {
        denied::<Confined>(what.clone());
        denied::<Offline>(what);
    }
    assert!(listener.accept().is_err(), "somebody came through");
}

fn processes() {
    if !is_confined() {
        return;
    }
    for what in [Mischief::ForkBomb(1000), Mischief::RunAProgram] {
        denied::<Confined>(what.clone());
        denied::<Offline>(what);
    }
    let end = among_siblings::<Confined>(Mischief::ForkBomb(1000));
    assert_eq!(end.as_deref(), Ok("0 born, then PermissionDenied"));
}

/// Ignored by who does not ask for it: if the sandbox fails, this program shall live to tell.
const HARMLESS: i32 = libc::SIGURG;

fn signals() {
    if is_confined() {
        no_signal::<Confined>();
        no_signal::<Offline>();
    }
}

fn no_signal<L: Level>() {
    let pool = pool();
    let owner = std::process::id();
    for pid in children_of(owner).into_iter().chain([owner, 1]) {
        let own = end_of(pool.submit(task::<L>(Mischief::SendSignal { pid, signal: HARMLESS })));
        // One of the children may be the very process that runs the task.
        assert!(matches!(own.as_deref(), Ok(NO | "sent")), "{own:?}");
        assert!(pid != owner && pid != 1 || own.as_deref() == Ok(NO), "a signal to {pid}: {own:?}");
    }
    drop(pool);
    nothing_is_left();
}

fn nothing_denied() {
    let address = LISTENER.get().unwrap().local_addr().unwrap();
    let done: Result<Vec<String>, TaskError> =
        [Mischief::Connect(address), Mischief::Listen, Mischief::Read("/etc/passwd".to_owned())]
            .into_iter()
            .map(among_siblings::<Free>)
            .collect();
    let done = done.unwrap();
    assert_eq!((done[0].as_str(), done[1].as_str()), ("connected", "listens"));
    assert!(done[2].ends_with(" bytes"), "{done:?}");
}
