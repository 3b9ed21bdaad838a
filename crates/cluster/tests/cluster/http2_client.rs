//! A client that writes HTTP/2 frames as the tests please (RFC 9113, RFC 7541).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::process::DEADLINE;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113, 6).
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const CONTINUATION: u8 = 9;
}

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// `:status: 200` in the static table.
const STATUS_200: u8 = 0x88;

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error code of a GOAWAY.
    pub(crate) fn error_code(&self) -> u32 {
        u32::from_be_bytes(self.payload[4..8].try_into().unwrap())
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The block of `GET path`.
pub(crate) fn get(path: &str) -> Vec<u8> {
    let literal = |name: u8, value: &str| [&[name, value.len() as u8], value.as_bytes()].concat();
    // :method GET, :scheme http, :path, :authority; nothing goes into the dynamic table.
    [vec![0x82, 0x86], literal(0x04, path), literal(0x01, "test")].concat()
}

pub(crate) struct Http2<T = TcpStream> {
    stream: T,
}

impl Http2 {
    pub(crate) fn open(address: SocketAddr) -> Http2 {
        let stream = TcpStream::connect_timeout(&address, DEADLINE).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Http2::over(stream)
    }
}

impl<T: Read + Write> Http2<T> {
    pub(crate) fn over(stream: T) -> Http2<T> {
        let mut client = Http2 { stream };
        client.send(&[PREFACE, &frame(kind::SETTINGS, 0, 0, &[])].concat()).unwrap();
        client
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    pub(crate) fn request(&mut self, stream: u32, path: &str) {
        self.send(&frame(kind::HEADERS, END_STREAM | END_HEADERS, stream, &get(path))).unwrap();
    }

    /// The next frame; an error of the kind `UnexpectedEof` at the end. Settings and pings are answered.
    pub(crate) fn frame(&mut self) -> std::io::Result<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload)?;
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        let read = Frame { kind: head[3], flags: head[4], stream, payload };
        if read.flags & ACK == 0 && (read.kind == kind::SETTINGS || read.kind == kind::PING) {
            let payload = if read.kind == kind::PING { &read.payload[..] } else { &[] };
            // Who is about to close does not need the answer.
            let _ = self.stream.write_all(&frame(read.kind, ACK, 0, payload));
        }
        Ok(read)
    }

    /// The next frame of this kind.
    pub(crate) fn wait_for(&mut self, kind: u8) -> std::io::Result<Frame> {
        loop {
            let read = self.frame()?;
            if read.kind == kind {
                return Ok(read);
            }
        }
    }

    /// The body of the answer on this stream, whose status must be 200.
    pub(crate) fn answer(&mut self, stream: u32) -> String {
        let mut body = Vec::new();
        loop {
            let read = self.frame().unwrap();
            if read.stream != stream {
                continue;
            }
            match read.kind {
                kind::HEADERS => assert_eq!(read.payload[0], STATUS_200),
                kind::DATA => body.extend(&read.payload),
                kind::RST_STREAM => panic!("stream {stream} was reset: {read:?}"),
                _ => continue,
            }
            if read.flags & END_STREAM != 0 {
                return String::from_utf8(body).unwrap();
            }
        }
    }

    /// Everything until the end of the connection: the error codes of its GOAWAYs.
    pub(crate) fn rest(&mut self) -> Vec<u32> {
        let mut codes = Vec::new();
        while let Ok(read) = self.frame() {
            if read.kind == kind::GOAWAY {
                codes.push(read.error_code());
            }
        }
        codes
    }
}
