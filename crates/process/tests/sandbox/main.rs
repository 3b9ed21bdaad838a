//! Roles in a sandbox: what they cannot do, what they can, and what they say of it. Real processes.
//!
//! A test starts children in the role `attempt`. Such a child tries one thing by its name, writes what came of it to its
//! standard output, and ends.

#![allow(clippy::unwrap_used)]

mod allowed;
mod child;
mod denied;
mod lacking;
mod levels;

use std::io::Read;
use std::os::fd::AsFd;

use phalanx_process::{ExitStatus, Process, Role, Sandbox, take_role};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::pipe::PipeFlags;

/// No test waits longer for anything.
const DEADLINE_S: i64 = 20;
/// `nobody`, on every Linux.
const NOBODY: u32 = 65534;

fn main() {
    if let Err(error) = phalanx_process::init() {
        eprintln!("{error}");
        std::process::exit(78);
    }
    match phalanx_process::role() {
        None => run_tests(),
        Some("attempt") => child::play(take_role("attempt").unwrap()),
        Some("lacking") => lacking::play(take_role("lacking").unwrap()),
        Some("parent") => levels::play_parent(),
        Some(other) => panic!("unknown role {other}"),
    }
}

/// A test with its promise as the name.
type Test = (&'static str, fn());

fn run_tests() {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let all = [denied::TESTS, allowed::TESTS, levels::TESTS, lacking::TESTS];
    let chosen = all.into_iter().flatten().filter(|(name, _)| name.contains(&filter));
    let passed = chosen.inspect(|(name, test)| {
        test();
        println!("test {name} ... ok");
    });
    println!("{} passed, 0 failed", passed.count());
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// How a child ended, and what it had said.
#[derive(Debug)]
struct Ended {
    status: ExitStatus,
    stdout: String,
    stderr: String,
    refusal: Option<String>,
}

/// A child in the role `attempt` that tries this.
fn attempt(level: Sandbox, what: &'static str) -> Role<'static> {
    Role::new("attempt").arguments(["phalanx: attempt", what]).env_clear().sandbox(level)
}

/// Runs a child to its end.
fn ended(role: Role<'_>) -> Ended {
    let (mut stdout, their_stdout) = pipe();
    let (mut stderr, their_stderr) = pipe();
    let child = role.stdout(their_stdout.as_fd()).stderr(their_stderr.as_fd()).spawn().unwrap();
    drop((their_stdout, their_stderr));
    let mut said = (String::new(), String::new());
    stdout.read_to_string(&mut said.0).unwrap();
    stderr.read_to_string(&mut said.1).unwrap();
    Ended { status: wait(&child), stdout: said.0, stderr: said.1, refusal: child.refusal() }
}

/// What a child said that tried this and ended well.
fn said(role: Role<'_>) -> String {
    let ended = ended(role);
    assert_eq!((ended.status, ended.refusal), (ExitStatus::Code(0), None), "{}{}", ended.stdout, ended.stderr);
    ended.stdout
}

/// For each kind of user that can be had: what makes a child run as that one.
fn users() -> Vec<fn(Role<'static>) -> Role<'static>> {
    let mut users: Vec<fn(Role<'static>) -> Role<'static>> = vec![|role| role];
    match is_root() {
        true => users.push(|role| role.uid(NOBODY).gid(NOBODY)),
        false => println!("(not as root: that needs root)"),
    }
    users
}

fn pipe() -> (std::fs::File, std::fs::File) {
    let (ours, theirs) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).unwrap();
    (ours.into(), theirs.into())
}

fn wait(child: &Process) -> ExitStatus {
    let deadline = rustix::event::Timespec { tv_sec: DEADLINE_S, tv_nsec: 0 };
    let ended = poll(&mut [PollFd::new(child, PollFlags::IN)], Some(&deadline)).unwrap();
    if ended == 0 {
        child.kill(phalanx_process::Signal::Kill).unwrap();
        panic!("child {} has not ended within {DEADLINE_S} s", child.pid());
    }
    child.try_wait().unwrap().unwrap()
}
