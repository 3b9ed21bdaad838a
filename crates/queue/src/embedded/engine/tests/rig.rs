//! An engine with a hand-made clock, and words to drive it.

use std::time::Duration;

use crate::embedded::engine::{ClientId, Engine, Now, Settings};
use crate::embedded::words::{Delivered, Reply, Request, ToClient};
use crate::job::{Claim, Finish, JobEnd, Lease, NewJob, Outcome, Recorded, Submitted, Work};
use crate::{Error, JobId, JobStatus, QueueName, QueueStats, Token, UnixMillis};

/// The one client of most tests.
pub(super) const ME: ClientId = ClientId(1);
pub(super) const OTHER: ClientId = ClientId(2);

pub(super) struct Rig {
    pub(super) engine: Option<Engine>,
    pub(super) folder: tempfile::TempDir,
    pub(super) now: Now,
    pub(super) settings: Settings,
    asks: u64,
    /// What was said and not asked for yet.
    pub(super) said: Vec<(ClientId, ToClient)>,
    pub(super) handle: JobId,
    pub(super) runner: JobId,
}

pub(super) fn queue(name: &str) -> QueueName {
    QueueName::new(name).unwrap()
}

pub(super) fn job(kind: &str) -> NewJob {
    NewJob::new(queue("q"), kind, b"input".to_vec())
}

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

impl Rig {
    pub(super) fn new() -> Rig {
        Rig::with(Settings { seed: Some(7), ..Settings::default() })
    }

    pub(super) fn with(settings: Settings) -> Rig {
        let folder = tempfile::tempdir().unwrap();
        // Tests open many stores.
        let settings = Settings { log_bytes: 0, ..settings };
        let now = Now { wall: UnixMillis(1_800_000_000_000), since_start: Duration::ZERO };
        let mut rig = Rig {
            engine: None,
            folder,
            now,
            settings,
            asks: 0,
            said: Vec::new(),
            handle: JobId::new(),
            runner: JobId::new(),
        };
        rig.open().unwrap();
        rig.hello(ME);
        rig
    }

    pub(super) fn open(&mut self) -> Result<(), Error> {
        self.engine = Some(Engine::open(self.folder.path(), &self.settings, self.now)?);
        Ok(())
    }

    pub(super) fn engine(&mut self) -> &mut Engine {
        self.engine.as_mut().unwrap()
    }

    pub(super) fn hello(&mut self, client: ClientId) {
        let (handle, now) = (if client == ME { self.handle } else { JobId::new() }, self.now);
        self.engine().connected(client, handle, &[], now);
    }

    /// The owner is killed and comes again; what was not committed is lost.
    pub(super) fn crash(&mut self) {
        self.engine = None;
        self.said.clear();
        self.open().unwrap();
    }

    /// Killed and come again, and the time in which leases may be claimed again is over.
    pub(super) fn restart(&mut self) {
        self.crash();
        self.hello(ME);
        self.pass(secs(3));
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now.wall = self.now.wall.after(time);
        self.now.since_start += time;
        self.commit();
        for _ in 0..100 {
            if self.engine().next_due() != Some(Duration::ZERO) {
                return;
            }
            self.commit();
        }
    }

    pub(super) fn commit(&mut self) {
        let now = self.now;
        let said = self.engine().commit(now);
        self.said.extend(said);
    }

    pub(super) fn apply(&mut self, client: ClientId, request: Request) -> u64 {
        self.asks += 1;
        let (ask, now) = (self.asks, self.now);
        self.engine().apply(client, ask, request, now);
        ask
    }

    /// The answer to this, if it was said.
    pub(super) fn answer(&mut self, ask: u64) -> Option<Result<Reply, Error>> {
        let at =
            self.said.iter().position(|(_, said)| matches!(said, ToClient::Answer { ask: of, .. } if *of == ask))?;
        match self.said.remove(at).1 {
            ToClient::Answer { reply, .. } => Some(reply),
            _ => None,
        }
    }

    /// Asks, commits, and has the answer.
    pub(super) fn ask_as(&mut self, client: ClientId, request: Request) -> Result<Reply, Error> {
        let ask = self.apply(client, request);
        for _ in 0..10_000 {
            self.commit();
            if let Some(reply) = self.answer(ask) {
                return reply;
            }
            assert_eq!(self.engine().next_due(), Some(Duration::ZERO), "an answer that does not come");
        }
        panic!("no answer");
    }

    pub(super) fn ask(&mut self, request: Request) -> Result<Reply, Error> {
        self.ask_as(ME, request)
    }

    pub(super) fn submit_work(&mut self, work: Work) -> Result<Submitted, Error> {
        match self.ask(Request::Submit(vec![work]))? {
            Reply::Submitted(mut each) => each.remove(0),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn submit(&mut self, job: NewJob) -> JobId {
        let id = job.id;
        assert_eq!(self.submit_work(Work::Job(job)), Ok(Submitted::Taken(id)));
        id
    }

    pub(super) fn claim_of(&self, kinds: &[&str], most: usize, wait: Duration) -> Claim {
        Claim {
            runner: self.runner,
            name: "host:1".to_owned(),
            queues: vec![queue("q")],
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            most,
            wait,
        }
    }

    pub(super) fn claim(&mut self, kinds: &[&str], most: usize) -> Vec<Lease> {
        self.claim_as(ME, kinds, most)
    }

    pub(super) fn claim_as(&mut self, client: ClientId, kinds: &[&str], most: usize) -> Vec<Lease> {
        let claim = self.claim_of(kinds, most, Duration::ZERO);
        match self.ask_as(client, Request::Claim(claim)).unwrap() {
            Reply::Leases(leases) => leases,
            other => panic!("{other:?}"),
        }
    }

    /// The one job that is there.
    pub(super) fn claim_one(&mut self, kind: &str) -> Lease {
        let mut leases = self.claim(&[kind], 1);
        assert_eq!(leases.len(), 1, "no {kind} to claim");
        leases.remove(0)
    }

    pub(super) fn finish(&mut self, token: Token, outcome: Outcome) -> Recorded {
        match self.ask(Request::Finish(vec![Finish { token, outcome }])).unwrap() {
            Reply::Recorded(recorded) => recorded[0],
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn done(&mut self, token: Token) {
        assert_eq!(self.finish(token, Outcome::Done(b"result".to_vec())), Recorded::Yes);
    }

    pub(super) fn fail(&mut self, token: Token) {
        let outcome = Outcome::Failed { error: b"error".to_vec(), hopeless: false };
        assert_eq!(self.finish(token, outcome), Recorded::Yes);
    }

    pub(super) fn ended(&mut self, job: JobId) -> Option<JobEnd> {
        match self.ask(Request::Ended { job, wait: Duration::ZERO }).unwrap() {
            Reply::End(end) => end,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn status(&mut self, job: JobId) -> Result<JobStatus, Error> {
        match self.ask(Request::Changed { job, seen: 0, wait: Duration::ZERO })? {
            Reply::Status(status) => Ok(*status),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn stats(&mut self) -> QueueStats {
        match self.ask(Request::Stats(Some(queue("q")))).unwrap() {
            Reply::Stats(mut stats) => stats.remove(0),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn stats_or_none(&mut self) -> Option<QueueStats> {
        match self.ask(Request::Stats(Some(queue("q")))) {
            Ok(Reply::Stats(mut stats)) => Some(stats.remove(0)),
            _ => None,
        }
    }

    /// What consumers were given since the last look.
    pub(super) fn deliveries(&mut self) -> Vec<(ClientId, u64, Delivered)> {
        let said = std::mem::take(&mut self.said);
        let mut deliveries = Vec::new();
        for (client, what) in said {
            match what {
                ToClient::Deliver { consumer, delivery } => deliveries.push((client, consumer, delivery)),
                other => self.said.push((client, other)),
            }
        }
        deliveries
    }
}
