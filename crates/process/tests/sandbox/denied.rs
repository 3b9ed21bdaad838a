//! What a process in a sandbox cannot do: each attempt is an error, and nobody is harmed.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::time::Duration;

use phalanx_process::Sandbox;

use crate::child::{Attempt, of_call, outcome};
use crate::{Test, attempt, ended, pipe, said, users, wait};

pub(crate) const TESTS: &[Test] = &[
    ("files, sockets, programs, forks and signals are plain errors at full", full),
    ("sockets, programs, forks and signals are plain errors at no network, and files are free", no_network),
    ("calls that reach beyond the process are refused by number", calls),
    ("a full process cannot change what it shares with who gave it", shared),
    ("a sandbox cannot be left by the parent's memory", parents_memory),
    ("who is next to a hostile process goes on", sibling),
];

/// What is denied at both levels, with the name that the error has.
const BOTH: &[(&str, &str)] = &[
    ("connect by TCP", "EPERM"),
    ("listen by TCP", "EPERM"),
    ("send by UDP", "EPERM"),
    ("connect to a local socket", "EPERM"),
    ("listen on a local socket", "EPERM"),
    ("make a pair of datagram sockets", "EPERM"),
    ("execute true", "EPERM"),
    ("fork a thousand times", "EPERM"),
    ("signal process 1", "EPERM"),
    ("signal the parent", "EPERM"),
    ("signal everybody", "EPERM"),
    ("signal the group", "EPERM"),
    ("trace the parent", "EPERM"),
    ("read the parent's memory", "EPERM"),
    ("outlive the parent", "EPERM"),
    ("become root", "EPERM"),
    ("slow the parent down", "EPERM"),
    ("limit the parent", "EPERM"),
    ("type into the terminal", "EPERM"),
];

/// What is denied at full and free at no network.
const FILES: &[&str] = &[
    "read /etc/passwd",
    "read its executable",
    "stat /etc/passwd",
    "list /",
    "resolve /etc",
    "write a file",
    "ask for the working directory",
    "make a memory file",
    "make a pair of stream sockets",
    "make memory executable",
    "share memory without a file",
    "lower a limit",
];

fn full() {
    for user in users() {
        let denied = BOTH.iter().copied().chain(FILES.iter().map(|what| (*what, "EPERM")));
        for (what, error) in denied {
            assert_eq!(said(user(attempt(Sandbox::Full, what))).trim_end(), error, "{what}");
        }
    }
}

fn no_network() {
    for user in users() {
        for (what, error) in BOTH {
            assert_eq!(said(user(attempt(Sandbox::NoNetwork, what))).trim_end(), *error, "{what}");
        }
        for what in FILES {
            assert_eq!(said(user(attempt(Sandbox::NoNetwork, what))).trim_end(), "done", "{what}");
        }
    }
    // And it is the sandbox that denies it.
    for what in ["listen by TCP", "make a pair of datagram sockets", "execute true"] {
        assert_eq!(said(attempt(Sandbox::None, what)).trim_end(), "done", "{what}");
    }
}

fn calls() {
    for level in [Sandbox::Full, Sandbox::NoNetwork] {
        for (what, _) in CALLS {
            let came = said(attempt(level, what));
            assert!(["EPERM", "ENOSYS"].contains(&came.trim_end()), "{level}: {what}: {came}");
        }
    }
}

fn shared() {
    let file = rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::fs::ftruncate(&file, 4096).unwrap();
    for what in ["shorten what was given", "seal what was given", "change flags of what was given"] {
        let came = said(attempt(Sandbox::Full, what).descriptor("file", file.as_fd()));
        assert_eq!(came.trim_end(), "EPERM", "{what}");
    }
    assert_eq!(rustix::fs::fstat(&file).unwrap().st_size, 4096);
    assert_eq!(rustix::fs::fcntl_get_seals(&file).unwrap(), rustix::fs::SealFlags::empty());
}

fn parents_memory() {
    if phalanx_process::sandbox::available(Sandbox::NoNetwork).landlock.is_none() {
        println!("(skipped: it needs Landlock)");
        return;
    }
    for user in users() {
        let came = said(user(attempt(Sandbox::NoNetwork, "open the parent's memory")));
        assert_eq!(came.trim_end(), "EACCES");
    }
}

fn sibling() {
    let (mut answers, their_answers) = pipe();
    let (their_input, mut questions) = pipe();
    let role = attempt(Sandbox::Full, "echo").stdout(their_answers.as_fd()).stdin(their_input.as_fd());
    let sibling = role.spawn().unwrap();
    drop((their_answers, their_input));
    for what in ["fork a thousand times", "signal everybody", "signal the parent", "read the parent's memory"] {
        assert_eq!(said(attempt(Sandbox::Full, what)).trim_end(), "EPERM");
    }
    let crashed = ended(attempt(Sandbox::Full, "abort"));
    assert_eq!(crashed.status, phalanx_process::ExitStatus::Signal(libc::SIGABRT));
    questions.write_all(b"still there?").unwrap();
    drop(questions);
    let mut answer = String::new();
    answers.read_to_string(&mut answer).unwrap();
    assert_eq!(answer.trim_end(), "still there?");
    assert_eq!(wait(&sibling), phalanx_process::ExitStatus::Code(0));
}

fn parent() -> i32 {
    std::os::unix::process::parent_id() as i32
}

// SAFETY of the calls below: they are meant to fail, and touch no memory but what they are given, which is live.
#[allow(clippy::undocumented_unsafe_blocks)]
pub(crate) const ATTEMPTS: &[Attempt] = &[
    ("read /etc/passwd", |_| outcome(std::fs::read("/etc/passwd"))),
    ("read its executable", |_| outcome(std::fs::read("/proc/self/exe"))),
    ("stat /etc/passwd", |_| outcome(std::fs::metadata("/etc/passwd"))),
    ("list /", |_| outcome(std::fs::read_dir("/").and_then(|all| all.collect::<Result<Vec<_>, _>>()))),
    ("resolve /etc", |_| outcome(std::fs::canonicalize("/etc"))),
    ("write a file", |_| {
        let (from, to) = ("phalanx-sandbox-test", "phalanx-sandbox-test-moved");
        let folder = |name: &str| std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        let moved = |from, to| {
            // From one directory into another: Landlock has a right of its own for that.
            std::fs::create_dir(folder("phalanx-sandbox-test-folder"))?;
            let inside = folder("phalanx-sandbox-test-folder").join("moved");
            std::fs::rename(folder(from), &inside)?;
            std::fs::rename(inside, folder(to))?;
            std::fs::remove_dir(folder("phalanx-sandbox-test-folder"))?;
            std::fs::remove_file(folder(to))
        };
        outcome(std::fs::write(folder(from), "text").and_then(|()| moved(from, to)))
    }),
    ("ask for the working directory", |_| outcome(std::env::current_dir())),
    ("connect by TCP", |_| outcome(TcpStream::connect("127.0.0.1:9"))),
    ("listen by TCP", |_| outcome(TcpListener::bind("127.0.0.1:0"))),
    ("send by UDP", |_| outcome(UdpSocket::bind("127.0.0.1:0"))),
    ("connect to a local socket", |_| outcome(UnixStream::connect("/run/none"))),
    ("listen on a local socket", |_| outcome(UnixListener::bind("/tmp/phalanx-none"))),
    ("make a pair of datagram sockets", |_| outcome(UnixDatagram::pair())),
    ("make a pair of stream sockets", |_| outcome(UnixStream::pair())),
    ("execute true", |_| outcome(std::process::Command::new("true").status())),
    ("fork a thousand times", |_| {
        let mut came = String::new();
        for _ in 0..1000 {
            came = match unsafe { libc::fork() } {
                0 => unsafe { libc::_exit(0) },
                pid => of_call(pid.into()),
            };
        }
        came
    }),
    ("signal process 1", |_| of_call(unsafe { libc::kill(1, libc::SIGTERM) }.into())),
    ("signal the parent", |_| of_call(unsafe { libc::kill(parent(), libc::SIGTERM) }.into())),
    ("signal everybody", |_| of_call(unsafe { libc::kill(-1, 0) }.into())),
    ("signal the group", |_| of_call(unsafe { libc::kill(0, 0) }.into())),
    ("trace the parent", |_| of_call(unsafe { libc::ptrace(libc::PTRACE_SEIZE, parent(), 0, 0) })),
    ("read the parent's memory", |_| {
        let mut byte = 0_u8;
        let ours = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        let theirs = libc::iovec { iov_base: parent_argument().cast(), iov_len: 1 };
        of_call(unsafe { libc::process_vm_readv(parent(), &ours, 1, &theirs, 1, 0) } as libc::c_long)
    }),
    ("open the parent's memory", |_| outcome(std::fs::File::open(format!("/proc/{}/mem", parent())))),
    ("outlive the parent", |_| of_call(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, 0) }.into())),
    ("become root", |_| of_call(unsafe { libc::syscall(libc::SYS_setresuid, 0, 0, 0) })),
    ("slow the parent down", |_| {
        // The type of the first argument is not the same everywhere.
        of_call(unsafe { libc::syscall(libc::SYS_setpriority, 0, parent(), 19) })
    }),
    ("limit the parent", |_| {
        let most = libc::rlimit { rlim_cur: 3, rlim_max: 3 };
        let before = std::ptr::null_mut();
        of_call(unsafe { libc::prlimit(parent(), libc::RLIMIT_NOFILE, &most, before) }.into())
    }),
    ("type into the terminal", |_| of_call(unsafe { libc::ioctl(0, libc::TIOCSTI, c"x".as_ptr()) }.into())),
    ("make a memory file", |_| {
        outcome(rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::CLOEXEC).map_err(Into::into))
    }),
    ("make memory executable", |_| {
        let both = libc::PROT_READ | libc::PROT_EXEC;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let mapped = unsafe { libc::mmap(std::ptr::null_mut(), 4096, both, flags, -1, 0) };
        of_call(if mapped == libc::MAP_FAILED { -1 } else { 0 })
    }),
    ("share memory without a file", |_| {
        let both = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let mapped = unsafe { libc::mmap(std::ptr::null_mut(), 4096, both, flags, -1, 0) };
        of_call(if mapped == libc::MAP_FAILED { -1 } else { 0 })
    }),
    ("lower a limit", |_| {
        let most = libc::rlimit { rlim_cur: 9, rlim_max: 9 };
        of_call(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &most) }.into())
    }),
    ("shorten what was given", |role| {
        outcome(rustix::fs::ftruncate(role.take("file").unwrap(), 0).map_err(Into::into))
    }),
    ("seal what was given", |role| {
        let file = role.take("file").unwrap();
        outcome(rustix::fs::fcntl_add_seals(file, rustix::fs::SealFlags::WRITE).map_err(Into::into))
    }),
    ("change flags of what was given", |role| {
        let file = role.take("file").unwrap();
        of_call(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) }.into())
    }),
    ("echo", |_| {
        let mut asked = String::new();
        outcome(std::io::stdin().read_to_string(&mut asked));
        std::thread::sleep(Duration::ZERO);
        asked
    }),
    ("abort", |_| std::process::abort()),
];

/// Somewhere in the memory of the parent, which is this very program: any address will do, it is never reached.
fn parent_argument() -> *mut u8 {
    std::ptr::without_provenance_mut(0x1000)
}

macro_rules! refused_calls {
    ($($call:ident),* $(,)?) => {
        /// Calls by number, with arguments that do nothing if they are not refused.
        // SAFETY: all arguments are zero: nothing is read or written where a null pointer is meant, and where one of these
        // calls did something, the test would fail.
        #[allow(clippy::undocumented_unsafe_blocks)]
        pub(crate) const CALLS: &[Attempt] =
            &[$((stringify!($call), |_| of_call(unsafe { libc::syscall(libc::$call, 0, 0, 0, 0, 0, 0) })),)*];
    };
}

refused_calls! {
    SYS_socket, SYS_bind, SYS_connect, SYS_listen, SYS_accept, SYS_accept4, SYS_execve, SYS_execveat, SYS_clone3, SYS_ptrace,
    SYS_process_vm_readv, SYS_process_vm_writev, SYS_process_madvise, SYS_kcmp, SYS_pidfd_open, SYS_pidfd_getfd,
    SYS_pidfd_send_signal, SYS_tkill, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup, SYS_io_uring_enter,
    SYS_io_uring_register, SYS_io_setup, SYS_mount, SYS_umount2, SYS_fsopen, SYS_move_mount, SYS_open_tree, SYS_pivot_root,
    SYS_chroot, SYS_unshare, SYS_setns, SYS_add_key, SYS_request_key, SYS_keyctl, SYS_shmget, SYS_shmat, SYS_semget,
    SYS_msgget, SYS_mq_open, SYS_memfd_secret, SYS_personality, SYS_seccomp, SYS_landlock_create_ruleset, SYS_setuid,
    SYS_setgid, SYS_setgroups, SYS_setsid, SYS_setpgid, SYS_capset, SYS_fanotify_init, SYS_open_by_handle_at,
    SYS_name_to_handle_at, SYS_quotactl, SYS_acct, SYS_swapon, SYS_reboot, SYS_sethostname, SYS_settimeofday,
    SYS_clock_settime, SYS_adjtimex, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_syslog,
    SYS_remap_file_pages, SYS_migrate_pages, SYS_move_pages, SYS_vmsplice,
}
