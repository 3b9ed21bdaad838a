//! HTTP/2, from clients that mean well and from others.

use rustix::process::Signal;

use crate::Test;
use crate::client::{KeepAlive, Outcome, ask};
use crate::http2_client::{ACK, END_HEADERS, END_STREAM, Http2, PREFACE, frame, get, kind};
use crate::process::{Running, lives};

/// Error codes (RFC 9113, 7).
const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;
const FRAME_SIZE_ERROR: u32 = 6;
const ENHANCE_YOUR_CALM: u32 = 11;

/// `SETTINGS_MAX_CONCURRENT_STREAMS`.
const MAX_CONCURRENT_STREAMS: u16 = 3;

/// Bytes by which a worker may have grown after an attack: far less than it sent.
const GROWTH: u64 = 24 * 1024 * 1024;

pub(crate) const TESTS: &[Test] = &[
    ("HTTP/2 and HTTP/1.1 are served on the same port, as the first bytes say", both),
    ("a connection of HTTP/2 carries a hundred streams at once", a_hundred_streams),
    ("when the cluster stops, streams under way finish after a GOAWAY", goaway),
    ("an idle connection of HTTP/2 hears GOAWAY and is closed; one with an open stream is not idle", idle),
    ("a stream without an answer in time is answered 504, and the others go on", request_timeout),
    ("streams that are opened and reset in masses cost the client its connection", rapid_reset),
    ("headers without an end cost the client its connection", endless_headers),
    ("frames that lie cost the client its connection", lies),
];

fn one_worker(name: &str, value: &str) -> Running {
    let mut cluster = Running::start_with("http", |command| {
        command.env(name, value);
    });
    cluster.wait_for("is ready");
    cluster
}

fn server() -> Running {
    one_worker("TEST_WORKERS", "1")
}

fn both() {
    let mut cluster = server();
    let (address, pid) = (cluster.address(), cluster.workers()[0]);
    let mut new = Http2::open(address);
    new.request(1, "/");
    assert_eq!(new.answer(1), pid.to_string());
    assert_eq!(ask(address, "/"), Outcome::Ok(pid));
    // The preface in pieces, and a method that begins like it.
    let mut slow = KeepAlive::open(address);
    for byte in PREFACE {
        slow.send(std::str::from_utf8(&[*byte]).unwrap());
    }
    assert_eq!(slow.bytes(4)[3], kind::SETTINGS);
    let mut put = KeepAlive::open(address);
    put.send("P");
    put.send("UT /length HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nhello");
    assert!(put.answer().ends_with("\r\n\r\n5"));
    new.request(3, "/figures");
    let figures = new.answer(3);
    for line in ["Http2Connections 2\n", "Connections 3\n", "InFlight 1\n"] {
        assert!(figures.contains(line), "{line} not in {figures}");
    }
}

fn a_hundred_streams() {
    let mut cluster = server();
    let pid = cluster.workers()[0].to_string();
    let mut client = Http2::open(cluster.address());
    let settings = client.wait_for(kind::SETTINGS).unwrap().payload;
    let limit = settings.chunks(6).find(|entry| entry[..2] == MAX_CONCURRENT_STREAMS.to_be_bytes()).unwrap();
    assert_eq!(limit[2..], 100u32.to_be_bytes());
    // The last one answers first: none of them waits for another.
    for number in 0..99 {
        client.request(1 + 2 * number, "/slow?400");
    }
    client.request(199, "/");
    assert_eq!(client.answer(199), pid);
    let mut waiting = 99;
    while waiting > 0 {
        let read = client.frame().unwrap();
        assert_ne!(read.kind, kind::RST_STREAM, "{read:?}");
        if read.kind == kind::DATA && read.flags & END_STREAM != 0 {
            waiting -= 1;
        }
    }
}

fn goaway() {
    let mut cluster = server();
    let pid = cluster.workers()[0].to_string();
    let mut idle = Http2::open(cluster.address());
    idle.request(1, "/");
    idle.answer(1);
    let mut busy = Http2::open(cluster.address());
    busy.request(1, "/slow?1500");
    busy.request(3, "/");
    assert_eq!(busy.answer(3), pid, "the first was read before");
    cluster.signal(Signal::TERM);
    assert_eq!(idle.rest(), [NO_ERROR, NO_ERROR]);
    let told = busy.wait_for(kind::GOAWAY).unwrap();
    assert_eq!(told.error_code(), NO_ERROR);
    assert_eq!(busy.answer(1), pid);
    assert!(busy.rest().iter().all(|code| *code == NO_ERROR));
    assert_eq!(cluster.wait().0.code(), Some(0));
}

fn idle() {
    let mut cluster = one_worker("TEST_IDLE", "200");
    let mut silent = Http2::open(cluster.address());
    let mut busy = Http2::open(cluster.address());
    busy.request(1, "/slow?1500");
    silent.wait_for(kind::SETTINGS).unwrap();
    // Frames that open no stream are no work.
    silent.send(&frame(kind::PING, 0, 0, &[0; 8])).unwrap();
    assert_eq!(silent.rest().first(), Some(&NO_ERROR));
    assert_eq!(busy.answer(1), cluster.workers()[0].to_string());
    assert_eq!(busy.rest().first(), Some(&NO_ERROR));
}

fn request_timeout() {
    let mut cluster = one_worker("TEST_REQUEST", "200");
    let mut client = Http2::open(cluster.address());
    for (stream, path) in [(1, "/slow?60000"), (3, "/stall"), (5, "/")] {
        client.request(stream, path);
    }
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let read = client.frame().unwrap();
        let ended = read.kind == kind::RST_STREAM || (read.kind != kind::SETTINGS && read.flags & END_STREAM != 0);
        if ended {
            seen.push((read.stream, read.kind, String::from_utf8_lossy(&read.payload).into_owned()));
        }
    }
    assert_eq!((seen[0].0, seen[0].1), (5, kind::DATA), "{seen:?}");
    let of = |stream: u32| seen.iter().find(|(of, ..)| *of == stream).unwrap();
    assert!(of(1).2.contains("\"status\":504"), "{seen:?}");
    assert_eq!(of(3).1, kind::RST_STREAM, "a body that was broken off");
}

/// Sends these bytes again and again until the server has enough; what it said then.
fn flood(cluster: &mut Running, first: &[u8], mut more: impl FnMut(u32) -> Vec<u8>) -> Vec<u32> {
    const MOST: usize = 256 * 1024 * 1024;
    let worker = cluster.workers()[0];
    let before = resident(worker);
    let address = cluster.address();
    let mut client = Http2::open(address);
    client.send(first).unwrap();
    let mut sent = 0;
    for round in 0.. {
        let bytes = more(round);
        sent += bytes.len();
        assert!(sent < MOST, "the server took everything");
        if client.send(&bytes).is_err() {
            break;
        }
    }
    let codes = client.rest();
    let grown = resident(worker).saturating_sub(before);
    assert!(grown < GROWTH, "the worker grew by {grown} bytes");
    assert!(lives(worker));
    assert_eq!(ask(address, "/"), Outcome::Ok(worker));
    codes
}

fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn rapid_reset() {
    let mut cluster = server();
    for path in ["/", "/slow?60000"] {
        let codes = flood(&mut cluster, &[], |round| {
            (0..50)
                .flat_map(|number| {
                    let stream = 1 + 2 * (round * 50 + number);
                    let open = frame(kind::HEADERS, END_STREAM | END_HEADERS, stream, &get(path));
                    [open, frame(kind::RST_STREAM, 0, stream, &8u32.to_be_bytes())].concat()
                })
                .collect()
        });
        assert!(codes.iter().all(|code| [NO_ERROR, ENHANCE_YOUR_CALM].contains(code)), "{codes:?}");
    }
    // The reset may come after we have begun: each alone, as soon as the ping before it was answered.
    let mut client = Http2::open(cluster.address());
    let ended = (0..1000u32).map(|number| 1 + 2 * number).find(|stream| {
        let open = frame(kind::HEADERS, END_STREAM | END_HEADERS, *stream, &get("/slow?60000"));
        let reset = frame(kind::RST_STREAM, 0, *stream, &8u32.to_be_bytes());
        let ping = frame(kind::PING, 0, 0, &[1; 8]);
        let sent = client.send(&[open, ping].concat()).and_then(|()| {
            loop {
                let read = client.frame()?;
                if read.kind == kind::PING && read.flags & ACK != 0 {
                    break client.send(&reset);
                }
            }
        });
        sent.is_err()
    });
    assert!(ended.is_some(), "a thousand streams were opened and given up");
}

fn endless_headers() {
    let mut cluster = server();
    // A header field of which more and more comes.
    let first = frame(kind::HEADERS, END_STREAM, 1, &get("/"));
    let piece = [&[0x00, 0x01, b'a', 0x7f, 0x81, 0x7f][..], &[b'x'; 16 * 1024 - 6]].concat();
    flood(&mut cluster, &first, |_| frame(kind::CONTINUATION, 0, 1, &piece));
    // Frames of nothing.
    flood(&mut cluster, &first, |_| frame(kind::CONTINUATION, 0, 1, &[]).repeat(100));
}

fn lies() {
    let mut cluster = server();
    let (address, worker) = (cluster.address(), cluster.workers()[0]);
    let mut oversized = frame(kind::DATA, 0, 1, &[]);
    oversized[..3].copy_from_slice(&[0xff, 0xff, 0xff]);
    let cases: [(&[u8], u32); 4] = [
        (&oversized, FRAME_SIZE_ERROR),
        (&frame(kind::DATA, 0, 1, b"on no stream"), PROTOCOL_ERROR),
        (&frame(kind::HEADERS, END_STREAM | END_HEADERS, 2, &get("/")), PROTOCOL_ERROR),
        (&frame(kind::CONTINUATION, END_HEADERS, 1, &get("/")), PROTOCOL_ERROR),
    ];
    for (bytes, code) in cases {
        let mut client = Http2::open(address);
        client.send(bytes).unwrap();
        assert!(client.rest().contains(&code), "not {code} for {bytes:?}");
    }
    let mut garbage = KeepAlive::open(address);
    garbage.send(&format!("{}{}", std::str::from_utf8(PREFACE).unwrap(), "x".repeat(1000)));
    let _ = garbage.rest();
    assert!(lives(worker));
    assert_eq!(ask(address, "/"), Outcome::Ok(worker));
}
