//! The oracle client: one request, and exactly what became of it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::process::DEADLINE;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// Answered by the worker with this pid.
    Ok(u32),
    /// Nobody listened.
    Refused,
    /// The connection broke before anything was sent on it.
    ResetBeforeSend,
    /// The connection broke, or ended without an answer, after the request was sent.
    ResetAfterSend,
    /// Nothing came in time.
    TimedOut,
    /// Something else came.
    WrongAnswer,
}

/// Opens a connection, sends one request, reads the answer to its end.
pub(crate) fn ask(address: SocketAddr, path: &str) -> Outcome {
    let mut stream = match TcpStream::connect_timeout(&address, DEADLINE) {
        Ok(stream) => stream,
        Err(error) => return classify(error.kind(), Outcome::ResetBeforeSend),
    };
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    if let Err(error) = stream.write_all(request.as_bytes()) {
        return classify(error.kind(), Outcome::ResetBeforeSend);
    }
    let mut answer = String::new();
    match stream.read_to_string(&mut answer) {
        Ok(0) => Outcome::ResetAfterSend,
        Ok(_) => match body(&answer).and_then(|body| body.parse().ok()) {
            Some(pid) if answer.starts_with("HTTP/1.1 200 ") => Outcome::Ok(pid),
            _ => Outcome::WrongAnswer,
        },
        Err(error) => classify(error.kind(), Outcome::ResetAfterSend),
    }
}

fn classify(kind: ErrorKind, reset: Outcome) -> Outcome {
    match kind {
        ErrorKind::ConnectionRefused => Outcome::Refused,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => reset,
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Outcome::TimedOut,
        _ => Outcome::WrongAnswer,
    }
}

pub(crate) fn body(answer: &str) -> Option<&str> {
    answer.split_once("\r\n\r\n").map(|(_, body)| body)
}

/// A connection that stays open.
pub(crate) struct KeepAlive(TcpStream);

impl KeepAlive {
    pub(crate) fn open(address: SocketAddr) -> KeepAlive {
        let stream = TcpStream::connect_timeout(&address, DEADLINE).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        KeepAlive(stream)
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn request(&mut self, path: &str) {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n"));
    }

    /// The pid in one answer.
    pub(crate) fn pid(&mut self) -> u32 {
        let answer = self.answer();
        body(&answer).and_then(|body| body.parse().ok()).unwrap_or_else(|| panic!("no pid in {answer:?}"))
    }

    /// One answer with a content-length.
    pub(crate) fn answer(&mut self) -> String {
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"\r\n\r\n") {
            assert_eq!(self.0.read(&mut byte).unwrap(), 1, "the end came in {:?}", String::from_utf8_lossy(&answer));
            answer.push(byte[0]);
        }
        let head = String::from_utf8(answer).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        head + &String::from_utf8(body).unwrap()
    }

    /// Everything until the peer closes; the error if it closes with a reset.
    pub(crate) fn rest(&mut self) -> Result<String, ErrorKind> {
        let mut text = String::new();
        self.0.read_to_string(&mut text).map(|_| text).map_err(|error| error.kind())
    }
}
