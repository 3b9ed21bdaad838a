//! Reloads and what comes with them, on the real binary: what the operator asks for is what happens, and clients see nothing.

mod harness;

use harness::{Server, code, signal, wait_until};
use rustix::process::Signal;

#[test]
fn a_reload_gives_every_worker_the_settings_of_now_and_a_broken_file_changes_nothing() {
    let mut file = std::path::PathBuf::new();
    let server = Server::start_in(&[], |folder, _| {
        file = folder.join("phalanx.toml");
        std::fs::write(&file, "body-limit = \"1KiB\"\n").unwrap();
    });
    let before = server.worker_pids();
    std::fs::write(&file, "body-limit = \"nonsense\"\n").unwrap();
    signal(server.primary_pid(), Signal::HUP);
    wait_until("the refusal", || server.log().contains("is not a size"));
    assert_eq!(server.worker_pids(), before, "log:\n{}", server.log());

    std::fs::write(&file, "body-limit = \"2KiB\"\n").unwrap();
    signal(server.primary_pid(), Signal::HUP);
    wait_until("new workers", || server.worker_pids().is_disjoint(&before));
    wait_until("the new limit", || server.get("/readyz").json()["limits"]["body_bytes"] == 2048);
    assert_eq!(server.get("/whoami").json()["generation"], 1);
    assert_eq!(code(server.stop()), 0);
}

#[test]
fn what_a_reload_cannot_change_is_said() {
    let mut file = std::path::PathBuf::new();
    let server = Server::start_in(&[], |folder, _| file = folder.join("phalanx.toml"));
    let before = server.worker_pids();
    std::fs::write(&file, "max-lifetime = \"1h\"\n").unwrap();
    signal(server.primary_pid(), Signal::HUP);
    wait_until("the refusal", || server.log().contains("a reload cannot do that"));
    assert_eq!(server.worker_pids(), before);
}

#[test]
fn a_crashed_worker_is_replaced_with_the_settings_that_it_had_whatever_the_file_says_now() {
    let mut file = std::path::PathBuf::new();
    let server = Server::start_in(&["--workers", "1"], |folder, _| {
        file = folder.join("phalanx.toml");
        std::fs::write(&file, "body-limit = \"1KiB\"\n").unwrap();
    });
    std::fs::write(&file, "body-limit = \"nonsense\"\n").unwrap();
    let before = server.get("/whoami").json()["pid"].as_u64().unwrap();
    signal(before as u32, Signal::KILL);
    wait_until("the replacement", || server.get("/whoami").json()["pid"].as_u64() != Some(before));
    assert_eq!(server.get("/readyz").json()["limits"]["body_bytes"], 1024);
}

#[test]
fn an_answer_can_be_told_from_every_other() {
    let server = Server::start();
    let answer = server.get("/whoami?id=client-7").json();
    assert_eq!((answer["id"].as_str(), answer["generation"].as_u64()), (Some("client-7"), Some(0)));
    assert_eq!(server.get("/whoami?id=a&idd=b").status, 400);
}
