//! The front may be killed at any time.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;

use super::asking::{Controlled, ask};
use crate::Test;
use crate::client::{Outcome, ask as request};
use crate::process::{lives, send, soon, until};

pub(crate) const TESTS: &[Test] = &[
    ("kill -9 of the front costs open connections and nothing else", killed_again_and_again),
    ("an operation is not lost with the front that began it", operation_survives),
    ("the signals that end other programs do not end the front", deaf),
    ("when the primary is killed, the front is gone too and the socket with it", orphaned),
];

/// Kills in a row; each waits twice as long for the next front.
const KILLS: u64 = 5;

fn killed_again_and_again() {
    let mut cluster = Controlled::ready("controlled");
    let (address, socket) = (cluster.running.address(), cluster.socket());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients = scope.spawn(|| {
            let mut answered = 0;
            while !stop.load(Ordering::Acquire) {
                assert!(matches!(request(address, "/"), Outcome::Ok(_)), "a request failed");
                answered += 1;
            }
            answered
        });
        let polls = scope.spawn(|| {
            let (mut whole, mut broken) = (0, 0);
            while !stop.load(Ordering::Acquire) {
                match ask(&socket, "GET", "/status") {
                    // What is answered is whole: never a front that does not know its cluster yet.
                    Ok(status) => {
                        let status = status.json();
                        assert_eq!(status["workers"].as_array().unwrap().len(), 2, "{status}");
                        whole += 1;
                    }
                    Err(_) => broken += 1,
                }
            }
            (whole, broken)
        });
        let mut front = cluster.front();
        for kills in 1..=KILLS {
            send(front, Signal::KILL);
            let status = cluster.until_status("a new front", |status| {
                status["front"]["pid"] != front && status["front"]["restarts"] == kills
            });
            front = status["front"]["pid"].as_u64().unwrap() as u32;
        }
        stop.store(true, Ordering::Release);
        let ((whole, broken), answered) = (polls.join().unwrap(), clients.join().unwrap());
        assert!(
            whole > 0 && broken <= 2 * KILLS && answered > 0,
            "{whole} whole, {broken} broken, {answered} answered"
        );
    });
    let status = cluster.get("/status").json();
    assert_eq!((&status["cluster"]["starts"], &status["cluster"]["crashes"]), (&2.into(), &0.into()));
}

fn operation_survives() {
    let cluster = Controlled::ready("controlled");
    let begun = cluster.post("/reload");
    send(cluster.front(), Signal::KILL);
    let over = cluster.until_over(&begun);
    assert_eq!(over["state"], "done");
    cluster.until_status("a second front", |status| status["front"]["restarts"] == 1);
    assert_eq!(cluster.get("/status").json()["operation"], over);
}

fn deaf() {
    let cluster = Controlled::ready("controlled");
    let front = cluster.front();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2] {
        send(front, signal);
    }
    assert_eq!(cluster.front(), front);
}

fn orphaned() {
    let cluster = Controlled::ready("logged");
    let front = cluster.front();
    send(cluster.running.primary(), Signal::KILL);
    until(soon(), "the front to be gone", || (!lives(front)).then_some(()));
    assert!(!cluster.socket().exists());
}
