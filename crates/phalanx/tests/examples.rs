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
