//! [`Http2`]: HTTP/2 without TLS and without asking first (prior knowledge), one request at a time.
//!
//! Only as much of it as an oracle needs: frames are read by the book (RFC 9113), of the header block only the one byte
//! that says 200 (RFC 9204's predecessor, RFC 7541: index 8 of the static table).

use super::outcome::{Failure, Outcome};
use super::wire::{Idle, Response, Target, Wire};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADER: usize = 9;
/// Largest frame that a peer may send unasked.
const MAX_FRAME: usize = 16 * 1024;

/// Types of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

/// Flags.
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// `:status: 200`, as one byte of a header block.
const STATUS_200: u8 = 0x88;

/// What became of a request on a connection.
pub(super) enum Reply {
    Answer(Response),
    /// The server said that it did not begin it (RFC 9113, 8.7): it is to be sent again on another connection.
    NotBegun,
}

/// One connection.
pub(super) struct Http2 {
    wire: Wire,
    next_stream: u32,
    /// The server takes no new streams.
    going_away: bool,
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Http2 {
    pub(super) fn connect(target: &Target) -> Result<Http2, Failure> {
        let mut wire = Wire::connect(target)?;
        let mut hello = PREFACE.to_vec();
        hello.extend(frame(SETTINGS, 0, 0, &[]));
        wire.send(&hello, Outcome::ResetBeforeSend)?;
        Ok(Http2 { wire, next_stream: 1, going_away: false })
    }

    /// Whether another request may be sent, without waiting: takes what came meanwhile.
    pub(super) fn look(&mut self) -> Idle {
        loop {
            match self.wire.bytes_wait() {
                Ok(true) => {}
                Ok(false) if self.going_away => return Idle::ClosedCleanly,
                Ok(false) => return Idle::Open,
                // An end that was announced, or came while nothing was under way.
                Err(failure) if failure.outcome == Outcome::CleanClose || self.going_away => {
                    return Idle::ClosedCleanly;
                }
                Err(failure) => return Idle::Broken(failure),
            }
            match self.read().and_then(|frame| self.serve_connection(&frame)) {
                Ok(()) => {}
                Err(_) if self.going_away => return Idle::ClosedCleanly,
                Err(failure) => return Idle::Broken(failure),
            }
        }
    }

    /// Sends a GET and reads its answer.
    pub(super) fn get(&mut self, path: &str, id: &str) -> Result<Reply, Failure> {
        let stream = self.next_stream;
        self.next_stream += 2;
        let mut block = vec![0x82, 0x86, 0x04];
        string(&mut block, path);
        block.push(0x01);
        string(&mut block, "torture");
        block.push(0x00);
        string(&mut block, "x-id");
        string(&mut block, id);
        self.wire.send(&frame(HEADERS, END_STREAM | END_HEADERS, stream, &block), Outcome::ResetBeforeSend)?;
        let (mut status, mut body) = (0, Vec::new());
        loop {
            let frame = self.read()?;
            match frame.kind {
                GOAWAY => {
                    self.going_away = true;
                    if last_stream(&frame) < stream {
                        return Ok(Reply::NotBegun);
                    }
                }
                RST_STREAM if frame.stream == stream => {
                    // REFUSED_STREAM is 7.
                    return match frame.payload.last() {
                        Some(7) => Ok(Reply::NotBegun),
                        code => Err(Failure::new(Outcome::ResetAfterSend, format!("stream reset, code {code:?}"))),
                    };
                }
                HEADERS if frame.stream == stream => {
                    status = if unpadded(&frame)?.first() == Some(&STATUS_200) { 200 } else { 1 };
                }
                DATA if frame.stream == stream => {
                    body.extend_from_slice(unpadded(&frame)?);
                    self.give_back(frame.payload.len())?;
                }
                DATA | HEADERS => {
                    let words = format!("an answer on stream {}, asked on {stream}", frame.stream);
                    return Err(Failure::new(Outcome::Duplicate, words));
                }
                _ => self.serve_connection(&frame)?,
            }
            if frame.stream == stream && matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0 {
                let body = String::from_utf8_lossy(&body).into_owned();
                return Ok(Reply::Answer(Response { status, body, closes: self.going_away }));
            }
        }
    }

    /// Frames that are about the connection.
    fn serve_connection(&mut self, frame: &Frame) -> Result<(), Failure> {
        match frame.kind {
            SETTINGS | PING if frame.flags & ACK == 0 => {
                let payload: &[u8] = if frame.kind == PING { &frame.payload } else { &[] };
                // The peer may be gone by now; the next read says what that means.
                let _ = self.wire.send(&self::frame(frame.kind, ACK, 0, payload), Outcome::ResetAfterSend);
            }
            GOAWAY => self.going_away = true,
            DATA | HEADERS => return Err(Failure::new(Outcome::Duplicate, "an answer to nothing")),
            _ => {}
        }
        Ok(())
    }

    /// What was read may be sent again.
    fn give_back(&mut self, bytes: usize) -> Result<(), Failure> {
        if bytes == 0 {
            return Ok(());
        }
        let increment = (bytes as u32).to_be_bytes();
        self.wire.send(&frame(WINDOW_UPDATE, 0, 0, &increment), Outcome::CutOff)
    }

    fn read(&mut self) -> Result<Frame, Failure> {
        let header = self.wire.take_else(HEADER, Outcome::ResetAfterSend)?;
        let length = usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
        if length > MAX_FRAME {
            return Err(Failure::new(Outcome::WrongAnswer, format!("a frame of {length} bytes")));
        }
        let stream = u32::from_be_bytes([header[5] & 0x7F, header[6], header[7], header[8]]);
        let payload = self.wire.take(length)?;
        Ok(Frame { kind: header[3], flags: header[4], stream, payload })
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A literal without compression; ours are all shorter than 127 bytes.
fn string(block: &mut Vec<u8>, text: &str) {
    block.push(text.len().min(126) as u8);
    block.extend(text.bytes().take(126));
}

fn unpadded(frame: &Frame) -> Result<&[u8], Failure> {
    if frame.flags & PADDED == 0 {
        return Ok(&frame.payload);
    }
    let inside = frame
        .payload
        .split_first()
        .and_then(|(padding, rest)| rest.len().checked_sub(usize::from(*padding)).map(|length| &rest[..length]));
    inside.ok_or_else(|| Failure::new(Outcome::WrongAnswer, "a frame with more padding than bytes"))
}

fn last_stream(frame: &Frame) -> u32 {
    match frame.payload.first_chunk::<4>() {
        Some(bytes) => u32::from_be_bytes(*bytes) & 0x7FFF_FFFF,
        None => 0,
    }
}
