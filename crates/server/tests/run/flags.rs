//! Each flag does what its help says.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::app::{App, has, program};
use crate::http::{ask, free_port, is_ok};
use crate::site::{Running, Site, until};

/// Begins `phalanx run FLAGS -- sh -c SCRIPT`.
fn runs<'a>(site: &'a Site, flags: &[&str], script: &str) -> Running<'a> {
    let line = [&["run"], flags, &["--", "sh", "-c", script]].concat();
    site.starts(&line)
}

fn first_worker(site: &Site, name: &str) -> u64 {
    let said = site.says(&["ctl", "--app", name, "status", "--json"]);
    let status: Value = serde_json::from_str(said.is_well()).unwrap();
    status["workers"][0]["pid"].as_u64().unwrap()
}

#[test]
fn the_program_gets_what_it_was_promised() {
    let site = Site::new();
    fs::create_dir(site.path().join("inner")).unwrap();
    site.write("app.env", "FROM_FILE=file\nBOTH=file\n");
    let script = "echo \"here: $FROM_FILE $BOTH $PLACE $PHALANX_INSTANCE $PHALANX_WORKER $NODE_APP_INSTANCE {instance} $(pwd)\"; exec sleep 1000";
    let flags = ["--env-file", "app.env", "--env", "BOTH=flag", "--env", "PLACE=p{instance}", "--cwd", "inner"];
    let running = runs(&site, &flags, script);
    let inner = site.path().join("inner").canonicalize().unwrap();
    running.until_it_says(&format!("here: file flag p0 0 1 0 0 {}", inner.display()));
    assert_eq!(running.stop(), 0);
}

#[test]
fn sockets_are_handed_out_by_every_convention() {
    let site = Site::new();
    let flags = ["-n", "1", "--listen", "127.0.0.1:0", "--listen", "unix:app.sock", "--fd-env", "SOCKETS"];
    let script = "echo \"fds {fd} $SOCKETS $LISTEN_FDS\"; test $LISTEN_PID = $$ && echo mine; test -S /proc/self/fd/4 && echo open; exec sleep 1000";
    let running = runs(&site, &flags, script);
    for words in ["fds 3 3,4 2", "| mine", "| open"] {
        running.until_it_says(words);
    }
    assert_eq!(running.stop(), 0);
}

#[test]
fn a_program_that_waits_in_accept_gets_a_blocking_socket() {
    if !has("python3") {
        return;
    }
    let site = Site::new();
    site.write(
        "waits.py",
        "import socket\ns = socket.socket(fileno=3)\nwhile True:\n c, _ = s.accept()\n c.recv(9999)\n c.sendall(b'HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\n\\r\\n')\n c.close()\n",
    );
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let running = site.starts(&["run", "-n", "2", "--listen", &listen, "--blocking-listeners", "waits.py"]);
    site.online("waits");
    assert!((0..10).all(|_| is_ok(&ask(port).unwrap())), "{}", running.log());
    assert_eq!(running.stop(), 0);
}

#[test]
fn an_interpreter_runs_the_script_with_its_arguments() {
    let site = Site::new();
    site.write("job.txt", "echo \"script $- $1\"; exec sleep 1000\n");
    let running = site.starts(&["run", "--interpreter", "sh", "--interpreter-args", "-f", "./job.txt", "word"]);
    running.until_it_says("word");
    assert!(running.log().contains("script f"), "{}", running.log());
    assert_eq!(site.online("job")["up"], 1);
    assert_eq!(running.stop(), 0);
    // A file that is executable needs none.
    let own = site.write("own.py", "#!/bin/sh\necho by itself; exec sleep 1000\n");
    fs::set_permissions(&own, fs::Permissions::from_mode(0o755)).unwrap();
    let running = site.starts(&["run", "--interpreter", "none", "./own.py"]);
    running.until_it_says("by itself");
    assert_eq!(running.stop(), 0);
}

#[test]
fn a_worker_is_told_to_stop_by_the_signal_that_was_asked_for() {
    let site = Site::new();
    let script = "trap 'echo told by INT; exit 0' INT; echo up; while :; do sleep 0.05; done";
    let running = runs(&site, &["--stop-signal", "INT", "--ready-line", "up"], script);
    site.online("sh");
    running.signal(rustix::process::Signal::TERM);
    running.until_it_says("told by INT");
}

#[test]
fn a_worker_that_does_not_end_in_time_is_killed() {
    let site = Site::new();
    let script = "trap '' TERM; echo up; while :; do sleep 0.05; done";
    let mut running = runs(&site, &["--kill-timeout", "300ms", "--ready-line", "up"], script);
    site.online("sh");
    running.signal(rustix::process::Signal::TERM);
    assert_eq!(running.end(), 0);
    assert!(running.log().contains("SIGKILL"), "{}", running.log());
}

#[test]
fn a_worker_that_never_gets_ready_is_killed_in_time() {
    let site = Site::new();
    let mut running = runs(&site, &["--ready-line", "never", "--boot-timeout", "300ms"], "exec sleep 1000");
    assert_ne!(running.end(), 0);
    assert!(running.log().contains("no worker became ready"), "{}", running.log());
}

#[test]
fn each_sign_of_readiness_counts() {
    let site = Site::new();
    let running = runs(&site, &["--name", "line", "--ready-line", "is up"], "echo it is up now; exec sleep 1000");
    site.online("line");
    assert_eq!(running.stop(), 0);
    if !has("python3") {
        return;
    }
    let (port, script) = (free_port(), program("python/app.py"));
    let (listen, script) = (format!("127.0.0.1:{port}"), script.to_str().unwrap().to_owned());
    let running = site.starts(&["run", "--name", "notify", "--listen", &listen, "--ready-notify", &script]);
    site.online("notify");
    assert!(is_ok(&ask(port).unwrap()));
    assert_eq!(running.stop(), 0);
    let check = format!("http://127.0.0.1:{port}/");
    let running =
        site.starts(&["run", "--name", "check", "-n", "1", "--listen", &listen, "--health-check", &check, &script]);
    site.online("check");
    assert_eq!(running.stop(), 0);
}

#[test]
fn work_that_is_done_is_no_failure() {
    let app = App::start(&["-n", "2", "--no-autorestart", "--no-listen"], &["sh", "-c", "sleep 0.3; echo done"]);
    let (status, log) = app.ends();
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(log.matches("| done").count(), 2, "{log}");
    assert!(!log.contains("died") && !log.contains("ERROR"), "{log}");
}

#[test]
fn files_of_the_app_are_where_they_were_asked_for() {
    let site = Site::new();
    let flags = [
        "--pid-file",
        "app.pid",
        "--control",
        "my.sock",
        "--log-file",
        "app.log",
        "--log-rotate",
        "64KiB",
        "--log-keep",
        "1",
        "--ready-line",
        "begins",
    ];
    let script = "echo begins; i=0; while [ $i -lt 4000 ]; do echo \"line $i of a program that writes a lot\"; i=$((i+1)); done; exec sleep 1000";
    let running = runs(&site, &flags, script);
    until("the last line", || site.read("app.log").contains("line 3999").then_some(()));
    assert!(site.path().join("app.log.1").exists() && !site.path().join("app.log.2").exists());
    assert!(!site.read("app.pid").trim().is_empty());
    site.says(&["ctl", "--control", "my.sock", "status"]).is_well();
    assert!(site.app("sh").is_none());
    assert_eq!(running.stop(), 0);
    assert!(!site.path().join("app.pid").exists() && !site.path().join("my.sock").exists());
}

#[test]
fn workers_are_as_nice_as_they_were_told() {
    let site = Site::new();
    let running = runs(&site, &["--nice", "5", "--affinity", "pin", "--ready-after", "0s"], "exec sleep 1000");
    site.online("sh");
    let pid = first_worker(&site, "sh");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let ours = fs::read_to_string("/proc/self/stat").unwrap();
    // The fields behind the name in brackets begin with the third; niceness is the nineteenth.
    let nice =
        |stat: &str| stat.rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().parse::<i32>().unwrap();
    assert_eq!(nice(&stat), (nice(&ours) + 5).min(19));
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let processors = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    assert!(processors.parse::<u32>().is_ok(), "{processors}");
    assert_eq!(running.stop(), 0);
}

#[test]
fn a_worker_that_is_old_is_replaced() {
    let site = Site::new();
    let running =
        runs(&site, &["--max-lifetime", "1s", "--no-listen", "--ready-after", "0s"], "echo here; exec sleep 1000");
    running.until_it_says("worker 2 | here");
    assert_eq!(running.stop(), 0);
}

/// Takes 80 MiB, and keeps them.
const GROWS: &str =
    "import time\ntime.sleep(0.5)\nkept = bytearray(80 << 20)\nprint('grown', flush=True)\ntime.sleep(1000)\n";

#[test]
fn a_worker_that_needs_too_much_memory_is_replaced_or_killed() {
    if !has("python3") {
        return;
    }
    let site = Site::new();
    site.write("grows.py", GROWS);
    let running =
        site.starts(&["run", "--name", "soft", "--max-memory-restart", "40MiB", "--ready-after", "0s", "grows.py"]);
    running.until_it_says("worker 1 is recycled: it uses");
    running.until_it_says("worker 2 is ready");
    assert_eq!(running.stop(), 0);
    let running = site.starts(&["run", "--name", "hard", "--hard-memory", "40MiB", "--ready-after", "0s", "grows.py"]);
    // By the kernel, where control groups can be made; else by us.
    running.until_it_says("died with 0 connections open: SIGKILL");
    assert!(running.log().contains("limit"), "{}", running.log());
    assert_eq!(running.stop(), 0);
}

#[test]
fn the_admin_address_tells_whether_it_is_ready() {
    let site = Site::new();
    let port = free_port();
    let running = runs(&site, &["--admin", &format!("127.0.0.1:{port}"), "--ready-after", "0s"], "exec sleep 1000");
    site.online("sh");
    // Only known paths answer.
    assert!(ask(port).unwrap().contains("/readyz"));
    assert_eq!(running.stop(), 0);
}

#[test]
fn instances_are_counted_as_they_are_written() {
    let site = Site::new();
    let cores = std::thread::available_parallelism().unwrap().get() as u64;
    for (flag, wanted) in [("2", 2), ("max", cores), ("-1", (cores - 1).max(1))] {
        let running = runs(&site, &["-n", flag, "--no-listen", "--ready-after", "0s"], "exec sleep 1000");
        assert_eq!(site.online("sh")["wanted"], wanted, "{flag}");
        assert_eq!(running.stop(), 0);
    }
}
