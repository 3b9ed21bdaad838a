//! Something that is no owner, or another one than ours, at the other end of the socket.

use std::io::{Read, Write};
use std::os::unix::fs::chown;
use std::os::unix::net::{UnixListener, UnixStream};

use phalanx_queue::embedded::words::{ToClient, VERSION};
use phalanx_queue::{Error, Queue};

use crate::Test;
use crate::process::{Place, block_on};

pub(crate) const TESTS: &[Test] = &[
    ("a client of another version than the owner's is told which two they are", other_version),
    ("a client that hears nonsense says so, and hangs nowhere", nonsense),
    ("an owner that takes connections and says nothing is unavailable", silent),
    ("a socket of another user is not trusted", stranger),
];

/// Connects to a place where this answers whoever comes.
fn connect(place: &Place, answer: impl Fn(UnixStream) + Send + 'static) -> Error {
    std::fs::create_dir_all(place.path()).unwrap();
    let listener = UnixListener::bind(place.path().join("socket")).unwrap();
    std::thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(answer));
    match block_on(Queue::connect(&place.url())) {
        Err(error) => error,
        Ok(queue) => panic!("{queue:?}"),
    }
}

fn say(mut stream: UnixStream, bytes: &[u8]) {
    let _ = stream.read(&mut [0; 1024]);
    let _ = stream.write_all(&(bytes.len() as u32).to_le_bytes()).and_then(|()| stream.write_all(bytes));
    // Until the other end has closed it.
    let _ = stream.read_to_end(&mut Vec::new());
}

fn other_version() {
    let hello = ToClient::Hello { version: VERSION + 1, epoch: 7, kept: Vec::new(), owner: 4711 };
    let hello = postcard::to_stdvec(&hello).unwrap();
    let error = connect(&Place::new(), move |stream| say(stream, &hello));
    let text = error.to_string();
    assert!(matches!(error, Error::Refused { .. }), "{text}");
    let parts = ["4711", "version 2", "version 1", "same version"];
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
}

fn nonsense() {
    for bytes in [&b"\xff\xff\xff"[..], b"", b"\x01\x05\x01\x03"] {
        let error = connect(&Place::new(), |stream| say(stream, bytes));
        assert!(matches!(error, Error::Malformed { .. }), "{error}");
    }
    let too_long =
        connect(&Place::new(), |mut stream| drop(stream.write_all(&[255; 4]).map(|()| stream.read(&mut [0; 9]))));
    assert!(matches!(too_long, Error::Malformed { .. }), "{too_long}");
}

fn silent() {
    let error = connect(&Place::new(), |mut stream| drop(stream.read_to_end(&mut Vec::new())));
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("has not said hello"), "{error}");
}

fn stranger() {
    use std::os::unix::process::CommandExt;
    if !rustix::process::geteuid().is_root() {
        println!("(skipped: another user needs root)");
        return;
    }
    // Root trusts the folder's user, and nobody else but itself. Here the folder is ours, and the one that listens is not.
    let place = Place::new();
    std::fs::create_dir_all(place.path()).unwrap();
    let above = place.path().parent().unwrap();
    chown(above, Some(65534), Some(65534)).unwrap();
    let script = "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\ns.listen(5)\nprint(1,flush=True)\nsys.stdin.read()";
    let planted = above.join("planted");
    let started = std::process::Command::new("python3")
        .args(["-c", script])
        .arg(&planted)
        .uid(65534)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let Ok(mut program) = started else {
        println!("(skipped: no python3)");
        return;
    };
    program.stdout.take().unwrap().read_exact(&mut [0; 2]).unwrap();
    std::fs::rename(planted, place.path().join("socket")).unwrap();
    let error = block_on(Queue::connect(&place.url())).unwrap_err();
    assert!(error.to_string().contains("a program of user 65534 listens there"), "{error}");
    drop(program.stdin.take());
    program.wait().unwrap();
}
