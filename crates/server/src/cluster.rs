//! The cluster that the settings ask for: from flags and keys to `phalanx::Cluster`. Only the primary describes it; a worker
//! takes its settings from the primary.

use crate::arguments::ServeArguments;
use crate::config::quantity::ByteSize;
use crate::config::{Affinity, Config, Distribution, HealthGate, LogFile, Machine, Operation, Recycling, Settings};
use crate::logs;
use crate::owner;
use crate::serve::{AnyError, Banner, log_event};
use crate::start::{self, Failure};
use phalanx::{Cluster, Event, Listen, Logs};

/// The cluster, with everything checked that can be checked before a worker starts.
pub(crate) fn describe(arguments: &ServeArguments) -> Result<Cluster, Failure> {
    let machine = start::machine();
    let file = arguments.config.clone();
    let typed = arguments.settings.clone();
    let settings = typed.with_file(file.as_deref())?;
    let config = Config::check(settings.clone(), machine)?;
    start::check(&config)?;
    let logs = logs::start(config.log_format, config.log_level);
    let mut memory = Some(MemoryLines::of(&config, &settings, machine));
    let mut banner = Banner::new(&config);
    let cluster = operated(phalanx::cluster(), &config.operation)
        .version(env!("CARGO_PKG_VERSION"))
        .workers(config.workers as usize)
        .drain_deadline(config.drain_deadline)
        .on_event(move |event| {
            let _logs_until_the_end = &logs;
            banner.on_event(event);
            if matches!(event, Event::Ready { .. }) {
                memory.take().iter().for_each(MemoryLines::tell);
            }
            log_event("", event);
        });
    let cluster = if config.queueing.embedded_folder().is_some() { owner::beside(cluster) } else { cluster };
    let log_format = config.log_format.resolved();
    let cluster = config.listen.iter().fold(cluster, |cluster, address| cluster.listen(Listen::on(address)));
    Ok(cluster.settings(move || {
        let mut settings = typed.with_file(file.as_deref())?;
        let now = Config::check(settings.clone(), machine)?;
        unmoved(&config, &now)?;
        // What a worker writes goes through a pipe: only the primary knows whether there is a terminal at its end.
        settings.log_format = Some(log_format);
        // A worker may be in a control group of its own, and would take that for all there is.
        settings.job_processes = Some(now.job_processes);
        settings.memory = Some(ByteSize(now.memory_bytes));
        Ok(settings.to_snapshot()?)
    }))
}

/// Lines for the log, once: what of the memory is for pictures; and that there are fewer processes than cores because of it.
struct MemoryLines {
    share: String,
    few: Option<String>,
}

impl MemoryLines {
    fn of(config: &Config, given: &Settings, machine: Machine) -> MemoryLines {
        let limit = phalanx::memory::total();
        let (of, budget) = (ByteSize(limit.bytes), ByteSize(config.memory_bytes));
        let usual = [(given.workers, config.workers), (given.job_processes, config.job_processes)];
        let few = usual.iter().any(|(wish, taken)| wish.is_none() && *taken < machine.cores).then(|| {
            format!(
                "{of} of memory are not enough for {} workers with as many job processes each: there are {} with {} each; \
                 give --workers and --job-processes to decide otherwise, or more memory",
                machine.cores, config.workers, config.job_processes
            )
        });
        let share = format!("{budget} of {of} of memory ({}) are for pictures, shared by all workers", limit.source);
        MemoryLines { share, few }
    }

    fn tell(&self) {
        tracing::info!("{}", self.share);
        self.few.iter().for_each(|few| tracing::warn!("{few}"));
    }
}

/// Supervision and confinement.
fn operated(cluster: Cluster, operation: &Operation) -> Cluster {
    let cluster = cluster
        .boot_deadline(operation.boot_deadline)
        .liveness(operation.liveness)
        .logs(match &operation.log_file {
            Some(LogFile { path, rotate_bytes, keep }) => {
                Logs::to_file(path).rotate_at(*rotate_bytes).keep(*keep).with_events()
            }
            None => Logs::to_stderr(),
        })
        .health_gate(match operation.health_gate.clone() {
            HealthGate::Ready => phalanx::HealthGate::Ready,
            HealthGate::Path(path) => phalanx::HealthGate::path(path),
            HealthGate::Command(line) => phalanx::HealthGate::command("/bin/sh", ["-c".to_owned(), line]),
        })
        .distribute(match operation.distribution {
            Distribution::Shared => phalanx::Distribution::Shared,
            Distribution::ReusePort => phalanx::Distribution::ReusePort,
            Distribution::RoundRobin => phalanx::Distribution::RoundRobin,
            Distribution::LeastLoaded => phalanx::Distribution::LeastLoaded,
            Distribution::Sticky => phalanx::Distribution::Sticky,
        })
        .affinity(match operation.affinity {
            Affinity::None => phalanx::Affinity::Any,
            Affinity::Pin => phalanx::Affinity::OnePerPlace,
        });
    let Recycling { max_requests, max_lifetime, soft_memory_bytes, hard_memory_bytes, leaks } = operation.recycling;
    let cluster = cluster.recycle_leaks(leaks);
    let cluster = if_given(cluster, max_requests, Cluster::max_requests);
    let cluster = if_given(cluster, max_lifetime, Cluster::max_lifetime);
    let cluster = if_given(cluster, soft_memory_bytes, Cluster::soft_memory);
    let cluster = if_given(cluster, hard_memory_bytes, Cluster::hard_memory);
    let cluster = if_given(cluster, operation.control.as_ref(), Cluster::control);
    let cluster = if_given(cluster, operation.admin, Cluster::admin);
    let cluster = if_given(cluster, operation.pid_file.as_ref(), Cluster::pid_file);
    let cluster = if_given(cluster, operation.nice, Cluster::nice);
    let cluster = if_given(cluster, operation.cgroup.clone(), Cluster::cgroup);
    if_given(cluster, operation.account.clone(), |cluster, account| cluster.user(account.user, account.group))
}

fn if_given<T>(cluster: Cluster, given: Option<T>, set: impl FnOnce(Cluster, T) -> Cluster) -> Cluster {
    match given {
        Some(value) => set(cluster, value),
        None => cluster,
    }
}

/// What belongs to the primary stays as it was at the start: a reload replaces workers only.
fn unmoved(began_with: &Config, now: &Config) -> Result<(), AnyError> {
    let changed = match () {
        () if now.listen != began_with.listen => "listen",
        () if now.workers != began_with.workers => "workers (use `phalanx ctl scale N`)",
        () if now.queueing.queue != began_with.queueing.queue => "queue",
        () if now.operation != began_with.operation => "a setting of the headings Operation, Workers or TLS",
        () => return Ok(()),
    };
    Err(format!("{changed} changed in the file: a reload cannot do that, an upgrade or a restart can").into())
}
