//! Memory stays small whatever passes through, and whoever leaves, the work ends.

use super::{begun, figure, noise, ok, piece, sending, text, wait_for_rest};
use crate::harness::{Connection, Server, wait_until};
use phalanx_stream::Identity;

/// What one worker may have needed at most, with all that it is: far less than what passes through.
const MOST_RESIDENT_KIB: u64 = 96 << 10;
const MIB: usize = 1 << 20;

/// The most memory that the server's one worker ever had.
fn peak_kib(server: &Server) -> u64 {
    let pid = server.get("/whoami").json()["pid"].as_u64().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Reads all of an answer, and keeps nothing of it; its length.
fn length(connection: &mut Connection) -> u64 {
    let head = connection.head().unwrap();
    assert_eq!(head.status, 200, "{}", head.text());
    let mut length = 0;
    while let Some(chunk) = connection.chunk().unwrap() {
        length += chunk.len() as u64;
    }
    length
}

#[test]
fn two_hundred_mebibytes_pass_through_a_small_memory() {
    let server = Server::start_with(&["--workers", "1", "--memory", "64MiB"]);
    let key = Identity::generate();
    let part = [text(MIB / 2), noise(MIB / 2)].concat();
    let encrypt = format!("/v1/encrypt?recipient={}", key.recipient());
    for (path, least) in
        [("/v1/compress?level=1", 100 * MIB), ("/v1/compress?format=zstd", 100 * MIB), (&encrypt, 200 * MIB)]
    {
        let mut connection = begun(&server, path, "");
        let parts = part.clone();
        let sending = sending(connection.second_handle(), (0..200).map(move |_| parts.clone()));
        let length = length(&mut connection);
        assert_eq!(sending.join().unwrap(), 200 * MIB as u64);
        assert!(length >= least as u64, "{path}: {length}");
        println!("{path}: {length} bytes, peak {} KiB", peak_kib(&server));
    }
    let mut connection = begun(&server, "/v1/hash/sha-256", "");
    let sending = sending(connection.second_handle(), (0..200).map(move |_| part.clone()));
    assert_eq!(connection.answer().unwrap().json()["bytes"], 200 * MIB);
    sending.join().unwrap();
    let peak = peak_kib(&server);
    assert!(peak < MOST_RESIDENT_KIB, "{peak} KiB");
    wait_for_rest(&server);
}

#[test]
fn who_does_not_read_is_not_read_from() {
    let server = Server::start_with(&["--workers", "1"]);
    let key = Identity::generate();
    let bytes = noise(48 * MIB);
    let mut connection = begun(&server, &format!("/v1/encrypt?recipient={}", key.recipient()), "");
    let parts: Vec<Vec<u8>> = bytes.chunks(MIB).map(<[u8]>::to_vec).collect();
    let sending = sending(connection.second_handle(), parts.into_iter());
    let read = || figure(&server, "phalanx_stream_bytes_total{direction=\"in\"}");
    let mut before = 0;
    wait_until("it to stand still", || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        let now = read();
        std::mem::replace(&mut before, now) == now && now > 0
    });
    // The pipeline, and the buffers of two sockets.
    assert!(before < 32 * MIB as u64, "{before} bytes were read of a client that reads nothing");
    let peak = peak_kib(&server);
    assert!(peak < MOST_RESIDENT_KIB, "{peak} KiB");
    let head = connection.head().unwrap();
    assert_eq!(head.status, 200);
    let mut sealed = Vec::new();
    while let Some(chunk) = connection.chunk().unwrap() {
        sealed.extend(chunk);
    }
    sending.join().unwrap();
    let identity = format!("phalanx-identity: {}\r\n", key.expose());
    assert!(ok(server.post("/v1/decrypt", &identity, &sealed)) == bytes);
}

#[test]
fn a_body_of_single_bytes_costs_no_more_than_any_other() {
    let server = Server::start_with(&["--workers", "1"]);
    let mut connection = begun(&server, "/v1/compress", "");
    let single: Vec<u8> = noise(20_000).iter().flat_map(|byte| piece(&[*byte])).collect();
    let mut writer = connection.second_handle();
    let writing = std::thread::spawn(move || {
        use std::io::Write;
        writer.write_all(&[single, piece(b"")].concat())
    });
    let small = ok(connection.answer().unwrap());
    writing.join().unwrap().unwrap();
    assert!(ok(server.post("/v1/decompress", "", &small)) == noise(20_000));
}

#[test]
fn a_reader_that_is_gone_takes_the_work_with_it() {
    let server = Server::start_with(&["--workers", "1"]);
    server.survives(|server| {
        for path in ["/v1/compress?level=1", "/v1/compress?format=zstd"] {
            let mut connection = begun(server, path, "");
            let sending = sending(connection.second_handle(), (0..100_000).map(|_| noise(MIB)));
            assert_eq!(connection.head().unwrap().status, 200);
            connection.chunk().unwrap().unwrap();
            connection.hang_up();
            assert!(sending.join().unwrap() < 1 << 30);
            wait_for_rest(server);
        }
        assert_eq!(figure(server, "phalanx_streams_total{result=\"done\"}"), 0);
    });
}

#[test]
fn a_client_gone_in_the_middle_of_its_body_is_forgotten() {
    let server = Server::start_with(&["--workers", "1"]);
    server.survives(|server| {
        for path in ["/v1/compress", "/v1/decompress?format=gzip", "/v1/hash/blake3"] {
            // Once before and once after its answer has begun.
            for sent in [1000, 4 * MIB] {
                let mut connection = begun(server, path, "");
                connection.write(&piece(&noise(sent)));
                connection.hang_up();
                wait_for_rest(server);
            }
        }
    });
}

#[test]
fn many_at_once_get_what_is_theirs() {
    let server = Server::start_with(&["--max-wait", "60s", "--standing-wait", "60s"]);
    std::thread::scope(|scope| {
        for number in 0..8_usize {
            let server = &server;
            scope.spawn(move || {
                let bytes = text(300_000 + number * 77_777);
                for _ in 0..3 {
                    let query = if number % 2 == 0 { "" } else { "?format=zstd" };
                    let small = ok(server.post(&format!("/v1/compress{query}"), "", &bytes));
                    assert!(ok(server.post("/v1/decompress", "", &small)) == bytes);
                }
            });
        }
    });
    wait_for_rest(&server);
}
