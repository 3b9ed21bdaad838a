//! The system's `posix_spawn`, wrapped so that it can be used without `unsafe`.
//!
//! It shares the parent's memory until the exec (vfork), so it costs the same for a small parent and for one of many
//! gigabytes.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

use rustix::process::Pid;

/// What `posix_spawn` does between start and exec, in order.
pub(crate) struct FileActions(libc::posix_spawn_file_actions_t);

impl FileActions {
    pub(crate) fn new() -> io::Result<FileActions> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: initialises the object behind a valid pointer; it is read only if that succeeded.
        check(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        // SAFETY: initialised by the call above.
        Ok(FileActions(unsafe { actions.assume_init() }))
    }

    /// In the child, `from` also becomes `target`, without close-on-exec. The two may be the same number.
    pub(crate) fn place(&mut self, from: RawFd, target: RawFd) -> io::Result<()> {
        // SAFETY: `self.0` is initialised; the numbers are only looked at in the child.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(&mut self.0, from, target) })
    }

    /// The child starts in this directory.
    pub(crate) fn change_directory(&mut self, directory: &CStr) -> io::Result<()> {
        // SAFETY: `self.0` is initialised; the path is NUL-terminated and is copied by the call.
        check(unsafe { libc::posix_spawn_file_actions_addchdir_np(&mut self.0, directory.as_ptr()) })
    }
}

impl Drop for FileActions {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, destroyed once.
        unsafe { libc::posix_spawn_file_actions_destroy(&mut self.0) };
    }
}

/// Which session and process group the child is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Place {
    /// Those of its parent.
    #[default]
    WithParent,
    /// Its own process group, in the session of its parent.
    OwnGroup,
    /// Its own session, and so its own process group, without a terminal.
    OwnSession,
}

/// How `posix_spawn` sets up the child's signals, session and process group.
pub(crate) struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    /// No signal blocked and none ignored: what this process blocks or ignores is its own business.
    pub(crate) fn with_default_signals(place: Place) -> io::Result<Attributes> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: initialises the object behind a valid pointer; it is read only if that succeeded.
        check(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: initialised by the call above.
        let mut attributes = Attributes(unsafe { attributes.assume_init() });
        let signals = (libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF) as libc::c_short;
        let flags = signals
            | match place {
                Place::WithParent => 0,
                Place::OwnGroup => libc::POSIX_SPAWN_SETPGROUP as libc::c_short,
                Place::OwnSession => libc::POSIX_SPAWN_SETSID,
            };
        let mut none = MaybeUninit::uninit();
        let mut all = MaybeUninit::uninit();
        // SAFETY: both sets are initialised by their calls before they are read, and `attributes` is initialised. The
        // process group is 0 unless set: the child's own.
        let result = unsafe {
            libc::sigemptyset(none.as_mut_ptr());
            libc::sigfillset(all.as_mut_ptr());
            libc::posix_spawnattr_setsigmask(&mut attributes.0, none.as_ptr())
                | libc::posix_spawnattr_setsigdefault(&mut attributes.0, all.as_ptr())
                | libc::posix_spawnattr_setflags(&mut attributes.0, flags)
        };
        check(result)?;
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised in `with_default_signals`, destroyed once.
        unsafe { libc::posix_spawnattr_destroy(&mut self.0) };
    }
}

/// A null-terminated array of pointers to strings, as `exec` takes it. It borrows the strings.
pub(crate) struct Pointers<'a> {
    pointers: Vec<*mut libc::c_char>,
    _strings: std::marker::PhantomData<&'a [CString]>,
}

impl<'a> Pointers<'a> {
    pub(crate) fn to(strings: &'a [CString]) -> Pointers<'a> {
        let pointers = strings.iter().map(|s| s.as_ptr().cast_mut()).chain([std::ptr::null_mut()]).collect();
        Pointers { pointers, _strings: std::marker::PhantomData }
    }

    pub(crate) fn as_ptr(&self) -> *const *mut libc::c_char {
        self.pointers.as_ptr()
    }
}

/// Held for reading while a child is started.
static STARTS: RwLock<()> = RwLock::new(());

/// As long as this is held, no other thread starts a child here, which could inherit what is not meant for it.
pub(crate) fn no_start_meanwhile() -> RwLockWriteGuard<'static, ()> {
    STARTS.write().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the program at `path`. The error is what the system said, whichever step failed.
pub(crate) fn posix_spawn(
    path: &CStr,
    actions: &FileActions,
    attributes: &Attributes,
    arguments: &[CString],
    environment: &[CString],
) -> io::Result<Pid> {
    let (argv, envp) = (Pointers::to(arguments), Pointers::to(environment));
    let mut pid = 0;
    let _starting = STARTS.read().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: `path` and all strings are NUL-terminated and live until the call returns, both arrays end with a null
    // pointer, `actions` and `attributes` are initialised; the callee does not write through the string pointers.
    let result =
        unsafe { libc::posix_spawn(&mut pid, path.as_ptr(), &actions.0, &attributes.0, argv.as_ptr(), envp.as_ptr()) };
    match (result, Pid::from_raw(pid)) {
        (0, Some(pid)) => Ok(pid),
        (0, None) => Err(io::Error::other("posix_spawn gave no process id")),
        (code, _) => Err(io::Error::from_raw_os_error(code)),
    }
}

fn check(code: libc::c_int) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}
