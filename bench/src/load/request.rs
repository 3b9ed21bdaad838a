//! What is sent: built once, sent often.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::Reuse;

const BOUNDARY: &str = "phalanx-bench-7f2c9d";
const JPEG_START: [u8; 2] = [0xff, 0xd8];
const SERIAL_DIGITS: usize = 16;
/// A JPEG comment that holds the serial number: marker, length (which counts itself), then the digits.
const COMMENT_HEADER: [u8; 4] = [0xff, 0xfe, 0, 2 + SERIAL_DIGITS as u8];

/// A request, ready to be written.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    before_serial: Bytes,
    serial: Serial,
    after_serial: Bytes,
}

/// Whether each sending carries another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Serial {
    None,
    EachSending,
}

static NEXT_SERIAL: AtomicU64 = AtomicU64::new(0);

impl Request {
    /// A request without a body.
    pub(crate) fn get(path: &str, reuse: Reuse) -> Self {
        Self::fixed(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{}\r\n", connection_header(reuse)))
    }

    /// A request with a JSON body.
    pub(crate) fn post_json(path: &str, json: &str, reuse: Reuse) -> Self {
        Self::fixed(format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\n{}content-type: application/json\r\ncontent-length: {}\r\n\r\n{json}",
            connection_header(reuse),
            json.len()
        ))
    }

    /// A browser's upload of one JPEG in the field `image`.
    ///
    /// Each sending is another picture: a comment segment with a serial number is put in, so that no server can answer
    /// from a cache or merge equal requests.
    pub(crate) fn upload(path: &str, jpeg: &[u8], reuse: Reuse) -> Self {
        let picture = jpeg.strip_prefix(&JPEG_START).unwrap_or(jpeg);
        let part = format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"image\"; filename=\"photo.jpg\"\r\ncontent-type: image/jpeg\r\n\r\n"
        );
        let end = format!("\r\n--{BOUNDARY}--\r\n");
        let length = part.len() + JPEG_START.len() + COMMENT_HEADER.len() + SERIAL_DIGITS + picture.len() + end.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\n{}content-type: multipart/form-data; boundary={BOUNDARY}\r\ncontent-length: {length}\r\n\r\n",
            connection_header(reuse)
        );
        let before = [head.as_bytes(), part.as_bytes(), &JPEG_START, &COMMENT_HEADER].concat();
        let after = [picture, end.as_bytes()].concat();
        Self { before_serial: before.into(), serial: Serial::EachSending, after_serial: after.into() }
    }

    fn fixed(text: String) -> Self {
        Self { before_serial: text.into_bytes().into(), serial: Serial::None, after_serial: Bytes::new() }
    }

    /// The bytes of one sending: a small first part and the rest, which all sendings share.
    pub(super) fn parts(&self) -> (Bytes, Bytes) {
        match self.serial {
            Serial::None => (self.before_serial.clone(), self.after_serial.clone()),
            Serial::EachSending => {
                let mut first = Vec::with_capacity(self.before_serial.len() + SERIAL_DIGITS);
                first.extend_from_slice(&self.before_serial);
                first.extend_from_slice(format!("{:0width$x}", next_serial(), width = SERIAL_DIGITS).as_bytes());
                (first.into(), self.after_serial.clone())
            }
        }
    }
}

fn connection_header(reuse: Reuse) -> &'static str {
    match reuse {
        Reuse::KeepAlive => "",
        Reuse::OnePerRequest => "connection: close\r\n",
    }
}

/// Starts at the clock, so that two runs of the program send different pictures too.
fn next_serial() -> u64 {
    let count = NEXT_SERIAL.fetch_add(1, Ordering::Relaxed);
    if count > 0 {
        return count;
    }
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |elapsed| elapsed.as_nanos() as u64);
    NEXT_SERIAL.store(clock + 1, Ordering::Relaxed);
    clock
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_upload_is_another_valid_jpeg_of_the_announced_length() {
        let jpeg = pictures::photos::generated(16, 16, 80);
        let request = Request::upload("/upload", &jpeg, Reuse::KeepAlive);
        let sent = |(first, rest): (Bytes, Bytes)| [first, rest].concat();
        let (one, other) = (sent(request.parts()), sent(request.parts()));
        assert_ne!(one, other);

        let text = String::from_utf8_lossy(&one).into_owned();
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        let body = &one[head.len() + 4..];
        assert!(
            head.contains(&format!("content-length: {}\r\n", body.len()))
                || head.ends_with(&format!("content-length: {}", body.len()))
        );
        let picture = &body[body.windows(2).position(|pair| pair == JPEG_START).unwrap()..];
        pictures::quality::decode(picture).unwrap();
    }
}
