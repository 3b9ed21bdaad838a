//! Whatever is sent: a clear refusal before the answer begins, a cut answer after that, and the same workers serve on.

use super::{begun, figure, noise, ok, piece, sending, text, wait_for_rest};
use crate::harness::{Server, wait_until};
use std::time::Duration;

const NUMBERS: &str = "content-type: application/json\r\n";

#[test]
fn unknown_and_wrong_parameters_are_400_by_name() {
    Server::start().survives(|server| {
        for (path, named) in [
            ("/v1/compress?format=brotli", "one of gzip, zstd"),
            ("/v1/compress?level=10", "from 1 to 9"),
            ("/v1/compress?format=zstd&level=13", "from 1 to 12"),
            ("/v1/compress?quality=3", "\"quality\" is unknown"),
            ("/v1/decompress?level=3", "\"level\" is unknown"),
            ("/v1/decompress?format=gzip&format=zstd", "more than once"),
            ("/v1/encrypt?recipient=alice", "public key of age"),
            ("/v1/encrypt", "for whom?"),
            ("/v1/decrypt?armor=1", "\"armor\" is unknown"),
            ("/v1/hash/sha-256?form=hex", "\"form\" is unknown"),
        ] {
            let detail = server.post(path, "", b"abc").is_problem(400, "bad-parameter");
            assert!(detail.contains(named), "{path}: {detail}");
        }
        server.post("/v1/hash/md5", "", b"abc").is_problem(404, "not-found");
        server.post("/v1/hash/blake3", "accept: image/png\r\n", b"abc").is_problem(406, "not-acceptable");
        server.get("/v1/compress").is_problem(405, "method-not-allowed");
        let head = |path: &str| format!("POST {path} HTTP/1.0\r\nhost: test\r\ncontent-length: 3\r\n\r\n");
        server.connect().send(&head("/v1/compress"), b"abc").is_problem(505, "old-http");
        assert_eq!(server.connect().send(&head("/v1/hash/blake3"), b"abc").status, 200);
    });
}

#[test]
fn what_cannot_be_decoded_is_422_or_415() {
    let server = Server::start_with(&["--workers", "1"]);
    server.survives(|server| {
        let bytes = text(50_000);
        for query in ["", "?format=zstd"] {
            let small = ok(server.post(&format!("/v1/compress{query}"), "", &bytes));
            for length in [5, 20, small.len() / 2, small.len() - 1] {
                let detail = server.post("/v1/decompress", "", &small[..length]).is_problem(422, "undecodable");
                assert!(detail.contains("decoded"), "{detail}");
            }
            let mut damaged = small.clone();
            let middle = damaged.len() / 2;
            damaged[middle] ^= 1;
            server.post("/v1/decompress", "", &damaged).is_problem(422, "undecodable");
        }
        server.post("/v1/decompress", "", &bytes).is_problem(415, "unknown-format");
        server.post("/v1/decompress", "", b"").is_problem(422, "undecodable");
        server.post("/v1/decompress?format=gzip", "", b"").is_problem(422, "undecodable");
        server.post("/v1/decompress?format=zstd", "", &bytes).is_problem(422, "undecodable");
        assert_eq!(figure(server, "phalanx_streams_total{result=\"refused\"}"), 14);
    });
    wait_for_rest(&server);
}

#[test]
fn damage_behind_the_first_bytes_cuts_the_answer_and_is_logged() {
    let server = Server::start_with(&["--workers", "1"]);
    server.survives(|server| {
        let mut small = ok(server.post("/v1/compress", "", &noise(8 << 20)));
        let late = small.len() - 1000;
        small[late] ^= 1;
        let mut connection = server.connect();
        let head = format!(
            "POST /v1/decompress HTTP/1.1\r\nhost: test\r\nx-request-id: cut-7\r\ncontent-length: {}\r\n\r\n",
            small.len()
        );
        let error = connection.try_send(&head, &small).expect_err("a cut answer");
        println!("{error}");
        wait_until("its line", || server.log().contains("an answer is cut in the middle"));
        let log = server.log();
        let line = log.lines().find(|line| line.contains("an answer is cut")).unwrap();
        assert!(line.contains("cut-7") && line.contains("decompress"), "{line}");
        assert_eq!(figure(server, "phalanx_streams_total{result=\"cut\"}"), 1);
    });
    wait_for_rest(&server);
}

#[test]
fn a_bomb_is_413_by_its_ratio_or_cut_by_its_size() {
    let server = Server::start_with(&["--workers", "1", "--inflate-limit", "3MiB"]);
    server.survives(|server| {
        let zeros = vec![0; 64 << 20];
        for query in ["", "?format=zstd"] {
            let bomb = ok(server.post(&format!("/v1/compress{query}"), "", &zeros));
            assert!(bomb.len() < 1 << 20);
            let mut connection = server.connect();
            let head = format!("POST /v1/decompress HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n", bomb.len());
            // What shows before the first bytes is a status, what shows later is a cut.
            if let Ok(answer) = connection.try_send(&head, &bomb) {
                answer.is_problem(413, "inflates-too-far");
                assert!(answer.json()["limit"].is_u64(), "{}", answer.text());
            }
        }
        let honest = ok(server.post("/v1/compress", "", &text(4 << 20)));
        assert!(honest.len() > 64 << 10);
        let mut connection = server.connect();
        let head = format!("POST /v1/decompress HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n", honest.len());
        if let Ok(answer) = connection.try_send(&head, &honest) {
            answer.is_problem(413, "inflates-too-far");
        }
        let small = ok(server.post("/v1/compress", "", &text(2 << 20)));
        assert_eq!(ok(server.post("/v1/decompress", "", &small)).len(), 2 << 20);
    });
    wait_for_rest(&server);
}

#[test]
fn a_body_beyond_the_limit_is_413_and_unread_if_it_says_so() {
    let server = Server::start_with(&["--workers", "1", "--stream-limit", "1MiB"]);
    server.survives(|server| {
        let mut connection = server.connect();
        connection.write(b"POST /v1/hash/blake3 HTTP/1.1\r\nhost: test\r\ncontent-length: 2000000\r\n\r\n");
        let answer = connection.answer().unwrap();
        answer.is_problem(413, "body-too-large");
        assert_eq!(answer.json()["limit"], 1 << 20);
        let mut connection = begun(server, "/v1/hash/blake3", "");
        let sending = sending(connection.second_handle(), (0..40).map(|_| vec![7; 64 << 10]));
        connection.answer().unwrap().is_problem(413, "body-too-large");
        connection.hang_up();
        sending.join().unwrap();
        assert_eq!(server.post("/v1/hash/blake3", "", &vec![7; 1 << 20]).status, 200);
    });
    wait_for_rest(&server);
}

#[test]
fn a_silent_client_is_408_and_one_below_the_rate_too() {
    let server = Server::start_with(&["--workers", "1", "--body-grace", "200ms", "--body-rate", "100000"]);
    server.survives(|server| {
        for path in ["/v1/compress", "/v1/decompress", "/v1/hash/blake3"] {
            let mut connection = begun(server, path, "");
            connection.write(&piece(b"\x1f\x8b\x08"));
            connection.answer().unwrap().is_problem(408, "slow-body");
        }
        let mut connection = begun(server, "/v1/hash/blake3", "");
        // 64 bytes in 5 ms are 12.8 kB/s.
        let drip = (0..10_000).map(|_| {
            std::thread::sleep(Duration::from_millis(5));
            vec![7; 64]
        });
        let drip = sending(connection.second_handle(), drip);
        connection.answer().unwrap().is_problem(408, "slow-body");
        connection.hang_up();
        drip.join().unwrap();
    });
    wait_for_rest(&server);
}

#[test]
fn too_much_work_is_503_before_the_body_is_read() {
    let server = Server::start_with(&["--workers", "1", "--max-wait", "50ms", "--job-deadline", "1h"]);
    let numbers = format!("{{\"numbers\":[{}]}}", vec!["7"; 400].join(","));
    assert_eq!(server.post("/process", NUMBERS, numbers.as_bytes()).status, 200);
    let head = format!("POST /process HTTP/1.1\r\nhost: test\r\n{NUMBERS}content-length: {}\r\n\r\n", numbers.len());
    let mut busy: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for connection in &mut busy {
        connection.write(head.as_bytes());
        connection.write(numbers.as_bytes());
    }
    wait_until("the line to be long", || server.busy() >= 1);
    for path in ["/v1/compress", "/v1/hash/blake3"] {
        let mut connection = begun(&server, path, "");
        let answer = connection.answer().unwrap();
        answer.is_problem(503, "overloaded");
        assert!(answer.header("retry-after").is_some());
    }
}

#[test]
fn as_many_streams_as_there_is_memory_for() {
    let server = Server::start_with(&["--workers", "1", "--memory", "20MiB"]);
    server.survives(|server| {
        let streams: Vec<_> = (0..2)
            .map(|_| {
                let mut connection = begun(server, "/v1/hash/blake3", "");
                connection.write(&piece(b"abc"));
                connection
            })
            .collect();
        wait_until("both to be under way", || {
            server.get("/readyz").json()["memory"]["reserved_bytes"].as_u64() > Some(12 << 20)
        });
        let answer = server.post("/v1/hash/blake3", "", b"abc");
        answer.is_problem(503, "overloaded");
        assert!(answer.header("retry-after").is_some());
        for mut connection in streams {
            connection.write(&piece(b""));
            assert_eq!(connection.answer().unwrap().status, 200);
        }
        assert_eq!(server.post("/v1/hash/blake3", "", b"abc").status, 200);
    });
}
