//! Programs of Node, as people have them: unmodified.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;

use crate::Test;
use crate::client::{KeepAlive, Outcome, ask};
use crate::process::{Running, lives, send, soon, until};

pub(crate) const TESTS: &[Test] = &[
    ("a_plain_node_server_becomes_a_cluster", a_plain_node_server_becomes_a_cluster),
    (
        "an_app_with_its_own_cluster_code_sees_itself_as_a_worker",
        an_app_with_its_own_cluster_code_sees_itself_as_a_worker,
    ),
    ("killed_node_workers_leave_no_connection_hanging", killed_node_workers_leave_no_connection_hanging),
    ("a_reload_of_node_fails_no_new_connection", a_reload_of_node_fails_no_new_connection),
    ("a_killed_attendant_leaves_node_serving", a_killed_attendant_leaves_node_serving),
    ("node_is_ready_when_it_says_so", node_is_ready_when_it_says_so),
    ("a_stopped_node_worker_is_passed_over_and_replaced", a_stopped_node_worker_is_passed_over_and_replaced),
    ("a_node_worker_without_its_channel_is_replaced", a_node_worker_without_its_channel_is_replaced),
    ("what_node_sends_to_its_primary_reaches_the_script", what_node_sends_to_its_primary_reaches_the_script),
];

/// Whether there is a Node to run; without, the tests say so and pass.
fn node() -> bool {
    let there = Command::new("node").arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        println!("skipped: there is no node in PATH");
        assert!(std::env::var_os("CI").is_none(), "there has to be a node where nothing may be skipped");
    }
    there
}

/// A script in a folder of its own.
struct Scripts(tempfile::TempDir);

impl Scripts {
    fn new() -> Scripts {
        Scripts(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// A server on any free port that answers with its process id.
const SERVER: &str = "require('http').createServer((request, response) => response.end(String(process.pid)))
    .listen(0, '127.0.0.1');";

fn start(script: &str, change: impl FnOnce(&mut Command)) -> (Running, Scripts) {
    let scripts = Scripts::new();
    let file = scripts.write("app.js", script);
    let running = Running::start_with("node", |command| {
        command.env("TEST_NO_LISTEN", "1").env("TEST_FILE", "node").env("TEST_NODE", "1").env("TEST_READY", "usual");
        command.env("TEST_ARGUMENTS", file);
        change(command);
    });
    (running, scripts)
}

/// Where the workers listen, once two are ready.
fn ready(running: &mut Running) -> SocketAddr {
    running.wait_for_count("is ready", 2);
    let line = running.lines().iter().find(|line| line.contains(" listens on ")).cloned().unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn both(address: SocketAddr) -> HashSet<u32> {
    let mut seen = HashSet::new();
    until(soon(), "both workers to answer", || {
        if let Outcome::Ok(pid) = ask(address, "/") {
            seen.insert(pid);
        }
        (seen.len() == 2).then_some(())
    });
    seen
}

fn a_plain_node_server_becomes_a_cluster() {
    if !node() {
        return;
    }
    let (mut running, _scripts) = start(SERVER, |_| {});
    let address = ready(&mut running);
    let mut pids = Vec::new();
    for _ in 0..10 {
        let Outcome::Ok(pid) = ask(address, "/") else { panic!("no answer") };
        pids.push(pid);
    }
    let first = pids.iter().filter(|pid| **pid == pids[0]).count();
    assert_eq!(first, 5, "in turn: {pids:?}");
    running.signal(Signal::TERM);
    let (status, stderr) = running.wait();
    assert!(status.success(), "{stderr}");
    assert_eq!(running.lines().iter().filter(|line| line.contains("left with 0 connections open: code 0")).count(), 2);
}

fn an_app_with_its_own_cluster_code_sees_itself_as_a_worker() {
    if !node() {
        return;
    }
    let script = "const cluster = require('cluster');
        if (cluster.isPrimary) { console.log('this must not run'); cluster.fork(); }
        else { process.send({ id: cluster.worker.id, worker: cluster.isWorker }); SERVER }"
        .replace("SERVER", SERVER);
    let (mut running, _scripts) = start(&script, |_| {});
    let address = ready(&mut running);
    assert_eq!(both(address).len(), 2);
    assert!(running.lines().iter().any(|line| line.contains(r#"worker 1 says: {"id":1,"worker":true}"#)));
    running.signal(Signal::TERM);
    assert!(!running.wait().1.contains("this must not run"));
}

/// What became of the connections of so many clients that ask again and again meanwhile.
fn while_clients_ask(clients: usize, address: SocketAddr, meanwhile: impl FnOnce()) -> Vec<Outcome> {
    /// Ends the clients, also if the test fails.
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let is_over = AtomicBool::new(false);
    let client = || {
        let asking = std::iter::from_fn(|| (!is_over.load(Ordering::Relaxed)).then(|| ask(address, "/")));
        asking.collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let over = Over(&is_over);
        let asking: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        meanwhile();
        drop(over);
        asking.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

fn killed_node_workers_leave_no_connection_hanging() {
    if !node() {
        return;
    }
    let (mut running, _scripts) = start(SERVER, |_| {});
    let address = ready(&mut running);
    let outcomes = while_clients_ask(8, address, || {
        for killed in 1..=6 {
            let pid = until(soon(), "a worker that answers", || match ask(address, "/") {
                Outcome::Ok(pid) => Some(pid),
                _ => None,
            });
            send(pid, Signal::KILL);
            running.wait_for_count("is ready", 2 + killed);
        }
    });
    // `ask` waits for a minute: one that hangs would say so. A killed worker takes with it what it had accepted.
    let count = |wanted: fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| wanted(outcome)).count();
    assert_eq!(count(|outcome| matches!(outcome, Outcome::TimedOut | Outcome::Refused | Outcome::WrongAnswer)), 0);
    assert!(count(|outcome| matches!(outcome, Outcome::Ok(_))) > 100);
}

fn a_reload_of_node_fails_no_new_connection() {
    if !node() {
        return;
    }
    let (mut running, _scripts) = start(SERVER, |_| {});
    let address = ready(&mut running);
    let before = both(address);
    let outcomes = while_clients_ask(1, address, || {
        // An idle connection does not hold the reload up for longer than Node's own time for one (5 s).
        let mut idle = KeepAlive::open(address);
        idle.request("/");
        let _ = idle.head();
        running.signal(Signal::HUP);
        running.wait_for("reload (operation 1) is done");
    });
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Ok(_))), "{outcomes:?}");
    assert!(both(address).is_disjoint(&before));
}

fn a_killed_attendant_leaves_node_serving() {
    if !node() {
        return;
    }
    let (mut running, _scripts) = start(SERVER, |_| {});
    let address = ready(&mut running);
    let before = both(address);
    let outcomes = while_clients_ask(4, address, || {
        let mut last = 0;
        for _ in 0..3 {
            let attendant = until(soon(), "an attendant", || crate::serving::attendant(&running, &[last]));
            both(address);
            send(attendant, Signal::KILL);
            last = attendant;
        }
        assert_eq!(both(address), before, "the workers are the same");
    });
    // What waits in the kernel waits for the next attendant. Lost is what one had accepted and given to nobody yet.
    assert!(!outcomes.contains(&Outcome::TimedOut) && !outcomes.contains(&Outcome::Refused), "{outcomes:?}");
    let lost = outcomes.iter().filter(|outcome| !matches!(outcome, Outcome::Ok(_))).count();
    assert!(lost <= 3 * 4, "{lost} of {}: more than there were clients at each end", outcomes.len());
    // A new worker finds the socket of the others, and the last one closes it.
    send(*before.iter().next().unwrap(), Signal::KILL);
    running.wait_for_count("is ready", 3);
    assert_eq!(both(address).intersection(&before).count(), 1);
    running.signal(Signal::TERM);
    assert!(running.wait().0.success());
    assert_eq!(ask(address, "/"), Outcome::Refused);
}

fn node_is_ready_when_it_says_so() {
    if !node() {
        return;
    }
    let script = format!("{SERVER} setTimeout(() => process.send('ready'), 50);");
    let (mut running, _scripts) = start(&script, |command| {
        command.env("TEST_READY", "message");
    });
    ready(&mut running);
    let silent = start(SERVER, |command| {
        command.env("TEST_READY", "message").env("TEST_BOOT_MS", "1500");
    });
    let (mut silent, _scripts) = silent;
    let (status, _) = silent.wait();
    assert!(!status.success(), "it never said that it is ready");
}

fn a_stopped_node_worker_is_passed_over_and_replaced() {
    if !node() {
        return;
    }
    let (mut running, _scripts) = start(SERVER, |command| {
        command.env("TEST_LIVENESS_S", "3");
    });
    let address = ready(&mut running);
    let stopped = *both(address).iter().next().unwrap();
    send(stopped, Signal::STOP);
    // What it was handed is answered by others when it is gone; all else at once.
    let outcomes = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..20).map(|_| scope.spawn(|| ask(address, "/"))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>()
    });
    running.wait_for("its event loop stands still");
    running.wait_for_count("is ready", 3);
    let lost = outcomes.iter().filter(|outcome| !matches!(outcome, Outcome::Ok(_))).count();
    assert!(lost <= 1, "{outcomes:?}: only what had arrived at the stopped one may be lost");
    assert!(!both(address).contains(&stopped));
}

fn a_node_worker_without_its_channel_is_replaced() {
    if !node() {
        return;
    }
    // A worker of Node ends by itself when it has closed its channel.
    let script = format!("{SERVER} setTimeout(() => process.disconnect(), 300); setInterval(() => {{}}, 1000);");
    let (mut running, _scripts) = start(&script, |_| {});
    running.wait_for_count("is ready", 3);
    // Another program may not.
    let mut running = Running::start_with("closes-channel", |command| {
        command.env("TEST_NODE", "1");
    });
    running.wait_for("it closed its channel");
    running.wait_for_count("is ready", 3);
}

fn what_node_sends_to_its_primary_reaches_the_script() {
    if !node() {
        return;
    }
    let scripts = Scripts::new();
    let script = scripts.write(
        "primary.js",
        "process.on('message', ({ worker, instance, message }) => {
            if (message.ask) process.send({ worker, message: { answer: message.ask * 2, instance } });
            else process.send({ message: { all: message } });
        });",
    );
    let app = format!(
        "{SERVER} process.on('message', (message) => {{
            if (message.answer) process.send({{ got: message.answer, at: message.instance }});
        }}); setInterval(() => process.send({{ ask: 21 }}), 100);"
    );
    let (mut running, _scripts) = start(&app, |command| {
        command.env("TEST_SCRIPT", script);
    });
    running.wait_for(r#"{"got":42,"at":0}"#);
    running.wait_for(r#"{"got":42,"at":1}"#);
    // It is started again when it ends, and nothing of it stays behind.
    let attendant = until(soon(), "the attendant", || crate::serving::attendant(&running, &[]));
    let child = || {
        let list = std::fs::read_to_string(format!("/proc/{attendant}/task/{attendant}/children")).unwrap_or_default();
        list.split_whitespace().next().and_then(|pid| pid.parse::<u32>().ok())
    };
    let of_all = || {
        let tasks = std::fs::read_dir(format!("/proc/{attendant}/task")).unwrap().flatten();
        tasks
            .flat_map(|task| {
                let list = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
                list.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()).collect::<Vec<_>>()
            })
            .next()
    };
    let first = until(soon(), "the script", || child().or_else(of_all));
    send(first, Signal::KILL);
    let second = until(soon(), "the script again", || of_all().filter(|pid| *pid != first));
    running.lines();
    running.wait_for(r#""got":42"#);
    running.signal(Signal::TERM);
    running.wait();
    until(soon(), "the script to end", || (!lives(second)).then_some(()));
}
