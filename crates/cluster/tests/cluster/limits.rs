//! What a client may take from a worker.

use std::collections::HashMap;

use crate::Test;
use crate::client::{KeepAlive, Outcome, ask};
use crate::process::Running;

/// Bursts of connections whose median is judged.
const BURSTS: usize = 9;

pub(crate) const TESTS: &[Test] = &[
    ("a head that does not come to its end is answered 408 and closed", slow_head),
    ("an idle connection is closed without a word", idle),
    ("an answer that is given before the body was read reaches the client", early_answer),
    ("lasting connections that come at once are spread over the workers", spread),
];

fn slow_head() {
    let mut cluster = Running::ready("impatient");
    let address = cluster.address();
    let mut slow = KeepAlive::open(address);
    slow.send("GET / HTTP/1.1\r\nhost:");
    let answer = slow.rest().unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer:?}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    assert!(matches!(ask(address, "/"), Outcome::Ok(_)));
}

fn idle() {
    let mut cluster = Running::ready("impatient");
    let address = cluster.address();
    let mut silent = KeepAlive::open(address);
    let mut served = KeepAlive::open(address);
    served.request("/");
    served.pid();
    assert_eq!(silent.rest(), Ok(String::new()));
    assert_eq!(served.rest(), Ok(String::new()));
    // A request that takes longer than the idle time-out is not idle.
    let mut busy = KeepAlive::open(address);
    busy.request("/slow?900");
    busy.pid();
}

fn early_answer() {
    let mut cluster = Running::ready("server");
    let address = cluster.address();
    for _ in 0..20 {
        let mut client = KeepAlive::open(address);
        let length = 8 * 1024 * 1024;
        client.send(&format!("POST /refuse HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n"));
        // Much more than the socket buffers hold: the server has to take it, or the client never gets to read.
        client.send(&"x".repeat(length));
        let answer = client.answer();
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    }
    let mut client = KeepAlive::open(address);
    client.send(&format!("POST /read HTTP/1.1\r\nhost: test\r\ncontent-length: 100000\r\n\r\n{}", "x".repeat(100_000)));
    assert!(client.answer().ends_with("100000"));
}

fn spread() {
    let mut cluster = Running::ready("server");
    let address = cluster.address();
    let mut larger_shares: Vec<usize> = (0..BURSTS)
        .map(|_| {
            let mut clients: Vec<KeepAlive> = (0..64).map(|_| KeepAlive::open(address)).collect();
            let mut shares: HashMap<u32, usize> = HashMap::new();
            for client in &mut clients {
                client.request("/");
                *shares.entry(client.pid()).or_default() += 1;
            }
            shares.values().copied().max().unwrap()
        })
        .collect();
    larger_shares.sort_unstable();
    // One burst may meet a worker that the machine does not let run; most do not.
    assert!(larger_shares[BURSTS / 2] <= 40, "larger shares of 64: {larger_shares:?}");
}
