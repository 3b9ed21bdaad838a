//! Workers that leak are found out while they serve, and replaced; workers that do not leak are left in peace.

use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};

use crate::Test;
use crate::client::{KeepAlive, Outcome, ask};
use crate::process::Running;
use crate::programs::server;

pub(crate) const TESTS: &[Test] = &[
    ("leaks: 1 KiB a request is found within 5 000 requests, and the worker replaced without a failed one", bytes),
    ("leaks: a descriptor each ten requests is found within 5 000, and the worker replaced", descriptors),
    ("leaks: unless it is asked for, a leak is only said, and once", only_said),
    ("leaks: a worker that frees what it takes and fills a cache raises no alarm in 50 000 requests", sound),
];

/// What may be asked until the leak is found.
const PROMISED_REQUESTS: u64 = 5000;

/// The program of this name: one worker, whose requests keep something.
pub(crate) fn run(name: &str) -> Result<(), phalanx_cluster::Error> {
    let keep = match name {
        "leaks-descriptors" => a_descriptor_each_ten_requests,
        "leaks-nothing" => a_cache_of_two_mib,
        _ => one_kib,
    };
    let cluster = server().workers(1).recycle_leaks(name != "leaks-only-said");
    cluster.run(move |worker| async move {
        let (pid, count) = (worker.pid(), Arc::new(AtomicU64::new(0)));
        let service = tower::service_fn(move |_: Request<Incoming>| {
            keep(count.fetch_add(1, Ordering::Relaxed));
            // What it works with, and frees.
            drop(std::hint::black_box(vec![1_u8; 64 * 1024]));
            std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(pid.to_string()))))
        });
        Ok(worker.http().serve(service).await?)
    })
}

fn one_kib(_: u64) {
    std::mem::forget(std::hint::black_box(vec![1_u8; 1024]));
}

fn a_descriptor_each_ten_requests(request: u64) {
    if request.is_multiple_of(10) {
        let file: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
        std::mem::forget(file);
    }
}

fn a_cache_of_two_mib(request: u64) {
    static CACHE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
    if request < 2000 {
        CACHE.lock().unwrap().push(vec![1; 1024]);
    }
}

/// Asks until a line of the cluster has that in it, and not more often than so; each time on a new connection. How often.
fn ask_until(part: &str, cluster: &mut Running, at_most: u64) -> u64 {
    let address = cluster.address();
    for asked in 0..at_most {
        if asked.is_multiple_of(50) && cluster.lines().iter().any(|line| line.contains(part)) {
            return asked;
        }
        let outcome = ask(address, "/");
        assert!(matches!(outcome, Outcome::Ok(_)), "request {asked}: {outcome:?}");
    }
    // Found by now, or never; the word of it may still be under way.
    if !cluster.lines().iter().any(|line| line.contains(part)) {
        cluster.wait_for(part);
    }
    at_most
}

fn line_with(part: &str, cluster: &mut Running) -> String {
    cluster.lines().iter().find(|line| line.contains(part)).cloned().unwrap()
}

fn found_and_replaced(program: &str, evidence: &str, why: &str) {
    let mut cluster = Running::start(program);
    cluster.wait_for("is ready");
    let asked = ask_until("seems to leak", &mut cluster, PROMISED_REQUESTS);
    let line = line_with("seems to leak", &mut cluster);
    println!("  after {asked} requests: {line}");
    assert!(line.contains(evidence), "{line}");
    ask_until("worker 1 (pid", &mut cluster, u64::MAX);
    let lines = cluster.lines();
    let at =
        |part: &str| lines.iter().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {lines:#?}"));
    assert!(at(why) < at("worker 2 is ready") && at("worker 2 is ready") < at("worker 1 leaves"), "{lines:#?}");
}

fn bytes() {
    found_and_replaced("leaks-bytes", "memory grew from", "worker 1 is recycled: it leaks memory");
}

fn descriptors() {
    found_and_replaced("leaks-descriptors", "1 for every 10 ", "worker 1 is recycled: it leaks file descriptors");
}

fn only_said() {
    let mut cluster = Running::start("leaks-only-said");
    cluster.wait_for("is ready");
    let asked = ask_until("seems to leak", &mut cluster, PROMISED_REQUESTS);
    // It goes on to leak.
    let address = cluster.address();
    assert!((0..asked).all(|_| matches!(ask(address, "/"), Outcome::Ok(_))));
    let count = |part: &str, lines: &[String]| lines.iter().filter(|line| line.contains(part)).count();
    assert_eq!(count("seems to leak", cluster.lines()), 1);
    assert_eq!(count("is recycled", cluster.lines()), 0);
}

fn sound() {
    let mut cluster = Running::start("leaks-nothing");
    cluster.wait_for("is ready");
    let address = cluster.address();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(move || {
                let mut connection = KeepAlive::open(address);
                for _ in 0..12_500 {
                    connection.request("/");
                    connection.pid();
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    let alarms: Vec<_> = cluster.lines().iter().filter(|line| line.contains("leak")).cloned().collect();
    assert!(alarms.is_empty(), "{alarms:?}");
}
