//! `multipart/form-data` (RFC 7578) taken apart while it arrives, without a second copy of the content.
//!
//! The caller feeds chunks as they come and pulls [`Event`]s; content is handed out as slices of the chunk that was fed.
//! What is held back between two chunks is a possible beginning of a delimiter or an unfinished part header, so never
//! more than [`LARGEST_PART_HEADER_BYTES`]. There is no buffer that a client could fill.
//!
//! ```text
//!   --B CRLF headers CRLF CRLF content CRLF --B CRLF headers … content CRLF --B-- epilogue
//!   └ Preamble ┘└── Headers ──┘└ Content ┘└ AfterDelimiter …              └ Done: all else is ignored
//! ```
//!
//! Errors are [`Malformed`] sentences that say what is wrong; a body that ends early is told by [`Multipart::finish`].

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;

/// Most parts in one body.
pub(crate) const MOST_PARTS: usize = 16;
/// Most bytes in the headers of one part.
pub(crate) const LARGEST_PART_HEADER_BYTES: usize = 16 * 1024;
/// Longest boundary (RFC 2046 §5.1.1).
const LONGEST_BOUNDARY: usize = 70;

/// What comes next in the body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A part begins; this is the name of its field.
    Part(String),
    /// The next piece of its content.
    Content(Bytes),
    /// The part is complete.
    PartEnd,
}

/// The body is no well-formed multipart body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) String);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Preamble,
    AfterDelimiter,
    Headers,
    Content,
    Done,
}

/// A parser that is fed chunks and gives events.
pub(crate) struct Multipart {
    /// Finds CRLF, two hyphens, boundary.
    delimiter: Finder<'static>,
    state: State,
    /// What was fed and not yet understood.
    pending: Bytes,
    parts: usize,
}

/// The boundary in a `Content-Type`: `None` if the type is not multipart/form-data at all.
pub(crate) fn boundary(content_type: &str) -> Option<Result<String, Malformed>> {
    let (media_type, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    if !media_type.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let named = parameter(parameters, "boundary");
    let usable = |b: &String| {
        (1..=LONGEST_BOUNDARY).contains(&b.len()) && b.bytes().all(|c| matches!(c, b' '..=b'~')) && !b.ends_with(' ')
    };
    Some(named.filter(usable).ok_or_else(|| {
        Malformed(format!(
            "the Content-Type multipart/form-data needs a boundary of 1 to {LONGEST_BOUNDARY} characters"
        ))
    }))
}

impl Multipart {
    pub(crate) fn new(boundary: &str) -> Self {
        let delimiter = format!("\r\n--{boundary}");
        Multipart {
            delimiter: Finder::new(delimiter.as_bytes()).into_owned(),
            state: State::Preamble,
            // The first delimiter may stand at the very beginning, without a line end before it.
            pending: Bytes::from_static(b"\r\n"),
            parts: 0,
        }
    }

    /// Gives the next chunk to the parser; all events of the chunk before must have been pulled.
    pub(crate) fn feed(&mut self, chunk: Bytes) {
        if self.pending.is_empty() {
            self.pending = chunk;
        } else {
            let mut joined = BytesMut::with_capacity(self.pending.len() + chunk.len());
            joined.extend_from_slice(&self.pending);
            joined.extend_from_slice(&chunk);
            self.pending = joined.freeze();
        }
    }

    /// The next event, or `None` if the parser needs another chunk.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, Malformed> {
        loop {
            match self.state {
                State::Preamble => match self.delimiter.find(&self.pending) {
                    Some(at) => self.pass_delimiter(at),
                    None => {
                        let keep = self.could_be_delimiter();
                        self.pending = self.pending.split_off(keep);
                        return Ok(None);
                    }
                },
                State::AfterDelimiter => {
                    // Spaces after the boundary are allowed (RFC 2046: transport padding).
                    let padding = self.pending.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
                    if padding > LARGEST_PART_HEADER_BYTES {
                        return Err(Malformed("a boundary is followed by too many spaces".into()));
                    }
                    match self.pending.get(padding..padding + 2) {
                        None => return Ok(None),
                        Some(b"--") if padding == 0 => {
                            self.state = State::Done;
                        }
                        Some(b"\r\n") => {
                            // The line end stays: a part without headers is then an empty line at once.
                            self.pending = self.pending.split_off(padding);
                            self.state = State::Headers;
                        }
                        Some(_) => return Err(Malformed("a boundary is followed by neither a line end nor --".into())),
                    }
                }
                State::Headers => {
                    let end = memchr::memmem::find(&self.pending, b"\r\n\r\n");
                    if end.unwrap_or(self.pending.len()) > LARGEST_PART_HEADER_BYTES {
                        return Err(Malformed(format!(
                            "the headers of a part have more than {LARGEST_PART_HEADER_BYTES} bytes"
                        )));
                    }
                    let Some(end) = end else { return Ok(None) };
                    self.parts += 1;
                    if self.parts > MOST_PARTS {
                        return Err(Malformed(format!("the body has more than {MOST_PARTS} parts")));
                    }
                    let name = field_name(&self.pending[..end])?;
                    self.pending = self.pending.split_off(end + 4);
                    self.state = State::Content;
                    return Ok(Some(Event::Part(name)));
                }
                State::Content => match self.delimiter.find(&self.pending) {
                    Some(0) => {
                        self.pass_delimiter(0);
                        return Ok(Some(Event::PartEnd));
                    }
                    Some(at) => return Ok(Some(Event::Content(self.pending.split_to(at)))),
                    None => {
                        let keep = self.could_be_delimiter();
                        if keep == 0 {
                            return Ok(None);
                        }
                        return Ok(Some(Event::Content(self.pending.split_to(keep))));
                    }
                },
                State::Done => {
                    self.pending = Bytes::new();
                    return Ok(None);
                }
            }
        }
    }

    /// The body is over: was it whole?
    pub(crate) fn finish(&self) -> Result<(), Malformed> {
        match self.state {
            State::Done => Ok(()),
            State::Preamble => Err(Malformed("the body has no boundary that fits its Content-Type".into())),
            _ => Err(Malformed("the body ends before its last boundary".into())),
        }
    }

    fn pass_delimiter(&mut self, at: usize) {
        self.pending = self.pending.split_off(at + self.delimiter.needle().len());
        self.state = State::AfterDelimiter;
    }

    /// Where the longest end of what is pending starts that could be the beginning of a delimiter.
    fn could_be_delimiter(&self) -> usize {
        let needle = self.delimiter.needle();
        let from = self.pending.len().saturating_sub(needle.len() - 1);
        let tail = &self.pending[from..];
        memchr::memchr_iter(b'\r', tail)
            .find(|&at| needle.starts_with(&tail[at..]))
            .map_or(self.pending.len(), |at| from + at)
    }
}

/// The name in `Content-Disposition: form-data; name="…"`.
fn field_name(headers: &[u8]) -> Result<String, Malformed> {
    let headers = std::str::from_utf8(headers).map_err(|_| Malformed("the headers of a part are not UTF-8".into()))?;
    headers
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))
        .filter_map(|(_, value)| value.split_once(';'))
        .filter(|(kind, _)| kind.trim().eq_ignore_ascii_case("form-data"))
        .find_map(|(_, parameters)| parameter(parameters, "name"))
        .ok_or_else(|| Malformed("a part has no Content-Disposition: form-data with a name".into()))
}

/// The value of `name` in `; name="value"; other=…`, quoted or not; names are compared without regard to case.
fn parameter(parameters: &str, name: &str) -> Option<String> {
    let mut rest = parameters;
    loop {
        rest = rest.trim_start_matches([';', ' ', '\t']);
        let (key, after) = rest.split_once('=')?;
        let after = after.trim_start_matches([' ', '\t']);
        let (value, left) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = left;
    }
}

/// The text up to the closing quote and what follows it. Only `\"` and `\\` are escapes: browsers send bare
/// backslashes in file names.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = quoted.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        match (c, characters.peek()) {
            ('"', _) => return Some((value, &quoted[at + 1..])),
            ('\\', Some(&(_, escaped @ ('"' | '\\')))) => {
                value.push(escaped);
                characters.next();
            }
            _ => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All parts of a body that arrives in pieces of these lengths (the last one repeats).
    fn parts(body: &[u8], pieces: &[usize]) -> Result<Vec<(String, Vec<u8>)>, Malformed> {
        let mut parser = Multipart::new("XX");
        let mut parts = Vec::new();
        let mut rest = Bytes::copy_from_slice(body);
        let mut at = 0;
        while !rest.is_empty() {
            let length = pieces.get(at).or(pieces.last()).copied().unwrap_or(1).clamp(1, rest.len());
            at += 1;
            parser.feed(rest.split_to(length));
            while let Some(event) = parser.next()? {
                match event {
                    Event::Part(name) => parts.push((name, Vec::new())),
                    Event::Content(piece) => {
                        assert!(!piece.is_empty());
                        parts.last_mut().unwrap().1.extend_from_slice(&piece);
                    }
                    Event::PartEnd => {}
                }
            }
            assert!(parser.pending.len() <= LARGEST_PART_HEADER_BYTES + 4, "the parser hoards");
        }
        parser.finish()?;
        Ok(parts)
    }

    fn part(name: &str, content: &[u8]) -> Vec<u8> {
        let head = format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a.jpg\"\r\n\r\n");
        [head.as_bytes(), content, b"\r\n"].concat()
    }

    #[test]
    fn parts_come_out_whole_however_the_body_is_cut() {
        let body = [
            b"preamble\r\n".as_slice(),
            &part("image", b"\r\n--X almost \r\n--XY\r\r\n-- content\r"),
            &part("empty", b""),
            &part("w", b"300"),
            b"--XX--\r\nepilogue --XX",
        ]
        .concat();
        let expected =
            [("image", b"\r\n--X almost \r\n--XY\r\r\n-- content\r".as_slice()), ("empty", b""), ("w", b"300")]
                .map(|(name, content)| (name.to_owned(), content.to_vec()));
        for length in 1..=body.len() {
            assert_eq!(parts(&body, &[length]).unwrap(), expected, "in pieces of {length}");
        }
    }

    #[test]
    fn malformed_bodies_are_told_apart() {
        let whole = [part("image", b"x"), b"--XX--".to_vec()].concat();
        let many: Vec<u8> = (0..=MOST_PARTS).flat_map(|_| part("f", b"x")).collect();
        let long_header = format!("--XX\r\nX: {}\r\n\r\n", "x".repeat(LARGEST_PART_HEADER_BYTES));
        let unnamed = b"--XX\r\nContent-Disposition: form-data\r\n\r\nx\r\n--XX--";
        for (body, complaint) in [
            (&whole[..whole.len() - 1], "ends before its last boundary"),
            (b"no boundary at all", "no boundary"),
            (b"", "no boundary"),
            (&many, "more than 16 parts"),
            (long_header.as_bytes(), "more than 16384 bytes"),
            (unnamed, "no Content-Disposition"),
            (b"--XX\r\n\r\nx\r\n--XX--", "no Content-Disposition"),
            (b"--XXY\r\n", "neither a line end nor --"),
        ] {
            for pieces in [1, 7, usize::MAX] {
                let error = parts(body, &[pieces]).unwrap_err().0;
                assert!(error.contains(complaint), "{error}");
            }
        }
    }

    #[test]
    fn the_boundary_is_taken_from_the_content_type() {
        let of = |text: &str| boundary(text).map(|b| b.ok());
        assert_eq!(of("multipart/form-data; boundary=abc"), Some(Some("abc".into())));
        assert_eq!(of("Multipart/Form-Data; charset=x; BOUNDARY=\"a b\\\"c\""), Some(Some("a b\"c".into())));
        assert_eq!(of("multipart/form-data"), Some(None));
        assert_eq!(of("multipart/form-data; boundary="), Some(None));
        assert_eq!(of(&format!("multipart/form-data; boundary={}", "x".repeat(71))), Some(None));
        assert_eq!(of("image/jpeg"), None);
    }

    #[test]
    fn names_are_read_in_every_spelling() {
        let name = |header: &str| field_name(header.as_bytes()).ok();
        assert_eq!(name("content-disposition: form-data; name=image"), Some("image".into()));
        assert_eq!(
            name("A: b\r\nContent-Disposition:form-data;filename=\"C:\\x; name=no\"; name=\"a\\\"b\""),
            Some("a\"b".into())
        );
        assert_eq!(name("Content-Disposition: attachment; name=image"), None);
        assert_eq!(name("Content-Disposition: form-data; name=\"unclosed"), None);
    }

    proptest! {
        #[test]
        fn any_content_survives_any_cut(content in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'X'), any::<u8>()], 0..200),
                                        pieces in proptest::collection::vec(1usize..40, 1..20)) {
            prop_assume!(memchr::memmem::find(&content, b"\r\n--XX").is_none());
            let body = [part("image", &content), b"--XX--\r\n".to_vec()].concat();
            prop_assert_eq!(parts(&body, &pieces).unwrap(), vec![("image".to_owned(), content)]);
        }

        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'X'), any::<u8>()], 0..300),
                                  pieces in proptest::collection::vec(1usize..40, 1..20)) {
            let _ = parts(&body, &pieces);
            let _ = boundary(&String::from_utf8_lossy(&body));
        }
    }
}
