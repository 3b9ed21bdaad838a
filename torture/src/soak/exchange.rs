//! One request on one connection, and what came of it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::outcome::{Failure, Outcome};

/// Longest silence: a machine under load is slow, a lost request waits for ever.
pub(crate) const SILENCE: Duration = Duration::from_secs(45);
/// Longest answer that is read.
const MOST_BYTES: usize = 64 << 20;
/// Of a body at a time.
const PIECE: usize = 64 << 10;

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// In lower case.
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Its beginning, for people.
    pub(crate) fn words(&self) -> String {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(300)]);
        format!("{} {body}", self.status)
    }
}

/// A connection to the server.
pub(crate) struct Connection {
    stream: TcpStream,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Result<Connection, Failure> {
        let opened = TcpStream::connect_timeout(&address, SILENCE).and_then(|stream| {
            stream.set_read_timeout(Some(SILENCE))?;
            stream.set_write_timeout(Some(SILENCE))?;
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        opened
            .map(|stream| Connection { stream })
            .map_err(|error| Failure::of("connect", &error, Outcome::ResetBeforeSend))
    }

    /// The head `METHOD PATH` with `headers` (each with its line end) and the length of `body`.
    pub(crate) fn head(method: &str, path: &str, headers: &str, length: usize) -> String {
        let length =
            if length == 0 && method != "POST" { String::new() } else { format!("content-length: {length}\r\n") };
        format!("{method} {path} HTTP/1.1\r\nhost: soak\r\n{headers}{length}\r\n")
    }

    /// Sends a whole request and reads the whole answer; both at once, as answers may begin before the body has ended.
    pub(crate) fn ask(&mut self, head: &str, body: &[u8]) -> Result<Reply, Failure> {
        let mut sender = self.stream.try_clone().map_err(|error| Failure::of("send", &error, Outcome::Client))?;
        std::thread::scope(|scope| {
            let bytes = [head.as_bytes(), &body[..body.len().min(PIECE)]].concat();
            let sending = if body.len() <= PIECE {
                // What fits into the socket's buffer needs nobody to wait for it. If it breaks, reading says what came of it.
                let _ = sender.write_all(&bytes);
                None
            } else {
                Some(scope.spawn(move || {
                    let _ = sender.write_all(&bytes).and_then(|()| sender.write_all(&body[PIECE..]));
                }))
            };
            let reply = self.answer();
            if let Some(sending) = sending {
                // Whoever has refused the rest of a body does not read it.
                if reply.as_ref().map_or(true, |reply| reply.status >= 400) {
                    let _ = self.stream.shutdown(std::net::Shutdown::Both);
                }
                let _ = sending.join();
            }
            reply
        })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Ends it as a machine does that lost its power, or a program that was killed: what is unread is thrown away.
    pub(crate) fn reset(self) {
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    pub(crate) fn answer(&mut self) -> Result<Reply, Failure> {
        read_answer(&mut self.stream)
    }
}

/// One request over a socket in the file system.
pub(crate) fn over_unix(socket: &Path, method: &str, path: &str) -> Result<Reply, Failure> {
    let asked = UnixStream::connect(socket).and_then(|mut stream| {
        stream.set_read_timeout(Some(SILENCE))?;
        let head = format!("{method} {path} HTTP/1.1\r\nhost: soak\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        Ok(stream)
    });
    let mut stream = asked.map_err(|error| Failure::of("ask the control socket", &error, Outcome::ResetBeforeSend))?;
    read_answer(&mut stream)
}

fn read_answer(stream: &mut impl Read) -> Result<Reply, Failure> {
    let mut unread = Vec::new();
    loop {
        let head_end = loop {
            match unread.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => fill(stream, &mut unread)?,
            }
        };
        let head = String::from_utf8_lossy(&unread[..head_end]).to_lowercase();
        unread.drain(..head_end);
        let Some(status) = head.strip_prefix("http/1.").and_then(|rest| rest.get(2..5)?.parse::<u16>().ok()) else {
            return Err(Failure::new(Outcome::WrongAnswer, format!("not HTTP: {:?}", head.lines().next())));
        };
        if status == 100 {
            continue;
        }
        let mut reply = Reply { status, head, body: Vec::new() };
        if !matches!(status, 204 | 304) {
            reply.body = body(stream, &mut unread, &reply)?;
        }
        return Ok(reply);
    }
}

fn body(stream: &mut impl Read, unread: &mut Vec<u8>, reply: &Reply) -> Result<Vec<u8>, Failure> {
    if reply.header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        let mut body = Vec::new();
        loop {
            let line_end = loop {
                match unread.windows(2).position(|window| window == b"\r\n") {
                    Some(at) => break at,
                    None => fill_body(stream, unread)?,
                }
            };
            let length = std::str::from_utf8(&unread[..line_end]).ok();
            let Some(length) = length.and_then(|line| usize::from_str_radix(line.trim(), 16).ok()) else {
                return Err(Failure::new(Outcome::WrongAnswer, "a chunk without a length"));
            };
            unread.drain(..line_end + 2);
            let piece = take(stream, unread, length + 2)?;
            if length == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&piece[..length]);
        }
    }
    let length = reply.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    take(stream, unread, length)
}

fn take(stream: &mut impl Read, unread: &mut Vec<u8>, count: usize) -> Result<Vec<u8>, Failure> {
    while unread.len() < count {
        fill_body(stream, unread)?;
    }
    Ok(unread.drain(..count).collect())
}

fn fill(stream: &mut impl Read, unread: &mut Vec<u8>) -> Result<(), Failure> {
    let broken = if unread.is_empty() { Outcome::ResetAfterSend } else { Outcome::CutOff };
    read(stream, unread, broken)
}

fn fill_body(stream: &mut impl Read, unread: &mut Vec<u8>) -> Result<(), Failure> {
    read(stream, unread, Outcome::CutOff)
}

fn read(stream: &mut impl Read, unread: &mut Vec<u8>, broken: Outcome) -> Result<(), Failure> {
    if unread.len() > MOST_BYTES {
        return Err(Failure::new(Outcome::WrongAnswer, "an answer without an end"));
    }
    let mut buffer = [0; 16 << 10];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Err(Failure::new(broken, format!("the end came after {} bytes", unread.len()))),
            Ok(count) => {
                unread.extend_from_slice(&buffer[..count]);
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::of("read an answer", &error, broken)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_with_a_length_in_chunks_and_after_a_continue() {
        let read = |mut bytes: &'static [u8]| read_answer(&mut bytes);
        let plain = read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: Y\r\n\r\nhi").unwrap();
        assert_eq!((plain.status, plain.body.as_slice(), plain.header("x")), (200, &b"hi"[..], Some("y")));
        let chunked = read(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        );
        assert_eq!(chunked.unwrap().body, b"hi");
        assert_eq!(read(b"").unwrap_err().outcome, Outcome::ResetAfterSend);
        assert_eq!(read(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi").unwrap_err().outcome, Outcome::CutOff);
    }
}
