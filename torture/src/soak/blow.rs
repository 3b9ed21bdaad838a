//! [`Blow`]: what is done to the server, and how.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::census::Circumstances;
use crate::client::Clients;
use crate::random::Random;
use crate::server::{Server, WORKERS, Worker, is_settled, owner, serving};
use crate::system;
use crate::tally::{Killed, Tally};

/// The kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Blow {
    /// SIGHUP, or the control socket.
    Reload,
    /// A new file in the place of the old one, and SIGUSR2.
    Upgrade,
    /// SIGKILL to the worker in place 1 (or higher): the one in place 0 is left alone, so that it grows old.
    KillWorker,
    /// SIGKILL to a job process of such a worker.
    KillJobProcess,
    KillFront,
    /// SIGKILL to the owner of the embedded queue.
    KillOwner,
    /// SIGUSR1.
    ReopenLog,
    /// One worker more, and away again.
    UpAndDown,
    /// Nobody asks anything for a while: that is when memory is compared.
    Rest,
}

impl Blow {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Blow::Reload => "reload",
            Blow::Upgrade => "upgrade",
            Blow::KillWorker => "kill worker",
            Blow::KillJobProcess => "kill job process",
            Blow::KillFront => "kill front",
            Blow::KillOwner => "kill queue",
            Blow::ReopenLog => "reopen log",
            Blow::UpAndDown => "scale",
            Blow::Rest => "rest",
        }
    }
}

/// The place of the worker that is left alone.
pub(crate) const LEFT_ALONE: u16 = 0;
/// What was begun may take so long to end before a rest.
const UNTIL_IDLE: Duration = Duration::from_secs(90);
/// A server that is asked nothing has given back what it will by then; its status has it a second later.
const UNTIL_CALM: Duration = Duration::from_millis(3500);
/// How long figures are taken at rest.
const REST: Duration = Duration::from_millis(3000);

/// Who strikes.
pub(crate) struct Arm<'a> {
    pub(crate) server: &'a mut Server,
    pub(crate) clients: &'a Clients,
    pub(crate) tally: &'a Tally,
    pub(crate) circumstances: &'a Arc<Circumstances>,
    pub(crate) random: Random,
    pub(crate) counts: BTreeMap<Blow, u64>,
}

impl Arm<'_> {
    /// Whether there was something to strike.
    pub(crate) fn strike(&mut self, blow: Blow) -> Result<bool, String> {
        let struck = match blow {
            Blow::Reload => self.replace_all("/reload", Signal::HUP)?,
            Blow::Upgrade => {
                self.server.renew_executable()?;
                self.replace_all("/upgrade", Signal::USR2)?;
                self.circumstances.upgrades.fetch_add(1, Ordering::SeqCst);
                true
            }
            Blow::KillWorker => {
                self.kill(Killed::Worker, |status, _| others(status).map(|worker| worker.pid).collect())
            }
            Blow::KillJobProcess => self.kill(Killed::JobProcess, |status, parents| {
                let workers: Vec<u32> = others(status).map(|worker| worker.pid).collect();
                parents.iter().filter(|(_, parent)| workers.contains(parent)).map(|(pid, _)| *pid).collect()
            }),
            Blow::KillFront => self.kill(Killed::Front, |status, _| pid_of(&status["front"]).into_iter().collect()),
            Blow::KillOwner => {
                let store = self.server.store();
                self.kill(Killed::Owner, |status, _| owner(&store, status).into_iter().collect())
            }
            Blow::ReopenLog => {
                self.server.signal(Signal::USR1);
                true
            }
            Blow::UpAndDown => self.up_and_down()?,
            Blow::Rest => {
                self.rest()?;
                true
            }
        };
        if struck {
            *self.counts.entry(blow).or_default() += 1;
        }
        Ok(struck)
    }

    /// A kill of one of those that `whom` finds.
    fn kill(&mut self, killed: Killed, whom: impl Fn(&Value, &BTreeMap<u32, u32>) -> Vec<u32>) -> bool {
        let Some(status) = self.server.status() else { return false };
        let found = whom(&status, &system::parents());
        let Some(pid) = self.random.one_of(&found) else { return false };
        let from = Instant::now();
        // Told before it is done: a client may see it before we come back.
        self.tally.killed(from, from + Duration::from_millis(200), killed);
        system::send(*pid, Signal::KILL);
        self.tally.killed(from, Instant::now(), killed);
        true
    }

    /// By signal or by command; whether it was a success. A kill in the midst of it may be what it failed of.
    fn replace_all(&mut self, path: &str, signal: Signal) -> Result<bool, String> {
        self.server.wait("an end of what is under way", is_settled)?;
        let number = |status: &Value| status["operation"]["operation"].as_u64().unwrap_or(0);
        let before = self.server.wait("a status", |_| true).map(|status| number(&status))?;
        if self.random.below(2) == 0 {
            self.server.signal(signal);
        } else {
            self.server.command(path)?;
        }
        let after =
            self.server.wait("the end of a replacement", |status| number(status) > before && is_settled(status))?;
        match after["operation"]["state"].as_str() {
            Some("done") => Ok(true),
            _ => Err(format!("{path} failed: {}", after["operation"])),
        }
    }

    fn up_and_down(&mut self) -> Result<bool, String> {
        for workers in [WORKERS + 1, WORKERS] {
            self.server.wait("an end of what is under way", is_settled)?;
            self.server.command(&format!("/scale?workers={workers}"))?;
            self.server.wait("the other number of workers", |status| {
                is_settled(status) && serving(status).len() as u64 == workers
            })?;
        }
        Ok(true)
    }

    fn rest(&mut self) -> Result<(), String> {
        self.clients.rest(UNTIL_IDLE);
        let settled = self.server.wait("a settled cluster", is_settled);
        std::thread::sleep(UNTIL_CALM);
        self.circumstances.resting.store(true, Ordering::SeqCst);
        std::thread::sleep(REST);
        self.circumstances.resting.store(false, Ordering::SeqCst);
        self.clients.go_on();
        settled.map(drop)
    }
}

/// The workers that may be killed.
fn others(status: &Value) -> impl Iterator<Item = Worker> {
    serving(status).into_iter().filter(|worker| worker.place != LEFT_ALONE)
}

fn pid_of(value: &Value) -> Option<u32> {
    value["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok())
}
