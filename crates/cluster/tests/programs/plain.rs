//! The programs: they get a socket by `LISTEN_FDS` and answer with their process id.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

/// Plays the program of this name.
pub(crate) fn run(name: &str) {
    match name {
        "notifies" => {
            let socket = inherited();
            notify("STATUS=warming up\nREADY=1");
            serve(&socket);
        }
        "silent" => serve(&inherited()),
        "binds" => {
            let address = std::env::args().nth(1).unwrap();
            serve(&TcpListener::bind(address).unwrap());
        }
        "says-line" => {
            let socket = inherited();
            println!("accepting connections now");
            serve(&socket);
        }
        "told" => {
            let told = |name: &str| std::env::var(name).unwrap_or_default();
            let words: Vec<String> = std::env::args().skip(1).collect();
            println!(
                "told: {words:?} instance {} fds {} names {} pid ok {} socket {} marker {} parent variable {:?}",
                told("PHALANX_INSTANCE"),
                told("LISTEN_FDS"),
                told("LISTEN_FDNAMES"),
                told("LISTEN_PID") == std::process::id().to_string(),
                told("MY_SOCKET"),
                told("MARKER"),
                std::env::var_os("PHALANX_ROLE"),
            );
            notify("READY=1");
            serve(&inherited());
        }
        "closes-channel" => {
            let number = std::env::var("NODE_CHANNEL_FD").unwrap().parse().unwrap();
            notify("READY=1");
            close(number);
            serve(&inherited());
        }
        "exits" => std::process::exit(3),
        "exits-when-ready" => {
            notify("READY=1");
            // So long that its word is heard before its end.
            std::thread::sleep(Duration::from_millis(200));
            std::process::exit(4);
        }
        "never-ready" => forever(),
        "ignores-term" => {
            let _ignored = phalanx_process::Signals::take(&[phalanx_process::Signal::Terminate]).unwrap();
            let socket = inherited();
            notify("READY=1");
            serve(&socket);
        }
        "leaves-children" => {
            for _ in 0..2 {
                #[expect(clippy::zombie_processes, reason = "it leaves them behind: that is the fault")]
                let _ = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
            }
            notify("READY=1");
            serve(&inherited());
        }
        "forks-daemon" => {
            // A shell in between, which ends: so its child is nobody's, and in a session of its own.
            let script = "setsid sleep 1000 & setsid sh -c 'trap \"\" TERM; sleep 1000' & echo started";
            std::process::Command::new("sh").args(["-c", script]).status().unwrap();
            notify("READY=1");
            serve(&inherited());
        }
        "chats" => {
            let socket = inherited();
            notify("READY=1");
            std::thread::spawn(|| {
                let line = "x".repeat(200);
                loop {
                    println!("{line}");
                }
            });
            serve(&socket);
        }
        other => panic!("no program is called {other}"),
    }
}

/// The first socket by the protocol of systemd.
fn inherited() -> TcpListener {
    assert_eq!(std::env::var("LISTEN_PID").unwrap(), std::process::id().to_string());
    assert_eq!(std::env::var("LISTEN_FDS").unwrap(), "1");
    TcpListener::from(rustix::io::fcntl_dupfd_cloexec(third(), 10).unwrap())
}

#[allow(unsafe_code)]
fn third() -> BorrowedFd<'static> {
    // SAFETY: a test program that was given a socket at 3 and never closes it.
    unsafe { BorrowedFd::borrow_raw(3) }
}

#[allow(unsafe_code)]
fn close(number: i32) {
    use std::os::fd::FromRawFd;
    // SAFETY: a test program that was given this descriptor and has no owner for it.
    drop(unsafe { std::os::fd::OwnedFd::from_raw_fd(number) });
}

fn notify(text: &str) {
    let name = std::env::var("NOTIFY_SOCKET").unwrap();
    let address = SocketAddr::from_abstract_name(name.strip_prefix('@').unwrap()).unwrap();
    UnixDatagram::unbound().unwrap().send_to_addr(text.as_bytes(), &address).unwrap();
}

fn serve(socket: &TcpListener) -> ! {
    loop {
        // The socket does not block, and others accept from it too.
        let _ = poll(&mut [PollFd::new(socket, PollFlags::IN)], None);
        if let Ok((stream, _)) = socket.accept() {
            answer(stream);
        }
    }
}

fn answer(mut stream: TcpStream) {
    stream.set_nonblocking(false).unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
        head.push(byte[0]);
    }
    let body = std::process::id().to_string();
    let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
}

fn forever() -> ! {
    let _ = std::io::stdin().as_fd();
    loop {
        std::thread::park_timeout(Duration::from_secs(3600));
    }
}
