//! What a process says of its sandbox, and what its parent sees of it.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};

use phalanx_process::{Confinement, ExitStatus, Role, Sandbox, SandboxPolicy, Signal, confinement, sandbox, take_role};

use crate::{Test, attempt, is_root, pipe, said, users, wait};

pub(crate) const TESTS: &[Test] = &[
    ("a process tells what is truly active, and the parent knows before", told),
    ("without a level, or with the policy off, nothing is denied", nothing),
    ("the kernel confirms what is told, and the parent may still look", seen_from_outside),
    ("descriptors that nobody gave are closed", descriptors),
    ("arguments and environment are those that were given", arguments),
    ("a process in a sandbox still dies with its parent", dies_with_parent),
    ("limits, niceness and user are set before", settings),
];

fn told() {
    for user in users() {
        for level in [Sandbox::Full, Sandbox::NoNetwork] {
            let told: Confinement = serde_json::from_str(&said(user(attempt(level, "tell the confinement")))).unwrap();
            assert_eq!(told, sandbox::available(level));
            assert_eq!((told.level, told.no_new_privileges), (level, true));
            assert!(told.seccomp, "{told}");
        }
    }
    assert_eq!(*confinement(), Confinement::none());
    println!("(here: {})", sandbox::available(Sandbox::Full));
}

fn nothing() {
    let off = attempt(Sandbox::Full, "tell the confinement").sandbox_policy(SandboxPolicy::Off);
    let required = attempt(Sandbox::None, "tell the confinement").sandbox_policy(SandboxPolicy::Require);
    for role in [attempt(Sandbox::None, "tell the confinement"), off, required] {
        let told: Confinement = serde_json::from_str(&said(role)).unwrap();
        assert_eq!(told, Confinement::none());
        assert_eq!(told, sandbox::available(Sandbox::None));
    }
}

fn seen_from_outside() {
    for user in users() {
        for level in [Sandbox::Full, Sandbox::NoNetwork] {
            let (mut out, their_out) = pipe();
            let (their_input, input) = pipe();
            let role = user(attempt(level, "wait for the end of input"));
            let child = role.stdout(their_out.as_fd()).stdin(their_input.as_fd()).spawn().unwrap();
            drop((their_out, their_input));
            out.read_exact(&mut [0]).unwrap();
            let of_child = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", child.pid())).unwrap();
            let status = of_child("status");
            let line = |name: &str| {
                status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t")).unwrap().to_owned()
            };
            assert_eq!((line("NoNewPrivs"), line("Seccomp")), ("1".into(), "2".into()));
            assert_eq!(u64::from_str_radix(&line("CapEff"), 16).unwrap() & !0x1f, 0, "{level}: {}", line("CapEff"));
            if level == Sandbox::Full {
                assert_eq!(u64::from_str_radix(&line("CapPrm"), 16).unwrap(), 0);
            }
            assert!(of_child("statm").split(' ').count() > 5);
            // What only the owner may read.
            assert!(of_child("smaps_rollup").contains("Rss:"));
            let limits = of_child("limits");
            let core: Vec<&str> =
                limits.lines().find(|line| line.contains("core file")).unwrap().split_whitespace().collect();
            assert!(["0", "1"].contains(&core[4]) && ["0", "1"].contains(&core[5]), "{core:?}");
            drop(input);
            assert_eq!(wait(&child), ExitStatus::Code(0));
        }
    }
}

/// Also a test of a system without `close_range`.
pub(crate) fn descriptors() {
    let (leaked, given) = pipe();
    // As a library does that knows no better.
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).unwrap();
    let count = |level| {
        let role = attempt(level, "count the descriptors").descriptor("one", given.as_fd());
        said(role.descriptor("two", given.as_fd())).trim_end().to_owned()
    };
    assert_eq!((count(Sandbox::Full), count(Sandbox::NoNetwork)), ("[3, 4]".into(), "[3, 4]".into()));
    assert!(count(Sandbox::None).contains(&leaked.as_raw_fd().to_string()), "the test leaks nothing");
}

fn arguments() {
    // SAFETY: the test has one thread.
    unsafe { std::env::set_var("TEST_SECRET", "token") };
    let told = |role: Role<'static>| said(role.env("TEST_ADDED", "yes"));
    let what = "tell arguments and environment";
    let own = ["phalanx: job of/a long name", what];
    let cleared = told(attempt(Sandbox::Full, what).arguments(own));
    assert_eq!(cleared.lines().next().unwrap(), format!("{own:?}"));
    assert_eq!(cleared.lines().nth(1).unwrap(), r#"["TEST_ADDED"]"#);
    // `ps` and the like find both.
    assert_eq!(cleared.lines().nth(2).unwrap(), "a long name");
    let inherited = told(Role::new("attempt").arguments(["phalanx: attempt", what]));
    assert!(inherited.contains("TEST_SECRET") && inherited.contains("TEST_ADDED"), "{inherited}");
    // SAFETY: as above.
    unsafe { std::env::remove_var("TEST_SECRET") };
}

fn dies_with_parent() {
    for user in ["", "nobody"] {
        if !user.is_empty() && !is_root() {
            continue;
        }
        let (mut alive, their_alive) = pipe();
        let parent = Role::new("parent").stdout(their_alive.as_fd()).env("TEST_USER", user).spawn().unwrap();
        drop(their_alive);
        alive.read_exact(&mut [0]).unwrap();
        parent.kill(Signal::Kill).unwrap();
        wait(&parent);
        // The end comes when nobody holds the other end.
        assert_eq!(alive.read(&mut [0]).unwrap(), 0);
    }
}

/// Starts a child in a sandbox, and waits to be killed.
pub(crate) fn play_parent() {
    take_role("parent").unwrap();
    let role = attempt(Sandbox::Full, "wait for the end of input").parent_death(Signal::Kill);
    let role = if std::env::var("TEST_USER").as_deref() == Ok("nobody") {
        role.uid(crate::NOBODY).gid(crate::NOBODY)
    } else {
        role
    };
    let (input, _ours) = pipe();
    let child = role.stdin(input.as_fd()).spawn().unwrap();
    wait(&child);
}

fn settings() {
    use phalanx_process::Limit;
    let (mut out, their_out) = pipe();
    let (their_input, input) = pipe();
    let role = attempt(Sandbox::Full, "wait for the end of input").rlimit(Limit::OpenFiles, 64).nice(1);
    let role = if is_root() { role.uid(crate::NOBODY).gid(crate::NOBODY) } else { role };
    let before = rustix::process::getpriority_process(None).unwrap();
    let child = role.stdout(their_out.as_fd()).stdin(their_input.as_fd()).spawn().unwrap();
    out.read_exact(&mut [0]).unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.pid())).unwrap();
    let files = limits.lines().find(|line| line.contains("open files")).unwrap();
    assert_eq!(files.split_whitespace().nth(3), Some("64"));
    let pid = rustix::process::Pid::from_raw(child.pid() as i32);
    assert_eq!(rustix::process::getpriority_process(pid).unwrap(), (before + 1).min(19));
    drop(input);
    assert_eq!(wait(&child), ExitStatus::Code(0));
}

pub(crate) fn tell() {
    println!("{}", serde_json::to_string(confinement()).unwrap());
}

pub(crate) fn tell_arguments() {
    println!("{:?}", std::env::args().collect::<Vec<_>>());
    println!("{:?}", std::env::vars().map(|(name, _)| name).collect::<Vec<_>>());
    println!("{}", rustix::thread::name().unwrap().to_str().unwrap());
}

pub(crate) fn count_descriptors() {
    // SAFETY: only asks for flags; a number that is not open gives an error.
    let open = (3..1024).filter(|number| unsafe { libc::fcntl(*number, libc::F_GETFD) } >= 0);
    println!("{:?}", open.collect::<Vec<_>>());
}

pub(crate) fn wait_for_input() {
    print!("!");
    std::io::stdout().flush().unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}
