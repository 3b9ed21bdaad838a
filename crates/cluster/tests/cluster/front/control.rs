//! What the control socket and the admin address answer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use super::asking::{Controlled, Lines, parse};
use crate::Test;
use crate::client::{KeepAlive, Outcome, ask as request};
use crate::process::{DEADLINE, lives, send, soon, until};

pub(crate) const TESTS: &[Test] = &[
    ("the control socket tells of the cluster, its places and its workers", status),
    ("a reload over the control socket replaces every worker and says when it is over", reload),
    ("places are added and taken away over the control socket", scale),
    ("who asked for what is written down, and events are told as they come", audit),
    ("a signal reaches the worker that was named", kill),
    ("what is wrong with a request is said", wrong_requests),
    ("figures of the cluster never go backwards when a worker is killed", metrics),
    ("any worker tells the figures of the whole cluster", metrics_of_a_worker),
    ("readiness is told from the first worker that serves until the stop", readiness),
    ("the admin address tells figures and health and nothing else", admin),
    ("a cluster that stops takes its control socket with it", stop),
];

fn status() {
    let mut cluster = Controlled::ready("controlled");
    let mode = std::fs::metadata(cluster.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let address = cluster.running.address();
    for _ in 0..5 {
        assert!(matches!(request(address, "/"), Outcome::Ok(_)));
    }
    let status = cluster.until_status("five requests", |status| status["cluster"]["requests"] == 5);
    assert_eq!((&status["api"], &status["ready"]), (&1.into(), &true.into()));
    assert_eq!(status["pid"], cluster.running.primary());
    assert_eq!((&status["cluster"]["wanted"], &status["cluster"]["starts"]), (&2.into(), &2.into()));
    assert_eq!(status["cluster"]["listeners"][0], address.to_string());
    assert_eq!(status["operation"], serde_json::Value::Null);
    let workers = status["workers"].as_array().unwrap();
    let places = status["places"].as_array().unwrap();
    assert_eq!((workers.len(), places.len()), (2, 2));
    let requests: u64 = workers.iter().map(|worker| worker["requests"].as_u64().unwrap()).sum();
    assert_eq!(requests, 5);
    for (worker, place) in workers.iter().zip(places) {
        assert_eq!((&worker["state"], &place["state"]), (&"serving".into(), &"serving".into()));
        assert_eq!((&worker["generation"], &worker["accepting"]), (&0.into(), &true.into()));
        assert!(cluster.running.workers().contains(&(worker["pid"].as_u64().unwrap() as u32)));
    }
}

fn reload() {
    let cluster = Controlled::ready("controlled");
    let over = cluster.until_over(&cluster.post("/reload"));
    assert_eq!((&over["kind"], &over["state"], &over["error"]), (&"reload".into(), &"done".into(), &().into()));
    assert!(over["ended_at"].as_f64() >= over["began_at"].as_f64());
    let status = cluster.until_status("new workers only", |status| {
        let workers = status["workers"].as_array().unwrap();
        workers.len() == 2 && workers.iter().all(|worker| worker["generation"] == 1)
    });
    assert_eq!(status["cluster"]["reloads_done"], 1);
    assert_eq!(status["operation"], over);
    assert_eq!(cluster.figure("phalanx_reloads_total{result=\"done\"}"), 1.0);
    // Another that cannot be done is one that failed, with its reason.
    let over = cluster.until_over(&cluster.post("/rollback"));
    assert_eq!(over["state"], "failed");
    assert!(over["error"].as_str().unwrap().contains("not upgraded"), "{over}");
}

fn scale() {
    let cluster = Controlled::ready("controlled");
    assert_eq!(cluster.until_over(&cluster.post("/scale?workers=3"))["state"], "done");
    cluster.until_status("three workers", |status| status["cluster"]["serving"] == 3);
    assert_eq!(cluster.until_over(&cluster.post("/scale?workers=1"))["state"], "done");
    cluster.until_status("one worker", |status| status["workers"].as_array().unwrap().len() == 1);
}

fn audit() {
    let cluster = Controlled::ready("logged");
    let mut events = Lines::open(&cluster.socket(), "/events");
    let over = cluster.until_over(&cluster.post("/reload"));
    let asked = events.until("\"kind\":\"control\"");
    let pid = std::process::id();
    assert!(asked.contains(&format!("(pid {pid}) asked for a reload: operation {}", over["operation"])), "{asked}");
    let mut events = Lines::open(&cluster.socket(), "/events?since=0");
    let ready: serde_json::Value = serde_json::from_str(&events.until("\"kind\":\"ready\"")).unwrap();
    assert!(ready["worker"].as_u64().is_some() && ready["at"].as_f64().is_some(), "{ready}");
    events.until("\"kind\":\"ended\"");
    until(soon(), "the command in the log", || {
        let log = cluster.log();
        (log.contains("control | uid") && log.contains("primary | reload")).then_some(())
    });
}

fn kill() {
    let mut cluster = Controlled::ready("controlled");
    let worker = cluster.get("/status").json()["workers"][0].clone();
    let pid = worker["pid"].as_u64().unwrap() as u32;
    let path = format!("/workers/{}/kill?signal=KILL", worker["worker"]);
    assert_eq!(cluster.post(&path).json()["done"], true);
    cluster.running.wait_for("died");
    cluster.until_status("another worker", |status| status["cluster"]["serving"] == 2);
    assert!(!lives(pid));
    let gone = cluster.post(&path);
    assert_eq!((gone.status, gone.error().as_str()), (404, "there is no such worker (any more)"));
    assert_eq!(cluster.get("/status").json()["places"][0]["restarts"], 1);
}

fn wrong_requests() {
    let cluster = Controlled::ready("controlled");
    let said = |method: &str, path: &str| {
        let answer = super::asking::ask(&cluster.socket(), method, path).unwrap();
        (answer.status, answer.error())
    };
    for (method, path, status, part) in [
        ("GET", "/status?workers=1", 400, "unknown key \"workers\""),
        ("GET", "/nothing", 404, "nothing is at /nothing"),
        ("GET", "/reload", 405, "only POST"),
        ("POST", "/status", 405, "only GET"),
        ("POST", "/scale", 400, "workers=N"),
        ("POST", "/scale?workers=0", 400, "at least 1"),
        ("POST", "/scale?workers=x", 400, "workers=x"),
        ("POST", "/workers/x/kill", 400, "no number of a worker"),
        ("POST", "/workers/1/kill?signal=WRONG", 400, "signal=WRONG"),
        ("POST", "/reload?wait=1", 400, "unknown key \"wait\""),
        ("GET", "/operations/77", 404, "operation 77"),
        ("GET", "/operations/x", 400, "no number"),
        ("GET", "/logs?lines=-1", 400, "lines=-1"),
        ("GET", "/events?since=x", 400, "since=x"),
    ] {
        let (its, why) = said(method, path);
        assert!(its == status && why.contains(part), "{method} {path}: {its} {why}");
    }
}

fn metrics() {
    let mut cluster = Controlled::ready("controlled");
    let address = cluster.running.address();
    let mut sent = 0.0;
    for round in 1..=4 {
        for _ in 0..10 {
            assert!(matches!(request(address, "/"), Outcome::Ok(_)));
            sent += 1.0;
        }
        assert_eq!(cluster.figure("phalanx_requests_total"), sent);
        let worker = cluster.get("/status").json()["workers"][0]["pid"].as_u64().unwrap() as u32;
        send(worker, Signal::KILL);
        cluster.running.wait_for("died");
        assert_eq!(cluster.figure("phalanx_requests_total"), sent);
        until(soon(), "the crash to be counted", || {
            (cluster.figure("phalanx_worker_crashes_total") == f64::from(round)).then_some(())
        });
        cluster.until_status("two workers", |status| status["cluster"]["serving"] == 2);
    }
    assert_eq!(cluster.figure("phalanx_worker_starts_total"), 6.0);
    assert_eq!(cluster.figure("phalanx_workers{state=\"serving\"}"), 2.0);
    let text = cluster.get("/metrics").body;
    let workers = text.lines().filter(|line| line.starts_with("phalanx_worker_info{")).count();
    assert_eq!(workers, 2, "dead workers have series: {text}");
}

fn metrics_of_a_worker() {
    let mut cluster = Controlled::ready("controlled");
    let address = cluster.running.address();
    for _ in 0..20 {
        assert!(matches!(request(address, "/"), Outcome::Ok(_)));
    }
    let mut client = KeepAlive::open(address);
    client.request("/metrics");
    let text = client.answer();
    // 20, and this one.
    assert!(text.contains("\nphalanx_requests_total 21\n"), "{text}");
    assert!(text.contains("\nphalanx_workers{state=\"serving\"} 2\n"), "{text}");
    assert_eq!(text.matches("\nphalanx_worker_info{").count(), 2, "{text}");
}

fn readiness() {
    let mut cluster = Controlled::start("waits-for-a-file");
    cluster.running.wait_for("is online");
    cluster.until_status("a front", |_| true);
    let not_yet = cluster.get("/readyz");
    assert_eq!((not_yet.status, cluster.get("/livez").status), (503, 200), "{not_yet:?}");
    std::fs::write(cluster.folder.path().join("go"), "").unwrap();
    cluster.running.wait_for("is ready");
    until(soon(), "readiness", || (cluster.get("/readyz").status == 200).then_some(()));
    // A request under way keeps the cluster from ending.
    let mut slow = KeepAlive::open(cluster.running.address());
    slow.request("/slow?20000");
    cluster.until_status("the request", |status| status["cluster"]["requests"] == 1);
    assert_eq!(cluster.post("/stop").json()["done"], true);
    until(soon(), "no readiness", || (cluster.get("/readyz").status == 503).then_some(()));
    assert_eq!(cluster.get("/livez").status, 200);
}

fn admin() {
    let cluster = Controlled::ready("administered");
    let status = cluster.get("/status").json();
    let address = status["cluster"]["active"]["admin"].as_str().unwrap_or_else(|| panic!("{status}")).to_owned();
    let ask = |method: &str, path: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(format!("{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        parse(&text).unwrap_or_else(|| panic!("{text}"))
    };
    assert!(ask("GET", "/metrics").body.contains("phalanx_workers{state=\"serving\"} 2\n"));
    assert_eq!((ask("GET", "/livez").status, ask("GET", "/readyz").status), (200, 200));
    for (method, path) in
        [("GET", "/status"), ("GET", "/logs"), ("GET", "/events"), ("POST", "/stop"), ("POST", "/reload")]
    {
        assert_eq!(ask(method, path).status, 404, "{method} {path}");
    }
    assert_eq!(ask("POST", "/metrics").status, 405);
}

fn stop() {
    let mut cluster = Controlled::ready("controlled");
    let front = cluster.front();
    assert_eq!(cluster.post("/stop?now=1").json()["done"], true);
    let (status, _) = cluster.running.wait();
    assert!(status.success(), "{status}");
    assert!(!cluster.socket().exists() && !lives(front));
}
