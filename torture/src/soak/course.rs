//! [`Course`]: one run from the start of the server to the verdict.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::blow::{Arm, Blow};
use crate::census::{Census, Circumstances};
use crate::client::Clients;
use crate::deed::{Keys, Kit, Known, Setback};
use crate::food::Larder;
use crate::random::Random;
use crate::record::{self, Entry};
use crate::server::Server;
use crate::tally::{Sums, Tally};
use crate::timetable::timetable;
use crate::verdict::Verdict;

/// Zeros that are sent as a small file of gzip.
const BOMB: usize = 32 << 20;
/// A blow that could not be done in time, because another one took so long, is left out.
const LATE: Duration = Duration::from_secs(12);
/// A day as it is counted: a request each second, a deployment each hour, a crash each quarter of an hour.
const DAY: (f64, f64, f64) = (86_400.0, 24.0, 96.0);

/// What was asked for.
pub(crate) struct Course {
    pub(crate) seed: u64,
    pub(crate) lasts: Duration,
    pub(crate) subject: PathBuf,
    pub(crate) photos: Option<PathBuf>,
    pub(crate) clients: usize,
    pub(crate) output: PathBuf,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct End {
    sums: Sums,
    blows: BTreeMap<Blow, u64>,
    verdict: Verdict,
    /// What else must not be.
    wrongs: Vec<String>,
}

impl Course {
    pub(crate) fn run(&self) -> Result<End, String> {
        let log = self.output.join("server.log");
        let mut server = Server::start(&self.subject, &log)?;
        let keys = server.keys()?;
        let known = Arc::new(self.known(&server, keys)?);
        let (tally, circumstances) = (Arc::new(Tally::default()), Arc::new(Circumstances::default()));
        let (book, entries) = mpsc::channel();
        let began = Instant::now();
        let census = Census::start(server.pid(), &server.store(), began, &circumstances, book.clone());
        let clients = Clients::start(self.clients, self.seed, &known, &tally);
        let mut arm = Arm {
            server: &mut server,
            clients: &clients,
            tally: &tally,
            circumstances: &circumstances,
            random: Random::new(self.seed, "arm"),
            counts: BTreeMap::new(),
        };
        let struck = self.strike(&mut arm, began, &book);
        let blows = std::mem::take(&mut arm.counts);
        clients.finish();
        let status = server.status();
        census.finish();
        drop(book);
        let mut entries: Vec<Entry> = entries.iter().collect();
        let file = self.output.join("soak.csv");
        record::write(&file, &mut entries).map_err(|error| format!("{}: {error}", file.display()))?;
        let mut wrongs: Vec<String> = struck.err().into_iter().collect();
        let crashes = status.map_or(0, |status| status["cluster"]["crashes"].as_u64().unwrap_or(0));
        let killed = blows.get(&Blow::KillWorker).copied().unwrap_or(0);
        if crashes > killed {
            wrongs.push(format!("{crashes} workers crashed, and only {killed} were killed"));
        }
        wrongs.extend(server.stop().err());
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let alarms: Vec<&str> = text.lines().filter(|line| line.to_lowercase().contains("leak")).take(3).collect();
        wrongs.extend(alarms.iter().map(|line| format!("an alarm of a leak: {line}")));
        let verdict = Verdict::of(&entries, began.elapsed().as_secs_f64().min(self.lasts.as_secs_f64()));
        Ok(End { sums: tally.sums(), blows, verdict, wrongs })
    }

    fn known(&self, server: &Server, keys: Keys) -> Result<Known, String> {
        let larder = Larder::fill(self.photos.as_deref(), &mut Random::new(self.seed, "larder"));
        let known = Known { address: server.address, larder, keys, bomb: Vec::new(), hashes: Mutex::default() };
        let mut kit = Kit { known: Arc::new(known), random: Random::new(self.seed, "bomb"), requests: 0 };
        let bomb = match kit.expect(200, ("POST", "/v1/compress?level=9"), "", &vec![0; BOMB]) {
            Ok(reply) => reply.body,
            Err(Setback::Failed(failure)) => return Err(format!("32 MiB of zeros: {}", failure.seen)),
            Err(Setback::Busy) => return Err("32 MiB of zeros were refused by a server that has nothing to do".into()),
        };
        let known = Arc::into_inner(kit.known).ok_or("nobody else has it")?;
        Ok(Known { bomb, ..known })
    }

    /// Every blow at its time, or as soon as the one before has ended.
    fn strike(&self, arm: &mut Arm<'_>, began: Instant, book: &mpsc::Sender<Entry>) -> Result<(), String> {
        let table = timetable(self.lasts, &mut Random::new(self.seed, "timetable"));
        let mut told = 0;
        for (at, blow) in table {
            if let Some(left) = at.checked_sub(began.elapsed()) {
                std::thread::sleep(left);
            }
            // What is late is left out rather than done in a part of the run to which it does not belong.
            if began.elapsed() > at + LATE && blow != Blow::Upgrade {
                continue;
            }
            let when = began.elapsed().as_secs_f64();
            if arm.strike(blow).map_err(|why| format!("{} after {when:.0} s: {why}", blow.name()))?
                && blow != Blow::Rest
            {
                let _ = book.send(Entry::Blow { at: when, words: blow.name().to_owned() });
            }
            if (when / 60.0) as u64 > told {
                told = (when / 60.0) as u64;
                let sums = arm.tally.sums();
                println!(
                    "{told} min: {} requests, {} refused, {} excused, {} failed",
                    sums.requests, sums.busy, sums.excused, sums.failed
                );
            }
            arm.circumstances.resting.store(false, Ordering::SeqCst);
        }
        if let Some(left) = self.lasts.checked_sub(began.elapsed()) {
            std::thread::sleep(left);
        }
        Ok(())
    }
}

impl End {
    pub(crate) fn is_kept(&self) -> bool {
        // A run in which nothing was asked proves nothing.
        self.sums.requests > 0 && self.sums.failed == 0 && self.wrongs.is_empty() && self.verdict.is_flat()
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |counts: Vec<(&str, u64)>| {
            counts.into_iter().map(|(name, times)| format!("{times} {name}")).collect::<Vec<_>>().join(", ")
        };
        writeln!(f, "\n{}", list(self.sums.by_deed.iter().map(|(name, times)| (*name, *times)).collect()))?;
        writeln!(f, "{}", list(self.blows.iter().map(|(blow, times)| (blow.name(), *times)).collect()))?;
        let of = |blow| self.blows.get(&blow).copied().unwrap_or(0) as f64;
        let crashes = of(Blow::KillWorker) + of(Blow::KillJobProcess) + of(Blow::KillFront) + of(Blow::KillOwner);
        writeln!(
            f,
            "{} requests ({:.1} h of one a second), {:.0} reloads and upgrades ({:.1} h of one an hour), {crashes:.0} crashes ({:.1} h of four an hour)",
            self.sums.requests,
            self.sums.requests as f64 / DAY.0 * 24.0,
            of(Blow::Reload) + of(Blow::Upgrade),
            (of(Blow::Reload) + of(Blow::Upgrade)) / DAY.1 * 24.0,
            crashes / DAY.2 * 24.0,
        )?;
        writeln!(
            f,
            "{} refused with 503, {} broken by a kill, {} failed\n",
            self.sums.busy, self.sums.excused, self.sums.failed
        )?;
        write!(f, "{}", self.verdict)?;
        for failure in self.sums.failures.iter().chain(&self.wrongs) {
            writeln!(f, "- {failure}")?;
        }
        writeln!(f, "\n{}", if self.is_kept() { "kept" } else { "FAILED" })
    }
}
