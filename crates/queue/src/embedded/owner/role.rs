//! [`Owner`]: how a process becomes the owner of a folder: on demand, or because it was built for that.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use phalanx_process::{Signal, Signals, TakenRole, die_now};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;

use super::log::Log;
use super::serve::{Ended, Server};
use super::started::{REPORT, Started};
use super::{ANOTHER_OWNS, CANNOT, Orders, Stay};
use crate::Error;
use crate::embedded::folder::{Folder, Lock};

/// The role of an owner that is started on demand.
pub(crate) const ROLE: &str = "queue-owner";

/// How often an owner that stands by looks whether the other one has gone.
const STANDS_BY: Duration = Duration::from_millis(100);

/// The owner of an embedded queue as a process of its own, which somebody supervises. Without one the first client starts an owner on
/// demand.
///
/// ```no_run
/// # fn main() -> Result<(), phalanx_queue::Error> {
/// // In a role of a cluster, or in a program that a service manager starts:
/// phalanx_queue::embedded::Owner::builder("./data").run()?; // until SIGTERM
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Owner {
    folder: PathBuf,
}

impl Owner {
    /// The owner of this folder.
    pub fn builder(folder: impl Into<PathBuf>) -> Owner {
        Owner { folder: folder.into() }
    }

    /// Owns the folder until SIGTERM; then it commits, closes the store and returns. SIGINT and SIGHUP are ignored: they are for
    /// whoever supervises it. While another process owns the folder (one that was started on demand), it stands by.
    ///
    /// It is the whole work of its process: it takes its signals and sets its umask to 077.
    ///
    /// Errors: [`Error::Store`] for a folder or a file that cannot be used; it says why.
    pub fn run(self) -> Result<(), Error> {
        let mut log = Log::of_program();
        let ran = own(&Orders { folder: self.folder, stay: Stay::UntilTold }, &mut log, |_| {});
        match ran {
            Ok(_) => Ok(()),
            Err(error) => {
                log.say(&error);
                Err(error)
            }
        }
    }
}

/// How it went.
enum Owned {
    Yes,
    AnotherDoes,
}

/// Plays the role of an owner that a client started. Never returns.
pub(crate) fn play(mut role: TakenRole) -> ! {
    let mut report = role.take(REPORT).ok().map(UnixStream::from);
    let mut tell = |started: Started| {
        if let Some(mut report) = report.take()
            && let Ok(words) = postcard::to_stdvec(&started)
        {
            // Who asked may be gone.
            let _ = report.write_all(&words);
        }
    };
    let mut log = Log::default();
    let Some(folder) = std::env::args_os().nth(1) else { die_now(CANNOT) };
    let owned = own(&Orders { folder: folder.into(), stay: Stay::WhileUsed }, &mut log, &mut tell);
    die_now(match owned {
        Ok(Owned::Yes) => 0,
        Ok(Owned::AnotherDoes) => {
            tell(Started::Other);
            ANOTHER_OWNS
        }
        Err(error) => {
            log.say(&error);
            tell(Started::Failed(error));
            CANNOT
        }
    })
}

fn own(orders: &Orders, log: &mut Log, mut tell: impl FnMut(Started)) -> Result<Owned, Error> {
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let _ = phalanx_process::raise_open_files();
    let folder = Folder::open(&orders.folder)?;
    let signals = Signals::take(&[Signal::Terminate, Signal::Interrupt, Signal::Hangup])
        .map_err(|error| Error::unavailable("the embedded queue", error))?;
    let lock = match orders.stay {
        Stay::WhileUsed => folder.lock()?,
        Stay::UntilTold => match stand_by(&folder, &signals, log)? {
            Some(lock) => Some(lock),
            None => return Ok(Owned::Yes),
        },
    };
    let Some(lock) = lock else { return Ok(Owned::AnotherDoes) };
    let server = Server::open(&folder, signals, orders.stay, log)?;
    tell(Started::Listens);
    let ended = server.run(log)?;
    // The store is closed; from here on another one may come.
    folder.remove_socket()?;
    drop(lock);
    log.say(match ended {
        Ended::Unused => "nobody was there any more; it has ended",
        Ended::Told => "it was told to end, and has",
    });
    Ok(Owned::Yes)
}

/// Waits for the lock; `None` if it was told to end meanwhile.
fn stand_by(folder: &Folder, signals: &Signals, log: &mut Log) -> Result<Option<Lock>, Error> {
    let mut said = false;
    loop {
        if let Some(lock) = folder.lock()? {
            return Ok(Some(lock));
        }
        if !said {
            let who = folder.owner().map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
            log.say(format_args!("{who} owns {}; standing by", folder.path().display()));
            said = true;
        }
        let time = Timespec { tv_sec: 0, tv_nsec: i64::from(STANDS_BY.subsec_nanos()) };
        let _ = poll(&mut [PollFd::new(signals, PollFlags::IN)], Some(&time));
        while let Some(signal) = signals.next() {
            if signal == Signal::Terminate {
                return Ok(None);
            }
        }
    }
}
