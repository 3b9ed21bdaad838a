//! Where a part of the sandbox is missing. An outer filter plays the kernel (or the container) that lacks it.

use std::os::fd::AsFd;

use libc::{sock_filter, sock_fprog};
use phalanx_process::{Confinement, ExitStatus, Role, Sandbox, SandboxPolicy, TakenRole, sandbox};

use crate::{Test, attempt, ended, levels, pipe, said, wait};

pub(crate) const TESTS: &[Test] = &[
    ("without Landlock a sandbox says so, and is refused where all of it is required", no_landlock),
    ("without seccomp a sandbox says so, and is refused where all of it is required", no_seccomp),
    ("with neither it says so twice", neither),
    ("where a filter knows no close_range, descriptors that nobody gave are closed all the same", no_close_range),
    ("a whole sandbox is not refused", whole),
];

fn no_landlock() {
    run_lacking("no landlock");
}

fn no_seccomp() {
    run_lacking("no seccomp");
}

fn neither() {
    run_lacking("neither");
}

fn no_close_range() {
    run_lacking("no close_range");
}

fn whole() {
    if !sandbox::available(Sandbox::Full).is_complete() {
        println!("(skipped: {})", sandbox::available(Sandbox::Full));
        return;
    }
    for level in [Sandbox::Full, Sandbox::NoNetwork] {
        let told = said(attempt(level, "tell the confinement").sandbox_policy(SandboxPolicy::Require));
        let told: Confinement = serde_json::from_str(&told).unwrap();
        assert!(told.is_complete() && told.landlock.is_some(), "{told}");
    }
}

/// Runs the tests below in a process that lacks this.
fn run_lacking(what: &'static str) {
    let (_, their_stdin) = pipe();
    let role = Role::new("lacking").arguments(["phalanx: lacking", what]).stdin(their_stdin.as_fd());
    let child = role.spawn().unwrap();
    assert_eq!(wait(&child), ExitStatus::Code(0), "{what}: see above");
}

pub(crate) fn play(_: TakenRole) {
    let what = std::env::args().nth(1).unwrap();
    if what == "no close_range" {
        lose(&[(libc::SYS_close_range, libc::EPERM)]);
        return levels::descriptors();
    }
    let (lacks_landlock, lacks_seccomp) = (what != "no seccomp", what != "no landlock");
    let denied: &[(libc::c_long, i32)] = match what.as_str() {
        "no landlock" => &[(libc::SYS_landlock_create_ruleset, libc::ENOSYS)],
        "no seccomp" => &[(libc::SYS_seccomp, libc::EINVAL)],
        _ => &[(libc::SYS_landlock_create_ruleset, libc::EOPNOTSUPP), (libc::SYS_seccomp, libc::EPERM)],
    };
    lose(denied);
    for level in [Sandbox::Full, Sandbox::NoNetwork] {
        let told: Confinement = serde_json::from_str(&said(attempt(level, "tell the confinement"))).unwrap();
        assert_eq!(told, sandbox::available(level));
        assert_eq!((told.landlock.is_none(), told.seccomp), (lacks_landlock, !lacks_seccomp), "{told}");
        assert_eq!(told.missing.len(), usize::from(lacks_landlock) + usize::from(lacks_seccomp));
        let expected = match what.as_str() {
            "no landlock" => format!("{level}, but no landlock: the kernel lacks it"),
            "no seccomp" => format!("{level}, but no seccomp: the kernel lacks it"),
            _ => format!(
                "{level}, but no landlock: the kernel has it turned off (see lsm= of its command line); no seccomp: it is \
                 forbidden here (by the filter of a container?)"
            ),
        };
        assert_eq!(told.to_string(), expected);
        let required = ended(attempt(level, "tell the confinement").sandbox_policy(SandboxPolicy::Require));
        assert_eq!((required.status, required.stdout.as_str()), (ExitStatus::Code(78), ""));
        let refusal = required.refusal.unwrap();
        let start = format!("to the sandbox \"{level}\", which is required: no ");
        assert!(refusal.starts_with("cannot confine process ") && refusal.contains(&start), "{refusal}");
        assert!(refusal.contains(&told.missing.join("; no ")), "{refusal}");
    }
    // What there is still denies.
    let denied = if lacks_seccomp { &[][..] } else { &["read /etc/passwd", "execute true", "listen by TCP"] };
    for what in denied {
        assert_eq!(said(attempt(Sandbox::Full, what)).trim_end(), "EPERM", "{what}");
    }
    if !lacks_landlock {
        for what in ["read /etc/passwd", "listen by TCP"] {
            assert_eq!(said(attempt(Sandbox::Full, what)).trim_end(), "EACCES", "{what}");
        }
        assert_eq!(said(attempt(Sandbox::Full, "signal the parent")).trim_end(), "EPERM");
        assert_eq!(said(attempt(Sandbox::NoNetwork, "execute true")).trim_end(), "EACCES");
        assert_eq!(said(attempt(Sandbox::NoNetwork, "write a file")).trim_end(), "done");
    }
}

/// From here on these calls give these errors, for this process and its children.
fn lose(calls: &[(libc::c_long, i32)]) {
    let instruction = |code: u32, k: u32, jf: u8| sock_filter { code: code as u16, jt: 0, jf, k };
    let mut filter = vec![instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0)];
    for (number, error) in calls {
        filter.push(instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, *number as u32, 1));
        filter.push(instruction(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | error.unsigned_abs(), 0));
    }
    filter.push(instruction(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0));
    let program = sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    rustix::thread::set_no_new_privs(true).unwrap();
    // SAFETY: the program is live, has the length that it says, and is copied.
    let lost = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    assert_eq!(lost, 0, "{}", std::io::Error::last_os_error());
}
