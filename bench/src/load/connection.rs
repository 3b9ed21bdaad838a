//! One HTTP/1.1 connection of a client: writes a request and reads its answer at the same time, because a server that
//! is full answers, and may close, before it has read the body.

use std::io;
use std::net::SocketAddr;

use bytes::Buf;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;

use super::{Outcome, Request};

const HEAD_LIMIT_BYTES: usize = 64 * 1024;
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// A connection on which one request at a time is under way.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// The header `Server-Timing`, if there was one.
    pub(crate) server_timing: Option<String>,
    pub(crate) connection_is_reusable: bool,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(1024) })
    }

    /// Whether the server has kept the connection open, as far as the kernel knows without asking it.
    pub(crate) fn is_open(&self) -> bool {
        let mut unexpected = [0u8; 1];
        // Not by the stream: what its event loop has not told it yet, it does not know.
        let found = rustix::net::recv(&self.stream, &mut unexpected[..], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        matches!(found, Err(Errno::AGAIN))
    }

    /// Sends `request` and reads the whole answer. The connection must not be used again unless the answer says so.
    pub(crate) async fn exchange(&mut self, request: &Request) -> Result<Answer, Outcome> {
        let (mut reader, mut writer) = self.stream.split();
        let (first, rest) = request.parts();
        let mut unsent = first.chain(rest);
        let sending = writer.write_all_buf(&mut unsent);
        let receiving = receive(&mut reader, &mut self.received);
        tokio::pin!(sending, receiving);

        let mut sent = Sending::UnderWay;
        loop {
            tokio::select! {
                biased;
                result = &mut sending, if sent == Sending::UnderWay => {
                    // A failed write means that the server has closed; its answer may have arrived before that.
                    sent = if result.is_ok() { Sending::Done } else { Sending::Broken };
                }
                answer = &mut receiving => {
                    let mut answer = answer.map_err(|_| Outcome::Reset)?;
                    answer.connection_is_reusable &= sent == Sending::Done;
                    return Ok(answer);
                }
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sending {
    UnderWay,
    Done,
    Broken,
}

async fn receive(reader: &mut ReadHalf<'_>, received: &mut Vec<u8>) -> io::Result<Answer> {
    received.clear();
    loop {
        let body_start = loop {
            if let Some(end) = received.windows(END_OF_HEAD.len()).position(|window| window == END_OF_HEAD) {
                break end + END_OF_HEAD.len();
            }
            if received.len() > HEAD_LIMIT_BYTES {
                return Err(invalid("a response head without end"));
            }
            more(reader, received).await?;
        };
        let head = Head::parse(&received[..body_start])?;
        received.drain(..body_start);
        // 1xx is not the answer yet.
        if head.status < 200 {
            continue;
        }
        let body = match head.framing {
            Framing::Length(length) => {
                while received.len() < length {
                    more(reader, received).await?;
                }
                received[..length].to_vec()
            }
            Framing::Chunked => chunked(reader, received).await?,
            Framing::UntilClose => {
                reader.read_to_end(received).await?;
                std::mem::take(received)
            }
        };
        return Ok(Answer {
            status: head.status,
            body,
            server_timing: head.server_timing,
            connection_is_reusable: head.keeps_alive && head.framing != Framing::UntilClose,
        });
    }
}

async fn more(reader: &mut ReadHalf<'_>, received: &mut Vec<u8>) -> io::Result<()> {
    match reader.read_buf(received).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

async fn chunked(reader: &mut ReadHalf<'_>, received: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line_end = loop {
            if let Some(end) = received.windows(2).position(|pair| pair == b"\r\n") {
                break end;
            }
            more(reader, received).await?;
        };
        let line = String::from_utf8_lossy(&received[..line_end]).into_owned();
        let digits = line.split(';').next().unwrap_or_default().trim();
        let length = usize::from_str_radix(digits, 16).map_err(|_| invalid("a chunk without a length"))?;
        let chunk_end = line_end + 2 + length;
        while received.len() < chunk_end + 2 {
            more(reader, received).await?;
        }
        body.extend_from_slice(&received[line_end + 2..chunk_end]);
        received.drain(..chunk_end + 2);
        if length == 0 {
            return Ok(body);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

struct Head {
    status: u16,
    framing: Framing,
    keeps_alive: bool,
    server_timing: Option<String>,
}

impl Head {
    fn parse(bytes: &[u8]) -> io::Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|_| invalid("a response head that is not text"))?;
        let mut lines = text.split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status: u16 = status.ok_or_else(|| invalid("a response without a status"))?;
        let has_no_body = status < 200 || status == 204 || status == 304;
        let mut head = Self {
            status,
            framing: if has_no_body { Framing::Length(0) } else { Framing::UntilClose },
            keeps_alive: status_line.starts_with("HTTP/1.1"),
            server_timing: None,
        };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") && !has_no_body {
                head.framing = Framing::Length(value.parse().map_err(|_| invalid("a length that is no number"))?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked") {
                head.framing = Framing::Chunked;
            } else if name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close") {
                head.keeps_alive = false;
            } else if name.eq_ignore_ascii_case("server-timing") {
                head.server_timing = Some(value.to_owned());
            }
        }
        Ok(head)
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the server sent {what}"))
}

#[cfg(test)]
mod tests {
    use super::super::{Reuse, exchange};
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener};

    /// A server that answers each connection with one fixed text, after reading only the head of the request.
    fn server(answers: Vec<&'static str>) -> (SocketAddr, std::thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut first_bytes = [0; 64];
                let _ = stream.read(&mut first_bytes).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
            }
        });
        (address, thread)
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn a_refusal_before_the_body_was_sent_is_read_and_its_connection_not_used_again() {
        let (address, thread) =
            server(vec!["HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 4\r\n\r\nfull"]);
        let large = vec![7; 32 << 20];
        let mut kept = None;
        let answer = run(exchange(address, &Request::upload("/upload", &large, Reuse::KeepAlive), &mut kept)).unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (503, b"full".as_slice()));
        assert!(kept.is_none());
        thread.join().unwrap();
    }

    #[test]
    fn chunks_are_put_together_and_a_provisional_answer_is_passed_over() {
        let (address, thread) = server(vec![
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nServer-Timing: decode;dur=3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6; x=y\r\n world\r\n0\r\n\r\n",
        ]);
        let mut kept = None;
        let answer = run(exchange(address, &Request::get("/", Reuse::KeepAlive), &mut kept)).unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"hello world".as_slice()));
        assert_eq!(answer.server_timing.as_deref(), Some("decode;dur=3"));
        thread.join().unwrap();
    }

    #[test]
    fn a_connection_that_ends_before_the_answer_is_a_reset_and_a_closed_port_is_not() {
        let (address, thread) = server(vec!["HTTP/1.1 200 OK\r\ncontent-le"]);
        let get = Request::get("/", Reuse::OnePerRequest);
        assert_eq!(run(exchange(address, &get, &mut None)).unwrap_err(), Outcome::Reset);
        thread.join().unwrap();
        assert_eq!(run(exchange(address, &get, &mut None)).unwrap_err(), Outcome::NotConnected);
    }
}
