//! Who does the jobs, and what happens when one of them is killed: workers, `phalanx work`, the owner of the queue. And
//! `phalanx queue`, which looks after them.

mod harness;

use harness::pictures::{SLOW_PATH, jpeg, slow_photo};
use harness::{Refusal, Server, code, signal, wait_until};
use rustix::process::Signal;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;

const ASYNC: &str = "prefer: respond-async\r\n";
/// Whatever is slow on a busy machine is not refused for it.
const PATIENT: [&str; 4] = ["--max-wait", "60s", "--job-deadline", "60s"];

/// `phalanx work`, until it is dropped.
struct Runner {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Runner {
    fn start(server: &Server) -> Runner {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phalanx"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PHALANX_")) {
            command.env_remove(name);
        }
        command.args(["work", "--processes", "1", "--log-format", "json", "--queue", &url(server)]);
        let mut child = command
            .current_dir(server.store())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stderr = child.stderr.take().expect("a pipe");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        });
        let runner = Runner { child, lines };
        runner.line("ready for jobs");
        runner
    }

    /// The next line with these words.
    #[track_caller]
    fn line(&self, words: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(harness::PATIENCE).unwrap_or_else(|_| panic!("no line with {words:?}"));
            if line.contains(words) {
                return serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?} is no JSON"));
            }
        }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("phalanx work to end", || {
            status = self.child.try_wait().expect("its status");
            status.is_some()
        });
        status.expect("a status")
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn url(server: &Server) -> String {
    format!("embedded:{}", server.store().join("queue").display())
}

/// Submits numbers, and gives the path of the job.
fn submit(server: &Server) -> String {
    let answer = server.post("/process", ASYNC, br#"{"numbers":[10]}"#);
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.header("location").expect("a location").to_owned()
}

#[track_caller]
fn is_done(server: &Server, path: &str) {
    let answer = until_ended(server, path);
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"result":[75306]}"#));
}

fn until_ended(server: &Server, path: &str) -> harness::Answer {
    let mut last = None;
    wait_until("the job to end", || {
        let answer = server.get_with(&format!("{path}/result"), "prefer: wait=20\r\n");
        let there = answer.status != 202 && answer.status != 503;
        last = Some(answer);
        there
    });
    last.expect("an answer")
}

fn is_gone(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

/// The process that owns the queue.
fn owner(server: &Server) -> u32 {
    let status = server.status();
    let owner = &status["companions"][0];
    assert_eq!(owner["name"], "queue", "{status}");
    owner["pid"].as_u64().unwrap_or(0) as u32
}

/// Submits a picture that takes a while, and waits until somebody works on it: the path of the job, and who.
fn slow_job(server: &Server) -> (String, u32) {
    let answer = server.post(SLOW_PATH, ASYNC, &slow_photo());
    assert_eq!(answer.status, 202, "{}", answer.text());
    let path = answer.header("location").expect("a location").to_owned();
    let mut runner = None;
    wait_until("somebody to begin the job", || {
        let status = server.get(&path).json();
        assert_ne!(status["state"], "done", "it was too fast to be looked at: {status}");
        runner = status["runner"].as_str().and_then(|name| name.rsplit(':').next()?.parse().ok());
        status["state"] == "leased" && runner.is_some()
    });
    (path, runner.expect("a process id"))
}

#[test]
fn a_worker_is_killed_in_the_middle_of_a_job_and_the_job_is_done_all_the_same() {
    let server = Server::start_with(&PATIENT);
    let (path, worker) = slow_job(&server);
    assert!(server.worker_pids().contains(&worker), "{worker} is none of {:?}", server.worker_pids());
    signal(worker, Signal::KILL);
    let answer = until_ended(&server, &path);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.picture().is_some());
    let status = server.get(&path).json();
    assert_eq!((&status["crashes"], &status["attempts"]), (&1.into(), &2.into()), "{status}");
}

#[test]
fn the_owner_of_the_queue_is_killed_and_jobs_go_on() {
    let server = Server::start_with(&PATIENT);
    let before = submit(&server);
    is_done(&server, &before);
    let first = owner(&server);
    let shown = std::fs::read(format!("/proc/{first}/cmdline")).unwrap();
    assert!(shown.starts_with(b"phalanx: queue\0"), "{}", String::from_utf8_lossy(&shown));
    signal(first, Signal::KILL);
    let after = submit(&server);
    is_done(&server, &after);
    is_done(&server, &before);
    wait_until("another owner beside the workers", || !matches!(owner(&server), 0) && owner(&server) != first);
    let table = server.ctl(&["status"]).stdout;
    assert!(table.lines().any(|line| line.starts_with("companion queue: pid ")), "{table}");
    is_done(&server, &submit(&server));
}

#[test]
fn jobs_are_still_there_when_the_server_starts_again() {
    let kept = tempfile::tempdir().unwrap();
    let queue = format!("embedded:{}", kept.path().join("queue").display());
    let server = Server::start_with(&["--work", "off", "--queue", &queue]);
    let path = submit(&server);
    assert_eq!(code(server.stop()), 0);
    let server = Server::start_with(&["--queue", &queue]);
    is_done(&server, &path);
}

#[test]
fn a_server_that_stops_leaves_no_process_and_its_owner_goes_last() {
    let server = Server::start();
    is_done(&server, &submit(&server));
    let (owner, workers, lock) = (owner(&server), server.worker_pids(), server.store().join("queue/lock"));
    assert!(lock.exists());
    assert_eq!(code(server.stop()), 0);
    wait_until("all to be gone", || is_gone(owner) && workers.iter().all(|pid| is_gone(*pid)));
}

#[test]
fn a_worker_that_stops_finishes_its_jobs() {
    let server = Server::start_with(&PATIENT);
    let (path, worker) = slow_job(&server);
    signal(worker, Signal::TERM);
    let answer = until_ended(&server, &path);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let status = server.get(&path).json();
    assert_eq!(
        (&status["crashes"], &status["errors"], &status["attempts"]),
        (&0.into(), &0.into(), &1.into()),
        "{status}"
    );
    wait_until("the worker to leave", || is_gone(worker));
}

#[test]
fn a_request_does_not_wait_for_jobs_that_run() {
    let server = Server::start_with(&[&PATIENT[..], &["--workers", "1", "--job-processes", "2"]].concat());
    let second = {
        let (_, _) = slow_job(&server);
        server.post(SLOW_PATH, ASYNC, &slow_photo()).header("location").expect("a location").to_owned()
    };
    let answer = server.post("/v1/images?w=32", "", &jpeg(64, 64));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_ne!(server.get(&second).json()["state"], "done", "the request waited until both jobs were done");
    assert_eq!(until_ended(&server, &second).status, 200);
}

#[test]
fn phalanx_work_does_the_jobs_of_a_server_that_only_takes_them_in() {
    let server = Server::start_with(&["--work", "off"]);
    let path = submit(&server);
    let photo = jpeg(400, 200);
    let at_once = server.post("/v1/images?w=100", "", &photo);
    let picture = server.post("/v1/images?w=100", ASYNC, &photo).header("location").unwrap().to_owned();
    assert_eq!(server.get(&format!("{path}/result")).status, 202);
    let mut runner = Runner::start(&server);
    is_done(&server, &path);
    assert!(until_ended(&server, &picture).body == at_once.body, "the same picture as at once");
    signal(runner.pid(), Signal::TERM);
    assert_eq!(runner.line("stopped")["done"], 2);
    assert_eq!(code(runner.ended()), 0);
}

#[test]
fn phalanx_work_finishes_what_it_does_and_is_replaced_when_it_is_killed() {
    let server = Server::start_with(&[&PATIENT[..], &["--work", "off"]].concat());
    let mut first = Runner::start(&server);
    let (path, runner) = slow_job(&server);
    assert_eq!(runner, first.pid());
    signal(first.pid(), Signal::TERM);
    assert_eq!(first.line("stopped")["handed_back"], 0);
    assert_eq!(code(first.ended()), 0);
    assert_eq!(server.get(&format!("{path}/result")).status, 200);

    let second = Runner::start(&server);
    let (path, runner) = slow_job(&server);
    let _third = Runner::start(&server);
    assert_eq!(runner, second.pid());
    signal(second.pid(), Signal::KILL);
    assert_eq!(until_ended(&server, &path).status, 200);
    assert_eq!(server.get(&path).json()["crashes"], 1);
}

/// Runs `phalanx queue` on the queue of this server.
fn queue(server: &Server, arguments: &[&str]) -> Refusal {
    Server::refused(&[&["queue", "--queue", &url(server)], arguments].concat(), |_, _| {})
}

#[track_caller]
fn json(told: &Refusal) -> Value {
    assert_eq!(code(told.status), 0, "{}", told.stderr);
    serde_json::from_str(&told.stdout).unwrap_or_else(|_| panic!("{:?} is no JSON", told.stdout))
}

#[test]
fn phalanx_queue_looks_after_jobs() {
    let server = Server::start_with(&["--work", "off"]);
    let path = submit(&server);
    let id = path.rsplit('/').next().unwrap();
    let stats = json(&queue(&server, &["stats", "--json"]));
    assert_eq!((&stats["queues"][0]["queue"], &stats["queues"][0]["ready"]), (&"default".into(), &1.into()), "{stats}");
    let table = queue(&server, &["stats"]).stdout;
    assert!(table.starts_with("QUEUE") && table.lines().nth(1).unwrap().starts_with("default"), "{table}");
    assert!(queue(&server, &["list", "--state", "ready"]).stdout.contains(id));
    assert!(queue(&server, &["show", id]).stdout.contains("numbers"));
    assert_eq!(json(&queue(&server, &["show", id, "--json"])), server.get(&path).json());

    assert_eq!(code(queue(&server, &["cancel", id]).status), 0);
    assert_eq!(server.get(&path).json()["state"], "cancelled");
    let again = queue(&server, &["cancel", id]);
    assert_eq!((code(again.status), again.stderr.lines().count()), (1, 1), "{}", again.stderr);
    assert_eq!(json(&queue(&server, &["retry", "--state", "cancelled", "--json"]))["retried"], 1);
    assert_eq!(server.get(&path).json()["state"], "ready");

    assert_eq!(code(queue(&server, &["pause", "default"]).status), 0);
    assert_eq!(json(&queue(&server, &["stats", "--json"]))["queues"][0]["paused"], true);
    assert_eq!(code(queue(&server, &["resume", "default"]).status), 0);
    assert_eq!(json(&queue(&server, &["stats", "--json"]))["queues"][0]["paused"], false);

    let unsure = queue(&server, &["purge", "default", "--waiting"]);
    assert_eq!(code(unsure.status), 64, "{}", unsure.stderr);
    assert!(unsure.stderr.contains("--yes"), "{}", unsure.stderr);
    assert_eq!(json(&queue(&server, &["purge", "default", "--waiting", "--yes", "--json"]))["purged"], 1);
    server.get(&path).is_problem(404, "not-found");
}

#[test]
fn phalanx_queue_says_what_is_wrong() {
    let server = Server::start_with(&["--work", "off"]);
    for (arguments, exit, says) in [
        (&["show", "nonsense"][..], 64, "32 hexadecimal digits"),
        (&["show", "ffffffff-ffff-7fff-8fff-ffffffffffff"], 1, "there is no job"),
        (&["list", "--state", "finished"], 64, "waiting-children"),
        (&["retry", "--state", "ready"], 64, "only dead and cancelled"),
        (&["stats", "a/b"], 64, "cannot be called"),
    ] {
        let told = queue(&server, arguments);
        assert_eq!((code(told.status), told.stderr.lines().count()), (exit, 1), "{arguments:?}: {}", told.stderr);
        assert!(told.stderr.contains(says) && told.stdout.is_empty(), "{arguments:?}: {}", told.stderr);
    }
    let nowhere = Server::refused(&["queue", "stats"], |_, _| {});
    assert_eq!(code(nowhere.status), 69, "{}", nowhere.stderr);
    assert!(nowhere.stderr.contains("there is no queue in phalanx-data/queue"), "{}", nowhere.stderr);
    for mode in ["queue", "work"] {
        let rest: &[&str] = if mode == "queue" { &["stats"] } else { &[] };
        let wrong = Server::refused(&[&[mode, "--queue", "http://x"], rest].concat(), |_, _| {});
        assert_eq!((code(wrong.status), wrong.stderr.lines().count()), (64, 1), "{}", wrong.stderr);
    }
    assert!(!Path::new("phalanx-data").exists());
}

#[test]
fn a_reload_and_an_upgrade_lose_no_job_and_count_no_crash() {
    let server = Server::start_with(&PATIENT);
    let first = owner(&server);
    let mut jobs = Vec::new();
    for (command, is_the_same_owner) in [("reload", true), ("upgrade", false)] {
        jobs.extend((0..10).map(|_| submit(&server)));
        let (slow, _) = slow_job(&server);
        let told = server.ctl(&[command, "--wait"]);
        assert_eq!(code(told.status), 0, "{}; log:\n{}", told.stderr, server.log());
        jobs.extend((0..10).map(|_| submit(&server)));
        wait_until("the owner to be there", || owner(&server) != 0);
        assert_eq!(owner(&server) == first, is_the_same_owner, "{command}");
        assert_eq!(until_ended(&server, &slow).status, 200, "{command}; log:\n{}", server.log());
    }
    for path in &jobs {
        is_done(&server, path);
        assert_eq!(server.get(path).json()["crashes"], 0);
    }
}
