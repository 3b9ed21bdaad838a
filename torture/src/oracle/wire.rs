//! [`Wire`]: one socket to the server, and HTTP/1.1 on it as far as a client of ours needs it.
//!
//! Errors keep the difference between a connection that was refused, one that broke before anything was sent, one
//! that broke after, and an answer that broke off.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::net::RecvFlags;
use socket2::{Domain, SockAddr, Socket, Type};

use super::outcome::{Failure, Outcome};

/// Longest wait for a connection or for an answer: a machine under load is slow, a lost request waits for ever.
pub(crate) const REQUEST_DEADLINE: Duration = Duration::from_secs(10);

/// Longest head or body of an answer.
const MAX_ANSWER: usize = 64 * 1024;

/// Where the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Tcp(address) => write!(f, "{address}"),
            Target::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What a look at an idle connection found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Idle {
    Open,
    ClosedCleanly,
    Broken(Failure),
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// The server will close the connection.
    pub(crate) closes: bool,
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Wire {
    socket: Socket,
    unread: Vec<u8>,
}

impl Wire {
    pub(crate) fn connect(target: &Target) -> Result<Wire, Failure> {
        Self::try_connect(target).map_err(|error| Failure::of("connect", &error, Outcome::ResetBeforeSend))
    }

    fn try_connect(target: &Target) -> io::Result<Wire> {
        let (domain, address) = match target {
            Target::Tcp(address) => (Domain::for_address(*address), SockAddr::from(*address)),
            Target::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
        };
        let socket = Socket::new(domain, Type::STREAM, None)?;
        socket.set_read_timeout(Some(REQUEST_DEADLINE))?;
        // It also bounds `connect`, for both families.
        socket.set_write_timeout(Some(REQUEST_DEADLINE))?;
        if let Target::Tcp(_) = target {
            socket.set_tcp_nodelay(true)?;
        }
        match socket.connect(&address) {
            // What a connect that was bounded by the send time-out says when it is over.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
                Err(io::ErrorKind::TimedOut.into())
            }
            other => other,
        }?;
        Ok(Wire { socket, unread: Vec::new() })
    }

    /// Sends all of `bytes`. `reset` is what it means if the connection breaks meanwhile.
    pub(crate) fn send(&mut self, bytes: &[u8], reset: Outcome) -> Result<(), Failure> {
        self.socket.write_all(bytes).map_err(|error| Failure::of("send", &error, reset))
    }

    /// Looks whether an idle connection still is one, without waiting.
    pub(crate) fn look(&self) -> Idle {
        match self.bytes_wait() {
            Ok(false) => Idle::Open,
            Ok(true) => Idle::Broken(Failure::new(Outcome::Duplicate, "bytes without a request")),
            Err(failure) if failure.outcome == Outcome::CleanClose => Idle::ClosedCleanly,
            Err(failure) => Idle::Broken(failure),
        }
    }

    /// Reads one answer to its end.
    pub(crate) fn answer(&mut self) -> Result<Response, Failure> {
        let head_end = loop {
            if let Some(at) = find(&self.unread, b"\r\n\r\n") {
                break at + 4;
            }
            self.fill()?;
        };
        let head = String::from_utf8_lossy(&self.unread[..head_end]).to_lowercase();
        self.unread.drain(..head_end);
        let Some(status) = head.strip_prefix("http/1.").and_then(|rest| rest.get(2..5)?.parse().ok()) else {
            return Err(Failure::new(Outcome::WrongAnswer, format!("not HTTP: {:?}", head.lines().next())));
        };
        let closes = header(&head, "connection").is_some_and(|value| value.contains("close"));
        let body = if header(&head, "transfer-encoding").is_some_and(|value| value.contains("chunked")) {
            self.chunks()?
        } else {
            let length = header(&head, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
            self.take(length)?
        };
        Ok(Response { status, body: String::from_utf8_lossy(&body).into_owned(), closes })
    }

    /// Reads until the server closes; what it says before is more than one answer.
    pub(crate) fn end(&mut self) -> Result<(), Failure> {
        loop {
            if !self.unread.is_empty() {
                return Err(Failure::new(Outcome::Duplicate, "bytes after the end of an answer"));
            }
            let mut buffer = [0; 256];
            match self.socket.read(&mut buffer) {
                // A reset after a whole answer costs nobody anything.
                Ok(0) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
                Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
                Err(error) => return Err(Failure::of("wait for the end", &error, Outcome::CutOff)),
            }
        }
    }

    /// Reads what is there, or waits for more, until `count` bytes are.
    pub(crate) fn take(&mut self, count: usize) -> Result<Vec<u8>, Failure> {
        while self.unread.len() < count {
            self.fill_answer()?;
        }
        Ok(self.unread.drain(..count).collect())
    }

    /// The same; `broken` is what it means if the connection ends before the first of them.
    pub(crate) fn take_else(&mut self, count: usize, broken: Outcome) -> Result<Vec<u8>, Failure> {
        if self.unread.is_empty() {
            self.read(broken)?;
        }
        self.take(count)
    }

    /// Whether there is something to read, without waiting; [`Outcome::CleanClose`] if the server has ended the connection.
    pub(crate) fn bytes_wait(&self) -> Result<bool, Failure> {
        if !self.unread.is_empty() {
            return Ok(true);
        }
        let mut byte = [0u8; 1];
        match rustix::net::recv(&self.socket, &mut byte[..], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((0, _)) => Err(Failure::new(Outcome::CleanClose, "the server has closed")),
            Ok(_) => Ok(true),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(false),
            Err(errno) => Err(Failure::of("look at an idle connection", &errno.into(), Outcome::ResetBeforeSend)),
        }
    }

    fn chunks(&mut self) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        loop {
            let line_end = loop {
                match find(&self.unread, b"\r\n") {
                    Some(at) => break at,
                    None => self.fill_answer()?,
                }
            };
            let line = self.take(line_end + 2)?;
            let length = std::str::from_utf8(&line).ok().and_then(|line| usize::from_str_radix(line.trim(), 16).ok());
            let Some(length) = length.filter(|length| *length <= MAX_ANSWER) else {
                return Err(Failure::new(Outcome::WrongAnswer, "a chunk without a length"));
            };
            let piece = self.take(length + 2)?;
            if length == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&piece[..length]);
        }
    }

    /// Reads more of a head: nothing at all is no answer, a part of it is a broken one.
    fn fill(&mut self) -> Result<(), Failure> {
        let broken = if self.unread.is_empty() { Outcome::ResetAfterSend } else { Outcome::CutOff };
        self.read(broken)
    }

    fn fill_answer(&mut self) -> Result<(), Failure> {
        self.read(Outcome::CutOff)
    }

    fn read(&mut self, broken: Outcome) -> Result<(), Failure> {
        if self.unread.len() > MAX_ANSWER {
            return Err(Failure::new(Outcome::WrongAnswer, "an answer without an end"));
        }
        let mut buffer = [0; 4096];
        let asked = Instant::now();
        match self.socket.read(&mut buffer) {
            Ok(0) => Err(Failure::new(broken, format!("the end came after {} bytes", self.unread.len()))),
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => {
                let doing = format!("read an answer, for {} ms", asked.elapsed().as_millis());
                Err(Failure::of(&doing, &error, broken))
            }
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A server that answers one connection with `bytes`, after it read something, and then closes or resets.
    fn server(bytes: &'static [u8], linger: Option<Duration>) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target::Tcp(listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; 4]).unwrap();
            stream.write_all(bytes).unwrap();
            socket2::SockRef::from(&stream).set_linger(linger).unwrap();
        });
        target
    }

    fn ask(target: &Target) -> Result<Response, Failure> {
        let mut wire = Wire::connect(target)?;
        wire.send(b"GET ", Outcome::ResetBeforeSend)?;
        wire.answer()
    }

    #[test]
    fn whole_answers_are_read_with_a_length_and_in_chunks() {
        let plain = ask(&server(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nConnection: close\r\n\r\nhi", None)).unwrap();
        assert_eq!((plain.status, plain.body.as_str(), plain.closes), (200, "hi", true));
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n";
        assert_eq!(ask(&server(chunked, None)).unwrap().body, "hi");
    }

    #[test]
    fn a_broken_connection_is_told_apart_by_when_it_broke() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let closed = Target::Tcp(listener.local_addr().unwrap());
        drop(listener);
        let outcome = |target: &Target| ask(target).unwrap_err().outcome;
        assert_eq!(outcome(&closed), Outcome::Refused);
        assert_eq!(outcome(&server(b"", None)), Outcome::ResetAfterSend);
        assert_eq!(outcome(&server(b"", Some(Duration::ZERO))), Outcome::ResetAfterSend);
        assert_eq!(outcome(&server(b"HTTP/1.1 200 OK\r\n", None)), Outcome::CutOff);
        assert_eq!(outcome(&server(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi", None)), Outcome::CutOff);
        assert_eq!(outcome(&server(b"SSH-2.0\r\n\r\n", None)), Outcome::WrongAnswer);
        assert_eq!(outcome(&Target::Unix("/nonexistent/socket".into())), Outcome::Refused);
    }

    #[test]
    fn an_idle_connection_is_open_closed_or_says_something_unasked() {
        let wait_until_not_open = |wire: &Wire| {
            let deadline = Instant::now() + REQUEST_DEADLINE;
            loop {
                let seen = wire.look();
                if seen != Idle::Open || Instant::now() > deadline {
                    return seen;
                }
            }
        };
        let mut wire = Wire::connect(&server(b"", None)).unwrap();
        assert_eq!(wire.look(), Idle::Open);
        wire.send(b"GET ", Outcome::ResetBeforeSend).unwrap();
        assert_eq!(wait_until_not_open(&wire), Idle::ClosedCleanly);
        let mut wire = Wire::connect(&server(b"HTTP", None)).unwrap();
        wire.send(b"GET ", Outcome::ResetBeforeSend).unwrap();
        let Idle::Broken(failure) = wait_until_not_open(&wire) else { panic!("not broken") };
        assert_eq!(failure.outcome, Outcome::Duplicate);
    }
}
