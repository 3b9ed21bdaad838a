//! [`ExecInPlace`]: the exec itself, with everything put back if it fails.

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::FdFlags;

use super::STATE_VARIABLE;
use super::freeze::Freezer;
use super::state::HandOver;
use crate::environment::NOT_INHERITED;
use crate::posix_spawn::{Pointers, no_start_meanwhile};
use crate::role::{c_strings, environment_block};
use crate::signal_mask::SignalMask;
use crate::{Error, init, signals};

/// What is executed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Image<'a> {
    /// The file at this path.
    File(PathBuf),
    /// This open file: an image that was [kept](super::this_image). It must be a program, not a script.
    Kept(BorrowedFd<'a>),
}

impl From<PathBuf> for Image<'_> {
    fn from(path: PathBuf) -> Self {
        Image::File(path)
    }
}

impl From<&Path> for Image<'_> {
    fn from(path: &Path) -> Self {
        Image::File(path.to_owned())
    }
}

impl<'a> From<BorrowedFd<'a>> for Image<'a> {
    fn from(image: BorrowedFd<'a>) -> Self {
        Image::Kept(image)
    }
}

impl Image<'_> {
    fn path(&self) -> PathBuf {
        match self {
            Image::File(path) => path.clone(),
            Image::Kept(descriptor) => format!("/proc/self/fd/{}", descriptor.as_raw_fd()).into(),
        }
    }
}

impl fmt::Display for Image<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Image::File(path) => path.display().fmt(f),
            Image::Kept(_) => f.write_str("the image that was kept"),
        }
    }
}

/// Executes another image in this very process: same process id, same children, the descriptors that were
/// [kept](ExecInPlace::keep) and no others.
///
/// The new image gets the arguments of this process, its environment with additions, its standard streams and its
/// working directory.
#[derive(Debug)]
#[must_use = "nothing happens before `exec`"]
pub struct ExecInPlace<'a> {
    image: Image<'a>,
    arguments: Option<Vec<OsString>>,
    environment: Vec<(OsString, OsString)>,
    kept: Vec<(&'static str, BorrowedFd<'a>)>,
}

impl<'a> ExecInPlace<'a> {
    /// This file, or this kept image.
    pub fn new(image: impl Into<Image<'a>>) -> ExecInPlace<'a> {
        ExecInPlace { image: image.into(), arguments: None, environment: Vec::new(), kept: Vec::new() }
    }

    /// Other arguments, with the name of the program first.
    pub fn arguments<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments = Some(arguments.into_iter().map(Into::into).collect());
        self
    }

    /// Sets a variable in the environment of the new image.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The new image shall have this descriptor, under this name (without `;` and `=`). Names may repeat; order is kept.
    pub fn keep(mut self, name: &'static str, descriptor: BorrowedFd<'a>) -> Self {
        self.kept.push((name, descriptor));
        self
    }

    /// Becomes the other image. Returns only if that failed; then everything is as it was before.
    ///
    /// Errors: [`Error::NotMainThread`]; a name or descriptor that cannot be kept; what the system said of the file.
    pub fn exec(self) -> Error {
        match self.try_exec() {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    fn try_exec(self) -> Result<Infallible, Error> {
        if rustix::thread::gettid() != rustix::process::getpid() {
            return Err(Error::NotMainThread);
        }
        init::check_may_spawn()?;
        let path = CString::new(self.image.path().into_os_string().as_bytes())
            .map_err(|_| Error::NulByte { what: "the path of the image".into() })?;
        let arguments = self.arguments.clone().unwrap_or_else(|| std::env::args_os().collect());
        let arguments = c_strings(arguments.into_iter(), "an argument of the image")?;
        let mut freezer = Freezer::prepare()
            .map_err(|source| Error::system("let the other threads stand still for an exec in place", source))?;
        // Nobody else may start a child while descriptors are open to every exec.
        let _alone = no_start_meanwhile();
        let mut state = HandOver { pid: std::process::id(), mask: SignalMask::current(), ..HandOver::default() };
        state.role = crate::role().map(str::to_owned);
        let mut inherited = Inherited::default();
        for (name, descriptor) in &self.kept {
            inherited.add(name, *descriptor)?;
            state.descriptors.push(((*name).to_owned(), descriptor.as_raw_fd()));
        }
        if let Some((reader, writer, handled)) = signals::carried() {
            inherited.add("signals", reader)?;
            inherited.add("signals", writer)?;
            state = state.with_signals(reader.as_raw_fd(), writer.as_raw_fd(), handled);
        }
        let environment = environment_block(&self.environment, STATE_VARIABLE, state.to_text(), |name: &OsStr| {
            NOT_INHERITED.iter().any(|not| name == *not)
        })?;
        let (argv, envp) = (Pointers::to(&arguments), Pointers::to(&environment));
        // From here to the end nothing is allocated: a thread that stands still may hold the allocator's lock.
        let mask = SignalMask::block_all();
        let frozen = freezer.freeze();
        // SAFETY: the path and all strings are NUL-terminated and live, both arrays end with a null pointer.
        unsafe { libc::execve(path.as_ptr(), argv.as_ptr().cast(), envp.as_ptr().cast()) };
        let source = io::Error::last_os_error();
        drop(frozen);
        mask.restore();
        Err(Error::system(format!("become {} in place (nothing has changed)", self.image), source))
    }
}

/// Descriptors that an exec does not close; it closes them again as soon as this is dropped.
#[derive(Default)]
struct Inherited<'a>(Vec<BorrowedFd<'a>>);

impl<'a> Inherited<'a> {
    fn add(&mut self, name: &str, descriptor: BorrowedFd<'a>) -> Result<(), Error> {
        let refused = |why: &str| {
            let why = io::Error::other(why.to_owned());
            Error::system(format!("keep the descriptor \"{name}\" over an exec"), why)
        };
        if name.is_empty() || name.contains([';', '=']) {
            return Err(refused("its name is empty or holds ';' or '='"));
        }
        if descriptor.as_raw_fd() <= libc::STDERR_FILENO {
            return Err(refused("it is a standard stream, which is kept anyway"));
        }
        if self.0.iter().any(|other| other.as_raw_fd() == descriptor.as_raw_fd()) {
            return Err(refused("it is kept already under another name"));
        }
        rustix::io::fcntl_setfd(descriptor, FdFlags::empty())
            .map_err(|source| Error::system(format!("keep the descriptor \"{name}\" over an exec"), source))?;
        self.0.push(descriptor);
        Ok(())
    }
}

impl Drop for Inherited<'_> {
    fn drop(&mut self) {
        for descriptor in &self.0 {
            let _ = rustix::io::fcntl_setfd(descriptor, FdFlags::CLOEXEC);
        }
    }
}
