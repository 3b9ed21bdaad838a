//! Armor: the encrypted bytes as lines of text, in the strict form of PEM.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memchr;

use super::FORMAT;
use crate::{Cause, Chunk, DecodeError, Flow, Outlet, Transform};

const BEGIN: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
const END: &[u8] = b"-----END AGE ENCRYPTED FILE-----";
const COLUMNS: usize = 64;
/// Bytes that fill a line.
const LINE_BYTES: usize = COLUMNS / 4 * 3;
/// Blank bytes in front of the first line.
const BLANKS_LIMIT: usize = 1024;

/// Puts armor on.
#[derive(Default)]
pub(super) struct Armor {
    has_begun: bool,
    /// Bytes that do not fill a line yet.
    short: Vec<u8>,
    input: Chunk,
}

impl Armor {
    fn begin(&mut self, text: &mut Chunk) {
        if !self.has_begun {
            self.has_begun = true;
            text.append(BEGIN);
            text.append(b"\n");
        }
    }

    fn encode(&mut self, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        let mut text = out.buffer();
        self.begin(&mut text);
        loop {
            let missing = LINE_BYTES - self.short.len();
            if self.input.len() < missing {
                self.short.extend_from_slice(&self.input);
                self.input = Chunk::default();
                out.push(text);
                return Ok(Flow::Next);
            }
            if text.room().len() <= COLUMNS {
                out.push(std::mem::replace(&mut text, out.buffer()));
                if out.is_full() {
                    return Ok(Flow::Again);
                }
            }
            if self.short.is_empty() {
                write_line(&self.input[..LINE_BYTES], &mut text)?;
            } else {
                self.short.extend_from_slice(&self.input[..missing]);
                write_line(&self.short, &mut text)?;
                self.short.clear();
            }
            self.input.advance(missing);
        }
    }
}

fn write_line(bytes: &[u8], text: &mut Chunk) -> Result<(), Cause> {
    let written = STANDARD.encode_slice(bytes, text.room())?;
    text.filled(written);
    text.append(b"\n");
    Ok(())
}

impl Transform for Armor {
    type In = Chunk;
    type Out = Chunk;

    fn name(&self) -> Cow<'static, str> {
        "encrypt".into()
    }

    fn transform(&mut self, input: Chunk, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        self.input = input;
        self.encode(out)
    }

    fn resume(&mut self, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        self.encode(out)
    }

    fn flush(&mut self, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        let mut text = out.buffer();
        self.begin(&mut text);
        if !self.short.is_empty() {
            write_line(&self.short, &mut text)?;
        }
        text.append(END);
        text.append(b"\n");
        out.push(text);
        Ok(Flow::Next)
    }
}

/// Takes armor off, if there is any.
#[derive(Default)]
pub(super) struct Unarmor {
    /// Whether there is armor, once that is known.
    is_armored: Option<bool>,
    blanks: Vec<u8>,
    input: Chunk,
    lines: Lines,
}

impl Unarmor {
    /// Looks at the first byte that is not blank.
    fn look(&mut self, out: &mut Outlet<'_, Chunk>) -> Result<(), Cause> {
        let blanks = self.input.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if self.blanks.len() + blanks > BLANKS_LIMIT {
            return Err(self.lines.wrong("it begins with too many blanks").into());
        }
        self.blanks.extend_from_slice(&self.input[..blanks]);
        self.input.advance(blanks);
        if let Some(first) = self.input.first() {
            let is_armored = *first == BEGIN[0];
            self.is_armored = Some(is_armored);
            let blanks = std::mem::take(&mut self.blanks);
            if is_armored {
                self.lines.offset = blanks.len() as u64;
            } else {
                out.push(Chunk::from(blanks));
            }
        }
        Ok(())
    }

    fn decode(&mut self, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        if self.is_armored.is_none() {
            self.look(out)?;
        }
        if self.is_armored == Some(false) {
            out.push(std::mem::take(&mut self.input));
            return Ok(Flow::Next);
        }
        let mut bytes = out.buffer();
        while !self.input.is_empty() {
            if bytes.room().len() < LINE_BYTES {
                out.push(std::mem::replace(&mut bytes, out.buffer()));
                if out.is_full() {
                    return Ok(Flow::Again);
                }
            }
            let taken = self.lines.take(&self.input, &mut bytes)?;
            self.input.advance(taken);
        }
        self.input = Chunk::default();
        out.push(bytes);
        Ok(Flow::Next)
    }
}

impl Transform for Unarmor {
    type In = Chunk;
    type Out = Chunk;

    fn name(&self) -> Cow<'static, str> {
        "decrypt".into()
    }

    fn transform(&mut self, input: Chunk, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        self.input = input;
        self.decode(out)
    }

    fn resume(&mut self, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        self.decode(out)
    }

    fn flush(&mut self, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        if self.is_armored == Some(true) {
            let mut bytes = Chunk::with_room(LINE_BYTES);
            self.lines.finish(&mut bytes)?;
            out.push(bytes);
        }
        Ok(Flow::Next)
    }
}

/// The lines of armor, one after the other.
#[derive(Default)]
struct Lines {
    next: Expected,
    /// The begin of a line whose end did not come yet.
    begun: Vec<u8>,
    /// Bytes of input in front of the line.
    offset: u64,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Expected {
    #[default]
    Begin,
    /// A line of bytes, or the end.
    Any,
    /// The end: the last line was not full.
    End,
    /// Nothing but blanks.
    Blanks,
}

impl Lines {
    fn wrong(&self, what: &'static str) -> DecodeError {
        DecodeError::malformed(FORMAT, self.offset, what)
    }

    /// Takes the next line off the input, or what came of it, and says how many bytes that was.
    fn take(&mut self, input: &[u8], bytes: &mut Chunk) -> Result<usize, DecodeError> {
        let end = memchr(b'\n', input);
        let came = &input[..end.unwrap_or(input.len())];
        let taken = end.map_or(input.len(), |end| end + 1);
        if self.next == Expected::Blanks {
            self.blank(came)?;
            self.offset += taken as u64;
        } else if self.begun.len() + came.len() > COLUMNS + 1 {
            return Err(self.wrong("a line of the armor is longer than 64 columns"));
        } else if end.is_none() {
            self.begun.extend_from_slice(came);
        } else if self.begun.is_empty() {
            self.read(came, bytes)?;
            self.offset += taken as u64;
        } else {
            self.begun.extend_from_slice(came);
            let line = std::mem::take(&mut self.begun);
            self.read(&line, bytes)?;
            self.offset += line.len() as u64 + 1;
        }
        Ok(taken)
    }

    fn read(&mut self, line: &[u8], bytes: &mut Chunk) -> Result<(), DecodeError> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match self.next {
            Expected::Begin if line == BEGIN => self.next = Expected::Any,
            Expected::Begin => return Err(self.wrong("the first line of the armor is another one")),
            Expected::Any | Expected::End if line == END => self.next = Expected::Blanks,
            Expected::Any if (1..=COLUMNS).contains(&line.len()) => {
                let decoded = STANDARD.decode_slice(line, bytes.room());
                let decoded = decoded.map_err(|_| self.wrong("a line of the armor is not base64"))?;
                bytes.filled(decoded);
                self.next = if decoded == LINE_BYTES { Expected::Any } else { Expected::End };
            }
            Expected::Any => return Err(self.wrong("a line of the armor is empty or too long")),
            Expected::End => return Err(self.wrong("a line of the armor is too short")),
            Expected::Blanks => self.blank(line)?,
        }
        Ok(())
    }

    fn blank(&self, bytes: &[u8]) -> Result<(), DecodeError> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            Ok(())
        } else {
            Err(self.wrong("something follows the end of the armor"))
        }
    }

    /// The input has ended: what has begun is the last line.
    fn finish(&mut self, bytes: &mut Chunk) -> Result<(), DecodeError> {
        let line = std::mem::take(&mut self.begun);
        if !line.is_empty() {
            self.read(&line, bytes)?;
            self.offset += line.len() as u64;
        }
        if self.next == Expected::Blanks {
            Ok(())
        } else {
            Err(DecodeError::Truncated { format: FORMAT, offset: self.offset })
        }
    }
}
