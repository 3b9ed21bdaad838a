//! The serialization `json`, apart from any socket: one line of JSON is one message.
//!
//! ```
//! use phalanx_channel::node::{Value, json};
//!
//! let mut decoder = json::Decoder::new(1024);
//! decoder.push(b"{\"id\":1}\n[tr");
//! assert_eq!(decoder.take()?, Some(Value::object([("id", 1)])));
//! assert_eq!(decoder.take()?, None); // the rest has not come yet
//! decoder.push(b"ue]\n");
//! assert_eq!(decoder.take()?, Some(Value::Array(vec![true.into()])));
//! # Ok::<(), phalanx_channel::node::Error>(())
//! ```
//!
//! A line that is blank or no JSON is an [`Error::Malformed`], and the next line is read as if nothing had been. A line
//! beyond the limit is [`Error::TooLarge`] from then on.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::malformed;
use super::unread::Unread;
use super::{Error, Value};

const NEWLINE: u8 = b'\n';

/// Takes messages out of bytes that come in any pieces.
#[derive(Debug)]
pub struct Decoder {
    unread: Unread,
    /// So many bytes of the rest were searched for the end of the line in vain.
    searched: usize,
    limit: usize,
    /// Bytes of the line that was too long.
    failed: Option<usize>,
}

impl Decoder {
    /// A decoder of messages of at most `largest_message` bytes, their newline not counted.
    pub fn new(largest_message: usize) -> Decoder {
        Decoder { unread: Unread::default(), searched: 0, limit: largest_message, failed: None }
    }

    /// Takes note of the next bytes. Take all messages out before the next ones, so that no more than one message and one
    /// piece is kept.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.unread.push(bytes);
        }
    }

    /// The next message; nothing if more bytes are needed.
    pub fn take(&mut self) -> Result<Option<Value>, Error> {
        self.take_frame()?.map(decode).transpose()
    }

    /// The bytes of the next message.
    pub(super) fn take_frame(&mut self) -> Result<Option<&[u8]>, Error> {
        if let Some(bytes) = self.failed {
            return Err(Error::TooLarge { bytes, limit: self.limit });
        }
        let rest = self.unread.rest();
        let end = rest[self.searched..].iter().position(|&byte| byte == NEWLINE).map(|at| self.searched + at);
        let length = end.unwrap_or(rest.len());
        if length > self.limit {
            self.failed = Some(length);
            self.unread.clear();
            return Err(Error::TooLarge { bytes: length, limit: self.limit });
        }
        let Some(end) = end else {
            self.searched = length;
            return Ok(None);
        };
        self.searched = 0;
        Ok(self.unread.take(end + 1).split_last().map(|(_, line)| line))
    }
}

/// The message that stands on this line, without its newline.
pub fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(line).or_else(|why| match why.classify() {
        serde_json::error::Category::Data => Err(Error::Unexpected(why.to_string())),
        _ => match without_half_characters(line) {
            Some(line) => serde_json::from_slice(&line).map_err(|why| broken(&line, &why)),
            None => Err(broken(line, &why)),
        },
    })
}

fn broken(line: &[u8], why: &serde_json::Error) -> Error {
    if line.iter().all(u8::is_ascii_whitespace) {
        return malformed("a blank line");
    }
    if why.is_data() {
        return Error::Unexpected(why.to_string());
    }
    malformed(format!("a line that is no JSON ({why})"))
}

/// The line and its newline.
///
/// Errors: [`Error::Encode`] if the type cannot be said in JSON.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut line = serde_json::to_vec(value).map_err(|why| Error::Encode(why.to_string()))?;
    // Only a type that brings raw JSON of its own can do this.
    if line.is_empty() || line.contains(&NEWLINE) {
        return Err(Error::Encode("it contains a line break, or nothing".into()));
    }
    line.push(NEWLINE);
    Ok(line)
}

/// JavaScript's strings may contain one half of a surrogate pair, which JSON writes as `\ud83d`; no string of Rust can.
/// The line with U+FFFD instead; nothing if there is none.
fn without_half_characters(line: &[u8]) -> Option<Vec<u8>> {
    let mut repaired = Vec::with_capacity(line.len());
    let mut found = false;
    let mut rest = line;
    while let Some(&first) = rest.first() {
        let length = match (surrogate(rest), rest.get(6..).and_then(surrogate)) {
            (Some(Surrogate::High), Some(Surrogate::Low)) => 12,
            (Some(_), _) => {
                found = true;
                repaired.extend_from_slice(b"\\ufffd");
                rest = &rest[6..];
                continue;
            }
            (None, _) if first == b'\\' => 2,
            (None, _) => 1,
        };
        let (kept, after) = rest.split_at(length.min(rest.len()));
        repaired.extend_from_slice(kept);
        rest = after;
    }
    found.then_some(repaired)
}

#[derive(Clone, Copy)]
enum Surrogate {
    High,
    Low,
}

/// The surrogate whose escape stands at the beginning.
fn surrogate(text: &[u8]) -> Option<Surrogate> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let unit = u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    match unit {
        0xD800..=0xDBFF => Some(Surrogate::High),
        0xDC00..=0xDFFF => Some(Surrogate::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(decoder: &mut Decoder) -> Vec<Value> {
        std::iter::from_fn(|| decoder.take().unwrap()).collect()
    }

    #[test]
    fn a_message_split_at_any_byte_is_whole_again() {
        let bytes = "{\"a\":\"é\u{2028}😀\\n\"}\n[1,2.5,null]\r\n".as_bytes();
        for at in 0..=bytes.len() {
            let mut decoder = Decoder::new(100);
            decoder.push(&bytes[..at]);
            let mut values = all(&mut decoder);
            decoder.push(&bytes[at..]);
            values.extend(all(&mut decoder));
            let expected =
                [Value::object([("a", "é\u{2028}😀\n")]), Value::Array(vec![1.into(), 2.5.into(), Value::Null])];
            assert_eq!(values, expected, "split at {at}");
        }
    }

    #[test]
    fn every_kind_of_json_is_a_message() {
        let mut decoder = Decoder::new(100);
        decoder.push(b"\"text\"\n17\ntrue\nnull\n[]\n{}\n-0.5\n12345678901234567890\n");
        let expected = [
            "text".into(),
            17.into(),
            true.into(),
            Value::Null,
            Value::Array(Vec::new()),
            Value::Object(Vec::new()),
            (-0.5).into(),
            super::super::BigInt::from(12_345_678_901_234_567_890u64).into(),
        ];
        assert_eq!(all(&mut decoder), expected);
    }

    #[test]
    fn a_blank_or_broken_line_is_an_error_and_the_next_line_a_message() {
        let mut decoder = Decoder::new(1000);
        for line in ["", "  \r", "{", "nul", "{\"a\":1}{", "\u{1}", "[1,]", "\"\\ud83\"", "\"\\x\""] {
            decoder.push(line.as_bytes());
            decoder.push(b"\n7\n");
            assert!(matches!(decoder.take(), Err(Error::Malformed(_))), "{line:?}");
            assert_eq!(decoder.take().unwrap(), Some(7.into()));
        }
        decoder.push(b"\"\xff\xfe\"\n8\n");
        assert!(matches!(decoder.take(), Err(Error::Malformed(_))));
        assert_eq!(decoder.take().unwrap(), Some(8.into()));
    }

    #[test]
    fn half_a_character_becomes_the_replacement_character() {
        for (line, text) in [
            (r#""a\ud83d""#, "a\u{fffd}"),
            (r#""\ude00\ud83d\ude00""#, "\u{fffd}😀"),
            (r#""\ud83d\ud83d\ude00\n""#, "\u{fffd}😀\n"),
            (r#""\\ud83d\ud83d""#, "\\ud83d\u{fffd}"),
        ] {
            assert_eq!(decode::<String>(line.as_bytes()).unwrap(), text, "{line}");
        }
    }

    #[test]
    fn a_line_beyond_the_limit_ends_it_before_it_is_kept() {
        let mut decoder = Decoder::new(10);
        decoder.push(b"\"12345678\"\n");
        assert_eq!(decoder.take().unwrap(), Some("12345678".into()));
        decoder.push(b"\"123456789\"\n1\n");
        assert!(matches!(decoder.take(), Err(Error::TooLarge { bytes: 11, limit: 10 })));
        for _ in 0..1000 {
            decoder.push(&[b' '; 1000]);
            assert!(matches!(decoder.take(), Err(Error::TooLarge { .. })));
        }
        let mut decoder = Decoder::new(10);
        decoder.push(&[b'['; 11]);
        assert!(matches!(decoder.take(), Err(Error::TooLarge { bytes: 11, limit: 10 })));
    }

    #[test]
    fn deep_nesting_is_an_error_on_a_small_stack() {
        let small = std::thread::Builder::new().stack_size(512 * 1024);
        let run = small.spawn(|| {
            for depth in [super::super::MAX_NESTING, super::super::MAX_NESTING + 1, 1_000_000] {
                let mut line = vec![b'['; depth];
                line.resize(2 * depth, b']');
                assert_eq!(decode::<Value>(&line).is_ok(), depth <= super::super::MAX_NESTING, "{depth}");
            }
        });
        run.unwrap().join().unwrap();
    }

    #[test]
    fn no_line_contains_a_line_break() {
        assert_eq!(encode("a\nb\u{2028}").unwrap(), "\"a\\nb\u{2028}\"\n".as_bytes());
        assert_eq!(encode(&()).unwrap(), b"null\n");
    }
}
