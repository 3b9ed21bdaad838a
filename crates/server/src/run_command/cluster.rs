//! From an [`App`] to the `phalanx::Cluster` that runs it.

use phalanx::{Affinity, Cluster, Listen, Logs, Node, Program};

use super::Told;
use super::app::{App, Launch};
use super::facts;
use super::source::Source;
use super::values::Serialization;
use crate::config::{self, LogFile};

/// The cluster of this app, which is read from `source` again at each reload.
pub(super) fn describe(app: &App, source: Source, told: Told) -> Cluster {
    let cluster =
        facts::of(app, &source).into_iter().fold(phalanx::cluster(), |cluster, (name, text)| cluster.about(name, text));
    let logs = match &app.log_file {
        Some(LogFile { path, rotate_bytes, keep }) => {
            Logs::to_file(path).rotate_at(*rotate_bytes).keep(*keep).with_events()
        }
        None => Logs::to_stderr(),
    };
    let cluster = supervised(cluster, app)
        .version(env!("CARGO_PKG_VERSION"))
        .workers(app.instances as usize)
        .distribute(distribution(app.sockets.distribution))
        .blocking_listeners(app.sockets.blocking)
        .finishing(app.finishing)
        .logs(if told == Told::HereByName { logs.named(&app.name) } else { logs })
        .affinity(match app.affinity {
            config::Affinity::None => Affinity::Any,
            config::Affinity::Pin => Affinity::OnePerPlace,
        });
    let cluster = app.sockets.listen.iter().fold(cluster, |cluster, address| cluster.listen(Listen::on(address)));
    let cluster = if_given(cluster, app.control.as_ref(), Cluster::control);
    let cluster = if_given(cluster, app.admin, Cluster::admin);
    let cluster = if_given(cluster, app.primary_script.as_ref(), Cluster::primary_script);
    let cluster = if_given(cluster, app.pid_file.as_ref(), Cluster::pid_file);
    let cluster = if_given(cluster, app.nice, Cluster::nice);
    let cluster = if_given(cluster, app.cgroup.clone(), Cluster::cgroup);
    let cluster = if_given(cluster, app.account.clone(), |cluster, account| cluster.user(account.user, account.group));
    let began_with = app.clone();
    cluster.program(move || {
        let now = source.read()?;
        began_with.unmoved(&now, told)?;
        Ok(program(&now))
    })
}

/// Clocks and limits.
fn supervised(cluster: Cluster, app: &App) -> Cluster {
    let cluster =
        cluster.boot_deadline(app.patience.boot).liveness(app.patience.liveness).drain_deadline(app.patience.kill);
    let cluster = if app.sockets.old_first { cluster.old_first() } else { cluster };
    let cluster = if_given(cluster, app.patience.restart_delay, Cluster::back_off);
    let cluster = if_given(cluster, app.patience.max_restarts, |cluster, most| cluster.breaker(most as usize));
    let cluster = if_given(cluster, app.limits.soft_memory_bytes, Cluster::soft_memory);
    let cluster = if_given(cluster, app.limits.hard_memory_bytes, Cluster::hard_memory);
    if_given(cluster, app.limits.max_lifetime, Cluster::max_lifetime)
}

/// What the workers become.
fn program(app: &App) -> Program {
    let Launch { line, cwd, environment, node, serialization, stop_signal, readiness, health_check } = &app.program;
    let as_node = || match serialization {
        Serialization::Json => Node::new(),
        Serialization::Advanced => Node::new().advanced(),
    };
    let program = Program::new(&line.program).args(&line.arguments).cwd(cwd).stop_signal(*stop_signal);
    let program = environment.iter().fold(program, |program, variable| program.env(&variable.name, &variable.value));
    let program = if_given(program, readiness.clone(), Program::ready);
    let program = if_given(program, health_check.clone(), Program::health_check);
    let program = if_given(program, app.sockets.fd_env.clone(), Program::fd_env);
    if_given(program, node.then(as_node), Program::node)
}

pub(super) fn distribution(mode: config::Distribution) -> phalanx::Distribution {
    match mode {
        config::Distribution::Shared => phalanx::Distribution::Shared,
        config::Distribution::ReusePort => phalanx::Distribution::ReusePort,
        config::Distribution::RoundRobin => phalanx::Distribution::RoundRobin,
        config::Distribution::LeastLoaded => phalanx::Distribution::LeastLoaded,
        config::Distribution::Sticky => phalanx::Distribution::Sticky,
    }
}

fn if_given<T, V>(described: T, given: Option<V>, set: impl FnOnce(T, V) -> T) -> T {
    match given {
        Some(value) => set(described, value),
        None => described,
    }
}
