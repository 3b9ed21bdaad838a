//! The cluster that runs a program, as `phalanx run` does it.

use std::time::Duration;

use phalanx_cluster::{Distribution, Event, HealthCheck, Logs, Node, Program, Readiness};

/// Runs the plain program of the name in `TEST_PROGRAM`, as further variables say.
pub(crate) fn run() {
    let told = |name: &str| std::env::var(name).ok();
    let plain = told("TEST_PROGRAM").unwrap();
    let mut cluster = phalanx_cluster::cluster()
        .workers(told("TEST_WORKERS").map_or(2, |count| count.parse().unwrap()))
        .logs(Logs::to_stderr())
        .on_event(|event| {
            println!("{event}");
            if let Event::Exit { reason, .. } = event {
                println!("ended: {reason}");
            }
        });
    if told("TEST_NODE").is_some() {
        cluster = cluster.distribute(Distribution::RoundRobin);
    }
    if told("TEST_NO_LISTEN").is_none() {
        cluster = cluster.listen("127.0.0.1:0");
    }
    if let Some(time) = told("TEST_DRAIN_MS") {
        cluster = cluster.drain_deadline(Duration::from_millis(time.parse().unwrap()));
    }
    if let Some(time) = told("TEST_LIVENESS_S") {
        cluster = cluster.liveness(Duration::from_secs(time.parse().unwrap()));
    }
    if let Some(time) = told("TEST_BOOT_MS") {
        cluster = cluster.boot_deadline(Duration::from_millis(time.parse().unwrap()));
    }
    if let Some(path) = told("TEST_CONTROL") {
        cluster = cluster.control(path);
    }
    if let Some(path) = told("TEST_SCRIPT") {
        cluster = cluster.primary_script(path);
    }
    let result = cluster
        .program(move || {
            let own = std::env::current_exe()?;
            let file = std::env::var_os("TEST_FILE").unwrap_or_else(|| own.into_os_string());
            let mut program = Program::new(file).env("TEST_PLAIN", &plain).fd_env("MY_SOCKET");
            if let Ok(arguments) = std::env::var("TEST_ARGUMENTS") {
                program = program.args(arguments.split(' '));
            }
            if let Ok(directory) = std::env::var("TEST_CWD") {
                program = program.cwd(directory);
            }
            if let Ok(check) = std::env::var("TEST_HEALTH") {
                program = program.health_check(check.parse::<HealthCheck>()?);
            }
            if std::env::var_os("TEST_NODE").is_some() {
                program = program.node(Node::new());
            }
            Ok(match std::env::var("TEST_READY").as_deref() {
                Ok("notify") | Err(_) => program.ready(Readiness::Notify),
                Ok("health" | "usual") => program,
                Ok("message") => program.ready(Readiness::Message),
                Ok(after) if after.parse::<u64>().is_ok() => {
                    program.ready(Readiness::After(Duration::from_millis(after.parse()?)))
                }
                Ok(line) => program.ready(Readiness::Line(line.to_owned())),
            })
        })
        .run_program();
    if let Err(error) = result {
        eprintln!("failed: {error}");
        std::process::exit(error.exit_code().into());
    }
}
