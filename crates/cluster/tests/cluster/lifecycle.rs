//! From the start of a cluster to its end.

use std::collections::HashSet;
use std::net::TcpListener;

use rustix::process::Signal;

use crate::Test;
use crate::client::{KeepAlive, Outcome, ask};
use crate::process::{Running, lives, send, soon, until};

pub(crate) const TESTS: &[Test] = &[
    ("all workers serve one port, and their events come in order", one_port),
    ("SIGTERM lets the request under way finish, closes idle connections, and exits with 0", drains),
    ("a stopping cluster serves what already waited in the backlog", serves_the_backlog),
    ("a request that outlives the drain deadline does not hold up the end", drain_has_an_end),
    ("a second SIGTERM does not wait", second_signal),
    ("a thread that the program started before the cluster does not take its SIGTERM", early_thread),
    ("SIGTERM to a worker drains it, and it is replaced", worker_is_told),
    ("messages go both ways, and exit comes after the last of them", messages),
    ("workers are forked with an environment and disconnected for good at run time", forks),
    ("code in the primary that panics stops nothing", panicking_primary),
    ("a port that is taken is one clear line, before any worker starts", port_taken),
    ("if no worker can start, the cluster ends with the worker's own words", fails_at_start),
    ("a worker that crashes at start waits longer and longer while the others serve", crash_loop),
    ("a worker can start no cluster of its own", no_process_bomb),
];

fn one_port() {
    let mut cluster = Running::ready("server");
    let address = cluster.address();
    let workers: HashSet<u32> = cluster.workers().into_iter().collect();
    assert_eq!(workers.len(), 2);
    let mut seen = HashSet::new();
    until(soon(), "an answer of each worker", || {
        match ask(address, "/") {
            Outcome::Ok(pid) => seen.insert(pid),
            other => panic!("{other:?}"),
        };
        (seen == workers).then_some(())
    });
    let of_first: Vec<&String> = cluster.lines().iter().filter(|line| line.contains("worker 1 ")).collect();
    let order = ["started", "is online", "listens on", "is ready"];
    assert!(of_first.iter().zip(order).all(|(line, part)| line.contains(part)), "{of_first:?}");
}

fn drains() {
    let mut cluster = Running::ready("server");
    let address = cluster.address();
    let mut idle = KeepAlive::open(address);
    idle.request("/");
    idle.pid();
    let mut busy = KeepAlive::open(address);
    busy.request("/slow?3000");
    // The head has been read when a later request of another connection was answered by each worker.
    let all: HashSet<u32> = cluster.workers().into_iter().collect();
    let mut seen = HashSet::new();
    until(soon(), "an answer of each worker", || {
        if let Outcome::Ok(pid) = ask(address, "/") {
            seen.insert(pid);
        }
        (seen == all).then_some(())
    });
    cluster.signal(Signal::TERM);
    assert_eq!(idle.rest(), Ok(String::new()), "an idle connection is closed cleanly");
    let answer = busy.answer();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    assert_eq!(busy.rest(), Ok(String::new()));
    assert_eq!(cluster.wait().0.code(), Some(0));
    assert_eq!(ask(address, "/"), Outcome::Refused);
}

fn serves_the_backlog() {
    let mut cluster = Running::ready("server");
    let address = cluster.address();
    let workers = cluster.workers();
    workers.iter().for_each(|pid| send(*pid, Signal::STOP));
    let clients: Vec<_> = (0..20).map(|_| std::thread::spawn(move || ask(address, "/"))).collect();
    // All twenty are in the kernel's queue when nobody is connecting any more.
    until(soon(), "a full backlog", || (queued(address.port()) == 20).then_some(()));
    cluster.signal(Signal::TERM);
    workers.iter().for_each(|pid| send(*pid, Signal::CONT));
    for client in clients {
        let outcome = client.join().unwrap();
        assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
    }
    assert_eq!(cluster.wait().0.code(), Some(0));
}

/// Connections that wait in the accept queue of our port, from /proc/net/tcp.
fn queued(port: u16) -> u32 {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let wanted = format!(":{port:04X}");
    let listening = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut lines = listening.filter(|fields| fields.len() > 4 && fields[1].ends_with(&wanted) && fields[3] == "0A");
    lines.next().map_or(0, |fields| u32::from_str_radix(fields[4].split(':').nth(1).unwrap(), 16).unwrap())
}

fn drain_has_an_end() {
    let mut cluster = Running::ready("quick-drain");
    let address = cluster.address();
    let mut hanging = KeepAlive::open(address);
    hanging.request("/slow?600000");
    let mut hung = KeepAlive::open(address);
    hung.request("/hang");
    cluster.signal(Signal::TERM);
    let (status, _) = cluster.wait();
    assert_eq!(status.code(), Some(0));
}

fn second_signal() {
    let mut cluster = Running::ready("server");
    let address = cluster.address();
    let mut hanging = KeepAlive::open(address);
    hanging.request("/slow?600000");
    cluster.signal(Signal::TERM);
    cluster.wait_for("stopping");
    cluster.signal(Signal::INT);
    assert_eq!(cluster.wait().0.code(), Some(0));
}

fn early_thread() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut cluster = Running::ready("early-thread");
        cluster.signal(signal);
        cluster.wait_for("stopping");
        assert_eq!(cluster.wait().0.code(), Some(0));
    }
}

fn worker_is_told() {
    let mut cluster = Running::ready("server");
    let victim = cluster.workers()[0];
    send(victim, Signal::TERM);
    let line = cluster.wait_for("died");
    assert!(line.contains(&format!("pid {victim}")) && line.contains("code 0"), "{line}");
    cluster.wait_for("is ready");
}

fn messages() {
    let mut cluster = Running::start("messages");
    cluster.wait_for("result [2, 4, 6]");
    cluster.wait_for("result [3, 6, 9]");
    let order = cluster.wait_for("order");
    // "ready" and the messages travel on sockets of their own: only their places among the rest are promised.
    assert!(order.contains("[\"fork\", \"online\", ") && order.ends_with("\"exit\"]"), "{order}");
    assert_eq!(order.matches("message").count(), 2, "{order}");
    assert_eq!(cluster.wait().0.code(), Some(0));
}

fn forks() {
    let mut cluster = Running::start("forks");
    cluster.wait_for("environment true, workers 2");
    cluster.wait_for("exit 1 voluntary true");
    cluster.wait_for("exit 2 voluntary true");
    assert_eq!(cluster.wait().0.code(), Some(0));
}

fn panicking_primary() {
    let mut cluster = Running::ready("panicking-primary");
    let address = cluster.address();
    assert!(matches!(ask(address, "/"), Outcome::Ok(_)));
    cluster.signal(Signal::TERM);
    assert_eq!(cluster.wait().0.code(), Some(0));
}

fn port_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut cluster = Running::start_with("server", |command| {
        command.env("TEST_ADDRESS", &address);
    });
    let (status, stderr) = cluster.wait();
    assert_eq!(status.code(), Some(1));
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{stderr}");
    assert!(lines[0].contains(&address) && lines[0].contains("another program has this port"), "{stderr}");
    assert!(cluster.lines().is_empty(), "a worker was started");
}

fn fails_at_start() {
    let mut cluster = Running::start("fails-at-start");
    let (status, stderr) = cluster.wait();
    assert_eq!(status.code(), Some(1));
    assert_eq!(stderr.trim(), "error: no worker became ready: the folder is not writable");
}

fn crash_loop() {
    let mut cluster = Running::start("crashes-at-start");
    let address = cluster.address();
    let line = cluster.wait_for("died too often");
    assert!(line.contains("the others serve on"), "{line}");
    let waits: Vec<u64> = cluster
        .lines()
        .iter()
        .filter(|line| line.contains("starts its next worker in"))
        .map(|line| line.split_whitespace().rev().nth(1).unwrap().parse().unwrap())
        .collect();
    assert_eq!(waits.len(), 4, "the fifth death opens the breaker: {waits:?}");
    assert!(waits.windows(2).all(|pair| pair[1] > pair[0]), "{waits:?}");
    assert!(matches!(ask(address, "/"), Outcome::Ok(_)));
    let survivors = cluster.workers();
    assert!(survivors.len() == 1 && lives(survivors[0]));
}

fn no_process_bomb() {
    let mut cluster = Running::start("without-init");
    let (status, stderr) = cluster.wait();
    assert_eq!(status.code(), Some(1));
    assert!(stderr.contains("was started in the role \"worker\" and may not start others"), "{stderr}");
}
