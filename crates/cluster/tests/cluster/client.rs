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
        self.try_answer().unwrap()
    }

    /// One answer with a content-length; `UnexpectedEof` if the connection ends instead, whether it sees that while it
    /// sends or while it reads.
    pub(crate) fn try_request(&mut self, path: &str) -> std::io::Result<String> {
        // What cannot be sent any more may still have an end to be read.
        let _ = self.0.write_all(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes());
        self.try_answer()
    }

    fn try_answer(&mut self) -> std::io::Result<String> {
        let head = self.try_head()?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
        let body = String::from_utf8(self.try_bytes(length)?).unwrap();
        Ok(head + &body)
    }

    /// The head of an answer, without its body.
    pub(crate) fn head(&mut self) -> String {
        self.try_head().unwrap()
    }

    fn try_head(&mut self) -> std::io::Result<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.try_bytes(1)?);
        }
        Ok(String::from_utf8(head).unwrap())
    }

    /// The next bytes, so many.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        self.try_bytes(count).unwrap()
    }

    fn try_bytes(&mut self, count: usize) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).map(|()| bytes)
    }

    /// Whether the peer has closed the connection, and everything before that was read.
    pub(crate) fn has_ended(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let peeked = self.0.peek(&mut [0]);
        self.0.set_nonblocking(false).unwrap();
        matches!(peeked, Ok(0)) || peeked.is_err_and(|error| error.kind() != ErrorKind::WouldBlock)
    }

    /// Every byte until the connection ends, one way or the other.
    #[cfg(feature = "tls")]
    pub(crate) fn rest_bytes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = self.0.read_to_end(&mut bytes);
        bytes
    }

    /// Everything until the peer closes; the error if it closes with a reset.
    pub(crate) fn rest(&mut self) -> Result<String, ErrorKind> {
        let mut text = String::new();
        self.0.read_to_string(&mut text).map(|_| text).map_err(|error| error.kind())
    }
}
