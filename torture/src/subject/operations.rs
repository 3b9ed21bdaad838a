//! What an operator does to a cluster, and how it is seen from outside that it is done.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{PATIENCE, Subject};
use crate::system;
use crate::trouble::{Trouble, cannot};

/// A primary that knows the signal begins at once; after this long it does not know it.
const BEGINS_WITHIN: Duration = Duration::from_secs(5);

impl Subject {
    /// SIGHUP, and how long it took until all workers were others.
    pub(crate) fn reload(&mut self) -> Result<Duration, Trouble> {
        let began = Instant::now();
        let newest = self.log().newest();
        self.signal(Signal::HUP);
        self.begins(newest, "reload: SIGHUP")?;
        self.replaced(newest)?;
        Ok(began.elapsed())
    }

    /// A new file in the place of the old one, SIGUSR2, and how long it took until primary and workers ran it.
    pub(crate) fn upgrade(&mut self) -> Result<Duration, Trouble> {
        let new = self.renew_executable()?;
        let began = Instant::now();
        let newest = self.log().newest();
        self.signal(Signal::USR2);
        self.begins(newest, "upgrade: SIGUSR2")?;
        self.replaced(newest)?;
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

    /// Puts a new copy of the victim in the place of the one that runs; gives its inode.
    pub(crate) fn renew_executable(&self) -> Result<u64, Trouble> {
        let new = self.executable.with_extension("new");
        std::fs::copy(&self.executable, &new)
            .and_then(|_| std::fs::rename(&new, &self.executable))
            .and_then(|()| std::fs::metadata(&self.executable))
            .map(|metadata| std::os::unix::fs::MetadataExt::ino(&metadata))
            .map_err(cannot("replace the victim's file"))
    }

    /// Waits for the first new worker after `newest`.
    pub(crate) fn begins(&mut self, newest: u32, what: &str) -> Result<(), Trouble> {
        let deadline = Instant::now() + BEGINS_WITHIN;
        while self.log().newest() <= newest {
            if let Some(status) = self.ended() {
                return Err(Trouble::NotAvailable(format!("{what} ended the primary ({status})")));
            }
            if Instant::now() >= deadline {
                let longest = BEGINS_WITHIN.as_secs();
                return Err(Trouble::NotAvailable(format!("{what} started no new worker within {longest} s")));
            }
            self.log().wait_for_more(super::LOOK);
        }
        Ok(())
    }

    /// Waits until all workers up to `newest` have ended and as many new ones serve.
    fn replaced(&mut self, newest: u32) -> Result<(), Trouble> {
        let wanted = self.settings.workers;
        let longest = self.settings.drain_deadline + PATIENCE;
        self.wait(longest, "all workers to be replaced", |log| {
            let old_ones_gone = log.workers().iter().all(|worker| worker.number > newest || worker.ended.is_some());
            (old_ones_gone && log.serving().len() == wanted).then_some(())
        })
    }
}
