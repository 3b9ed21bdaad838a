//! Workers are killed and stopped while pictures are uploaded: only what the dead had in their hands fails.

mod harness;

use harness::pictures::jpeg;
use harness::{Connection, Server, multipart, signal, wait_until};
use rustix::process::Signal;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const CLIENTS: usize = 8;
/// How long workers are killed; `PHALANX_TORTURE_SECONDS` makes it longer.
const KILLING: Duration = Duration::from_secs(4);

/// What became of the uploads.
#[derive(Default)]
struct Tally {
    answered: AtomicU64,
    /// No connection: the promise is broken.
    refused: AtomicU64,
    /// The connection broke or ended before its answer.
    broken: AtomicU64,
    /// Something else came.
    wrong: AtomicU64,
}

impl Tally {
    fn upload(&self, address: SocketAddr, head: &str, body: &[u8]) {
        let Ok(mut connection) = Connection::try_open(address) else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let mut writer = connection.second_handle();
        let sent = writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(body));
        let which = match sent.and_then(|()| connection.answer()) {
            Ok(answer) if answer.status == 200 && answer.json()["width"] == 640 => &self.answered,
            Ok(_) => &self.wrong,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => &self.wrong,
            Err(_) => &self.broken,
        };
        which.fetch_add(1, Ordering::Relaxed);
    }
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn upload_request() -> (String, Vec<u8>) {
    let (kind, body) = multipart(&[("image", &jpeg(640, 480))]);
    let length = body.len();
    let head =
        format!("POST /upload HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{kind}content-length: {length}\r\n\r\n");
    (head, body)
}

fn killing() -> Duration {
    let seconds = std::env::var("PHALANX_TORTURE_SECONDS").ok().and_then(|text| text.parse().ok());
    seconds.map_or(KILLING, Duration::from_secs)
}

#[test]
fn killed_workers_cost_only_the_uploads_that_they_had_accepted() {
    // However slow the machine is: nothing is refused for being late.
    let server = Server::start_with(&["--max-wait", "60s", "--job-deadline", "60s"]);
    let (head, body) = upload_request();
    let (tally, stop) = (Tally::default(), AtomicBool::new(false));
    let mut kills = 0;
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    tally.upload(server.address, &head, &body);
                }
            });
        }
        let _stop_even_if_this_fails = StopOnDrop(&stop);
        let end = Instant::now() + killing();
        while Instant::now() < end {
            let answered = tally.answered.load(Ordering::Relaxed);
            let workers = server.worker_pids();
            if let Some(victim) = workers.iter().nth(kills % workers.len().max(1)) {
                signal(*victim, Signal::KILL);
                kills += 1;
            }
            wait_until("some uploads between two kills", || tally.answered.load(Ordering::Relaxed) > answered + 10);
        }
    });
    let told: Vec<u64> = deaths(&server.log());
    let held: u64 = told.iter().sum();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (answered, broken) = (count(&tally.answered), count(&tally.broken));
    println!("{kills} kills: {answered} uploads answered, {broken} broken, {held} connections held by the killed");
    assert_eq!((count(&tally.refused), count(&tally.wrong)), (0, 0), "log:\n{}", server.log());
    assert!(broken <= held, "{broken} uploads failed, the killed workers held only {held}");
    assert!(kills > 3 && answered > 50, "{kills} kills, {answered} uploads");
    server.survives(|_| {});
}

/// How many connections each dead worker had, from the log.
fn deaths(log: &str) -> Vec<u64> {
    let number = |line: &str| line.split("died with ").nth(1)?.split(' ').next()?.parse().ok();
    log.lines().filter_map(number).collect()
}

#[test]
fn a_stopped_worker_costs_no_new_connection() {
    let server = Server::start();
    let (head, body) = upload_request();
    let stopped = *server.worker_pids().first().unwrap();
    signal(stopped, Signal::STOP);
    let state = || std::fs::read_to_string(format!("/proc/{stopped}/stat")).unwrap();
    wait_until("the worker to stand still", || state().contains(") T "));
    let tally = Tally::default();
    for _ in 0..50 {
        tally.upload(server.address, &head, &body);
    }
    signal(stopped, Signal::CONT);
    assert_eq!(tally.answered.load(Ordering::Relaxed), 50);
    server.survives(|_| {});
}

#[test]
fn a_killed_primary_leaves_no_process_and_no_port() {
    let server = Server::start();
    let (workers, address) = (server.worker_pids(), server.address);
    signal(server.primary_pid(), Signal::KILL);
    let gone = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    };
    wait_until("the workers to be gone", || workers.iter().all(gone));
    wait_until("the port to be free", || std::net::TcpListener::bind(address).is_ok());
}
