//! `phalanx ctl` against a real server: every command does what it says, and the exit code is the truth.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::{Refusal, Server, code, signal, wait_until};
use rustix::process::Signal;
use serde_json::Value;

#[track_caller]
fn json(told: &Refusal) -> Value {
    assert_eq!(code(told.status), 0, "{}", told.stderr);
    serde_json::from_str(&told.stdout).unwrap_or_else(|_| panic!("{:?} is no JSON", told.stdout))
}

#[test]
fn status_names_every_worker_as_a_table_and_as_json() {
    let server = Server::start();
    let status = json(&server.ctl(&["status", "--json"]));
    assert_eq!(status["cluster"]["serving"], 2);
    let table = server.ctl(&["status"]).stdout;
    for worker in server.worker_pids() {
        assert!(table.contains(&worker.to_string()), "{table}");
    }
    assert!(table.contains("2 of 2 workers serve"), "{table}");
}

#[test]
fn reload_waits_and_tells_the_truth() {
    let mut file = std::path::PathBuf::new();
    let server = Server::start_in(&[], |folder, _| file = folder.join("phalanx.toml"));
    let before = server.worker_pids();
    let told = server.ctl(&["reload", "--wait"]);
    assert_eq!(code(told.status), 0, "{}", told.stderr);
    assert!(server.worker_pids().is_disjoint(&before));

    std::fs::write(&file, "body-limit = \"nonsense\"\n").unwrap();
    let told = server.ctl(&["reload", "--wait"]);
    assert_eq!(code(told.status), 1);
    assert!(told.stderr.contains("is not a size"), "{}", told.stderr);
}

#[test]
fn scale_up_and_down() {
    let server = Server::start();
    assert_eq!(code(server.ctl(&["scale", "4", "--wait"]).status), 0);
    assert_eq!(server.worker_pids().len(), 4);
    assert_eq!(code(server.ctl(&["scale", "1", "--wait"]).status), 0);
    wait_until("three to leave", || server.worker_pids().len() == 1);
    assert_ne!(code(server.ctl(&["scale", "0"]).status), 0);
}

#[test]
fn a_killed_worker_is_replaced() {
    let server = Server::start();
    let worker = &server.status()["workers"][0];
    let (number, pid) = (worker["worker"].to_string(), worker["pid"].as_u64().unwrap() as u32);
    assert_eq!(code(server.ctl(&["kill", &number, "--signal", "KILL"]).status), 0);
    wait_until("its end", || !server.worker_pids().contains(&pid));
    wait_until("a replacement", || server.worker_pids().len() == 2);
    assert_eq!(code(server.ctl(&["kill", &number]).status), 1, "there is no such worker any more");
    assert_eq!(code(server.ctl(&["kill", "1", "--signal", "NONSENSE"]).status), 1);
}

#[test]
fn logs_are_what_the_workers_wrote() {
    let server = Server::start();
    server.get("/whoami?id=find-me");
    wait_until("the line", || server.ctl(&["logs"]).stdout.contains("/whoami"));
    let line = server.ctl(&["logs", "-n", "1"]).stdout;
    assert_eq!(line.lines().count(), 1, "{line}");
}

#[test]
fn stop_stops() {
    let server = Server::start();
    assert_eq!(code(server.ctl(&["stop"]).status), 0);
    wait_until("the end", || !std::path::Path::new(&format!("/proc/{}/exe", server.primary_pid())).exists());
    let told = server.ctl(&["status"]);
    assert_eq!(code(told.status), 69);
    assert!(told.stderr.contains("no server answers at"), "{}", told.stderr);
}

#[test]
fn a_killed_front_is_replaced_and_the_service_goes_on() {
    let server = Server::start();
    let front = server.status()["front"]["pid"].as_u64().unwrap() as u32;
    let workers = server.worker_pids();
    signal(front, Signal::KILL);
    wait_until("another front", || server.status()["front"]["pid"].as_u64() != Some(front.into()));
    assert_eq!(server.worker_pids(), workers);
    assert_eq!(server.get("/whoami").status, 200);
}

#[test]
fn an_upgrade_keeps_the_process_and_replaces_the_workers() {
    let server = Server::start();
    let before = server.worker_pids();
    let told = server.ctl(&["upgrade", "--wait"]);
    assert_eq!(code(told.status), 0, "{}\nlog:\n{}", told.stderr, server.log());
    assert!(server.worker_pids().is_disjoint(&before));
    assert_eq!(server.status()["pid"], server.primary_pid());
    let told = server.ctl(&["rollback", "--wait"]);
    assert_eq!(code(told.status), 0, "{}\nlog:\n{}", told.stderr, server.log());
    assert_eq!(server.get("/whoami").status, 200);
}

#[test]
fn metrics_answer_for_the_whole_cluster() {
    let (held, admin) = harness::taken_port();
    drop(held);
    let server = Server::start_with(&["--admin", &admin.to_string()]);
    server.get("/whoami");
    let mut connection = harness::Connection::open(admin);
    let answer = connection.send("GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n", b"");
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("phalanx_workers{state=\"serving\"} 2"), "{}", answer.text());
    let mut connection = harness::Connection::open(admin);
    let answer = connection.send("POST /stop HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n", b"");
    assert!((400..500).contains(&answer.status), "the admin address takes no commands: {}", answer.status);
    assert_eq!(server.get("/metrics").status, 200);
    assert!(server.get("/metrics").text().contains("phalanx_workers{state=\"serving\"} 2"));
}

#[test]
fn waiting_is_measured_apart_from_working() {
    let server = Server::start_with(&["--workers", "1"]);
    let answer = server.post("/process", "content-type: application/json\r\n", br#"{"numbers":[10]}"#);
    assert_eq!(answer.status, 200);
    let metrics = server.get("/metrics").text();
    for line in ["phalanx_queue_wait_seconds_count 1", "phalanx_work_seconds_count 1"] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}

#[test]
fn a_stop_in_the_middle_of_an_upgrade_stops() {
    for stop in [&["stop", "--now"][..], &["stop"]] {
        let server = Server::start();
        assert_eq!(code(server.ctl(&["upgrade"]).status), 0);
        let told = server.ctl(stop);
        // The front may be replaced at this very moment; then the command is given again.
        if code(told.status) != 0 {
            wait_until("the command to be taken", || code(server.ctl(stop).status) == 0);
        }
        let running = format!("/proc/{}/exe", server.primary_pid());
        wait_until("the end", || std::fs::read_link(&running).is_err());
    }
}

#[test]
fn a_reload_is_done_once_and_told_truly_although_the_front_dies_again_and_again() {
    let server = Server::start();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| server.ctl(&["reload", "--wait"]));
        while !waiting.is_finished() {
            let front = harness::children_of(server.primary_pid()).difference(&server.worker_pids()).next().copied();
            front.iter().for_each(|front| signal(*front, Signal::KILL));
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
        let told = waiting.join().unwrap();
        assert_eq!(code(told.status), 0, "{}\nlog:\n{}", told.stderr, server.log());
    });
    assert_eq!(server.status()["operation"]["operation"], 1);
    assert_eq!(server.get("/whoami").json()["generation"], 1);
}
