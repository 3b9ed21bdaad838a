//! Messages, requests and connections between the members of a cluster.

use rustix::process::Signal;

use crate::Test;
use crate::process::Running;

pub(crate) const TESTS: &[Test] = &[
    ("messages: 20 000 small ones reach another worker in order, with backpressure", || scene("messages-relay")),
    ("messages: who does not read holds up only those who write to it, for 5 s", slow),
    ("messages: a broadcast reaches all but the one that is stopped, and does not wait for it twice", || {
        scene("messages-broadcast")
    }),
    ("messages: kill -9 of sender or receiver leaves each message whole or not there", || scene("messages-killed")),
    ("messages: a request of nobody, of one that dies, or dropped, is an error that says so", || {
        scene("messages-requests")
    }),
    ("messages: 10 MB come through, 65 MiB are refused", || scene("messages-large")),
    ("messages: another type is an error, and the next message is read", types),
    ("messages: a connection is passed straight into another worker's HTTP server", || scene("messages-server")),
    ("messages: none is lost when the primary is upgraded in place", upgrade),
    ("messages: of 500 passed connections none is lost when the taker is killed half-way", || scene("messages-pass")),
    ("messages: exit comes after the last of a thousand", last_words),
    ("messages: workers write to each other without any code in the primary", without_code),
    ("messages: a cluster without them says what to add", nowhere),
];

/// The program plays it and says `done`.
fn scene(program: &str) {
    let mut cluster = Running::start(program);
    let (status, stderr) = cluster.wait();
    let lines = cluster.lines();
    assert!(lines.iter().any(|line| line == "done"), "{lines:#?}\n{stderr}");
    assert_eq!(status.code(), Some(0), "{stderr}");
}

fn slow() {
    let mut cluster = Running::start("messages-slow");
    cluster.wait_for("the others were served");
    let (status, stderr) = cluster.wait();
    assert!(cluster.lines().iter().any(|line| line == "done"), "{:#?}\n{stderr}", cluster.lines());
    assert_eq!(status.code(), Some(0), "{stderr}");
}

fn types() {
    let mut cluster = Running::start("messages-types");
    let line = cluster.wait_for("one");
    let heard: Vec<&str> = line.split("; ").collect();
    assert_eq!(heard[0], "Some((1, \"one\"))");
    assert!(heard[1].contains("no (u64, alloc::string::String)"), "{line}");
    assert!(line.contains("Some((3, \"three\"))"), "{line}");
    assert!(line.contains("no alloc::vec::Vec<alloc::string::String>"), "{line}");
}

fn upgrade() {
    let mut cluster = Running::start("messages-upgrade");
    cluster.wait_for("messages flow");
    cluster.signal(Signal::USR2);
    let line = cluster.wait_for("sent ");
    let sent = line.trim_start_matches("sent ").to_owned();
    cluster.wait_for(&format!("heard {sent}"));
    cluster.wait_for("is done");
}

fn last_words() {
    let mut cluster = Running::start("messages-last-words");
    cluster.wait_for("1000 before the exit");
}

fn without_code() {
    let mut cluster = Running::start("messages-without-code");
    cluster.wait_for("to the primary: nobody is there to take messages");
    cluster.wait_for("got Some(\"hello\")");
    cluster.signal(Signal::TERM);
    assert_eq!(cluster.wait().0.code(), Some(0));
}

fn nowhere() {
    let mut cluster = Running::start("messages-nowhere");
    for _ in 0..2 {
        let line = cluster.wait_for("nowhere: ");
        assert!(line.contains("`.primary(...)`") && line.contains("`.messages()`"), "{line}");
    }
}
