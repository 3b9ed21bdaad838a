//! What a cluster can listen on.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::process::Signal;

use crate::Test;
use crate::client::{Outcome, ask, body};
use crate::process::{DEADLINE, Running, soon, until};

pub(crate) const TESTS: &[Test] = &[
    ("a Unix socket is served, has its mode, and its file is gone at the end", unix_socket),
    ("the file of a Unix socket that a killed program left is taken over, that of a live one is not", unix_stale),
    ("kill -9 of the primary leaves no file of a Unix socket behind", unix_primary_killed),
    ("a Unix socket in the abstract namespace is served", unix_abstract),
    ("all addresses are served by one socket of both families", dual_stack),
    ("254 listeners are all served", many_listeners),
    ("sockets that a service manager gives are served, by name, and left open at the end", given),
    ("a socket that was asked for and not given is said", not_given),
    ("with few open files connections wait and are served", few_files),
];

/// As [`ask`], on a Unix socket.
fn ask_unix(path: &Path) -> Option<u32> {
    let mut stream = UnixStream::connect(path).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    body(&answer)?.parse().ok()
}

pub(crate) fn start(address: &str, settings: &[(&str, &str)]) -> Running {
    Running::start_with("server", |command| {
        command.env("TEST_ADDRESS", address).envs(settings.iter().copied());
    })
}

fn ready(address: &str) -> Running {
    let mut cluster = start(address, &[]);
    cluster.wait_for("is ready");
    cluster.wait_for("is ready");
    cluster
}

fn unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sock");
    let mut cluster = ready(&format!("unix:{}", path.display()));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let workers: HashSet<u32> = cluster.workers().into_iter().collect();
    let mut seen = HashSet::new();
    until(soon(), "an answer of each worker", || {
        seen.extend(ask_unix(&path));
        (seen == workers).then_some(())
    });
    cluster.signal(Signal::TERM);
    assert_eq!(cluster.wait().0.code(), Some(0));
    assert!(!path.exists());
}

fn unix_stale() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sock");
    let address = format!("unix:{}", path.display());
    drop(UnixListener::bind(&path).unwrap());
    let mut cluster = ready(&address);
    assert!(ask_unix(&path).is_some());
    let mut second = start(&address, &[]);
    let (status, stderr) = second.wait();
    assert_eq!(status.code(), Some(1));
    assert!(stderr.contains(&address) && stderr.contains("another program listens there"), "{stderr}");
    assert!(ask_unix(&path).is_some(), "the second has taken the socket from the first");
    cluster.signal(Signal::TERM);
    cluster.wait();
}

fn unix_primary_killed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sock");
    for distribution in ["shared", "round-robin"] {
        let settings = [("TEST_DISTRIBUTION", distribution)];
        let mut cluster = start(&format!("unix:{}", path.display()), &settings);
        cluster.wait_for("is ready");
        // Whoever accepts, a worker or a dispatcher, is there to clean up.
        until(soon(), "an answer", || ask_unix(&path));
        cluster.signal(Signal::KILL);
        until(soon(), "the file to be gone", || (!path.exists()).then_some(()));
    }
}

fn unix_abstract() {
    let name = format!("phalanx-test-{}", std::process::id());
    let mut cluster = ready(&format!("unix:@{name}"));
    let line = cluster.lines().iter().find(|line| line.contains("listens on")).cloned().unwrap();
    assert!(line.ends_with(&format!("unix:@{name}")), "{line}");
    let address = {
        use std::os::linux::net::SocketAddrExt;
        std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap()
    };
    let mut stream = UnixStream::connect_addr(&address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Starts the program as a service manager does: with a socket, named `web`, at 3.
fn start_given(folder: &Path, socket: OwnedFd, address: &str, distribution: &str) -> Running {
    let script = folder.join("start");
    let text = "#!/bin/sh\nexec 3<&0 </dev/null\n\
                LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web exec \"$TEST_EXECUTABLE\"\n";
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    Running::start_file(&script, "server", |command| {
        command.env("TEST_EXECUTABLE", std::env::current_exe().unwrap());
        command.env("TEST_ADDRESS", address).env("TEST_DISTRIBUTION", distribution).stdin(socket);
    })
}

fn given() {
    for (address, distribution) in [("systemd:web", "shared"), ("fd:3", "reuseport"), ("systemd", "round-robin")] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("given.sock");
        let (web, local) = (TcpListener::bind("127.0.0.1:0").unwrap(), UnixListener::bind(&path).unwrap());
        let web_address = web.local_addr().unwrap();
        for socket in [web.try_clone().unwrap().into(), local.try_clone().unwrap().into()] {
            let is_tcp = socket2::SockRef::from(&socket).local_addr().unwrap().as_socket().is_some();
            let mut cluster = start_given(folder.path(), socket, address, distribution);
            cluster.wait_for("is ready");
            cluster.wait_for("is ready");
            match is_tcp {
                true => assert!(matches!(ask(web_address, "/"), Outcome::Ok(_)), "{address}"),
                false => assert!(ask_unix(&path).is_some(), "{address}"),
            }
            cluster.signal(Signal::TERM);
            assert_eq!(cluster.wait().0.code(), Some(0), "{address}");
        }
        // They belong to whoever gave them: connections wait for the next program.
        std::net::TcpStream::connect(web_address).unwrap();
        UnixStream::connect(&path).unwrap();
    }
}

fn not_given() {
    let mut cluster = start("systemd:web", &[]);
    let (status, stderr) = cluster.wait();
    assert_eq!(status.code(), Some(64));
    assert!(stderr.contains("\"systemd:web\"") && stderr.contains("LISTEN_FDS"), "{stderr}");
    let folder = tempfile::tempdir().unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap().into();
    let (status, stderr) = start_given(folder.path(), socket, "systemd:admin", "shared").wait();
    assert_eq!(status.code(), Some(64));
    assert!(stderr.contains("1 were given; left are: web"), "{stderr}");
    let file = std::fs::File::open("/dev/null").unwrap().into();
    let (status, stderr) = start_given(folder.path(), file, "systemd", "shared").wait();
    assert_eq!(status.code(), Some(64));
    assert!(stderr.contains("it is no socket"), "{stderr}");
}

fn few_files() {
    for distribution in ["shared", "round-robin"] {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("start");
        std::fs::write(&script, "#!/bin/sh\nulimit -n 48\nexec \"$TEST_EXECUTABLE\"\n").unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut cluster = Running::start_file(&script, "server", |command| {
            command.env("TEST_EXECUTABLE", std::env::current_exe().unwrap()).env("TEST_DISTRIBUTION", distribution);
        });
        cluster.wait_for("is ready");
        cluster.wait_for("is ready");
        let address = cluster.address();
        // Many more than both workers can hold at once.
        let clients: Vec<_> = (0..100).map(|_| std::thread::spawn(move || ask(address, "/slow?50"))).collect();
        let outcomes: Vec<Outcome> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Ok(_))), "{distribution}: {outcomes:?}");
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn dual_stack() {
    if TcpListener::bind("[::1]:0").is_err() {
        return println!("  skipped: this machine has no IPv6");
    }
    let port = free_port();
    let both = [SocketAddr::from(([127, 0, 0, 1], port)), SocketAddr::from(([0u16, 0, 0, 0, 0, 0, 0, 1], port))];
    for address in [format!("[::]:{port}"), format!("[::]:{port} 0.0.0.0:{port}"), format!("localhost:{port}")] {
        let mut cluster = ready(&address);
        let served: Vec<Outcome> = both.iter().map(|address| ask(*address, "/")).collect();
        let named_both = !address.starts_with("localhost") || cluster.lines().iter().any(|line| line.contains("[::1]"));
        assert!(matches!(served[0], Outcome::Ok(_)), "{address}: {served:?}");
        assert!(matches!(served[1], Outcome::Ok(_)) || !named_both, "{address}: {served:?}");
        cluster.signal(Signal::TERM);
        cluster.wait();
    }
}

fn many_listeners() {
    const LISTENERS: usize = 254;
    for distribution in ["shared", "reuseport", "round-robin"] {
        let addresses = vec!["127.0.0.1:0"; LISTENERS].join(" ");
        let mut cluster = start(&addresses, &[("TEST_DISTRIBUTION", distribution)]);
        cluster.wait_for("is ready");
        cluster.wait_for("is ready");
        let of_first = cluster.lines().iter().filter(|line| line.starts_with("worker 1 listens on"));
        let ports: HashSet<SocketAddr> =
            of_first.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
        assert_eq!(ports.len(), LISTENERS, "{distribution}");
        for port in ports {
            let outcome = ask(port, "/");
            assert!(matches!(outcome, Outcome::Ok(_)), "{distribution} {port}: {outcome:?}");
        }
        cluster.signal(Signal::TERM);
        assert_eq!(cluster.wait().0.code(), Some(0));
    }
}
