//! The steps from a free process to a confined one, in their order; and the same as questions.

use std::io;
use std::os::fd::RawFd;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::{Confinement, Sandbox, landlock, seccomp};

/// The first descriptor that is no standard stream.
const FIRST: u32 = 3;

/// A limit of core dumps that means "none" also where a program collects them through a pipe ([`Limit::Core`](crate::Limit)).
const NO_CORE_DUMP: u64 = 1;

/// What of the capabilities of root remains at [`Sandbox::NoNetwork`]: what files need.
const OF_FILES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID);

/// Confines this process, which must have a single thread.
pub(super) fn confine(level: Sandbox, kept: &[RawFd]) -> Confinement {
    if level == Sandbox::None {
        return Confinement::none();
    }
    let mut active = Confinement { level, ..Confinement::none() };
    active.no_new_privileges =
        active.note("no new privileges", rustix::thread::set_no_new_privs(true).map_err(Into::into)).is_some();
    active.note("closed descriptors", close_others(kept));
    active.note("dropped capabilities", drop_capabilities(level));
    forbid_core_dumps();
    active.landlock = active.note("landlock", landlock::restrict(level));
    active.seccomp = active.note("seccomp", seccomp::install(level)).is_some();
    active
}

/// What [`confine`] would give.
pub(super) fn probe(level: Sandbox) -> Confinement {
    if level == Sandbox::None {
        return Confinement::none();
    }
    let mut here = Confinement { level, no_new_privileges: true, ..Confinement::none() };
    here.landlock = here.note("landlock", landlock::version());
    here.seccomp = here.note("seccomp", seccomp::ask()).is_some();
    here
}

impl Confinement {
    /// What a step gave; or the note that it failed, and why.
    fn note<T>(&mut self, part: &str, result: io::Result<T>) -> Option<T> {
        result.map_err(|error| self.missing.push(format!("{part}: {}", why(&error)))).ok()
    }
}

fn why(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOSYS) => "the kernel lacks it".into(),
        Some(libc::EOPNOTSUPP) => "the kernel has it turned off (see lsm= of its command line)".into(),
        Some(libc::EPERM | libc::EACCES) => "it is forbidden here (by the filter of a container?)".into(),
        _ => error.to_string(),
    }
}

/// Closes what came into this process and nobody meant for it.
fn close_others(kept: &[RawFd]) -> io::Result<()> {
    let mut kept: Vec<u32> = kept.iter().filter_map(|number| u32::try_from(*number).ok()).collect();
    kept.sort_unstable();
    let mut from = FIRST;
    for number in &kept {
        if *number > from {
            close_range(from, number - 1).or_else(|_| close_listed(&kept))?;
        }
        from = from.max(number + 1);
    }
    close_range(from, u32::MAX).or_else(|_| close_listed(&kept))
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: `init` is the first line of `main` and has taken the descriptors that are meant for this process; those are
    // kept. Nothing else in this process owns one yet.
    match unsafe { libc::syscall(libc::SYS_close_range, first, last, 0u32) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The same where a filter does not know `close_range`.
fn close_listed(kept: &[u32]) -> io::Result<()> {
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        open.extend(number.filter(|number| *number >= FIRST && !kept.contains(number)));
    }
    for number in open {
        // SAFETY: as above. That of the list itself is closed by now: it gives EBADF.
        unsafe { libc::close(number.cast_signed()) };
    }
    Ok(())
}

/// A process without capabilities may do so too. The death signal stays: rights only become fewer.
fn drop_capabilities(level: Sandbox) -> io::Result<()> {
    let had = rustix::thread::capabilities(None)?;
    let keep = if level == Sandbox::Full { CapabilitySet::empty() } else { OF_FILES };
    let none = CapabilitySet::empty();
    let left = CapabilitySets { effective: had.effective & keep, permitted: had.permitted & keep, inheritable: none };
    rustix::thread::set_capabilities(None, left)?;
    Ok(())
}

/// A crash is dealt with by who started us, at once and without the memory of a task on some disk.
fn forbid_core_dumps() {
    let set = |most| setrlimit(Resource::Core, Rlimit { current: Some(most), maximum: Some(most) });
    // If the hard limit is 0 already, so it stays.
    if getrlimit(Resource::Core).maximum.is_none_or(|most| most > NO_CORE_DUMP) {
        let _ = set(NO_CORE_DUMP);
    }
}
