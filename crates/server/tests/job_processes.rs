//! Job processes crash, hang and are killed while they decode: the client whose picture it was gets an answer, and nobody else
//! notices.

mod harness;

use harness::pictures::{SLOW_PATH, jpeg, slow_photo};
use harness::{Answer, Connection, Server, children_of, code, signal, wait_until};
use phalanx::process::{Sandbox, sandbox};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// One worker, whose job processes are easy to find.
fn start(flags: &[&str]) -> Server {
    let deadline: &[&str] = if flags.contains(&"--job-deadline") { &[] } else { &["--job-deadline", "60s"] };
    Server::start_with(&[&["--workers", "1", "--max-wait", "60s"], deadline, flags].concat())
}

/// The job processes of a worker: `ps` shows what they are.
fn job_processes(worker: u32) -> BTreeSet<u32> {
    let is_job = |pid: &u32| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"phalanx: job pictures"))
    };
    children_of(worker).into_iter().filter(is_job).collect()
}

fn the_worker(server: &Server) -> u32 {
    *server.worker_pids().first().expect("a worker")
}

/// Processor time that a process has used, in ticks.
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The fields after the name, which may contain anything: utime is the 12th, stime the 13th.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    fields.iter().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

fn is_gone(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

/// A request under way, whose picture is being decoded by the process.
struct Decoding {
    connection: Connection,
    pid: u32,
}

impl Decoding {
    /// Sends the picture and waits until a process works on it.
    fn begin(server: &Server, picture: &[u8]) -> Decoding {
        let worker = the_worker(server);
        wait_until("an idle job process", || !job_processes(worker).is_empty() && server.busy() == 0);
        let before: Vec<(u32, u64)> = job_processes(worker).into_iter().map(|pid| (pid, ticks(pid))).collect();
        let had = |pid: u32| before.iter().find(|(other, _)| *other == pid).map_or(0, |(_, ticks)| *ticks);
        let mut connection = server.connect();
        let length = picture.len();
        connection.write(
            format!("POST {SLOW_PATH} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n")
                .as_bytes(),
        );
        connection.write(picture);
        let mut pid = None;
        wait_until("a decoder at work", || {
            pid = job_processes(worker).into_iter().find(|pid| ticks(*pid) > had(*pid) + 2);
            pid.is_some()
        });
        Decoding { connection, pid: pid.expect("just found") }
    }

    fn answer(mut self) -> Answer {
        self.connection.answer().expect("an answer")
    }
}

#[test]
fn a_picture_that_crashes_its_decoder_is_422_and_its_neighbour_is_served() {
    let server = start(&["--job-processes", "2"]);
    let photo = jpeg(400, 300);
    for (deadly, name) in [(Signal::SEGV, "SIGSEGV"), (Signal::KILL, "SIGKILL"), (Signal::ABORT, "SIGABRT")] {
        // Not the same bytes twice, so that none of them becomes poison.
        let mut picture = slow_photo();
        picture.extend_from_slice(name.as_bytes());
        let decoding = Decoding::begin(&server, &picture);
        let worker = the_worker(&server);
        std::thread::scope(|scope| {
            let neighbour = scope.spawn(|| server.post("/v1/images?w=60", "", &photo));
            // Rust's own handler passes over the first SIGSEGV that no access to memory has caused.
            wait_until("its end", || {
                signal(decoding.pid, deadly);
                is_gone(decoding.pid)
            });
            let told = decoding.answer().is_problem(422, "picture-crashed-decoder");
            assert!(told.contains(name), "{told}");
            assert_eq!(neighbour.join().unwrap().status, 200);
        });
        assert_eq!(the_worker(&server), worker, "the worker serves on");
        wait_until("the log line", || {
            server.log().lines().any(|line| line.contains("a job process died") && line.contains(name))
        });
    }
    server.survives(|server| assert_eq!(server.post("/upload", "", &photo).status, 200));
    wait_until("all memory to be free", || server.get("/readyz").json()["memory"]["reserved_bytes"] == 0);
    let load = server.status()["workers"][0].clone();
    assert_eq!((&load["busy_threads"], &load["queue_depth"]), (&0.into(), &0.into()), "{load}");
    wait_until("the figure", || server.get("/metrics").text().contains("phalanx_job_crashes_total 3"));
}

#[test]
fn a_picture_that_crashed_three_decoders_is_not_tried_again() {
    let server = start(&["--job-processes", "1"]);
    let picture = slow_photo();
    for _ in 0..3 {
        let decoding = Decoding::begin(&server, &picture);
        signal(decoding.pid, Signal::KILL);
        decoding.answer().is_problem(422, "picture-crashed-decoder");
    }
    let told = server.post(SLOW_PATH, "", &picture).is_problem(422, "picture-crashed-decoder");
    assert!(told.contains("3 times"), "{told}");
    assert_eq!(server.post("/v1/images", "", &jpeg(64, 64)).status, 200);
    wait_until("the figure", || server.get("/metrics").text().contains("phalanx_job_poisoned_total 1"));
}

#[test]
fn a_decoder_that_hangs_is_killed_at_the_deadline_and_the_next_picture_is_served() {
    let server = start(&["--job-processes", "1", "--job-deadline", "3s"]);
    let decoding = Decoding::begin(&server, &slow_photo());
    let hung = decoding.pid;
    signal(hung, Signal::STOP);
    decoding.answer().is_problem(504, "deadline-passed");
    wait_until("the end of the hung process", || is_gone(hung));
    assert_eq!(server.post("/v1/images", "", &jpeg(64, 64)).status, 200);
}

#[test]
fn the_decoder_of_a_client_that_is_gone_is_stopped() {
    let server = start(&["--job-processes", "1", "--job-deadline", "1h"]);
    let decoding = Decoding::begin(&server, &slow_photo());
    let hung = decoding.pid;
    signal(hung, Signal::STOP);
    decoding.connection.hang_up();
    wait_until("the end of the stopped process", || is_gone(hung));
    wait_until("its memory to be free", || server.get("/readyz").json()["memory"]["reserved_bytes"] == 0);
    assert_eq!(server.post("/v1/images", "", &jpeg(64, 64)).status, 200);
}

#[test]
fn job_processes_killed_again_and_again_cost_a_422_each_at_most() {
    const CLIENTS: usize = 16;
    const KILLS: usize = 30;
    let server = start(&["--job-processes", "2"]);
    let worker = the_worker(&server);
    let (good, crashed, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (server, good, crashed, stop) = (&server, &good, &crashed, &stop);
            scope.spawn(move || {
                // Each request another picture: none of them becomes poison.
                for number in 0_u64.. {
                    let mut photo = jpeg(160, 120);
                    photo.extend_from_slice(format!("{client} {number}").as_bytes());
                    let answer = server.post("/v1/images?w=100", "", &photo);
                    match answer.status {
                        200 => good.fetch_add(1, Ordering::Relaxed),
                        422 => crashed.fetch_add(1, Ordering::Relaxed),
                        other => panic!("{other}: {}", answer.text()),
                    };
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        struct StopOnDrop<'a>(&'a AtomicBool);
        impl Drop for StopOnDrop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _stop_even_if_this_fails = StopOnDrop(&stop);
        for _ in 0..KILLS {
            let before = good.load(Ordering::Relaxed);
            wait_until("a job process", || job_processes(worker).iter().any(|pid| !is_gone(*pid)));
            if let Some(victim) = job_processes(worker).first() {
                signal(*victim, Signal::KILL);
            }
            wait_until("some answers between two kills", || good.load(Ordering::Relaxed) > before + 10);
        }
    });
    let (good, crashed) = (good.into_inner(), crashed.into_inner());
    println!("{KILLS} kills: {good} pictures, {crashed} crashes");
    assert!(crashed <= KILLS as u64, "{crashed} requests failed of {KILLS} kills");
    server.survives(|_| {});
}

#[test]
fn where_pictures_are_decoded_is_told_by_readyz_the_log_ctl_and_the_metrics() {
    let server = start(&[]);
    let here = sandbox::available(Sandbox::Full);
    let decoders = server.get("/readyz").json()["decoders"].clone();
    assert_eq!((&decoders["isolate"], &decoders["lane"]), (&"process".into(), &"job processes".into()), "{decoders}");
    assert_eq!(decoders["sandbox"], here.to_string(), "{decoders}");
    assert_eq!(decoders["missing"], serde_json::json!(here.missing));
    assert!(decoders["jobs"]["processes"].as_u64().unwrap() >= 1, "{decoders}");
    wait_until("the line at the start", || {
        server
            .log()
            .lines()
            .any(|line| line.contains("pictures are decoded in job processes") && line.contains(&here.to_string()))
    });
    let worker = server.status()["workers"][0].clone();
    assert!(worker["job_processes"].as_u64().unwrap() >= 1, "{worker}");
    assert_eq!(worker["job_crashes"], 0, "{worker}");
    let table = server.ctl(&["status"]).stdout;
    assert!(table.contains("job processes ") && table.contains(worker["sandbox"].as_str().unwrap()), "{table}");
    let metrics = server.get("/metrics").text();
    for family in ["phalanx_job_processes{", "phalanx_job_crashes_total 0", "phalanx_job_poisoned_total 0"] {
        assert!(metrics.contains(family), "{family} is not in\n{metrics}");
    }
}

#[test]
fn without_a_sandbox_that_is_told_too() {
    let server = start(&["--sandbox", "off"]);
    assert_eq!(server.get("/readyz").json()["decoders"]["sandbox"], "none");
    assert_eq!(server.status()["workers"][0]["sandbox"], "none");
    assert_eq!(server.post("/v1/images", "", &jpeg(64, 64)).status, 200);
}

#[test]
fn a_required_sandbox_is_whole_or_the_server_does_not_start() {
    if sandbox::available(Sandbox::Full).is_complete() {
        let server = start(&["--sandbox", "require"]);
        assert_eq!(server.get("/readyz").json()["decoders"]["missing"], serde_json::json!([]));
        assert_eq!(server.post("/v1/images", "", &jpeg(64, 64)).status, 200);
    } else {
        let told = Server::refused(&["--listen", "127.0.0.1:0", "--sandbox", "require"], |_, _| {});
        assert_eq!(code(told.status), 78, "{}", told.stderr);
        assert_eq!(told.stderr.lines().count(), 1, "{}", told.stderr);
    }
}

#[test]
fn on_threads_there_are_no_job_processes() {
    let server = Server::start_with(&["--isolate", "thread"]);
    assert_eq!(server.post("/v1/images", "", &jpeg(64, 64)).status, 200);
    for worker in server.worker_pids() {
        assert_eq!(job_processes(worker), BTreeSet::new());
    }
    let decoders = server.get("/readyz").json()["decoders"].clone();
    assert_eq!((&decoders["isolate"], &decoders["sandbox"]), (&"thread".into(), &"none".into()), "{decoders}");
    assert_eq!(server.status()["workers"][0]["sandbox"], serde_json::Value::Null);
}

#[test]
fn job_processes_end_with_their_worker_however_it_ends() {
    let server = start(&[]);
    let worker = the_worker(&server);
    let jobs = job_processes(worker);
    assert!(!jobs.is_empty());
    signal(worker, Signal::KILL);
    wait_until("the end of the job processes of a killed worker", || jobs.iter().all(|pid| is_gone(*pid)));
    wait_until("another worker with job processes", || {
        server.worker_pids().first().is_some_and(|worker| !job_processes(*worker).is_empty())
    });
    let jobs = job_processes(the_worker(&server));
    assert_eq!(code(server.stop()), 0);
    wait_until("the end of the job processes of a stopped server", || jobs.iter().all(|pid| is_gone(*pid)));
}
