//! Each flag of supervision does what its help says, on the real binary.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::{Server, signal, wait_until};
use rustix::process::Signal;
use std::fs;

/// A line of a file in `/proc/PID`.
fn proc_line(pid: u32, file: &str, begins: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix(begins)).unwrap_or_default().trim().to_owned()
}

/// Of a process, from the process table.
fn niceness(pid: u32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The fields behind the name in brackets begin with the third; niceness is the nineteenth.
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().parse().unwrap()
}

/// The process that answers.
fn worker(server: &Server) -> u32 {
    server.get("/whoami").json()["pid"].as_u64().unwrap() as u32
}

#[test]
fn health_gate_command_that_fails_keeps_the_old_workers() {
    let server = Server::start_with(&["--health-gate", "command:test -n \"$PHALANX_WORKER\" && exit 9"]);
    let before = server.worker_pids();
    signal(server.primary_pid(), Signal::HUP);
    wait_until("the failure", || server.log().contains("failed: "));
    assert!(server.log().contains('9'), "{}", server.log());
    wait_until("only the old workers", || server.worker_pids() == before);
    assert_eq!(server.get("/whoami").json()["generation"], 0);
}

#[test]
fn health_gate_path_is_asked_of_the_new_worker_before_it_serves() {
    let server = Server::start_with(&["--health-gate", "/no-such-path"]);
    let before = server.worker_pids();
    signal(server.primary_pid(), Signal::HUP);
    wait_until("the failure", || server.log().contains("/no-such-path answered 404"));
    wait_until("only the old workers", || server.worker_pids() == before);
}

#[test]
fn max_requests_replaces_a_worker_without_a_gap() {
    let server = Server::start_with(&["--workers", "1", "--max-requests", "50"]);
    let first = worker(&server);
    let mut asked = 0;
    wait_until("another worker", || {
        asked += 1;
        worker(&server) != first
    });
    assert!(asked >= 40, "replaced after {asked} requests: 50 less a tenth, and the few that came before");
}

#[test]
fn max_lifetime_replaces_a_worker() {
    let server = Server::start_with(&["--workers", "1", "--max-lifetime", "1s"]);
    let first = worker(&server);
    wait_until("another worker", || worker(&server) != first);
}

#[test]
fn soft_memory_replaces_a_worker() {
    // Less than a worker needs at rest.
    let server = Server::start_with(&["--workers", "1", "--soft-memory", "4MiB"]);
    let first = worker(&server);
    wait_until("its end", || !server.worker_pids().contains(&first));
    wait_until("a word about it", || server.log().contains("MiB of memory"));
    assert!(!server.log().contains("is killed"), "{}", server.log());
}

#[test]
fn hard_memory_ends_a_worker_by_the_kernel_or_by_the_primary() {
    // Enough for a worker at rest, less than it takes to make the sample.
    let server = Server::start_with(&["--workers", "1", "--isolate", "thread", "--hard-memory", "24MiB"]);
    let first = worker(&server);
    wait_until("its end", || {
        let _ = server.connect().try_send("GET /sample.jpg HTTP/1.1\r\nhost: test\r\n\r\n", &[]);
        !server.worker_pids().contains(&first)
    });
    let told = ["the kernel ended it", "it uses more memory than the hard limit"];
    wait_until("a word about it", || told.iter().any(|words| server.log().contains(words)));
}

#[test]
fn liveness_replaces_a_worker_that_stands_still() {
    let server = Server::start_with(&["--liveness", "2s"]);
    let stopped = worker(&server);
    signal(stopped, Signal::STOP);
    wait_until("its end", || !server.worker_pids().contains(&stopped));
    wait_until("a replacement", || server.worker_pids().len() >= 2);
}

#[test]
fn nice_and_affinity_are_set_in_every_worker() {
    let server = Server::start_with(&["--nice", "7", "--affinity", "pin"]);
    let workers = [worker(&server), worker(&server)];
    for pid in workers {
        assert_eq!(niceness(pid), niceness(server.primary_pid()) + 7);
        let cores = proc_line(pid, "status", "Cpus_allowed_list:");
        assert!(cores.parse::<u32>().is_ok(), "one core, not {cores:?}");
    }
}

#[test]
fn user_drops_privileges_of_workers_only() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root may run workers as somebody else");
        return;
    }
    let server = Server::start_in(&["--user", "nobody"], |folder, _| {
        use std::os::unix::fs::PermissionsExt;
        fs::create_dir(folder.join("store")).unwrap();
        fs::set_permissions(folder.join("store"), fs::Permissions::from_mode(0o777)).unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    });
    let pid = worker(&server);
    assert_eq!(proc_line(pid, "status", "Uid:").split_whitespace().next(), Some("65534"));
    assert_eq!(proc_line(pid, "status", "Groups:"), "");
    assert_eq!(proc_line(server.primary_pid(), "status", "Uid:").split_whitespace().next(), Some("0"));
}

#[test]
fn every_distribution_serves_and_survives_a_kill() {
    for mode in ["shared", "reuseport", "round-robin", "least-loaded", "sticky"] {
        // All clients of these tests have one address.
        let workers = if mode == "sticky" { "1" } else { "2" };
        let server = Server::start_with(&["--distribution", mode, "--workers", workers]);
        let first = worker(&server);
        signal(first, Signal::KILL);
        wait_until("answers of another", || {
            let answer =
                server.connect().try_send("GET /whoami HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n", b"");
            answer.is_ok_and(|answer| answer.json()["pid"].as_u64() != Some(first.into()))
        });
    }
}

#[test]
fn pid_file_holds_the_primary_and_keeps_a_second_server_out() {
    let server = Server::start_in(&["--pid-file", "server.pid"], |_, _| {});
    let file = server.store().parent().unwrap().join("server.pid");
    assert_eq!(fs::read_to_string(&file).unwrap().trim(), server.primary_pid().to_string());
    let second = Server::refused(&["--listen", "127.0.0.1:0", "--pid-file", file.to_str().unwrap()], |_, _| {});
    assert_ne!(second.status.code(), Some(0));
    assert!(second.stderr.contains(&server.primary_pid().to_string()), "{}", second.stderr);
    server.stop();
    assert!(!file.exists(), "it is removed at the end");
}

#[test]
fn control_can_be_elsewhere_or_off() {
    let server = Server::start_in(&["--control", "here.sock"], |_, _| {});
    let folder = server.store().parent().unwrap().to_owned();
    wait_until("the socket", || folder.join("here.sock").exists());
    assert!(!server.store().join("control.sock").exists());
    let told = Server::refused(&["ctl", "status", "--control", folder.join("here.sock").to_str().unwrap()], |_, _| {});
    assert_eq!(told.status.code(), Some(0), "{}", told.stderr);
    drop(server);
    assert!(!folder.join("here.sock").exists(), "it is removed at the end");

    let server = Server::start_with(&["--control", "none"]);
    assert_eq!(server.get("/whoami").status, 200);
    assert!(!server.store().join("control.sock").exists());
}

#[test]
fn log_file_is_written_rotated_kept_and_reopened() {
    let server = Server::start_in(&["--log-file", "server.log", "--log-rotate", "64KiB", "--log-keep", "2"], |_, _| {});
    let file = server.store().parent().unwrap().join("server.log");
    let rotated = |number: u32| file.with_file_name(format!("server.log.{number}"));
    let mut connection = server.connect();
    wait_until("two files put aside", || {
        for _ in 0..100 {
            connection.send("GET /whoami HTTP/1.1\r\nhost: test\r\n\r\n", b"");
        }
        rotated(2).exists()
    });
    assert!(fs::metadata(rotated(1)).unwrap().len() <= 128 * 1024);
    for _ in 0..2000 {
        connection.send("GET /whoami HTTP/1.1\r\nhost: test\r\n\r\n", b"");
    }
    assert!(!rotated(3).exists());

    let moved = file.with_file_name("moved");
    fs::rename(&file, &moved).unwrap();
    signal(server.primary_pid(), Signal::USR1);
    wait_until("a new file", || {
        connection.send("GET /whoami HTTP/1.1\r\nhost: test\r\n\r\n", b"");
        fs::metadata(&file).is_ok_and(|file| file.len() > 0)
    });
}

#[test]
fn boot_deadline_ends_a_worker_that_does_not_become_ready() {
    // A certificate in a pipe that nobody writes to: reading it never ends.
    let told = Server::refused(
        &["--listen", "127.0.0.1:0", "--boot-deadline", "500ms", "--tls-cert", "pipe", "--tls-key", "pipe"],
        |folder, _| {
            rustix::fs::mknodat(
                rustix::fs::CWD,
                folder.join("pipe"),
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::RWXU,
                0,
            )
            .unwrap();
        },
    );
    assert_ne!(told.status.code(), Some(0));
    assert!(told.stderr.contains("ready within"), "{}", told.stderr);
}

#[test]
fn tls_serves_https_and_a_wrong_file_is_named() {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let server = Server::start_unchecked(&["--tls-cert", "cert.pem", "--tls-key", "key.pem"], |folder, _| {
        fs::write(folder.join("cert.pem"), key.cert.pem()).unwrap();
        fs::write(folder.join("key.pem"), key.signing_key.serialize_pem()).unwrap();
    });
    let plain = server.connect().try_send("GET /whoami HTTP/1.1\r\nhost: test\r\n\r\n", b"");
    assert_eq!(plain.unwrap().status, 400, "plain HTTP on the port of HTTPS");
    let folder = server.store().parent().unwrap().to_owned();
    let asked = std::process::Command::new("curl")
        .args(["-sS", "--max-time", "20", "--cacert", "cert.pem", "--resolve"])
        .arg(format!("localhost:{}:127.0.0.1", server.address.port()))
        .arg(format!("https://localhost:{}/whoami", server.address.port()))
        .current_dir(&folder)
        .output();
    match asked {
        Ok(answer) => assert!(String::from_utf8_lossy(&answer.stdout).contains("\"worker\""), "{answer:?}"),
        Err(_) => println!("skipped: there is no curl"),
    }

    let told =
        Server::refused(&["--listen", "127.0.0.1:0", "--tls-cert", "none.pem", "--tls-key", "none.pem"], |_, _| {});
    assert_ne!(told.status.code(), Some(0));
    assert!(told.stderr.contains("none.pem"), "{}", told.stderr);
}
