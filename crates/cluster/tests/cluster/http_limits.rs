//! What a request may take, and what the worker tells of its requests.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::Test;
use crate::client::{KeepAlive, body};
use crate::process::Running;

pub(crate) const TESTS: &[Test] = &[
    ("a request without an answer in time is answered 504, and its connection goes on", no_answer),
    ("an answer that does not come to its end in time is broken off", no_end),
    ("what the worker did is on its page", figures),
    ("a client on a Unix socket is known by its process, one on TCP by its address", peers),
];

fn one_worker(name: &str, value: &str) -> Running {
    let mut cluster = Running::start_with("http", |command| {
        command.env(name, value);
    });
    cluster.wait_for("is ready");
    cluster
}

fn no_answer() {
    let mut cluster = one_worker("TEST_REQUEST", "100");
    let mut client = KeepAlive::open(cluster.address());
    client.request("/slow?60000");
    let answer = client.answer();
    assert!(answer.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"), "{answer}");
    assert!(answer.contains("application/problem+json") && answer.contains("within 100ms"), "{answer}");
    client.request("/figures");
    let figures = client.answer();
    for line in ["TimedOut 1\n", "Responses5xx 1\n", "InFlight 1\n"] {
        assert!(figures.contains(line), "{line} not in {figures}");
    }
}

fn no_end() {
    let mut cluster = one_worker("TEST_REQUEST", "100");
    let mut client = KeepAlive::open(cluster.address());
    client.request("/stall");
    let answer = client.rest().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("some"), "{answer}");
    assert!(!answer.ends_with("0\r\n\r\n"), "it ends as if it were whole");
}

fn figures() {
    let mut cluster = one_worker("TEST_HEAD", "100");
    let address = cluster.address();
    let mut client = KeepAlive::open(address);
    client.request("/");
    client.pid();
    let mut slow = KeepAlive::open(address);
    slow.send("GET ");
    assert!(slow.rest().unwrap().starts_with("HTTP/1.1 408 "));
    client.request("/figures");
    let answer = client.answer();
    let figures = body(&answer).unwrap();
    for line in [
        "Connections 1\n",
        "Accepted 2\n",
        "Requests 2\n",
        "InFlight 1\n",
        "Responses2xx 1\n",
        "Responses4xx 1\n",
        "TimedOut 1\n",
        "Timed 1\n",
        "Http2Connections 0\n",
    ] {
        assert!(figures.contains(line), "{line} not in {figures}");
    }
}

fn peers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let cluster = one_worker("TEST_LISTEN", &format!("unix:{}", path.display()));
    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(b"GET /peer HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    let pid = format!("pid: {},", std::process::id());
    assert!(answer.contains("None Some(Credentials { ") && answer.contains(&pid), "{answer}");
    drop(cluster);
    let mut cluster = one_worker("TEST_LISTEN", "127.0.0.1:0");
    let mut client = KeepAlive::open(cluster.address());
    client.request("/peer");
    let answer = client.answer();
    assert!(answer.contains("Some(127.0.0.1:") && answer.ends_with("None false"), "{answer}");
}
