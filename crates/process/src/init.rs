//! [`init`]: the first line of `main`, where a process learns which part it plays.

use std::ffi::{CString, OsString};
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, OnceLock};

use crate::descriptors::{self, Descriptors};
use crate::role::{DEATH_SIGNAL, NO_DEATH_SIGNAL, ROLE_VARIABLE};
use crate::upgrade::{self, STATE_VARIABLE};
use crate::{Error, Signal, kernel, launcher, node_parent, refusal, service, stack_dump};

/// The role that this process was spawned in, with the descriptors that it was given.
#[derive(Debug)]
pub struct TakenRole {
    name: String,
    descriptors: Descriptors,
}

impl TakenRole {
    /// Name of the role.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes the first descriptor of this name that was not taken yet.
    pub fn take(&mut self, name: &str) -> Result<OwnedFd, Error> {
        let taken = self.descriptors.take(name);
        taken.ok_or_else(|| Error::BadRole { why: format!("the role \"{}\" came without \"{name}\"", self.name) })
    }

    /// Takes all descriptors of this name, in the order in which they were given.
    pub fn take_all(&mut self, name: &str) -> Vec<OwnedFd> {
        self.descriptors.take_all(name)
    }
}

const NOT_INITIALIZED: u8 = 0;
const NO_ROLE: u8 = 1;
const ROLE_WAITS: u8 = 2;
const ROLE_TAKEN: u8 = 3;

/// Where this process stands.
static STATE: AtomicU8 = AtomicU8::new(NOT_INITIALIZED);
/// The role until it is taken.
static WAITING: Mutex<Option<TakenRole>> = Mutex::new(None);
/// Name of the role, taken or not.
static NAME: OnceLock<String> = OnceLock::new();

/// Takes the role of this process out of the environment. **The first line of `main`, before any thread starts.**
///
/// Every inherited descriptor but the standard streams becomes close-on-exec. The channel of a Node.js parent is taken out
/// of the environment as well, for [`parent`](crate::parent). If the process was spawned in a role, it
/// will get SIGTERM when its parent dies; if the parent is dead already, it exits at once (but a
/// [detached](crate::Role::spawn_detached) one). If it was spawned into a
/// [`sandbox`](crate::sandbox), it is in there when this returns. From now on roles may be spawned. A second call does
/// nothing.
///
/// Errors: a kernel that is too old, a role that makes no sense, a setting or sandbox that was refused.
pub fn init() -> Result<(), Error> {
    if STATE.load(Ordering::Acquire) != NOT_INITIALIZED {
        return Ok(());
    }
    kernel::check()?;
    close_descriptors_on_exec()?;
    upgrade::remember_start();
    // SAFETY: documented as the first line of `main`: there is no other thread that could read the environment.
    let spawned = match unsafe { take_variable(ROLE_VARIABLE) } {
        Some(value) => {
            let text = value.into_string().map_err(|_| Error::BadRole { why: "it is no text".into() })?;
            Some(Spawned::parse(&text)?)
        }
        None => None,
    };
    let spawned = match spawned {
        // Its environment is that of the program which it becomes.
        Some(spawned) if spawned.name == launcher::ROLE => launcher::become_program(spawned.take_descriptors()?),
        other => other,
    };
    if spawned.is_some() || std::env::var_os(STATE_VARIABLE).is_some() {
        name_process();
    }
    // SAFETY: as above, and nothing was opened yet.
    unsafe { node_parent::take_from_environment()? };
    // SAFETY: as above.
    let handed_over = match unsafe { take_variable(STATE_VARIABLE) } {
        Some(_) if spawned.is_some() => None,
        // SAFETY: as above.
        Some(text) => Some(unsafe { upgrade::resume(&text.to_string_lossy())? }),
        None => None,
    };
    let Some(spawned) = spawned else {
        if handed_over.is_none() {
            // SAFETY: as above.
            unsafe { service::take_from_environment() };
        }
        STATE.store(NO_ROLE, Ordering::Release);
        if let Some(role) = handed_over.and_then(|resumed| resumed.role) {
            // Still the same process: what it has of that role now is in the state.
            wait_for_code(TakenRole { name: role, descriptors: Descriptors::default() });
        }
        return Ok(());
    };
    let (parent, death) = (spawned.parent, spawned.death);
    let mut role = spawned.take_descriptors()?;
    let received = refusal::Received::take(&mut role.descriptors)?;
    received.as_ref().map_or(Ok(()), refusal::Received::apply)?;
    // After a change of user, which clears it.
    death.map_or(Ok(()), |death| die_with(parent, death))?;
    // Last: whatever comes from here on is confined.
    received.map_or(Ok(()), |received| received.confine(&role.descriptors))?;
    if role.name == stack_dump::ROLE {
        STATE.store(ROLE_TAKEN, Ordering::Release);
        stack_dump::play(role);
    }
    wait_for_code(role);
    Ok(())
}

/// The kernel named us after the path that was executed, which is `exe` or a number; people look for the program's name.
fn name_process() {
    let Some(argument) = std::env::args_os().next() else { return };
    let name = Path::new(&argument).file_name().unwrap_or(&argument);
    if let Ok(name) = CString::new(name.as_bytes()) {
        // The kernel cuts it.
        let _ = rustix::thread::set_name(&name);
    }
}

/// From now on this process has a role, which waits to be taken.
fn wait_for_code(role: TakenRole) {
    let _ = NAME.set(role.name.clone());
    *WAITING.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(role);
    STATE.store(ROLE_WAITS, Ordering::Release);
}

/// Takes a variable that is meant for this process and no other out of the environment.
///
/// # Safety
///
/// No other thread may exist that could read the environment.
pub(crate) unsafe fn take_variable(name: &str) -> Option<OsString> {
    let value = std::env::var_os(name)?;
    // SAFETY: the caller vouches for it.
    unsafe { std::env::remove_var(name) };
    Some(value)
}

/// Whether [`init`] was called.
pub fn initialized() -> bool {
    STATE.load(Ordering::Acquire) != NOT_INITIALIZED
}

/// Name of the role that this process was spawned in; `None` for the program that somebody started.
pub fn role() -> Option<&'static str> {
    NAME.get().map(String::as_str)
}

/// Takes the role of this name with its descriptors: for the code that plays it. `None` if this process was spawned
/// in no role, in another, or if it was taken before.
pub fn take_role(name: &str) -> Option<TakenRole> {
    let role = WAITING.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take_if(|role| role.name == name)?;
    STATE.store(ROLE_TAKEN, Ordering::Release);
    Some(role)
}

/// Refuses to start children where that would run the whole program again and again.
pub(crate) fn check_may_spawn() -> Result<(), Error> {
    match STATE.load(Ordering::Acquire) {
        NOT_INITIALIZED => Err(Error::NotInitialized),
        ROLE_WAITS => Err(Error::RoleNotTaken { role: role().unwrap_or("?").to_owned() }),
        _ => Ok(()),
    }
}

/// The role as the environment tells it.
#[derive(Debug, PartialEq, Eq)]
struct Spawned {
    name: String,
    parent: u32,
    /// What it gets when that parent dies; `None` if it outlives it.
    death: Option<Signal>,
    descriptors: Vec<(String, RawFd)>,
}

impl Spawned {
    fn parse(text: &str) -> Result<Spawned, Error> {
        let bad = |why: &str| Error::BadRole { why: format!("{why} in \"{text}\"") };
        let mut parts = text.split(';');
        let name = parts.next().filter(|name| !name.is_empty()).ok_or_else(|| bad("no name"))?.to_owned();
        let parent = parts.next().and_then(|part| part.strip_prefix("parent=")).ok_or_else(|| bad("no parent"))?;
        let (parent, death) = match parent.split_once(',') {
            Some((parent, NO_DEATH_SIGNAL)) => (parent, None),
            Some((parent, signal)) => (parent, Some(Signal::from_name(signal).ok_or_else(|| bad("no such signal"))?)),
            None => (parent, Some(DEATH_SIGNAL)),
        };
        let parent = parent.parse().map_err(|_| bad("no parent"))?;
        let descriptors = parts
            .map(|part| descriptors::parse(part).ok_or_else(|| bad("no number")))
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(Spawned { name, parent, death, descriptors })
    }

    /// Makes us the owner of the descriptors.
    fn take_descriptors(self) -> Result<TakenRole, Error> {
        // SAFETY: they were placed there for us by the parent, and `init` runs once, before anything else in this process
        // could own one.
        let descriptors = unsafe { Descriptors::own(self.descriptors) }.map_err(|why| Error::BadRole { why })?;
        Ok(TakenRole { name: self.name, descriptors })
    }
}

/// Makes every descriptor above the standard streams close-on-exec, whatever the parent had open.
fn close_descriptors_on_exec() -> Result<(), Error> {
    // SAFETY: changes flags of descriptors only; nothing is closed now.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done == 0 {
        return Ok(());
    }
    // Linux 5.10 knows close_range but not this flag (5.11).
    let attempt = "list the open descriptors in /proc/self/fd";
    for entry in std::fs::read_dir("/proc/self/fd").map_err(|source| Error::system(attempt, source))? {
        let name = entry.map_err(|source| Error::system(attempt, source))?.file_name();
        if let Some(number) = name.to_str().and_then(|name| name.parse::<RawFd>().ok()).filter(|number| *number > 2) {
            // SAFETY: changes a flag of a descriptor; a number that is gone by now gives EBADF.
            unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

/// A signal for us when the thread that spawned us ends; an exit at once if it has ended already.
fn die_with(parent: u32, death: Signal) -> Result<(), Error> {
    rustix::process::set_parent_process_death_signal(Some(death.as_rustix()))
        .map_err(|source| Error::system("ask for a signal at the parent's death", source))?;
    if std::os::unix::process::parent_id() != parent {
        crate::die_now(0);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_read_as_it_was_written() {
        let spawned = Spawned::parse("worker;parent=12;control=3;listener=4;listener=5").unwrap();
        assert_eq!((spawned.name.as_str(), spawned.parent, spawned.death), ("worker", 12, Some(Signal::Terminate)));
        assert_eq!(spawned.descriptors, [("control".into(), 3), ("listener".into(), 4), ("listener".into(), 5)]);
        let spawned = Spawned::parse("dumper;parent=12,SIGKILL").unwrap();
        assert_eq!((spawned.parent, spawned.death), (12, Some(Signal::Kill)));
        assert_eq!(Spawned::parse("owner;parent=12,none").unwrap().death, None);
    }

    #[test]
    fn a_role_that_makes_no_sense_is_refused_before_anything_is_touched() {
        let bad = ["", ";parent=1", "worker", "worker;parent=x", "worker;parent=1,SIGNONE", "worker;parent=1;control"];
        for text in bad {
            assert!(Spawned::parse(text).is_err(), "{text:?} was accepted");
        }
        for text in ["worker;parent=1;a=1", "worker;parent=1;a=0;b=0"] {
            assert!(Spawned::parse(text).unwrap().take_descriptors().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn without_init_nothing_can_be_spawned() {
        assert!(matches!(crate::Role::new("worker").spawn(), Err(Error::NotInitialized)));
    }
}
