//! [`WebSocket`]: a connection that was upgraded, on which each message is answered by one.

use super::outcome::{Failure, Outcome};
use super::wire::{Idle, Response, Target, Wire};

/// Opcodes (RFC 6455, 5.2) with the bit for a whole message.
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
/// The bit of a masked frame; clients must mask, and zeros are a mask.
const MASKED: u8 = 0x80;
/// Longest payload of a frame with a short length; our messages are shorter.
const SHORT: usize = 125;

/// What became of a message.
pub(super) enum Reply {
    Answer(Response),
    /// The server said good-bye before it answered: the message is to be sent again on another connection.
    GoodBye,
}

/// One connection.
pub(super) struct WebSocket {
    wire: Wire,
}

impl WebSocket {
    pub(super) fn connect(target: &Target) -> Result<WebSocket, Failure> {
        let mut wire = Wire::connect(target)?;
        let request = "GET /ws HTTP/1.1\r\nhost: torture\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        wire.send(request.as_bytes(), Outcome::ResetBeforeSend)?;
        match wire.answer()? {
            Response { status: 101, .. } => Ok(WebSocket { wire }),
            other => Err(Failure::new(Outcome::WrongAnswer, format!("no upgrade: status {}", other.status))),
        }
    }

    /// Whether it is open, without waiting. Between two messages the server says good-bye or nothing.
    pub(super) fn look(&mut self) -> Idle {
        match self.wire.bytes_wait() {
            Ok(false) => Idle::Open,
            Ok(true) => match self.read() {
                Ok((CLOSE, _)) => Idle::ClosedCleanly,
                Ok(_) => Idle::Broken(Failure::new(Outcome::Duplicate, "a message that nobody asked for")),
                Err(failure) => Idle::Broken(failure),
            },
            // The end without a good-bye is rude, but no message was under way.
            Err(failure) if failure.outcome == Outcome::CleanClose => Idle::ClosedCleanly,
            Err(failure) => Idle::Broken(failure),
        }
    }

    /// Sends a text and reads the next message.
    pub(super) fn ask(&mut self, text: &str) -> Result<Reply, Failure> {
        let mut frame = vec![TEXT, MASKED | text.len().min(SHORT) as u8, 0, 0, 0, 0];
        frame.extend(text.bytes().take(SHORT));
        self.wire.send(&frame, Outcome::ResetBeforeSend)?;
        match self.read()? {
            (TEXT, payload) => {
                let body = String::from_utf8_lossy(&payload).into_owned();
                Ok(Reply::Answer(Response { status: 200, body, closes: false }))
            }
            (CLOSE, _) => Ok(Reply::GoodBye),
            (kind, _) => Err(Failure::new(Outcome::WrongAnswer, format!("a frame of kind {kind:#x}"))),
        }
    }

    fn read(&mut self) -> Result<(u8, Vec<u8>), Failure> {
        let header = self.wire.take_else(2, Outcome::ResetAfterSend)?;
        let length = usize::from(header[1]);
        if length > SHORT {
            return Err(Failure::new(Outcome::WrongAnswer, "a long or masked frame"));
        }
        Ok((header[0], self.wire.take(length)?))
    }
}
