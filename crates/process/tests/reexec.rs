//! A real second process: this test, executed again in a role. It has no test harness, because the harness starts
//! threads before `init` could run.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use phalanx_process::{ExitStatus, Process, Role, Signal};

const DEADLINE: Duration = Duration::from_secs(10);

fn main() {
    phalanx_process::init().expect("init");
    match phalanx_process::role() {
        None => run_tests(),
        Some("echo") => echo(),
        Some("untaken") => untaken(),
        Some("parent") => parent(),
        Some("sleeper") => sleeper(),
        Some(other) => panic!("unknown role {other}"),
    }
}

fn run_tests() {
    let tests: [(&str, fn()); 5] = [
        ("a child gets exactly the descriptors it was given, under their names", gets_its_descriptors),
        ("the environment is added to, and the role is not inherited further", environment),
        ("a role that was not taken may not start children", untaken_may_not_spawn),
        ("a child dies with its parent, even by SIGKILL", dies_with_its_parent),
        ("a signal ends a child and is told as its end", told_by_signal),
    ];
    for (name, test) in tests {
        test();
        println!("test {name} ... ok");
    }
    println!("{} passed, 0 failed", tests.len());
}

fn gets_its_descriptors() {
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let child = Role::new("echo").descriptor("socket", theirs.as_fd()).spawn().unwrap();
    drop(theirs);
    ours.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut answer = String::new();
    ours.read_to_string(&mut answer).unwrap();
    // 0, 1, 2, the socket, and the directory handle that lists them.
    assert_eq!(answer.lines().next(), Some("5"), "{answer}");
    assert_eq!(wait(&child), ExitStatus::Code(7));
}

fn environment() {
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let child = Role::new("echo").descriptor("socket", theirs.as_fd()).env("PHALANX_TEST", "added").spawn().unwrap();
    drop(theirs);
    let mut answer = String::new();
    ours.read_to_string(&mut answer).unwrap();
    assert_eq!(answer.lines().nth(1), Some("added None"), "{answer}");
    wait(&child);
}

fn untaken_may_not_spawn() {
    let child = Role::new("untaken").spawn().unwrap();
    assert_eq!(wait(&child), ExitStatus::Code(0), "a child could be spawned before the role was taken");
}

fn dies_with_its_parent() {
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let parent = Role::new("parent").descriptor("socket", theirs.as_fd()).spawn().unwrap();
    drop(theirs);
    ours.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut ready = [0; 1];
    ours.read_exact(&mut ready).unwrap();
    assert!(parent.kill(Signal::Kill).unwrap());
    assert_eq!(wait(&parent), ExitStatus::Signal(9));
    // Parent and grandchild hold the other end: the end of stream comes when both are gone.
    assert_eq!(ours.read(&mut ready).unwrap(), 0);
}

fn told_by_signal() {
    let (_ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let child = Role::new("sleeper").descriptor("socket", theirs.as_fd()).spawn().unwrap();
    assert_eq!(child.try_wait().unwrap(), None);
    child.kill(Signal::Terminate).unwrap();
    assert_eq!(wait(&child).to_string(), "SIGTERM");
    assert!(!child.kill(Signal::Terminate).unwrap());
}

fn wait(child: &Process) -> ExitStatus {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let mut polled = [rustix::event::PollFd::new(child, rustix::event::PollFlags::IN)];
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = rustix::event::Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        rustix::event::poll(&mut polled, Some(&timeout)).unwrap();
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < deadline, "child {} did not end", child.pid());
    }
}

fn echo() {
    let mut role = phalanx_process::take_role("echo").expect("role");
    assert!(phalanx_process::take_role("echo").is_none());
    let socket = role.take("socket").expect("socket");
    assert!(rustix::io::fcntl_getfd(&socket).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let (added, inherited) = (std::env::var("PHALANX_TEST").unwrap_or_default(), std::env::var("PHALANX_ROLE").ok());
    let mut socket = std::os::unix::net::UnixStream::from(socket);
    assert!(socket.as_raw_fd() > 2);
    writeln!(socket, "{open}\n{added} {inherited:?}").unwrap();
    phalanx_process::die_now(7);
}

fn untaken() {
    let refused = matches!(Role::new("echo").spawn(), Err(phalanx_process::Error::RoleNotTaken { .. }));
    std::process::exit(i32::from(!refused));
}

fn parent() {
    let socket = phalanx_process::take_role("parent").expect("role").take("socket").expect("socket");
    let _child = Role::new("sleeper").descriptor("socket", socket.as_fd()).spawn().expect("grandchild");
    loop {
        std::thread::park();
    }
}

fn sleeper() {
    let socket = phalanx_process::take_role("sleeper").expect("role").take("socket").expect("socket");
    let _ = std::os::unix::net::UnixStream::from(socket.try_clone().unwrap()).write_all(b"!");
    loop {
        std::thread::park();
    }
}
