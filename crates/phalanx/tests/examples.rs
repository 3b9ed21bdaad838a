//! Every example program, started as a user starts it, with its output asserted.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(60);

/// An example that serves until it is stopped. Dropping it stops it.
struct Server {
    process: Child,
    address: SocketAddr,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Server {
    fn start(example: &str, arguments: &[&str]) -> Server {
        let mut process = Command::new(path_of(example))
            .args(["--port", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("example {example}: {error}"));
        let stdout = process.stdout.take().unwrap();
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        });
        let mut server = Server { process, address: ([127, 0, 0, 1], 0).into(), lines };
        let line = server.wait_for("listens on");
        server.address = line.rsplit(' ').next().unwrap().parse().unwrap();
        server.wait_for("is ready");
        server
    }

    fn wait_for(&mut self, part: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let line = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|error| panic!("no line with \"{part}\": {error}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Status and body of one request.
    fn request(&self, head: &str, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let length = body.len();
        write!(stream, "{head}\r\nhost: test\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n").unwrap();
        stream.write_all(body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Cargo builds examples into a folder beside that of the tests.
fn path_of(example: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.parent().unwrap().parent().unwrap().join("examples").join(example)
}

#[test]
fn cluster_http_answers_from_every_worker_and_replaces_one_that_dies() {
    let mut server = Server::start("cluster_http", &[]);
    let mut pids = HashSet::new();
    let workers = std::thread::available_parallelism().unwrap().get();
    let deadline = Instant::now() + DEADLINE;
    while pids.len() < workers {
        assert!(Instant::now() < deadline, "{workers} workers, but only {pids:?} answer");
        let (status, body) = server.request("GET / HTTP/1.1", b"");
        assert_eq!(status, 200);
        let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(answer["worker"].as_u64().is_some_and(|worker| worker >= 1), "{body}");
        pids.insert(answer["pid"].as_u64().unwrap());
    }
    let victim = *pids.iter().next().unwrap();
    let process = rustix::process::Pid::from_raw(victim as i32).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    assert!(server.wait_for("died").contains(&format!("pid {victim}")));
    server.wait_for("started");
    assert_eq!(server.request("GET / HTTP/1.1", b"").0, 200);
}

#[test]
fn cluster_messages_gets_the_doubled_numbers_back() {
    assert_eq!(last_line_of("cluster_messages"), r#"{"result":[2,4,6]}"#);
}

#[test]
fn cluster_relay_writes_from_worker_to_worker_and_to_all() {
    assert_eq!(last_line_of("cluster_relay"), r#"worker 2 got "hello from 1"; 2 of 2 got the broadcast"#);
}

#[test]
fn cluster_threads_gathers_from_every_thread_of_every_process() {
    let output = output_of("cluster_threads");
    let (last, rest) = output.lines().collect::<Vec<_>>().split_last().map(|(a, b)| (a.to_string(), b.len())).unwrap();
    assert_eq!((rest, last.as_str()), (4, "gathered 4 results from 2 processes, sum 290"), "{output}");
}

#[test]
fn memory_watch_finds_the_leak_and_replaces_the_worker_without_a_failed_request() {
    let output = output_of("memory_watch");
    let [evidence, last] = output.lines().collect::<Vec<_>>()[..] else { panic!("{output}") };
    assert!(evidence.starts_with("worker 1 seems to leak: memory grew from "), "{output}");
    let requests = last.strip_prefix("leak found after ").and_then(|rest| rest.split(' ').next()).unwrap();
    assert!(requests.parse::<u64>().is_ok_and(|requests| requests <= 6000), "{output}");
    assert!(last.ends_with(" requests; 0 requests failed"), "{output}");
}

#[test]
fn api_process_computes_on_the_pool() {
    let server = Server::start("api_process", &[]);
    let head = "POST /process HTTP/1.1\r\ncontent-type: application/json";
    let (status, body) = server.request(head, br#"{"numbers":[10,20,30,40]}"#);
    assert_eq!((status, body.as_str()), (200, r#"{"result":[75306,75596,75886,76176]}"#));
    assert_eq!(server.request(head, b"nonsense").0, 400);
    assert_eq!(server.request("GET /livez HTTP/1.1", b"").0, 200);
}

#[test]
fn api_upload_resizes_and_names_the_result_itself() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start("api_upload", &["--store", folder.path().to_str().unwrap()]);
    let head = "POST /upload HTTP/1.1\r\ncontent-type: multipart/form-data; boundary=XX";
    let form = |content: &[u8]| {
        let mut body = Vec::new();
        body.extend_from_slice(
            b"--XX\r\ncontent-disposition: form-data; name=\"image\"; filename=\"../../evil.jpg\"\r\n\r\n",
        );
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n--XX--\r\n");
        body
    };
    let (status, body) = server.request(head, &form(&phalanx::image::sample_jpeg(1600, 1200)));
    assert_eq!(status, 200, "{body}");
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["message"], "Image processed successfully!");
    let path = PathBuf::from(answer["resultPath"].as_str().unwrap());
    assert_eq!(path.parent(), Some(folder.path()), "a name that the client chose");
    let header = phalanx::image::probe(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!((header.width, header.height), (800, 600));
    assert_eq!(server.request(head, &form(b"no picture at all")).0, 422);
    assert_eq!(server.request(head, b"--XX--\r\n").0, 400);
}

/// Runs an example that ends by itself; everything it printed.
fn output_of(example: &str) -> String {
    let output = Command::new(path_of(example)).output().unwrap_or_else(|error| panic!("example {example}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "example {example}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

fn last_line_of(example: &str) -> String {
    output_of(example).lines().last().unwrap_or_default().to_owned()
}

/// The same for one that needs Node; `None` if there is none, which is a failure where nothing may be skipped.
fn last_line_with_node(example: &str) -> Option<String> {
    if Command::new("node").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "node is missing");
        println!("skipped: the example {example} needs node");
        return None;
    }
    Some(last_line_of(example))
}

#[test]
fn spawn_stream_tags_every_line_and_tells_the_exit_code() {
    let output = output_of("spawn_stream");
    for n in 1..=3 {
        assert!(output.contains(&format!("stdout: line {n}\n")), "{output}");
        assert!(output.contains(&format!("stderr: problem {n}\n")), "{output}");
    }
    assert_eq!(output.lines().last(), Some("exited with 0"));
}

#[test]
fn exec_ls_counts_lines_and_shows_code_and_stderr_of_a_failure() {
    let output = output_of("exec_ls");
    assert!(output.contains("that went wrong"), "{output}");
    let last = output.lines().last().unwrap();
    let count = last.strip_prefix("ls printed ").and_then(|rest| rest.strip_suffix(" lines; false exited with 1"));
    assert!(count.is_some_and(|count| count.parse::<u32>().is_ok_and(|lines| lines > 3)), "{last}");
}

#[test]
fn fork_messages_receives_the_answer() {
    assert_eq!(last_line_of("fork_messages"), r#"received: processed "process this""#);
}

#[test]
fn fork_large_data_maps_a_million_numbers_and_reports_a_crash() {
    let checksum = (0..1_000_000u64).map(|n| n * n).fold(0, u64::wrapping_add);
    let expected = format!("1000000 items, checksum {checksum}; crash reported as SIGSEGV");
    assert_eq!(last_line_of("fork_large_data"), expected);
}

#[test]
fn fork_node_and_node_parent_exchange_messages_with_node() {
    for example in ["fork_node", "node_parent"] {
        if let Some(line) = last_line_with_node(example) {
            assert_eq!(line, r#"{"result":[2,4,6]}"#, "{example}");
        }
    }
}

#[test]
fn kill_tree_leaves_nothing() {
    let output = output_of("kill_tree");
    assert_eq!(output, "4 processes run\n0 processes left\n");
}

#[test]
fn process_group_ends_all_when_one_fails() {
    assert_eq!(last_line_of("process_group"), "3 ended, first failure was child 2");
}

#[test]
fn thread_message_gets_the_squares_back() {
    let output = output_of("thread_message");
    assert!(output.contains(r#"the worker heard "Hello, worker!""#), "{output}");
    assert_eq!(output.lines().last(), Some("[1,4,9,16,25]"));
}

#[test]
fn thread_service_turns_an_exit_code_into_an_error_and_a_message_into_the_result() {
    assert_eq!(output_of("thread_service"), "error: the worker stopped with exit code 3\nhello worker\n");
}

#[test]
fn thread_sum_sums_the_range_of_its_worker_data() {
    assert_eq!(last_line_of("thread_sum"), "499999500000");
}

#[test]
fn stream_encrypt_stores_less_and_reads_it_back() {
    let said = last_line_of("stream_encrypt");
    let stored: u64 = said
        .strip_prefix("round trip ok, stored ")
        .and_then(|rest| rest.strip_suffix(" bytes"))
        .unwrap()
        .parse()
        .unwrap();
    assert!((100_000..4_000_000).contains(&stored), "{said}");
}

#[test]
fn shared_counter_is_counted_by_a_thread_and_by_a_process() {
    assert_eq!(last_line_of("shared_counter"), "15 15");
}

#[test]
fn thread_broadcast_reaches_all_but_the_speaker() {
    let output = output_of("thread_broadcast");
    for number in 1..=3 {
        assert!(output.contains(&format!("worker {number} heard \"the cache is stale\"\n")), "{output}");
    }
    assert_eq!(output.lines().last(), Some("3 heard it, the speaker heard nothing"));
}

#[test]
fn pool_deadline_runs_nothing_that_nobody_waits_for() {
    assert_eq!(last_line_of("pool_deadline"), "sum 5050; 1 done, 2 timed out, 1 cancelled");
}

#[test]
fn crash_proof_loses_nothing_but_what_crashed() {
    let output = output_of("crash_proof");
    assert!(output.starts_with("job 0: the task killed its process: SIGSEGV"), "{output}");
    assert_eq!(output.lines().last(), Some("1000 jobs: 900 ok, 100 crashed, 0 lost"), "{output}");
}

#[test]
fn one_task_three_places_gets_the_same_result_from_each() {
    let line = last_line_of("one_task_three_places");
    let figures = line.strip_prefix("thread ").and_then(|rest| rest.strip_suffix(" µs: same result"));
    let (thread, others) = figures.and_then(|figures| figures.split_once(" µs, process ")).expect(&line);
    let (process, queue) = others.split_once(" µs, queue ").expect(&line);
    assert!([thread, process, queue].iter().all(|figure| figure.parse::<u64>().is_ok()), "{line}");
}

#[test]
fn queue_work_sends_works_and_gets_the_result_back() {
    assert_eq!(last_line_of("queue_work"), "received: Task data → done: TASK DATA");
}

#[test]
fn queue_split_gather_gathers_all_parts_from_two_workers() {
    let part = |part: u64| {
        (part * 100_000..(part + 1) * 100_000)
            .fold(0_u64, |sum, number| sum.rotate_left(1).wrapping_add(number.wrapping_mul(number)))
    };
    let checksum = (0..64).map(part).fold(0_u64, |all, sum| all.wrapping_mul(31).wrapping_add(sum));
    assert_eq!(last_line_of("queue_split_gather"), format!("gathered 64 parts from 2 workers, checksum {checksum}"));
}

#[test]
fn stream_copy_holds_a_few_chunks_of_a_large_file() {
    let output = Command::new(path_of("stream_copy")).args(["--size", "134217728"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = String::from_utf8(output.stdout).unwrap();
    let peak = output.lines().last().and_then(|line| line.strip_prefix("134217728 bytes, peak "));
    let peak = peak.and_then(|rest| rest.strip_suffix(" MiB")).and_then(|mebibytes| mebibytes.parse::<u64>().ok());
    // The program itself is larger without optimisation; 128 MiB would be the whole file.
    assert!(peak.is_some_and(|mebibytes| mebibytes < 24), "{output}");
}

#[test]
fn stream_upper_gives_its_input_in_upper_case() {
    let mut process = Command::new(path_of("stream_upper"));
    let mut process = process.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    process.stdin.take().unwrap().write_all("hello, straße\n".as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "HELLO, STRASSE\n");
}

#[test]
fn stream_duplex_sends_and_receives_the_same_in_both_directions() {
    let output = output_of("stream_duplex");
    let (bytes, wire) = output.lines().next().unwrap().split_once(" bytes, ").unwrap();
    let wire = wire.strip_suffix(" on the wire").unwrap();
    assert!(wire.parse::<u64>().unwrap() * 2 < bytes.parse().unwrap(), "not compressed: {output}");
    assert_eq!(output.lines().last(), Some("sent = received, both directions"));
}
