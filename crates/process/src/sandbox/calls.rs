//! Which system calls remain at each level.
//!
//! A list of what is allowed, not of what is denied: the process is this very executable, and what Rust, the C library and a
//! task that computes need is known and small. What would break such a list over time is a *new* call that the next C library
//! makes; those all have numbers from [`SINCE_5_1`] on and get ENOSYS, which a C library answers with the call that it made
//! before (it has to run on old kernels), and that one is on the list.

use libc::*;

use super::Sandbox;
use super::bpf::{Test, Verdict};

/// From here on numbers are the same on all architectures, and programs know that a kernel may lack the call.
pub(super) const SINCE_5_1: u32 = 424;

/// `fchmodat2`, which the libc crate does not name everywhere.
const SYS_FCHMODAT2: c_long = 452;

/// Memory, threads, time, randomness, waiting, and descriptors that are there.
const COMPUTING: &[c_long] = &[
    // Descriptors that were given, and what one waits with.
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_pread64,
    SYS_pwrite64,
    SYS_preadv,
    SYS_pwritev,
    SYS_preadv2,
    SYS_pwritev2,
    SYS_lseek,
    SYS_fstat,
    SYS_close,
    SYS_close_range,
    SYS_dup,
    SYS_recvfrom,
    SYS_shutdown,
    SYS_ppoll,
    SYS_pselect6,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_epoll_pwait2,
    SYS_eventfd2,
    SYS_pipe2,
    SYS_timerfd_create,
    SYS_timerfd_settime,
    SYS_timerfd_gettime,
    // Memory.
    SYS_brk,
    SYS_munmap,
    SYS_mremap,
    SYS_madvise,
    SYS_membarrier,
    // Threads.
    SYS_futex,
    SYS_set_robust_list,
    SYS_set_tid_address,
    SYS_rseq,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_getcpu,
    SYS_exit,
    SYS_exit_group,
    SYS_restart_syscall,
    // Its own signals.
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_rt_sigpending,
    SYS_rt_sigsuspend,
    SYS_rt_sigtimedwait,
    SYS_sigaltstack,
    // Time and randomness.
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_gettimeofday,
    SYS_times,
    SYS_getrandom,
    // Who and where it is.
    SYS_getpid,
    SYS_gettid,
    SYS_getppid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getrusage,
    SYS_getpriority,
    SYS_sysinfo,
    SYS_uname,
];

/// The same, as older programs call it.
#[cfg(target_arch = "x86_64")]
const COMPUTING_BEFORE: &[c_long] =
    &[SYS_poll, SYS_select, SYS_epoll_create, SYS_epoll_wait, SYS_eventfd, SYS_pipe, SYS_time, SYS_getrlimit];
#[cfg(target_arch = "aarch64")]
const COMPUTING_BEFORE: &[c_long] = &[SYS_getrlimit];

/// Files as the user may, and what belongs to a program that is not only a calculator.
const WITH_FILES: &[c_long] = &[
    SYS_openat,
    SYS_openat2,
    SYS_newfstatat,
    SYS_statx,
    SYS_statfs,
    SYS_fstatfs,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_readlinkat,
    SYS_getdents64,
    SYS_getcwd,
    SYS_chdir,
    SYS_fchdir,
    SYS_umask,
    SYS_mkdirat,
    SYS_mknodat,
    SYS_unlinkat,
    SYS_renameat2,
    SYS_linkat,
    SYS_symlinkat,
    SYS_fchmod,
    SYS_fchmodat,
    SYS_FCHMODAT2,
    SYS_fchown,
    SYS_fchownat,
    SYS_utimensat,
    SYS_truncate,
    SYS_ftruncate,
    SYS_fallocate,
    SYS_fadvise64,
    SYS_readahead,
    SYS_copy_file_range,
    SYS_sendfile,
    SYS_splice,
    SYS_tee,
    SYS_fsync,
    SYS_fdatasync,
    SYS_sync,
    SYS_syncfs,
    SYS_sync_file_range,
    SYS_flock,
    SYS_getxattr,
    SYS_lgetxattr,
    SYS_fgetxattr,
    SYS_setxattr,
    SYS_lsetxattr,
    SYS_fsetxattr,
    SYS_listxattr,
    SYS_llistxattr,
    SYS_flistxattr,
    SYS_removexattr,
    SYS_lremovexattr,
    SYS_fremovexattr,
    SYS_inotify_init1,
    SYS_inotify_add_watch,
    SYS_inotify_rm_watch,
    SYS_memfd_create,
    SYS_dup3,
    SYS_signalfd4,
    // Memory, code that is made at run time included.
    SYS_mmap,
    SYS_mprotect,
    SYS_pkey_mprotect,
    SYS_pkey_alloc,
    SYS_pkey_free,
    SYS_msync,
    SYS_mincore,
    SYS_mlock,
    SYS_mlock2,
    SYS_munlock,
    SYS_mlockall,
    SYS_munlockall,
    // Sockets that were given.
    SYS_sendto,
    SYS_sendmsg,
    SYS_sendmmsg,
    SYS_recvmsg,
    SYS_recvmmsg,
    SYS_getsockname,
    SYS_getpeername,
    SYS_getsockopt,
    SYS_setsockopt,
    // Itself.
    SYS_timer_create,
    SYS_timer_settime,
    SYS_timer_gettime,
    SYS_timer_getoverrun,
    SYS_timer_delete,
    SYS_setitimer,
    SYS_getitimer,
    SYS_setrlimit,
    SYS_sched_getparam,
    SYS_sched_getscheduler,
    SYS_sched_getattr,
    SYS_sched_get_priority_max,
    SYS_sched_get_priority_min,
    SYS_ioprio_get,
    SYS_getresuid,
    SYS_getresgid,
    SYS_getgroups,
    SYS_getpgid,
    SYS_getsid,
    SYS_capget,
];

#[cfg(target_arch = "x86_64")]
const WITH_FILES_BEFORE: &[c_long] = &[
    SYS_open,
    SYS_creat,
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_readlink,
    SYS_getdents,
    SYS_mkdir,
    SYS_mknod,
    SYS_rmdir,
    SYS_unlink,
    SYS_rename,
    SYS_renameat,
    SYS_link,
    SYS_symlink,
    SYS_chmod,
    SYS_chown,
    SYS_lchown,
    SYS_utime,
    SYS_utimes,
    SYS_futimesat,
    SYS_inotify_init,
    SYS_dup2,
    SYS_signalfd,
    SYS_alarm,
    SYS_pause,
    SYS_getpgrp,
];
#[cfg(target_arch = "aarch64")]
const WITH_FILES_BEFORE: &[c_long] = &[SYS_renameat];

/// What a new thread shares with the one that started it, and must.
const THREAD: u32 = (CLONE_VM | CLONE_SIGHAND | CLONE_THREAD) as u32;
/// What else the C libraries ask for with it. `CLONE_DETACHED` (musl) has no effect.
const OF_THREADS: u32 = THREAD
    | (CLONE_FS
        | CLONE_FILES
        | CLONE_SYSVSEM
        | CLONE_SETTLS
        | CLONE_PARENT_SETTID
        | CLONE_CHILD_SETTID
        | CLONE_CHILD_CLEARTID
        | CLONE_DETACHED) as u32;

/// What a process may tell about itself: names, and nothing that frees it (its death signal stays).
const HARMLESS_PRCTL: &[u32] = &[
    PR_SET_NAME as u32,
    PR_GET_NAME as u32,
    PR_SET_VMA as u32,
    PR_GET_PDEATHSIG as u32,
    PR_GET_DUMPABLE as u32,
    PR_GET_NO_NEW_PRIVS as u32,
    PR_GET_SECCOMP as u32,
    PR_GET_TIMERSLACK as u32,
    PR_SET_TIMERSLACK as u32,
];

/// What changes this process's table of descriptors, and nothing that others share.
const OWN_FCNTL: &[u32] =
    &[F_DUPFD as u32, F_DUPFD_CLOEXEC as u32, F_GETFD as u32, F_SETFD as u32, F_GETFL as u32, F_GET_SEALS as u32];

/// With files of one's own: locks, flags, sizes, seals. Not who gets a signal.
const FILE_FCNTL: &[u32] = &[
    F_DUPFD as u32,
    F_DUPFD_CLOEXEC as u32,
    F_GETFD as u32,
    F_SETFD as u32,
    F_GETFL as u32,
    F_SETFL as u32,
    F_GETLK as u32,
    F_SETLK as u32,
    F_SETLKW as u32,
    F_OFD_GETLK as u32,
    F_OFD_SETLK as u32,
    F_OFD_SETLKW as u32,
    F_GETPIPE_SZ as u32,
    F_SETPIPE_SZ as u32,
    F_GET_SEALS as u32,
    F_ADD_SEALS as u32,
];

/// Questions, flags of one's own, copies of files. Not what types into a terminal or sends signals.
const FILE_IOCTL: &[u32] = &[
    TCGETS as u32,
    TIOCGWINSZ as u32,
    FIONREAD as u32,
    FIONBIO as u32,
    FIOCLEX as u32,
    FIONCLEX as u32,
    FICLONE as u32,
    FICLONERANGE as u32,
];

/// The calls of a level, for the process of this number. Any other one gets [`otherwise`].
pub(super) fn calls(level: Sandbox, own_pid: u32) -> Vec<(u32, Verdict)> {
    let mut calls = Vec::with_capacity(256);
    let mut allow = |numbers: &[c_long]| calls.extend(numbers.iter().map(|n| (*n as u32, Verdict::Allow)));
    allow(COMPUTING);
    allow(COMPUTING_BEFORE);
    if level == Sandbox::NoNetwork {
        allow(WITH_FILES);
        allow(WITH_FILES_BEFORE);
    }
    let mut only_if = |number: c_long, tests: &[Test]| calls.push((number as u32, Verdict::If(tests.to_vec())));
    only_if(
        SYS_clone,
        &[
            Test::Masked { argument: 0, mask: THREAD, bits: THREAD },
            Test::Masked { argument: 0, mask: !OF_THREADS, bits: 0 },
        ],
    );
    // `abort` and `raise`.
    only_if(SYS_tgkill, &[Test::Is(0, own_pid)]);
    only_if(SYS_kill, &[Test::Is(0, own_pid)]);
    only_if(SYS_prctl, &[Test::OneOf(0, HARMLESS_PRCTL)]);
    match level {
        Sandbox::NoNetwork => {
            only_if(SYS_rt_sigqueueinfo, &[Test::Is(0, own_pid)]);
            only_if(SYS_rt_tgsigqueueinfo, &[Test::Is(0, own_pid)]);
            only_if(SYS_fcntl, &[Test::OneOf(1, FILE_FCNTL)]);
            only_if(SYS_ioctl, &[Test::OneOf(1, FILE_IOCTL)]);
            // Not a datagram pair: that can send to any name.
            let of_stream = Test::Masked { argument: 1, mask: 0xf, bits: SOCK_STREAM as u32 };
            only_if(SYS_socketpair, &[Test::Is(0, AF_UNIX as u32), of_stream]);
            // Of this process or thread only.
            only_if(SYS_prlimit64, &[Test::Is(0, 0)]);
            only_if(SYS_sched_setaffinity, &[Test::Is(0, 0)]);
            only_if(SYS_sched_setscheduler, &[Test::Is(0, 0)]);
            only_if(SYS_sched_setparam, &[Test::Is(0, 0)]);
            only_if(SYS_sched_setattr, &[Test::Is(0, 0)]);
            only_if(SYS_setpriority, &[Test::Is(0, PRIO_OF_PROCESS), Test::Is(1, 0)]);
            only_if(SYS_ioprio_set, &[Test::Is(0, IOPRIO_WHO_PROCESS), Test::Is(1, 0)]);
        }
        _ => {
            let not_executable = Test::Masked { argument: 2, mask: PROT_EXEC as u32, bits: 0 };
            only_if(SYS_mprotect, &[not_executable]);
            // RLIMIT_DATA counts neither of these two.
            let not_shared_without_file = Test::NotAll(3, (MAP_SHARED | MAP_ANONYMOUS) as u32);
            let not_a_stack = Test::NotAll(3, MAP_GROWSDOWN as u32);
            only_if(SYS_mmap, &[not_executable, not_shared_without_file, not_a_stack]);
            only_if(SYS_fcntl, &[Test::OneOf(1, OWN_FCNTL)]);
            // `send`: without an address.
            only_if(SYS_sendto, &[Test::IsNull(4)]);
            // Its own limits, to read.
            only_if(SYS_prlimit64, &[Test::Is(0, 0), Test::IsNull(2)]);
        }
    }
    calls
}

/// `PRIO_PROCESS` of `linux/resource.h`.
const PRIO_OF_PROCESS: u32 = 0;
/// `linux/ioprio.h`.
const IOPRIO_WHO_PROCESS: u32 = 1;

/// What becomes of any other call.
pub(super) fn otherwise(number: u32) -> Verdict {
    Verdict::Refuse(if number < SINCE_5_1 { EPERM } else { ENOSYS })
}

#[cfg(test)]
mod tests {
    use super::super::bpf::machine::{ALLOWED, refused, run};
    use super::super::bpf::program;
    use super::*;

    const OWN: u32 = 4711;

    fn verdict(level: Sandbox, number: c_long, arguments: [u64; 6]) -> u32 {
        let program = program(calls(level, OWN), otherwise, SINCE_5_1);
        assert!(program.len() < 800, "{} instructions", program.len());
        run(&program, number as u32, arguments)
    }

    fn with(first: u64) -> [u64; 6] {
        [first, 0, 0, 0, 0, 0]
    }

    #[test]
    fn no_call_is_named_twice() {
        for level in [Sandbox::Full, Sandbox::NoNetwork] {
            let mut numbers: Vec<u32> = calls(level, OWN).into_iter().map(|(number, _)| number).collect();
            numbers.sort_unstable();
            assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]), "{level}: {numbers:?}");
        }
    }

    #[test]
    fn full_is_less_than_no_network() {
        for number in 0..600 {
            if verdict(Sandbox::Full, number, [0; 6]) == ALLOWED {
                assert_eq!(verdict(Sandbox::NoNetwork, number, [0; 6]), ALLOWED, "{number}");
            }
        }
    }

    #[test]
    fn neither_level_has_what_reaches_others() {
        let never = [
            SYS_socket,
            SYS_connect,
            SYS_bind,
            SYS_listen,
            SYS_accept4,
            SYS_execve,
            SYS_execveat,
            SYS_ptrace,
            SYS_process_vm_readv,
            SYS_process_vm_writev,
            SYS_bpf,
            SYS_perf_event_open,
            SYS_userfaultfd,
            SYS_mount,
            SYS_unshare,
            SYS_setns,
            SYS_chroot,
            SYS_keyctl,
            SYS_tkill,
            SYS_setuid,
            SYS_setresuid,
            SYS_setsid,
            SYS_shmget,
            SYS_mq_open,
            SYS_personality,
            SYS_seccomp,
            SYS_io_setup,
            SYS_kexec_load,
            SYS_init_module,
        ];
        let later = [SYS_clone3, SYS_io_uring_setup, SYS_pidfd_open, SYS_pidfd_getfd, SYS_pidfd_send_signal, 999];
        for level in [Sandbox::Full, Sandbox::NoNetwork] {
            for number in never {
                assert_eq!(verdict(level, number, [0; 6]), refused(EPERM), "{level}: {number}");
            }
            for number in later {
                assert_eq!(verdict(level, number, [0; 6]), refused(ENOSYS), "{level}: {number}");
            }
            assert_eq!(verdict(level, SYS_kill, with(1)), refused(EPERM));
            // Everybody, and the process group.
            assert_eq!(verdict(level, SYS_kill, with(u64::MAX)), refused(EPERM));
            assert_eq!(verdict(level, SYS_kill, with(0)), refused(EPERM));
            assert_eq!(verdict(level, SYS_kill, with(u64::from(OWN))), ALLOWED);
            assert_eq!(verdict(level, SYS_tgkill, with(u64::from(OWN))), ALLOWED);
            assert_eq!(verdict(level, SYS_prctl, with(PR_SET_PDEATHSIG as u64)), refused(EPERM));
            assert_eq!(verdict(level, SYS_prctl, with(PR_SET_NAME as u64)), ALLOWED);
        }
    }

    #[test]
    fn threads_may_start_and_processes_may_not() {
        // What glibc and musl ask for.
        for flags in [0x003d_0f00, 0x007d_0f00] {
            assert_eq!(verdict(Sandbox::Full, SYS_clone, with(flags)), ALLOWED, "{flags:x}");
        }
        let fork = (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD) as u64;
        let spawn = (CLONE_VM | CLONE_VFORK | SIGCHLD) as u64;
        let new_user = 0x003d_0f00 | CLONE_NEWUSER as u64;
        for flags in [0, fork, spawn, new_user, 0x003d_0f00 | CLONE_UNTRACED as u64] {
            assert_eq!(verdict(Sandbox::NoNetwork, SYS_clone, with(flags)), refused(EPERM), "{flags:x}");
        }
    }

    #[test]
    fn no_address_and_no_limit_goes_into_a_call_at_full() {
        let address = |pointer: u64| [0, 0, 0, 0, pointer, 0];
        assert_eq!(verdict(Sandbox::Full, SYS_sendto, address(0)), ALLOWED);
        assert_eq!(verdict(Sandbox::Full, SYS_sendto, address(1 << 40)), refused(EPERM));
        let limit = |pid: u64, new: u64| [pid, 0, new, 0, 0, 0];
        assert_eq!(verdict(Sandbox::Full, SYS_prlimit64, limit(0, 0)), ALLOWED);
        assert_eq!(verdict(Sandbox::Full, SYS_prlimit64, limit(0, 0x7fff_0000_0000)), refused(EPERM));
        for level in [Sandbox::Full, Sandbox::NoNetwork] {
            assert_eq!(verdict(level, SYS_prlimit64, limit(1, 0)), refused(EPERM));
        }
    }

    #[test]
    fn full_makes_no_code_and_asks_for_nothing_by_path() {
        let protection = |bits: c_int| [0, 4096, bits as u64, 0, 0, 0];
        assert_eq!(verdict(Sandbox::Full, SYS_mmap, protection(PROT_READ | PROT_WRITE)), ALLOWED);
        assert_eq!(verdict(Sandbox::Full, SYS_mprotect, protection(PROT_READ | PROT_EXEC)), refused(EPERM));
        let mapped = |flags: c_int| verdict(Sandbox::Full, SYS_mmap, [0, 4096, 3, flags as u64, 0, 0]);
        for flags in [MAP_SHARED, MAP_PRIVATE | MAP_ANONYMOUS, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE]
        {
            assert_eq!(mapped(flags), ALLOWED, "{flags:x}");
        }
        for flags in [
            MAP_SHARED | MAP_ANONYMOUS,
            MAP_SHARED_VALIDATE | MAP_ANONYMOUS,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN,
        ] {
            assert_eq!(mapped(flags), refused(EPERM), "{flags:x}");
        }
        assert_eq!(verdict(Sandbox::NoNetwork, SYS_mprotect, protection(PROT_EXEC)), ALLOWED);
        for number in [SYS_openat, SYS_newfstatat, SYS_statx, SYS_readlinkat, SYS_chdir, SYS_unlinkat, SYS_truncate] {
            assert_eq!(verdict(Sandbox::Full, number, [0; 6]), refused(EPERM), "{number}");
            assert_eq!(verdict(Sandbox::NoNetwork, number, [0; 6]), ALLOWED, "{number}");
        }
        for number in [SYS_openat2, SYS_faccessat2] {
            assert_eq!(verdict(Sandbox::Full, number, [0; 6]), refused(ENOSYS), "{number}");
        }
    }
}
