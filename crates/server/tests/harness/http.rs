//! A raw HTTP/1.1 client: what is sent is exactly what the test wrote.

use super::PATIENCE;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

/// One connection to a server.
pub(crate) struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

/// A multipart body and its `content-type` header line. Each part is a field name and its content.
pub(crate) fn multipart(parts: &[(&str, &[u8])]) -> (String, Vec<u8>) {
    let boundary = "test-boundary-5f0c";
    let mut body = Vec::new();
    for (name, content) in parts {
        body.extend_from_slice(
            format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n").as_bytes(),
        );
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("content-type: multipart/form-data; boundary={boundary}\r\n"), body)
}

/// One request over a Unix socket, answered with a length and the end of the connection.
pub(crate) fn over_unix(socket: &Path, method: &str, path: &str) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let cut_short = || io::Error::new(ErrorKind::UnexpectedEof, "the connection ended before an answer");
    let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n").ok_or_else(cut_short)? + 4;
    let head = String::from_utf8_lossy(&bytes[..head_end]).to_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(cut_short)?;
    Ok(Answer { status, head, body: bytes.split_off(head_end) })
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Connection {
        Self::try_open(address).expect("a connection")
    }

    pub(crate) fn try_open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, unread: Vec::new() })
    }

    /// Sends a head and a body, and reads the answer. The server may answer before it has read all of the body.
    pub(crate) fn send(&mut self, head: &str, body: &[u8]) -> Answer {
        self.try_send(head, body).expect("an answer")
    }

    pub(crate) fn try_send(&mut self, head: &str, body: &[u8]) -> io::Result<Answer> {
        self.write(head.as_bytes());
        let mut writer = self.stream.try_clone()?;
        let body = body.to_vec();
        // A refused body is never read to its end: writing it may block or fail, and must not hide the answer.
        let writing = std::thread::spawn(move || writer.write_all(&body));
        let answer = self.answer();
        if answer.is_err() {
            let _ = self.stream.shutdown(Shutdown::Both);
        }
        // After an answer the server closes or has read all; either way the writer ends (it has a timeout, too).
        if answer.as_ref().is_ok_and(|answer| answer.status < 400) {
            let _ = writing.join();
        }
        answer
    }

    /// Writes bytes as they are; a failure shows in the answer.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// The same connection for a thread that writes while another reads.
    pub(crate) fn second_handle(&self) -> TcpStream {
        self.stream.try_clone().expect("a descriptor")
    }

    /// Ends our side, as a client that is gone.
    pub(crate) fn hang_up(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Reads up to and with `end`.
    pub(crate) fn read_until(&mut self, end: &str) -> String {
        loop {
            let at = self.unread.windows(end.len()).position(|window| window == end.as_bytes());
            if let Some(at) = at {
                return String::from_utf8_lossy(&self.unread.drain(..at + end.len()).collect::<Vec<_>>()).into_owned();
            }
            assert_ne!(self.fill().expect("more bytes"), 0, "the connection ended before {end:?}");
        }
    }

    /// Reads one answer, passing over `100 Continue`.
    pub(crate) fn answer(&mut self) -> io::Result<Answer> {
        let mut answer = self.head()?;
        self.read_body(&mut answer)?;
        Ok(answer)
    }

    /// Reads the head of an answer, passing over `100 Continue`; the body is still to come.
    pub(crate) fn head(&mut self) -> io::Result<Answer> {
        loop {
            let head_end = loop {
                if let Some(at) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                    break at + 4;
                }
                if self.fill()? == 0 {
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, "the connection ended before an answer"));
                }
            };
            let head = String::from_utf8_lossy(&self.unread[..head_end]).to_lowercase();
            self.unread.drain(..head_end);
            let status: u16 = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
            if status == 100 {
                continue;
            }
            return Ok(Answer { status, head, body: Vec::new() });
        }
    }

    fn read_body(&mut self, answer: &mut Answer) -> io::Result<()> {
        if matches!(answer.status, 204 | 304) {
            return Ok(());
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            while let Some(piece) = self.chunk()? {
                answer.body.extend_from_slice(&piece);
            }
            return Ok(());
        }
        match answer.header("content-length").and_then(|length| length.parse().ok()) {
            Some(length) => answer.body = self.take(length)?,
            None => {
                while self.fill()? > 0 {}
                answer.body = std::mem::take(&mut self.unread);
            }
        }
        Ok(())
    }

    /// The next piece of a chunked answer; `None` at its end.
    pub(crate) fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line_end = loop {
            match self.unread.windows(2).position(|window| window == b"\r\n") {
                Some(at) => break at,
                None if self.fill()? == 0 => return Err(ErrorKind::UnexpectedEof.into()),
                None => {}
            }
        };
        let text = String::from_utf8_lossy(&self.unread[..line_end]).into_owned();
        let length = usize::from_str_radix(text.trim(), 16).map_err(|_| ErrorKind::InvalidData)?;
        self.unread.drain(..line_end + 2);
        let mut piece = self.take(length + 2)?;
        piece.truncate(length);
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }

    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < length {
            if self.fill()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.unread.drain(..length).collect())
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 64 * 1024];
        let count = self.stream.read(&mut buffer)?;
        self.unread.extend_from_slice(&buffer[..count]);
        Ok(count)
    }

    /// Waits for the server to close the connection; gives what it said before.
    pub(crate) fn closed(mut self) -> Vec<u8> {
        let begun = Instant::now();
        loop {
            match self.fill() {
                Ok(0) => return self.unread,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return self.unread,
                Err(error) => panic!("not closed after {:?}: {error}", begun.elapsed()),
            }
        }
    }
}

impl Answer {
    /// A header in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    /// Width and height if the body is a picture.
    pub(crate) fn picture(&self) -> Option<(u32, u32, phalanx::image::Format)> {
        let header = phalanx::image::probe(&self.body).ok()?;
        let (width, height) = header.upright_size();
        Some((width, height, header.format))
    }

    /// Checks that this is a complete error answer with this status and code, and gives its text.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(self.header("cache-control"), None, "errors are not cached");
        let id = self.header("x-request-id").expect("a request id");
        let body = self.json();
        assert_eq!((&body["status"], &body["code"]), (&status.into(), &code.into()), "{body}");
        assert_eq!(body["error"], body["detail"]);
        assert_eq!(body["instance"], format!("urn:phalanx:request:{id}"));
        assert!(body["title"].is_string() && body["type"].is_string() && body["retryable"].is_boolean(), "{body}");
        body["detail"].as_str().expect("a text").to_owned()
    }
}
