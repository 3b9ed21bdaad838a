//! [`Census`]: once a second, what each process of the server takes, as the kernel counts it.
//!
//! Who is who comes from the server's own status; job processes are the children of workers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::exchange;
use crate::record::{Entry, Role, Sample};
use crate::{server, system};

const EVERY: Duration = Duration::from_secs(1);

/// What the census must know of the course.
#[derive(Debug, Default)]
pub(crate) struct Circumstances {
    /// Nobody asks anything, and has not for a while: figures of such moments are compared.
    pub(crate) resting: AtomicBool,
    /// How often the primary has become another program.
    pub(crate) upgrades: AtomicU32,
    pub(crate) over: AtomicBool,
}

/// Its thread.
pub(crate) struct Census {
    thread: JoinHandle<()>,
    circumstances: Arc<Circumstances>,
}

impl Census {
    /// Looks until it is finished, and gives every entry to `book`.
    pub(crate) fn start(
        primary: u32,
        store: &Path,
        began: Instant,
        circumstances: &Arc<Circumstances>,
        book: Sender<Entry>,
    ) -> Census {
        let looker = Looker {
            primary,
            store: store.to_owned(),
            began,
            circumstances: Arc::clone(circumstances),
            seen: BTreeMap::new(),
            known: Vec::new(),
        };
        Census { thread: std::thread::spawn(move || looker.look(&book)), circumstances: Arc::clone(circumstances) }
    }

    pub(crate) fn finish(self) {
        self.circumstances.over.store(true, Ordering::SeqCst);
        let _ = self.thread.join();
    }
}

struct Looker {
    primary: u32,
    store: std::path::PathBuf,
    began: Instant,
    circumstances: Arc<Circumstances>,
    /// When each process was seen first.
    seen: BTreeMap<u32, Instant>,
    /// Who was who when the front answered last; it may just be dead.
    known: Vec<Member>,
}

/// A process and what it is.
#[derive(Debug, Clone)]
struct Member {
    role: Role,
    place: Option<u16>,
    pid: u32,
    /// As the product itself says, in KiB.
    live: Option<u64>,
}

impl Looker {
    fn look(mut self, book: &Sender<Entry>) {
        let mut next = Instant::now();
        while !self.circumstances.over.load(Ordering::SeqCst) {
            let at = self.began.elapsed().as_secs_f64();
            let resting = self.circumstances.resting.load(Ordering::SeqCst);
            let epoch = self.circumstances.upgrades.load(Ordering::SeqCst);
            self.who();
            let members = self.known.clone();
            let parents = system::parents();
            let jobs = members.iter().filter(|member| member.role == Role::Worker).flat_map(|worker| {
                let its = parents.iter().filter(|(_, parent)| **parent == worker.pid);
                its.map(|(pid, _)| Member { role: Role::Job, place: worker.place, pid: *pid, live: None })
            });
            for member in members.iter().cloned().chain(jobs) {
                if let Some(sample) = self.sample(&member, at, resting, epoch) {
                    let _ = book.send(Entry::Sample(sample));
                }
            }
            let (files, bytes) = folder(&self.store);
            let _ = book.send(Entry::Store { at, files, kib: bytes / 1024 });
            next += EVERY;
            match next.checked_duration_since(Instant::now()) {
                Some(left) => std::thread::sleep(left),
                None => next = Instant::now(),
            }
        }
    }

    fn who(&mut self) {
        let Ok(reply) = exchange::over_unix(&self.store.join("control.sock"), "GET", "/status") else { return };
        let status = reply.json();
        let pid = |value: &Value| value["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        let mut known = vec![Member { role: Role::Primary, place: None, pid: self.primary, live: None }];
        let mut add = |role, place, value: &Value| {
            if let Some(pid) = pid(value) {
                let live = ["allocated_bytes", "live_bytes"].iter().find_map(|name| value[*name].as_u64());
                known.push(Member { role, place, pid, live: live.filter(|live| *live > 0).map(|live| live / 1024) });
            }
        };
        add(Role::Front, None, &status["front"]);
        if let Some(owner) = server::owner(&self.store, &status) {
            add(Role::Owner, None, &serde_json::json!({ "pid": owner }));
        }
        for worker in status["workers"].as_array().into_iter().flatten() {
            let place = worker["place"].as_u64().and_then(|place| u16::try_from(place).ok());
            add(Role::Worker, place, worker);
        }
        self.known = known;
    }

    fn sample(&mut self, member: &Member, at: f64, resting: bool, epoch: u32) -> Option<Sample> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", member.pid)).ok()?;
        let kib = |name: &str| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
        };
        let resident = kib("Rss");
        let born = *self.seen.entry(member.pid).or_insert_with(Instant::now);
        // A process that is just ending, or just beginning, has next to nothing.
        (resident > 0).then(|| Sample {
            at,
            role: member.role,
            place: member.place,
            pid: member.pid,
            epoch: if member.role == Role::Primary { epoch } else { 0 },
            age: born.elapsed().as_secs_f64(),
            resting,
            resident,
            proportional: kib("Pss"),
            unique: kib("Private_Clean") + kib("Private_Dirty"),
            live: member.live,
            descriptors: system::descriptors(member.pid),
            threads: system::threads(member.pid),
        })
    }
}

/// Files in a folder and below, and their bytes.
fn folder(path: &Path) -> (u64, u64) {
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => {
                let below = folder(&entry.path());
                (files, bytes) = (files + below.0, bytes + below.1);
            }
            Ok(metadata) if metadata.is_file() => (files, bytes) = (files + 1, bytes + metadata.len()),
            _ => {}
        }
    }
    (files, bytes)
}
