//! Slow clients, clients that are gone, too much work: each costs the server little, and its neighbours nothing.

mod harness;

use harness::pictures::{SLOW_PATH, jpeg, slow_photo};
use harness::{Server, wait_until};
use std::fmt::Write as _;

const NUMBERS: &str = "content-type: application/json\r\n";

fn numbers(count: usize) -> Vec<u8> {
    format!("{{\"numbers\":[{}]}}", vec!["7"; count].join(",")).into_bytes()
}

#[test]
fn a_slow_header_is_cut_off() {
    let server = Server::start_with(&["--header-timeout", "200ms"]);
    server.survives(|server| {
        let mut connection = server.connect();
        connection.write(b"GET /livez HTTP/1.1\r\nhost: te");
        let told = String::from_utf8_lossy(&connection.closed()).into_owned();
        assert!(told.is_empty() || told.starts_with("HTTP/1.1 408"), "{told}");
    });
}

#[test]
fn a_silent_body_is_408() {
    let server = Server::start_with(&["--body-grace", "200ms"]);
    server.survives(|server| {
        let mut connection = server.connect();
        connection.write(b"POST /upload HTTP/1.1\r\nhost: test\r\ncontent-length: 100000\r\n\r\n");
        connection.write(&jpeg(64, 64)[..100]);
        connection.answer().unwrap().is_problem(408, "slow-body");
    });
}

#[test]
fn a_body_below_the_minimum_rate_is_408_though_it_never_stops() {
    let server = Server::start_with(&["--body-grace", "200ms", "--body-rate", "100000"]);
    server.survives(|server| {
        let mut connection = server.connect();
        connection.write(b"POST /upload HTTP/1.1\r\nhost: test\r\ncontent-length: 10000000\r\n\r\n");
        let mut writer = connection.second_handle();
        let drip = std::thread::spawn(move || {
            use std::io::Write;
            // 64 bytes in 5 ms are 12.8 kB/s; it ends with the connection, or with the picture.
            for piece in jpeg(640, 640).chunks(64) {
                if writer.write_all(piece).is_err() {
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        });
        connection.answer().unwrap().is_problem(408, "slow-body");
        connection.hang_up();
        drip.join().unwrap();
    });
}

#[test]
fn a_client_gone_in_the_middle_of_its_body_is_forgotten() {
    let server = Server::start();
    server.survives(|server| {
        let photo = jpeg(640, 640);
        let mut connection = server.connect();
        connection.write(
            format!("POST /upload HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n", photo.len()).as_bytes(),
        );
        connection.write(&photo[..photo.len() / 2]);
        connection.hang_up();
        wait_until("its memory to be free", || {
            (0..4).all(|_| server.get("/readyz").json()["memory"]["reserved_bytes"] == 0)
        });
        assert_eq!(server.stored(), [""; 0]);
    });
}

#[test]
fn the_work_of_a_client_that_is_gone_is_cancelled() {
    let server = Server::start_with(&["--workers", "1", "--job-deadline", "1h", "--max-wait", "1h"]);
    let mut connection = server.connect();
    let body = numbers(1000);
    connection.write(
        format!("POST /process HTTP/1.1\r\nhost: test\r\n{NUMBERS}content-length: {}\r\n\r\n", body.len()).as_bytes(),
    );
    connection.write(&body);
    wait_until("the work to begin", || server.busy() == 1);
    connection.hang_up();
    wait_until("the work to end", || server.busy() == 0);
    wait_until("the log line", || server.log().contains("the client is gone before its answer"));
}

#[test]
fn the_deadline_stops_the_work_with_504() {
    let server = Server::start_with(&["--job-deadline", "200ms"]);
    server.post("/process", NUMBERS, &numbers(1000)).is_problem(504, "deadline-passed");
    wait_until("the thread to be free", || server.busy() == 0);
    assert_eq!(server.post("/process", NUMBERS, &numbers(1)).status, 200);
}

#[test]
fn too_much_work_is_503_with_retry_after_and_livez_answers() {
    let server = Server::start_with(&["--workers", "1", "--max-wait", "50ms", "--job-deadline", "1h"]);
    // Each of these takes more than 100 ms: the first tells the pool how fast it is, the rest fill the line.
    let body = numbers(200);
    assert_eq!(server.post("/process", NUMBERS, &body).status, 200);
    let head = format!("POST /process HTTP/1.1\r\nhost: test\r\n{NUMBERS}content-length: {}\r\n\r\n", body.len());
    let mut connections: Vec<_> = (0..6).map(|_| server.connect()).collect();
    for connection in &mut connections {
        connection.write(head.as_bytes());
        connection.write(&body);
    }
    assert_eq!(server.get("/livez").status, 200);
    let answers: Vec<_> = connections.iter_mut().map(|connection| connection.answer().unwrap()).collect();
    let mut told = String::new();
    for answer in &answers {
        let _ = write!(told, "{} ", answer.status);
    }
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert!(answers.iter().any(|answer| answer.status == 200) && refused.len() >= 2, "{told}");
    for answer in refused {
        answer.is_problem(503, "overloaded");
        assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    }
}

#[test]
fn a_full_server_refuses_before_it_reads_the_body() {
    let server = Server::start_with(&["--workers", "1", "--max-wait", "1ms", "--job-deadline", "1h"]);
    let body = slow_photo();
    let head = format!("POST {SLOW_PATH} HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n", body.len());
    let mut busy = server.connect();
    busy.write(head.as_bytes());
    busy.write(&body);
    wait_until("the work to begin", || server.busy() == 1);
    for announces in
        ["content-length: 20000000", "transfer-encoding: chunked", "expect: 100-continue\r\ncontent-length: 2000000"]
    {
        let mut connection = server.connect();
        connection.write(format!("POST /upload HTTP/1.1\r\nhost: test\r\n{announces}\r\n\r\n").as_bytes());
        let answer = connection.answer().unwrap();
        answer.is_problem(503, "overloaded");
        assert!(answer.header("retry-after").is_some());
    }
    busy.hang_up();
}

#[test]
fn a_picture_that_needs_more_memory_than_there_is_is_413() {
    let server = Server::start_with(&["--memory", "8MiB"]);
    server.post("/v1/images", "", &harness::pictures::png(3000, 2000)).is_problem(413, "picture-too-large");
    assert_eq!(server.post("/v1/images", "", &harness::pictures::png(100, 100)).status, 200);
}

#[test]
fn the_store_keeps_its_limit() {
    let server = Server::start_with(&["--store-limit", "8KiB", "--workers", "1"]);
    let length = |name: String| std::fs::metadata(server.store().join(name)).unwrap().len();
    let size = || -> u64 { server.stored().into_iter().map(length).sum() };
    let photo = jpeg(96, 96);
    let mut paths = Vec::new();
    for _ in 0..12 {
        let answer = server.post("/upload", "", &photo);
        assert_eq!(answer.status, 200, "{}", answer.text());
        paths.push(answer.json()["resultPath"].as_str().unwrap().to_owned());
        assert!(size() <= 8 << 10, "{} bytes", size());
    }
    assert_eq!(server.get(&paths[11]).status, 200);
    server.get(&paths[0]).is_problem(404, "not-found");
    server.post("/upload?w=640&q=100", "", &jpeg(640, 640)).is_problem(507, "store-full");
}
