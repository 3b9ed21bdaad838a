//! The launcher itself: a process with one thread, between `init` and `exec`.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

use rustix::io::{Errno, FdFlags};

use super::spec::{MAX_REPORT, Report, Spec};
use super::{REPORT, SPEC, keeper};
use crate::lookup::{Program, SHELL};
use crate::posix_spawn::Pointers;
use crate::role::ROLE_VARIABLE;
use crate::{TakenRole, die_now, nameless_file};

/// Exit code of a launcher that failed, as a shell's for a command that it could not run.
const FAILED: i32 = 127;

/// Does what the spec says and becomes the program. Only while this process has a single thread.
pub(crate) fn become_program(role: TakenRole) -> ! {
    let failure = match Orders::read(role) {
        Ok(orders) => orders.follow(),
        // Without a readable spec there is nobody to report to.
        Err(_) => die_now(FAILED),
    };
    let (report_to, report) = failure;
    if let Ok(bytes) = postcard::to_stdvec(&report) {
        let _ = rustix::io::write(&report_to, &bytes[..bytes.len().min(MAX_REPORT)]);
    }
    die_now(FAILED)
}

struct Orders {
    spec: Spec,
    report_to: OwnedFd,
}

impl Orders {
    fn read(mut role: TakenRole) -> io::Result<Orders> {
        let missing = |_| io::Error::other("the launcher came without its descriptors");
        let spec = nameless_file::read(role.take(SPEC).map_err(missing)?)?;
        Ok(Orders { spec, report_to: role.take(REPORT).map_err(missing)? })
    }

    /// Returns only if it failed.
    fn follow(self) -> (OwnedFd, Report) {
        let Orders { spec, report_to } = self;
        let mut parent = spec.parent;
        if spec.inside.keeper {
            match keeper::split(parent) {
                Ok(keeper::Side::Program { keeper }) => parent = keeper,
                Ok(keeper::Side::Keeper(keeper)) => {
                    drop(report_to);
                    keeper.keep()
                }
                Err((what, errno)) => return (report_to, Report::Setting { what, errno: errno.raw_os_error() }),
            }
        }
        let report = match spec.inside.settings.apply() {
            // The parent-death signal comes later: a change of user clears it.
            Err((what, source)) => Report::Setting { what, errno: source.raw_os_error().unwrap_or(libc::EINVAL) },
            Ok(()) => execute(&spec, parent),
        };
        (report_to, report)
    }
}

/// Becomes the program. Returns only if it failed.
fn execute(spec: &Spec, parent: u32) -> Report {
    if spec.inside.die_with_parent || spec.inside.keeper {
        let asked = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
        if let Err(errno) = asked {
            return Report::Setting { what: "a signal at the parent's death".into(), errno: errno.raw_os_error() };
        }
        // It may have ended before we asked.
        if std::os::unix::process::parent_id() != parent {
            return Report::ParentGone;
        }
    }
    if spec.inside.listen_pid {
        // SAFETY: the launcher has one thread, so nobody reads the environment meanwhile.
        unsafe { std::env::set_var("LISTEN_PID", std::process::id().to_string()) };
    }
    if let Some(role) = &spec.role {
        // A keeper is the program's parent now.
        let role = role.replacen(&format!("parent={}", spec.parent), &format!("parent={parent}"), 1);
        // SAFETY: as above.
        unsafe { std::env::set_var(ROLE_VARIABLE, role) };
    }
    for number in &spec.keep {
        if let Err(errno) = keep_at_exec(*number) {
            return Report::Setting { what: format!("the descriptor {number}"), errno: errno.raw_os_error() };
        }
    }
    // SAFETY: sets the default action. The Rust runtime ignores this signal, and an exec would pass that on.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let (candidates, arguments) = match (c_strings(&spec.candidates), c_strings(&spec.arguments)) {
        (Some(candidates), Some(arguments)) => (candidates, arguments),
        _ => return Report::Exec { candidate: 0, errno: libc::EINVAL },
    };
    let (candidate, error) = execute_any(&candidates, &arguments, None);
    Report::Exec { candidate, errno: error.raw_os_error().unwrap_or(libc::EINVAL) }
}

/// Executes the first candidate that can be, with this environment or that of this process. Returns only if none could: the
/// one whose error says most, and that error.
pub(crate) fn execute_any(
    candidates: &[CString],
    arguments: &[CString],
    environment: Option<&[CString]>,
) -> (usize, io::Error) {
    let mut last = (0, io::Error::from_raw_os_error(libc::ENOENT));
    for (candidate, file) in candidates.iter().enumerate() {
        let mut error = exec(file, arguments, environment);
        if error.raw_os_error() == Some(libc::ENOEXEC) && Program::is_script_here(file) {
            let script: Vec<CString> =
                [SHELL.to_owned(), file.clone()].into_iter().chain(arguments.iter().skip(1).cloned()).collect();
            error = exec(SHELL, &script, environment);
        }
        if !Program::may_go_on(&error) {
            return (candidate, error);
        }
        if candidate == 0 || error.raw_os_error() == Some(libc::EACCES) {
            last = (candidate, error);
        }
    }
    last
}

fn keep_at_exec(number: RawFd) -> Result<(), Errno> {
    // SAFETY: the parent placed a descriptor at this number, and nothing in this process has closed it: `init` took
    // only the two of the launcher itself.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_setfd(descriptor, FdFlags::empty())
}

/// Executes with this environment, or that of this process. Returns only if it failed.
fn exec(file: &CStr, arguments: &[CString], environment: Option<&[CString]>) -> io::Error {
    let argv = Pointers::to(arguments);
    match environment.map(Pointers::to) {
        // SAFETY: the path and all strings are NUL-terminated and live, both arrays end with a null pointer.
        Some(envp) => unsafe { libc::execve(file.as_ptr(), argv.as_ptr().cast(), envp.as_ptr().cast()) },
        // SAFETY: the path and all arguments are NUL-terminated and live, the array ends with a null pointer.
        None => unsafe { libc::execv(file.as_ptr(), argv.as_ptr().cast()) },
    };
    io::Error::last_os_error()
}

fn c_strings(all: &[Vec<u8>]) -> Option<Vec<CString>> {
    all.iter().map(|bytes| CString::new(bytes.clone()).ok()).collect()
}
