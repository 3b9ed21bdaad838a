//! What an operator does to a cluster, and how it is seen from outside that it is done.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{LOOK, PATIENCE, Subject};
use crate::system;
use crate::trouble::{Trouble, cannot};

/// A primary that knows the signal begins at once; after this long it does not know it.
const BEGINS_WITHIN: Duration = Duration::from_secs(5);

/// An operation that replaces all workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replacement {
    Reload,
    Upgrade,
}

impl Replacement {
    pub(crate) fn signal(self) -> Signal {
        match self {
            Replacement::Reload => Signal::HUP,
            Replacement::Upgrade => Signal::USR2,
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Replacement::Reload => "reload",
            Replacement::Upgrade => "upgrade",
        }
    }
}

impl Subject {
    /// SIGHUP, and how long it took until all workers were others.
    pub(crate) fn reload(&mut self) -> Result<Duration, Trouble> {
        let began = Instant::now();
        self.replace_all(Replacement::Reload)?;
        Ok(began.elapsed())
    }

    /// A new file in the place of the old one, SIGUSR2, and how long it took until primary and workers ran it.
    pub(crate) fn upgrade(&mut self) -> Result<Duration, Trouble> {
        let new = self.renew_executable()?;
        let began = Instant::now();
        self.replace_all(Replacement::Upgrade)?;
        let took = began.elapsed();
        let primary = self.pid();
        let workers = self.log().serving();
        let old: Vec<u32> = std::iter::once(primary)
            .chain(workers.iter().map(|worker| worker.pid))
            .filter(|pid| system::executable_inode(*pid) != Some(new))
            .collect();
        if old.is_empty() {
            Ok(took)
        } else {
            Err(Trouble::Broken(format!(
                "after the upgrade these processes run the old file: {old:?} (primary {primary})"
            )))
        }
    }

    /// Asks for a replacement that must fail; gives the words with which it did.
    pub(crate) fn fails(&mut self, operation: Replacement) -> Result<String, Trouble> {
        let before = self.log().last_operation(operation.kind()).map_or(0, |before| before.number);
        self.signal(operation.signal());
        let deadline = Instant::now() + BEGINS_WITHIN;
        let newer = |subject: &Subject| {
            subject.log().last_operation(operation.kind()).filter(|operation| operation.number > before)
        };
        while newer(self).is_none() {
            self.not_yet(operation.kind(), deadline)?;
        }
        let longest = self.settings.boot_deadline + self.settings.drain_deadline + PATIENCE;
        let result = self.wait(longest, "the end of the operation", |log| {
            log.last_operation(operation.kind()).and_then(|operation| operation.result)
        })?;
        match result {
            Err(words) => Ok(words),
            Ok(()) => Err(Trouble::Broken(format!("the {} was called a success", operation.kind()))),
        }
    }

    /// Puts a new copy of the victim in the place of the one that runs; gives its inode.
    pub(crate) fn renew_executable(&self) -> Result<u64, Trouble> {
        let new = self.executable.with_extension("new");
        std::fs::copy(&self.sound_executable, &new)
            .and_then(|_| std::fs::rename(&new, &self.executable))
            .and_then(|()| std::fs::metadata(&self.executable))
            .map(|metadata| std::os::unix::fs::MetadataExt::ino(&metadata))
            .map_err(cannot("replace the victim's file"))
    }

    /// Puts `bytes` (or nothing) with this file mode in the place of the victim.
    pub(crate) fn spoil_executable(&self, bytes: Option<&[u8]>, mode: u32) -> Result<(), Trouble> {
        let doing = "spoil the victim's file";
        let Some(bytes) = bytes else { return std::fs::remove_file(&self.executable).map_err(cannot(doing)) };
        let new = self.executable.with_extension("new");
        std::fs::write(&new, bytes)
            .and_then(|()| std::fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(mode)))
            .and_then(|()| std::fs::rename(&new, &self.executable))
            .map_err(cannot(doing))
    }

    /// Waits for the first new worker after `newest`.
    pub(crate) fn begins(&mut self, newest: u32, operation: Replacement) -> Result<(), Trouble> {
        let deadline = Instant::now() + BEGINS_WITHIN;
        while self.log().newest() <= newest {
            self.not_yet(operation.kind(), deadline)?;
        }
        Ok(())
    }

    fn replace_all(&mut self, operation: Replacement) -> Result<(), Trouble> {
        let newest = self.log().newest();
        self.signal(operation.signal());
        self.begins(newest, operation)?;
        let wanted = self.settings.workers;
        let longest = self.settings.drain_deadline + PATIENCE;
        self.wait(longest, "all workers to be replaced", |log| {
            let old_ones_gone = log.workers().iter().all(|worker| worker.number > newest || worker.ended.is_some());
            (old_ones_gone && log.serving().len() == wanted).then_some(())
        })
    }

    /// A turn of waiting for something that a primary without the feature never does.
    fn not_yet(&mut self, what: &str, deadline: Instant) -> Result<(), Trouble> {
        if let Some(status) = self.ended() {
            return Err(Trouble::NotAvailable(format!("the signal for {what} ended the primary ({status})")));
        }
        if Instant::now() >= deadline {
            let longest = BEGINS_WITHIN.as_secs();
            return Err(Trouble::NotAvailable(format!("the signal for {what} began nothing within {longest} s")));
        }
        self.log().wait_for_more(LOOK);
        Ok(())
    }
}
