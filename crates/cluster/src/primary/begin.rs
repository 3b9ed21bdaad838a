//! The beginning of a primary: anew, or with what an earlier image of this process handed over.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

use phalanx_process::{Process, Signals, Strays};
use phalanx_shared::{ClusterPage, Permits};
use rustix::event::epoll;

use super::attendant::Attendant;
use super::companions::Companions;
use super::front::Front;
use super::generations::Generations;
use super::hard_limit::HardLimit;
use super::memory::Surroundings;
use super::operations::Operations;
use super::service::Service;
use super::upgrade::{Images, Inheritance};
use super::{Primary, Source, TICK, cluster_page, signals, system};
use crate::builder::Cluster;
use crate::control::ToWorker;
use crate::dispatcher::Keeper;
use crate::hub::{Commands, Feed};
use crate::listener::{Listeners, Loans};
use crate::secret::ClusterSecret;
use crate::supervisor::{Input, Policy, Purpose, Stage, Supervisor};
use crate::{Distribution, Error};

/// Runs the cluster until it is over.
pub(crate) fn run(mut cluster: Cluster) -> Result<(), Error> {
    let inheritance = Inheritance::take()?;
    let signals = Signals::take(signals::TAKEN)?;
    let code = cluster.primary.take();
    let user = (code.is_some() || cluster.messages).then(|| crate::hub::start(code)).transpose()?;
    let (commands, feed, user) = match user {
        Some((commands, feed, user)) => (Some(commands), Some(feed), Some(user)),
        None => (None, None, None),
    };
    let workers = cluster.workers;
    let mut primary = match (Primary::new(cluster, signals, commands, feed, inheritance.as_ref()), inheritance) {
        (Ok(mut primary), Some(inheritance)) => {
            primary.tell_of_hard_limit();
            primary.adopt(inheritance);
            primary
        }
        (Ok(mut primary), None) => {
            primary.tell_of_hard_limit();
            primary.start_companions();
            primary.feed_supervisor(Input::Start { workers });
            primary
        }
        (Err(error), Some(inheritance)) => return Err(inheritance.give_back(error)),
        (Err(error), None) => return Err(error),
    };
    let outcome = primary.supervise();
    drop(primary);
    let user_result = user.map_or(Ok(()), crate::hub::User::finish);
    outcome.and(user_result)
}

impl Primary {
    fn new(
        cluster: Cluster,
        signals: Signals,
        commands: Option<Commands>,
        feed: Option<Feed>,
        inheritance: Option<&Inheritance>,
    ) -> Result<Primary, Error> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(system("create an epoll"))?;
        watch(&epoll, &signals, Source::Signals)?;
        if let Some(commands) = &commands {
            watch(&epoll, commands, Source::Commands)?;
        }
        let parts = Parts::of(inheritance)?;
        let mut generations = Generations::new(cluster.settings);
        match inheritance {
            Some(inheritance) => inheritance.take_up_generations(&mut generations)?,
            None => drop(generations.begin()?),
        }
        let serves = match cluster.programs.are_workers {
            true => !cluster.programs.finish,
            false => !cluster.listen.is_empty(),
        };
        let policy = match serves {
            true => Policy { purpose: Purpose::Serve, ..cluster.policy },
            false => cluster.policy,
        };
        // What programs inherit they accept from by themselves.
        let distribution = match cluster.distribution {
            dispatched if cluster.programs.are_workers && dispatched.is_dispatched() => Distribution::Shared,
            other => other,
        };
        let listeners = Listeners::open(&cluster.listen, distribution, cluster.workers, parts.listeners)?;
        if let Some(feed) = &feed {
            feed.listening(listeners.addresses());
        }
        let front = Front::open(cluster.front, parts.control, parts.admin)?;
        let hung_grace = policy.hung_grace;
        let inherited = inheritance.and_then(|inheritance| inheritance.state.groups.as_deref());
        // Before there are children: version 2 of control groups may want this process elsewhere.
        let hard_limit = HardLimit::begin(policy.hard_memory, cluster.confinement.folder(), inherited);
        let now = Instant::now();
        let seed = std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), 0);
        let mut primary = Primary {
            drain_deadline: policy.drain_deadline,
            memory_limited: policy.soft_memory.or(policy.hard_memory).is_some(),
            supervisor: Supervisor::new(policy, seed),
            dispatch: Keeper::new(&listeners, inheritance.map_or(0, |inheritance| inheritance.state.dispatchers)),
            listeners,
            loans: Loans::default(),
            gate: cluster.gate,
            secret: parts.secret,
            confinement: cluster.confinement,
            hard_limit,
            slots: Vec::new(),
            cluster: cluster_page::begun(parts.cluster),
            permits: parts.permits,
            workers: HashMap::new(),
            places: HashMap::new(),
            leftovers: Vec::new(),
            generations,
            operations: Operations::default(),
            resumed_operation: None,
            images: parts.images,
            check: None,
            health_gate: cluster.health_gate,
            gate_commands: HashMap::new(),
            front,
            companions: Companions::of(cluster.companions.into_iter().map(|(name, _)| name)),
            attendant: cluster
                .programs
                .are_workers
                .then(|| Attendant::new(cluster.distribution, cluster.programs.script.clone())),
            strays: cluster.programs.are_workers.then(Strays::adopt).transpose()?,
            programs: cluster.programs,
            service: Service::default(),
            dumpers: HashMap::new(),
            hung_grace,
            forking: None,
            forked: None,
            epoll,
            signals,
            commands,
            feed,
            on_event: cluster.on_event,
            origin: now,
            next_tick: now + TICK,
            seconds: 0,
            surroundings: Surroundings::look(),
            stop_requests: 0,
            inputs: VecDeque::new(),
            outcome: None,
        };
        let complete = primary.complete(inheritance, cluster.pid_file.as_deref(), parts.pid_file);
        match (complete, inheritance) {
            (Ok(()), _) => Ok(primary),
            (Err(error), Some(_)) => {
                // Its end would take away what the image before this one goes on with.
                std::mem::forget(primary);
                Err(error)
            }
            (Err(error), None) => Err(error),
        }
    }

    fn complete(
        &mut self,
        inheritance: Option<&Inheritance>,
        pid_file: Option<&Path>,
        kept: Option<OwnedFd>,
    ) -> Result<(), Error> {
        inheritance.map_or(Ok(()), |inheritance| self.take_up(inheritance))?;
        // Last: dropped in an error before this, it would remove the file of the image before this one.
        self.service = Service::begin(pid_file, kept)?;
        Ok(())
    }

    /// Takes up what lives, without a word to anybody: until here, the image before could still go on.
    fn take_up(&mut self, inheritance: &Inheritance) -> Result<(), Error> {
        self.slots = inheritance.pages()?;
        self.places = inheritance.places();
        let (workers, lost) = inheritance.workers(&self.hard_limit)?;
        self.take_up_desks(inheritance)?;
        for (worker, running) in &workers {
            watch(&self.epoll, &running.control, Source::Control(*worker))?;
            watch(&self.epoll, &running.child, Source::Process(*worker))?;
        }
        self.workers = workers;
        self.inputs.extend(lost.into_iter().map(|worker| {
            Input::SpawnFailed(worker, "its process was lost between two images of the primary".to_owned())
        }));
        self.leftovers = inheritance.leftovers();
        self.leftovers.iter().try_for_each(|child: &Process| watch(&self.epoll, child, Source::Leftover))
    }

    /// Goes on where the image before this one stopped.
    fn adopt(&mut self, inheritance: Inheritance) {
        if let Some(feed) = &self.feed {
            // All at once: a worker that has its line may write to any other.
            let (mut lines, mut theirs) = (Vec::new(), Vec::new());
            for (worker, running) in &self.workers {
                if let Ok((ours, their)) = crate::hub::line() {
                    lines.push((*worker, running.child.pid(), ours));
                    theirs.push((running, their));
                }
            }
            feed.reconnect(lines);
            for (running, their) in theirs {
                // A worker that does not read this goes without messages.
                let _ = running.control.send(&ToWorker::Line, &[their.as_fd()]);
            }
        }
        let state = inheritance.state;
        self.listeners.take_charge();
        for adopted in state.heritage().workers {
            if adopted.stage == Stage::Ready && adopted.listens {
                self.worker_accepts(adopted.birth.worker);
            }
        }
        // Before those that were lost, which it has to know first.
        self.inputs.push_front(Input::Adopt(state.heritage()));
        self.feed_supervisor(Input::Elapsed);
        // Nobody looks after the control socket since the last front was dismissed.
        self.start_front();
        self.resume_operation(state.operation);
    }
}

/// What a primary consists of, new or inherited.
struct Parts {
    cluster: ClusterPage,
    permits: Permits,
    secret: ClusterSecret,
    images: Images,
    listeners: Vec<(crate::listener::Kept, OwnedFd)>,
    control: Option<OwnedFd>,
    admin: Option<OwnedFd>,
    pid_file: Option<OwnedFd>,
}

impl Parts {
    fn of(inheritance: Option<&Inheritance>) -> Result<Parts, Error> {
        let (cluster, permits) = match inheritance {
            Some(inheritance) => (inheritance.cluster_page()?, inheritance.permits()?),
            None => (None, None),
        };
        let new_page = || ClusterPage::create().map_err(Error::system("create the page of the cluster"));
        let new_permits =
            || Permits::create(phalanx_memory::usable_cores()).map_err(Error::system("create the permits"));
        let (control, admin) = inheritance.map(Inheritance::front_sockets).transpose()?.unwrap_or_default();
        Ok(Parts {
            cluster: cluster.map_or_else(new_page, Ok)?,
            permits: permits.map_or_else(new_permits, Ok)?,
            secret: match inheritance.and_then(|inheritance| inheritance.state.secret) {
                Some(secret) => secret,
                None => ClusterSecret::generate().map_err(system("get random bytes"))?,
            },
            images: inheritance.map(Inheritance::images).transpose()?.unwrap_or_default(),
            listeners: inheritance.map(Inheritance::listeners).transpose()?.unwrap_or_default(),
            control,
            admin,
            pid_file: inheritance.map(Inheritance::pid_file).transpose()?.flatten(),
        })
    }
}

fn watch(epoll: &OwnedFd, fd: impl AsFd, source: Source) -> Result<(), Error> {
    epoll::add(epoll, fd, source.data(), epoll::EventFlags::IN).map_err(system("watch a descriptor"))
}
