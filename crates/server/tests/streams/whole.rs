//! Every byte comes through, in every way of asking.

use super::{begun, figure, noise, ok, piece, sending, text, wait_for_rest};
use crate::harness::{Server, signal, wait_until};
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustix::process::Signal;
use std::process::{Command, Stdio};

#[test]
fn what_is_compressed_is_inflated_again() {
    let server = Server::start();
    for bytes in [text(0), text(1), text(100_000), text(3_000_000), noise(1_000_000)] {
        for query in ["", "?level=1", "?format=gzip&level=9", "?format=zstd", "?level=12&format=zstd"] {
            let answer = server.post(&format!("/v1/compress{query}"), "", &bytes);
            let media = if query.contains("zstd") { "application/zstd" } else { "application/gzip" };
            assert_eq!(answer.header("content-type"), Some(media));
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
            let small = ok(answer);
            assert!(bytes.len() != 3_000_000 || small.len() < bytes.len() / 2, "{query}: {}", small.len());
            assert!(ok(server.post("/v1/decompress", "", &small)) == bytes, "{query}: {} bytes", bytes.len());
        }
    }
    assert_eq!(figure(&server, "phalanx_streams_begun_total{operation=\"compress\"}"), 25);
    assert_eq!(figure(&server, "phalanx_streams_begun_total{operation=\"decompress\"}"), 25);
    wait_until("all to be counted", || figure(&server, "phalanx_streams_total{result=\"done\"}") == 50);
    assert_eq!(figure(&server, "phalanx_streams_total{result=\"cut\"}"), 0);
}

#[test]
fn the_tools_of_the_system_read_it() {
    let server = Server::start();
    let bytes = text(1_000_000);
    for (tool, query) in [("gzip", ""), ("zstd", "?format=zstd")] {
        let small = ok(server.post(&format!("/v1/compress{query}"), "", &bytes));
        let child = Command::new(tool).arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let Ok(mut child) = child else {
            assert!(std::env::var_os("CI").is_none(), "CI has no {tool}");
            println!("skipped: there is no {tool}");
            continue;
        };
        let mut stdin = child.stdin.take().unwrap();
        let writing = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &small));
        let output = child.wait_with_output().unwrap();
        writing.join().unwrap().unwrap();
        assert!(output.status.success() && output.stdout == bytes, "{tool}");
    }
}

#[test]
fn hashes_are_told_as_json_or_as_text() {
    let server = Server::start();
    let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let answer = server.post("/v1/hash/sha-256", "", b"abc");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json(), serde_json::json!({ "algorithm": "sha-256", "hash": sha, "bytes": 3 }));
    assert_eq!(server.post("/v1/hash/sha-256", "accept: text/plain\r\n", b"abc").text(), format!("{sha}\n"));
    let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
    assert_eq!(server.post("/v1/hash/blake3", "", b"").json()["hash"], empty);
    let bytes = noise(5_000_000);
    let answer = server.post("/v1/hash/blake3", "", &bytes).json();
    assert_eq!((&answer["bytes"], answer["hash"].as_str().unwrap().len()), (&5_000_000.into(), 64));
    assert_eq!(server.post("/v1/hash/blake3", "accept: text/plain\r\n", &bytes).text().trim(), answer["hash"]);
}

#[test]
fn both_directions_at_once_over_http_1() {
    let server = Server::start_with(&["--workers", "1"]);
    let key = phalanx_stream::Identity::generate();
    let mut connection = begun(&server, &format!("/v1/encrypt?recipient={}", key.recipient()), "");
    let bytes = noise(6 << 20);
    let (mut sent, mut sealed, mut head) = (0, Vec::new(), None);
    // The next mebibyte is sent only when most of what was sent before has come back.
    for part in bytes.chunks(1 << 20) {
        connection.write(&piece(part));
        sent += part.len();
        let head = head.get_or_insert_with(|| connection.head().unwrap());
        assert_eq!(head.status, 200, "{}", head.text());
        while sealed.len() + (600 << 10) < sent {
            sealed.extend(connection.chunk().unwrap().expect("more"));
        }
    }
    connection.write(&piece(b""));
    while let Some(chunk) = connection.chunk().unwrap() {
        sealed.extend(chunk);
    }
    let header = format!("phalanx-identity: {}\r\n", key.expose());
    assert!(ok(server.post("/v1/decrypt", &header, &sealed)) == bytes);
    wait_for_rest(&server);
}

#[test]
fn both_directions_at_once_over_http_2() {
    let server = Server::start_with(&["--workers", "1"]);
    let bytes = noise(6 << 20);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let small = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let (pieces, coming) = tokio::sync::mpsc::channel::<Bytes>(1);
        let coming = futures_util::stream::unfold(coming, |mut coming| async {
            coming.recv().await.map(|bytes| (Ok::<_, std::io::Error>(Frame::data(bytes)), coming))
        });
        let request = http::Request::post(format!("http://{}/v1/compress?level=1", server.address))
            .body(StreamBody::new(coming.boxed()))
            .unwrap();
        let answer = sender.send_request(request);
        let parts: Vec<Bytes> = bytes.chunks(1 << 20).map(Bytes::copy_from_slice).collect();
        let mut parts = parts.into_iter();
        // The head comes while most of the body is still here.
        for part in parts.by_ref().take(4) {
            pieces.send(part).await.unwrap();
        }
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut body = answer.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let sending = async {
            for part in parts {
                pieces.send(part).await.unwrap();
            }
            drop(pieces);
        };
        let ((), rest) = futures_util::future::join(sending, body.collect()).await;
        [&first[..], &rest.unwrap().to_bytes()].concat()
    });
    assert!(ok(server.post("/v1/decompress", "", &small)) == bytes);
    wait_for_rest(&server);
}

#[test]
fn a_stream_under_way_finishes_while_its_worker_is_replaced() {
    let server = Server::start_with(&["--workers", "1"]);
    let first = server.get("/whoami").json()["pid"].as_u64().unwrap();
    let mut connection = begun(&server, "/v1/compress?level=1", "");
    let bytes = noise(4 << 20);
    let (early, late) = bytes.split_at(3 << 20);
    connection.write(&piece(early));
    assert_eq!(connection.head().unwrap().status, 200);
    signal(server.primary_pid(), Signal::HUP);
    wait_until("another worker", || server.get("/whoami").json()["pid"].as_u64() != Some(first));
    let writer = connection.second_handle();
    let late = late.to_vec();
    let sending = sending(writer, [late].into_iter());
    let mut small = Vec::new();
    while let Some(chunk) = connection.chunk().unwrap() {
        small.extend(chunk);
    }
    sending.join().unwrap();
    assert!(ok(server.post("/v1/decompress", "", &small)) == bytes);
}

#[test]
fn who_waits_for_100_continue_or_prefers_a_job_is_served_at_once() {
    let server = Server::start();
    let headers = "prefer: respond-async\r\nexpect: 100-continue\r\n";
    let mut connection = server.connect();
    connection
        .write(format!("POST /v1/compress HTTP/1.1\r\nhost: test\r\n{headers}content-length: 3\r\n\r\n").as_bytes());
    assert!(connection.read_until("\r\n\r\n").starts_with("HTTP/1.1 100"));
    connection.write(b"abc");
    let answer = connection.answer().unwrap();
    assert_eq!((answer.status, answer.header("preference-applied")), (200, None));
    // All of a small answer is there before its head: it has a length, and the connection goes on.
    assert!(answer.header("content-length").is_some());
    assert_eq!(connection.send("GET /livez HTTP/1.1\r\nhost: test\r\n\r\n", b"").status, 200);
}
