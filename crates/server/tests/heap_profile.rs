//! `phalanx ctl heap-profile` against a real server; what it says depends on how the binary was built.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::{Server, code};

#[cfg(not(feature = "heap-profile"))]
#[test]
fn a_server_built_without_heap_profiles_says_how_to_get_them() {
    let server = Server::start();
    let file = server.store().join("heap.pb.gz");
    for arguments in [vec!["heap-profile", "on"], vec!["heap-profile", "-o", file.to_str().unwrap()]] {
        let told = server.ctl(&arguments);
        assert_eq!(code(told.status), 1, "{}", told.stderr);
        assert!(told.stderr.contains("--features heap-profile"), "{}", told.stderr);
        assert_eq!(told.stderr.lines().count(), 1, "{}", told.stderr);
    }
    assert!(!file.exists());
    let told = Server::refused(&["--heap-profile"], |_, _| {});
    assert_eq!(code(told.status), 64);
    assert!(told.stderr.contains("--heap-profile: this program was built without"), "{}", told.stderr);
}

#[test]
fn a_wrong_command_line_is_said_before_anything_is_asked() {
    let server = Server::start();
    let folder = server.store();
    let folder = folder.to_str().unwrap();
    for wrong in [&["heap-profile"][..], &["heap-profile", "x", "-o", "y"], &["heap-profile", "-o", folder]] {
        let told = server.ctl(wrong);
        assert_eq!(code(told.status), 64, "{wrong:?}: {}", told.stderr);
    }
    let (status, answer) = server.control("POST", "/heap-profile?as=nonsense");
    assert_eq!((status, answer["error"].as_str().unwrap().contains("flame-graph")), (400, true));
    assert_eq!(server.control("GET", "/heap-profile").0, 405);
}

#[cfg(feature = "heap-profile")]
mod built_in {
    use super::harness::{Connection, Server, code};

    /// A compressor at its strongest holds tens of MiB for as long as its client takes.
    fn held_by_zstd(server: &Server) -> Connection {
        let mut connection = server.connect();
        let head =
            "POST /v1/compress?format=zstd&level=12 HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n";
        connection.write(head.as_bytes());
        for _ in 0..128 {
            connection.write(b"10000\r\n");
            connection.write(&[7; 0x10000]);
            connection.write(b"\r\n");
        }
        connection
    }

    #[test]
    fn what_a_worker_holds_comes_by_name_as_pprof_and_as_a_picture() {
        let server = Server::start_with(&["--heap-profile", "--workers", "1"]);
        let _held = held_by_zstd(&server);
        let (file, picture) = (server.store().join("heap.pb.gz"), server.store().join("heap.svg"));
        let arguments = ["heap-profile", "-o", file.to_str().unwrap(), "--flame-graph", picture.to_str().unwrap()];
        super::harness::wait_until("what the stream holds", || {
            let told = server.ctl(&arguments);
            assert_eq!(code(told.status), 0, "{}", told.stderr);
            assert!(told.stdout.starts_with("worker 1: "), "{}", told.stdout);
            assert!(told.stdout.contains("go tool pprof -http=: "), "{}", told.stdout);
            std::fs::read_to_string(&picture).unwrap().contains("phalanx_stream::")
        });
        assert!(std::fs::read(&file).unwrap().starts_with(&[0x1f, 0x8b]));
        assert!(server.log().contains("asked for a heap profile of worker 1: done"), "{}", server.log());
    }

    #[test]
    fn sampling_is_switched_on_and_off_while_the_server_runs() {
        let server = Server::start();
        let file = server.store().join("heap.pb.gz");
        let take = ["heap-profile", "-o", file.to_str().unwrap()];
        let told = server.ctl(&take);
        assert_eq!(code(told.status), 1);
        assert!(told.stderr.contains("not sampled"), "{}", told.stderr);
        assert!(!file.exists());
        assert_eq!(code(server.ctl(&["heap-profile", "on"]).status), 0);
        assert_eq!(code(server.ctl(&take).status), 0);
        assert!(file.exists());
        assert_eq!(code(server.ctl(&["heap-profile", "off"]).status), 0);
        assert_eq!(code(server.ctl(&take).status), 1);
        let told = server.ctl(&["heap-profile", "99999", "-o", file.to_str().unwrap()]);
        assert_eq!(code(told.status), 1);
        assert!(told.stderr.contains("no worker 99999"), "{}", told.stderr);
    }

    #[test]
    fn pictures_are_made_by_job_processes_in_their_sandbox_with_this_allocator() {
        let server = Server::start_with(&["--heap-profile"]);
        let (head, body) = super::harness::multipart(&[("image", &super::harness::pictures::jpeg(640, 480))]);
        let answer = server.post("/upload", &head, &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}
