//! How connections end when their worker leaves.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::Test;
use crate::client::KeepAlive;
use crate::http_programs::{GOING_AWAY, WEBSOCKET_ACCEPT};
use crate::process::{Running, lives, send, soon, until};

pub(crate) const TESTS: &[Test] = &[
    ("idle connections of a worker that leaves alone are closed one after the other, without a reset", one_by_one),
    ("a client that uses its connection hears of its end with an answer", announced),
    ("a cluster that stops does not wait for idle connections", stops_at_once),
    ("a WebSocket is not idle, is told when the worker leaves, and is closed at the end of the drain", websocket),
];

/// A third of it is the window: 2 s.
const DRAIN: &str = "6000";

fn two_workers() -> Running {
    let mut cluster = Running::start_with("http", |command| {
        command.env("TEST_WORKERS", "2").env("TEST_DRAIN", DRAIN);
    });
    cluster.wait_for("is ready");
    cluster.wait_for("is ready");
    cluster
}

/// Connections of the worker that has most of them, each used once.
fn connections(cluster: &mut Running, count: usize) -> (u32, Vec<KeepAlive>) {
    let address = cluster.address();
    let all: Vec<(u32, KeepAlive)> = (0..count)
        .map(|_| {
            let mut connection = KeepAlive::open(address);
            connection.request("/");
            (connection.pid(), connection)
        })
        .collect();
    let workers = cluster.workers();
    let of = |worker: u32| all.iter().filter(|(pid, _)| *pid == worker).count();
    let victim = *workers.iter().max_by_key(|worker| of(**worker)).unwrap();
    (victim, all.into_iter().filter(|(pid, _)| *pid == victim).map(|(_, connection)| connection).collect())
}

fn one_by_one() {
    let mut cluster = two_workers();
    let (victim, mut connections) = connections(&mut cluster, 40);
    assert!(connections.len() >= 10, "{} connections", connections.len());
    send(victim, Signal::TERM);
    let first = until(soon(), "the first close", || connections.iter().position(KeepAlive::has_ended));
    assert_eq!(connections.swap_remove(first).rest(), Ok(String::new()));
    // The others are there still, and serve one request more.
    let open = connections.iter().filter(|connection| !connection.has_ended()).count();
    assert!(open * 2 > connections.len(), "{open} of {} are open", connections.len());
    let mut answered = 0;
    for mut connection in connections {
        match connection.try_request("/").map_err(|error| error.kind()) {
            Ok(answer) => {
                assert!(answer.contains("connection: close\r\n"), "{answer}");
                assert_eq!(connection.rest(), Ok(String::new()));
                answered += 1;
            }
            // Our request and their close have crossed.
            Err(kind) => assert_eq!(kind, ErrorKind::UnexpectedEof, "a reset"),
        }
    }
    assert!(answered * 2 > open, "{answered} of {open} were answered");
    until(soon(), "the end of the worker", || (!lives(victim)).then_some(()));
}

fn announced() {
    let mut cluster = two_workers();
    let (victim, connections) = connections(&mut cluster, 20);
    send(victim, Signal::TERM);
    let clients: Vec<_> = connections
        .into_iter()
        .map(|mut connection| {
            std::thread::spawn(move || {
                loop {
                    // An end that was not announced is an error here.
                    let answer = connection.try_request("/").unwrap();
                    if answer.contains("connection: close\r\n") {
                        return connection.rest();
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
            })
        })
        .collect();
    for client in clients {
        assert_eq!(client.join().unwrap(), Ok(String::new()));
    }
}

fn stops_at_once() {
    let mut cluster = Running::start_with("http", |command| {
        command.env("TEST_DRAIN", "60000");
    });
    cluster.wait_for("is ready");
    let (_, mut connections) = connections(&mut cluster, 20);
    let began = Instant::now();
    cluster.signal(Signal::TERM);
    for connection in &mut connections {
        assert_eq!(connection.rest(), Ok(String::new()));
    }
    assert_eq!(cluster.wait().0.code(), Some(0));
    // Spread, they would have been closed from 5 s on.
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
}

fn websocket() {
    let mut cluster = Running::start_with("http", |command| {
        command.env("TEST_IDLE", "100").env("TEST_DRAIN", "1500");
    });
    cluster.wait_for("is ready");
    let address = cluster.address();
    let worker = cluster.workers()[0];
    let open = |path: &str| {
        let mut socket = KeepAlive::open(address);
        socket.send(&format!(
            "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
        ));
        let head = socket.head();
        assert!(head.starts_with("HTTP/1.1 101 ") && head.contains(WEBSOCKET_ACCEPT), "{head}");
        socket
    };
    let (mut polite, mut deaf) = (open("/websocket"), open("/deaf"));
    // An HTTP connection that is opened later is closed for being idle; the sockets are not.
    let mut idle = KeepAlive::open(address);
    idle.request("/figures");
    let figures = idle.answer();
    assert!(figures.contains("Upgraded 2\n") && figures.contains("Connections 3\n"), "{figures}");
    assert_eq!(idle.rest(), Ok(String::new()));
    for socket in [&mut polite, &mut deaf] {
        socket.send("hello");
        assert_eq!(socket.bytes(5), b"hello");
    }
    send(worker, Signal::TERM);
    assert_eq!(polite.bytes(4), GOING_AWAY);
    assert_eq!(polite.rest(), Ok(String::new()));
    // It does not listen, and is served all the same, until the drain is over.
    deaf.send("still");
    assert_eq!(deaf.bytes(5), b"still");
    assert_eq!(deaf.rest(), Ok(String::new()));
    let line = cluster.wait_for("died");
    assert!(line.contains("code 0"), "the worker came to its end by itself: {line}");
}
