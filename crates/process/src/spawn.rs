//! [`Role`]: this executable as a child with a part to play.
//!
//! Children are started by `posix_spawn`, which shares the parent's memory until the exec, so it costs the same for a
//! small parent and for one of many gigabytes; nothing runs in the child before the exec. What a child must set inside
//! itself, it does in [`init`](crate::init).
//!
//! The role travels in one variable: `PHALANX_ROLE=NAME;parent=PID;NAME=FD;NAME=FD…`.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::{Child, Error, init};

/// The variable that carries the role.
pub(crate) const ROLE_VARIABLE: &str = "PHALANX_ROLE";

/// The running executable, even if its file was replaced or removed.
const THIS_EXECUTABLE: &std::ffi::CStr = c"/proc/self/exe";

/// Where the given descriptors begin in the child: 0, 1 and 2 stay the standard streams.
const FIRST_DESCRIPTOR: RawFd = 3;

/// A child that is this executable in another role: its name, its descriptors, additions to its environment.
///
/// The child gets the arguments of this process, its environment with the additions, its standard streams, and of
/// all other descriptors exactly those that were named.
#[derive(Debug)]
pub struct Role<'a> {
    name: &'static str,
    descriptors: Vec<(&'static str, BorrowedFd<'a>)>,
    environment: Vec<(OsString, OsString)>,
}

impl<'a> Role<'a> {
    /// A role of this name (letters and digits).
    pub fn new(name: &'static str) -> Role<'a> {
        Role { name, descriptors: Vec::new(), environment: Vec::new() }
    }

    /// Gives the child a copy of `descriptor` under `name`. Names may repeat; order is kept.
    pub fn descriptor(mut self, name: &'static str, descriptor: BorrowedFd<'a>) -> Self {
        self.descriptors.push((name, descriptor));
        self
    }

    /// Sets a variable in the child's environment.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Starts the child.
    ///
    /// Call it on a thread that lives as long as the child should: the kernel's parent-death signal follows the
    /// *thread* that spawned, not the process.
    pub fn spawn(self) -> Result<Child, Error> {
        init::check_may_spawn()?;
        let arguments = c_strings(std::env::args_os(), "an argument of this program")?;
        let environment = self.environment_block()?;
        let above = FIRST_DESCRIPTOR + self.descriptors.len() as RawFd;
        // Copies above the target numbers, so that placing one never overwrites another that is still to be placed.
        let copies = self
            .descriptors
            .iter()
            .map(|(name, descriptor)| {
                rustix::io::fcntl_dupfd_cloexec(descriptor, above)
                    .map_err(|source| Error::system(format!("copy the descriptor \"{name}\" for a child"), source))
            })
            .collect::<Result<Vec<OwnedFd>, Error>>()?;
        let mut actions = FileActions::new()?;
        for (target, copy) in (FIRST_DESCRIPTOR..).zip(&copies) {
            actions.place(copy.as_raw_fd(), target)?;
        }
        let attributes = Attributes::with_default_signals()?;
        let pid = posix_spawn(THIS_EXECUTABLE, &actions, &attributes, &arguments, &environment)
            .map_err(|source| Error::system(format!("start this program as \"{}\"", self.name), source))?;
        Child::of(pid)
    }

    fn environment_block(&self) -> Result<Vec<CString>, Error> {
        let mut role = format!("{};parent={}", self.name, std::process::id());
        for (number, (name, _)) in (FIRST_DESCRIPTOR..).zip(&self.descriptors) {
            role.push_str(&format!(";{name}={number}"));
        }
        let additions = self.environment.iter().cloned().chain([(ROLE_VARIABLE.into(), role.into())]);
        let mut all: Vec<(OsString, OsString)> = std::env::vars_os()
            .filter(|(name, _)| name != ROLE_VARIABLE && !self.environment.iter().any(|(ours, _)| ours == name))
            .collect();
        all.extend(additions);
        c_strings(
            all.into_iter().map(|(mut name, value)| {
                name.push(OsStr::from_bytes(b"="));
                name.push(value);
                name
            }),
            "a variable of the environment",
        )
    }
}

fn c_strings(strings: impl Iterator<Item = OsString>, what: &str) -> Result<Vec<CString>, Error> {
    strings.map(|s| CString::new(s.into_vec()).map_err(|_| Error::NulByte { what: what.into() })).collect()
}

/// What `posix_spawn` does with descriptors between start and exec.
struct FileActions(libc::posix_spawn_file_actions_t);

impl FileActions {
    fn new() -> Result<FileActions, Error> {
        let mut actions = std::mem::MaybeUninit::uninit();
        // SAFETY: initialises the object behind a valid pointer; it is read only if that succeeded.
        check(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) }, "prepare a child's descriptors")?;
        // SAFETY: initialised by the call above.
        Ok(FileActions(unsafe { actions.assume_init() }))
    }

    /// In the child, `from` also becomes `target`, without close-on-exec.
    fn place(&mut self, from: RawFd, target: RawFd) -> Result<(), Error> {
        // SAFETY: `self.0` is initialised; the numbers are only looked at in the child.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(&mut self.0, from, target) }, "place a descriptor")
    }
}

impl Drop for FileActions {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, destroyed once.
        unsafe { libc::posix_spawn_file_actions_destroy(&mut self.0) };
    }
}

/// How `posix_spawn` sets up the child's signals.
struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    /// No signal blocked and none ignored: what this process blocks or ignores is its own business.
    fn with_default_signals() -> Result<Attributes, Error> {
        let mut attributes = std::mem::MaybeUninit::uninit();
        // SAFETY: initialises the object behind a valid pointer; it is read only if that succeeded.
        check(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) }, "prepare a child's signals")?;
        // SAFETY: initialised by the call above.
        let mut attributes = Attributes(unsafe { attributes.assume_init() });
        let flags = (libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF) as libc::c_short;
        let mut none = std::mem::MaybeUninit::uninit();
        let mut all = std::mem::MaybeUninit::uninit();
        // SAFETY: both sets are initialised by their calls before they are read, and `attributes` is initialised.
        let result = unsafe {
            libc::sigemptyset(none.as_mut_ptr());
            libc::sigfillset(all.as_mut_ptr());
            libc::posix_spawnattr_setsigmask(&mut attributes.0, none.as_ptr())
                | libc::posix_spawnattr_setsigdefault(&mut attributes.0, all.as_ptr())
                | libc::posix_spawnattr_setflags(&mut attributes.0, flags)
        };
        check(result, "prepare a child's signals")?;
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised in `with_default_signals`, destroyed once.
        unsafe { libc::posix_spawnattr_destroy(&mut self.0) };
    }
}

fn posix_spawn(
    path: &std::ffi::CStr,
    actions: &FileActions,
    attributes: &Attributes,
    arguments: &[CString],
    environment: &[CString],
) -> std::io::Result<rustix::process::Pid> {
    let pointers = |strings: &[CString]| -> Vec<*mut libc::c_char> {
        strings.iter().map(|s| s.as_ptr().cast_mut()).chain([std::ptr::null_mut()]).collect()
    };
    let (argv, envp) = (pointers(arguments), pointers(environment));
    let mut pid = 0;
    // SAFETY: `path` and all strings are NUL-terminated and live until the call returns, both arrays end with a null
    // pointer, `actions` and `attributes` are initialised; the callee does not write through the string pointers.
    let result =
        unsafe { libc::posix_spawn(&mut pid, path.as_ptr(), &actions.0, &attributes.0, argv.as_ptr(), envp.as_ptr()) };
    match (result, rustix::process::Pid::from_raw(pid)) {
        (0, Some(pid)) => Ok(pid),
        (0, None) => Err(std::io::Error::other("posix_spawn gave no process id")),
        (code, _) => Err(std::io::Error::from_raw_os_error(code)),
    }
}

fn check(code: libc::c_int, attempt: &'static str) -> Result<(), Error> {
    if code == 0 { Ok(()) } else { Err(Error::system(attempt, std::io::Error::from_raw_os_error(code))) }
}
