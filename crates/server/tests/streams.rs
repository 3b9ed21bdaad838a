//! What the routes promise that stream from request to answer, on the real binary: every byte, bounded memory, clear refusals,
//! and an end that is seen, whoever leaves first.

#![allow(clippy::unwrap_used)]

mod harness;

#[path = "streams/bounded.rs"]
mod bounded;
#[path = "streams/keys.rs"]
mod keys;
#[path = "streams/refused.rs"]
mod refused;
#[path = "streams/whole.rs"]
mod whole;

use harness::{Answer, Connection, Server, wait_until};
use std::io::Write;
use std::net::TcpStream;
use std::thread::JoinHandle;

/// Bytes that look like a log: they compress, by less than the ratio that is refused.
pub(crate) fn text(bytes: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 100);
    let mut number = 1_u64;
    while text.len() < bytes {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let _ = writeln!(text, "{{\"id\":{},\"path\":\"/v1/things/{}\",\"status\":200}}", number >> 40, number >> 55);
    }
    text.truncate(bytes);
    text
}

/// Bytes that do not compress.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 7_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(bytes)
    .collect()
}

/// An answer of 200 and its bytes.
#[track_caller]
pub(crate) fn ok(answer: Answer) -> Vec<u8> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.body
}

/// A request with a body without a length, of which the head is sent.
pub(crate) fn begun(server: &Server, path: &str, headers: &str) -> Connection {
    let mut connection = server.connect();
    connection
        .write(format!("POST {path} HTTP/1.1\r\nhost: test\r\n{headers}transfer-encoding: chunked\r\n\r\n").as_bytes());
    connection
}

/// A piece of a chunked body; an empty one is its end.
pub(crate) fn piece(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// Sends a body, made piece by piece, on a thread of its own; gives how many bytes were taken.
pub(crate) fn sending(
    mut stream: TcpStream,
    pieces: impl Iterator<Item = Vec<u8>> + Send + 'static,
) -> JoinHandle<u64> {
    std::thread::spawn(move || {
        let mut sent = 0;
        for bytes in pieces {
            if stream.write_all(&piece(&bytes)).is_err() {
                return sent;
            }
            sent += bytes.len() as u64;
        }
        let _ = stream.write_all(&piece(b""));
        sent
    })
}

/// A figure of the whole cluster.
pub(crate) fn figure(server: &Server, name: &str) -> u64 {
    let text = server.get("/metrics").text();
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse::<f64>().ok();
    let figure = text.lines().find_map(value).unwrap_or_else(|| panic!("{name} is not in\n{text}"));
    figure as u64
}

/// No stream is under way in the server's one worker, and none of its memory is reserved.
pub(crate) fn wait_for_rest(server: &Server) {
    wait_until("all streams to be over", || {
        let text = server.get("/metrics").text();
        let mut streams = text.lines().filter(|line| line.starts_with("phalanx_worker_streams{"));
        streams.all(|line| line.ends_with(" 0")) && server.get("/readyz").json()["memory"]["reserved_bytes"] == 0
    });
}
