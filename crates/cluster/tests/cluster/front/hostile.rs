//! Clients of the control socket that behave badly.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;

use super::asking::{Controlled, Lines, ask};
use crate::Test;
use crate::process::DEADLINE;

pub(crate) const TESTS: &[Test] = &[
    ("a hundred clients at once are all answered", many),
    ("garbage on the control socket is answered or closed, and the next client is served", garbage),
    ("clients that say nothing leave room for others", silent),
    ("followers leave room for commands", followers),
    ("who reads events too slowly loses some and is told how many", slow_events),
    ("another user is refused (needs root)", other_user),
];

fn many() {
    let cluster = Controlled::ready("controlled");
    let socket = cluster.socket();
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let status = ask(&socket, "GET", "/status").unwrap();
                    assert_eq!((status.status, &status.json()["ready"]), (200, &true.into()));
                }
            });
        }
    });
}

fn garbage() {
    let cluster = Controlled::ready("controlled");
    let front = cluster.front();
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(200_000));
    let with_body = "POST /reload HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc".to_owned();
    let huge_body = "POST /reload HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\nabc".to_owned();
    let headers = format!("GET /status HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(20_000));
    let two = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\nGET /livez HTTP/1.1\r\nhost: x\r\n\r\n".to_owned();
    for bytes in [
        b"\0\x01\x02\xff\xfe\r\n\r\n".to_vec(),
        b"hello\r\n\r\n".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"GET /%zz?%%%&&&== HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        b"GET /workers/99999999999999999999/kill HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        long.into_bytes(),
        with_body.into_bytes(),
        huge_body.into_bytes(),
        headers.into_bytes(),
        two.into_bytes(),
        vec![b'\n'; 100_000],
        Vec::new(),
    ] {
        let mut client = UnixStream::connect(cluster.socket()).unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        // The other side may close in the middle of it.
        let _ = client.write_all(&bytes);
        let _ = client.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 200"),
            "{answer}"
        );
        assert_eq!(answer.matches("HTTP/1.1").count().max(1), 1, "{answer}");
    }
    let status = cluster.get("/status").json();
    assert_eq!((&status["operation"], &status["front"]["pid"]), (&().into(), &front.into()));
}

fn silent() {
    let cluster = Controlled::ready("controlled");
    let silent: Vec<UnixStream> = (0..32).map(|_| UnixStream::connect(cluster.socket()).unwrap()).collect();
    // The 33rd waits until one of them has run out of time.
    assert_eq!(cluster.get("/livez").status, 200);
    drop(silent);
}

fn followers() {
    let cluster = Controlled::ready("controlled");
    let mut following: Vec<Lines> = (0..16).map(|_| Lines::open(&cluster.socket(), "/events")).collect();
    let refused = cluster.get("/events");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(cluster.until_over(&cluster.post("/reload"))["state"], "done");
    for lines in &mut following {
        lines.until("\"kind\":\"ended\"");
    }
    drop(following);
    // Their places are free again once the front has seen that they are gone.
    crate::process::until(crate::process::soon(), "a free place", || {
        let mut stream = super::asking::open(&cluster.socket(), "GET", "/events?since=0").ok()?;
        let mut head = [0; 12];
        stream.read_exact(&mut head).ok()?;
        (&head == b"HTTP/1.1 200").then_some(())
    });
}

fn slow_events() {
    let cluster = Controlled::ready("controlled");
    let mut slow = Lines::open(&cluster.socket(), "/events");
    let mut quick = Lines::open(&cluster.socket(), "/events");
    let socket = cluster.socket();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            for number in 0..6000 {
                assert_eq!(ask(&socket, "POST", &format!("/workers/{}/kill", 1_000_000 + number)).unwrap().status, 404);
            }
        });
        for number in 0..6000 {
            quick.until(&format!("to worker {} ", 1_000_000 + number));
        }
        asking.join().unwrap();
    });
    // It reads what was kept for it; then the next event brings the number of those that were not.
    slow.until("to worker 1000000 ");
    let told = std::thread::scope(|scope| {
        let told = scope.spawn(move || slow.until("\"kind\":\"lost\""));
        while !told.is_finished() {
            let _ = ask(&socket, "POST", "/workers/9/kill");
        }
        told.join().unwrap()
    });
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert!(told["lost"].as_u64().is_some_and(|lost| lost > 0), "{told}");
}

fn other_user() {
    if !rustix::process::geteuid().is_root() {
        return println!("skipped: only root can be somebody else");
    }
    let cluster = Controlled::ready("logged");
    // Without this the kernel refuses already.
    std::fs::set_permissions(cluster.folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let script = format!("TEST_SOCKET={}", cluster.socket().display());
    let connect = || {
        std::process::Command::new(std::env::current_exe().unwrap())
            .env("TEST_PROGRAM", "ask-status")
            .env("TEST_SOCKET", script.trim_start_matches("TEST_SOCKET="))
            .uid(65534)
            .output()
    };
    let Ok(refused) = connect() else {
        return println!("skipped: another user cannot run the test program");
    };
    assert!(String::from_utf8_lossy(&refused.stdout).contains("ermission denied"), "{refused:?}");
    std::fs::set_permissions(cluster.socket(), PermissionsExt::from_mode(0o666)).unwrap();
    let refused = String::from_utf8(connect().unwrap().stdout).unwrap();
    assert!(refused.contains("403") && refused.contains("uid 65534 may not ask here"), "{refused}");
    crate::process::until(crate::process::soon(), "the refusal in the log", || {
        cluster.log().contains("control | uid 65534 may not ask").then_some(())
    });
    assert_eq!(cluster.get("/livez").status, 200);
}
