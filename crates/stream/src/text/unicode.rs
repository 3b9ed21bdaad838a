//! [`uppercase_unicode()`]: the full mapping of Unicode, whatever the chunks cut.

use std::borrow::Cow;
use std::sync::LazyLock;

use crate::text::TextError;
use crate::text::chunks::sized;
use crate::{Cause, Chunk, Flow, Outlet, ParallelTransform, Pipe, Stage, Transform};

/// UTF-8 to upper case, by the full mapping of Unicode (`ß` becomes `SS`, `ŉ` becomes `ʼN`, `ς` becomes `Σ`), which does not
/// depend on language or neighbours. Characters may be cut anywhere. What is no UTF-8 is an error that says where
/// ([`TextError::InvalidUtf8`]), or [lossy](UppercaseUnicode::lossy). It gives at most three times what it takes.
///
/// ```
/// use phalanx_stream::{through, uppercase_unicode};
///
/// let cut = vec![b"stra\xc3".to_vec(), b"\x9fe, \xce".to_vec(), b"\xb4\xcf\x82".to_vec()];
/// assert_eq!(through(uppercase_unicode(), cut)?, "STRASSE, ΔΣ".as_bytes());
/// # Ok::<(), phalanx_stream::Error>(())
/// ```
pub fn uppercase_unicode() -> UppercaseUnicode {
    UppercaseUnicode { mapper: Mapper { is_lossy: false }, cutter: Cutter::default(), pieces: Vec::new() }
}

/// See [`uppercase_unicode()`].
#[derive(Debug)]
pub struct UppercaseUnicode {
    mapper: Mapper,
    cutter: Cutter,
    pieces: Vec<Piece>,
}

impl UppercaseUnicode {
    /// What is no UTF-8 becomes `U+FFFD`, as [`String::from_utf8_lossy`] has it.
    pub fn lossy(mut self) -> UppercaseUnicode {
        self.mapper.is_lossy = true;
        self
    }

    /// On so many chunks at a time, in order.
    pub fn parallel(self, permits: usize) -> impl Stage<In = Chunk, Out = Chunk> {
        InParallel { mapper: self.mapper, permits: permits.max(1) }
    }

    fn map(&mut self, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        for piece in self.pieces.drain(..) {
            self.mapper.map(piece, out)?;
        }
        Ok(Flow::Next)
    }
}

impl Transform for UppercaseUnicode {
    type In = Chunk;
    type Out = Chunk;

    fn name(&self) -> Cow<'static, str> {
        NAME.into()
    }

    fn transform(&mut self, chunk: Chunk, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        let pieces = &mut self.pieces;
        self.cutter.cut(chunk, |piece| pieces.push(piece));
        self.map(out)
    }

    fn flush(&mut self, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        self.pieces.extend(self.cutter.rest());
        self.map(out)
    }
}

const NAME: &str = "uppercase_unicode";

struct InParallel {
    mapper: Mapper,
    permits: usize,
}

impl Stage for InParallel {
    type In = Chunk;
    type Out = Chunk;

    fn attach(self, pipe: Pipe<Chunk>) -> Pipe<Chunk> {
        pipe.serial(Cutter::default()).mark(2 * self.permits).spread(self.mapper, self.permits)
    }
}

/// A chunk, or what a cut had parted, with the bytes that were in front of it.
#[derive(Debug)]
struct Piece {
    offset: u64,
    chunk: Chunk,
}

/// Moves the beginning of a character at the end of a chunk in front of the next chunk.
#[derive(Debug, Default)]
struct Cutter {
    /// Bytes in front of what was begun.
    offset: u64,
    begun: Vec<u8>,
}

/// A character has at most so many bytes.
const LONGEST_CHARACTER: usize = 4;

impl Cutter {
    fn cut(&mut self, mut chunk: Chunk, mut give: impl FnMut(Piece)) {
        let mut used = 0;
        while let Some(&byte) = chunk.get(used).filter(|_| !self.begun.is_empty()) {
            self.begun.push(byte);
            used += 1;
            match std::str::from_utf8(&self.begun) {
                Err(error) if error.error_len().is_none() && self.begun.len() < LONGEST_CHARACTER => continue,
                // The last one does not belong to it: it begins something new.
                Err(error) if error.error_len().is_some_and(|length| length < self.begun.len()) => {
                    self.begun.pop();
                    used -= 1;
                }
                _ => {}
            }
            self.rest().map(&mut give);
        }
        chunk.advance(used);
        let kept = chunk.len() - begun(&chunk);
        self.begun.extend_from_slice(&chunk[kept..]);
        chunk.truncate(kept);
        if kept > 0 {
            let offset = self.offset;
            self.offset += kept as u64;
            give(Piece { offset, chunk });
        }
    }

    fn rest(&mut self) -> Option<Piece> {
        if self.begun.is_empty() {
            return None;
        }
        let chunk = Chunk::from(std::mem::take(&mut self.begun));
        let offset = self.offset;
        self.offset += chunk.len() as u64;
        Some(Piece { offset, chunk })
    }
}

/// How many bytes at the end begin a character that is not whole yet.
fn begun(bytes: &[u8]) -> usize {
    let tail = &bytes[bytes.len().saturating_sub(LONGEST_CHARACTER - 1)..];
    let Some(lead) = tail.iter().rposition(|byte| !is_continuation(*byte)) else { return 0 };
    match std::str::from_utf8(&tail[lead..]) {
        Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => tail.len() - lead,
        _ => 0,
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

impl Transform for Cutter {
    type In = Chunk;
    type Out = Piece;

    fn name(&self) -> Cow<'static, str> {
        "characters".into()
    }

    fn transform(&mut self, chunk: Chunk, out: &mut Outlet<'_, Piece>) -> Result<Flow, Cause> {
        self.cut(chunk, |piece| out.push(piece));
        Ok(Flow::Next)
    }

    fn flush(&mut self, out: &mut Outlet<'_, Piece>) -> Result<Flow, Cause> {
        if let Some(piece) = self.rest() {
            out.push(piece);
        }
        Ok(Flow::Next)
    }
}

#[derive(Debug)]
struct Mapper {
    is_lossy: bool,
}

impl ParallelTransform for Mapper {
    type In = Piece;
    type Out = Chunk;

    fn name(&self) -> Cow<'static, str> {
        NAME.into()
    }

    fn apply(&self, _: u64, piece: Piece, out: &mut Outlet<'_, Chunk>) -> Result<(), Cause> {
        self.map(piece, out)
    }
}

impl Mapper {
    fn map(&self, piece: Piece, out: &mut Outlet<'_, Chunk>) -> Result<(), Cause> {
        let Piece { offset, mut chunk } = piece;
        if chunk.is_ascii() {
            chunk.make_ascii_uppercase();
            out.push(chunk);
            return Ok(());
        }
        let mut upper = Upper { chunk: sized(chunk.len(), out), out };
        let mut rest = &*chunk;
        loop {
            let error = match std::str::from_utf8(rest) {
                Ok(text) => {
                    upper.text(text);
                    break;
                }
                Err(error) => error,
            };
            let (valid, wrong) = rest.split_at(error.valid_up_to());
            if !self.is_lossy {
                let in_front = chunk.len() - wrong.len();
                return Err(TextError::InvalidUtf8 { offset: offset + in_front as u64 }.into());
            }
            upper.text(std::str::from_utf8(valid)?);
            upper.append("\u{fffd}".as_bytes());
            rest = &wrong[error.error_len().unwrap_or(wrong.len())..];
        }
        upper.finish();
        Ok(())
    }
}

/// Where the mapped text is put together.
struct Upper<'a, 'b> {
    chunk: Chunk,
    out: &'a mut Outlet<'b, Chunk>,
}

impl Upper<'_, '_> {
    fn text(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let run = ascii_run(&bytes[at..]);
            if run > 0 {
                self.ascii(&bytes[at..at + run]);
                at += run;
            }
            for character in text[at..].chars().take_while(|character| !character.is_ascii()) {
                at += character.len_utf8();
                self.character(character);
            }
        }
    }

    fn ascii(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let from = self.chunk.len();
            let fits = self.chunk.append(bytes);
            self.chunk[from..].make_ascii_uppercase();
            bytes = &bytes[fits..];
            self.pass_on_if_full();
        }
    }

    fn character(&mut self, character: char) {
        let mut bytes = [0; LONGEST_CHARACTER];
        match TABLES.short.get(character as usize) {
            Some(&Short { bytes, length }) => self.append(&bytes[..usize::from(length)]),
            None if TABLES.has_case(character) => {
                for upper in character.to_uppercase() {
                    self.append(upper.encode_utf8(&mut bytes).as_bytes());
                }
            }
            None => self.append(character.encode_utf8(&mut bytes).as_bytes()),
        }
    }

    fn append(&mut self, mut bytes: &[u8]) {
        loop {
            let fits = self.chunk.append(bytes);
            bytes = &bytes[fits..];
            if bytes.is_empty() {
                return;
            }
            self.pass_on_if_full();
        }
    }

    fn pass_on_if_full(&mut self) {
        if self.chunk.room().is_empty() {
            let next = sized(self.chunk.len(), self.out);
            self.out.push(std::mem::replace(&mut self.chunk, next));
        }
    }

    fn finish(self) {
        self.out.push(self.chunk);
    }
}

/// How many bytes at the front are ASCII: by words, as they are the most of many texts.
fn ascii_run(bytes: &[u8]) -> usize {
    const WORD: usize = 32;
    let words = bytes.chunks_exact(WORD).take_while(|word| word.iter().fold(0, |all, byte| all | byte) < 128).count();
    let run = words * WORD;
    run + bytes[run..].iter().take_while(|byte| byte.is_ascii()).count()
}

/// The mapping of a character of at most two bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Short {
    bytes: [u8; 6],
    length: u8,
}

/// What makes the common scripts fast: the standard library searches its table for each character.
struct Tables {
    short: Vec<Short>,
    /// Of 256 characters each: whether any of them has another upper case.
    blocks: Vec<bool>,
}

const SHORT_CHARACTERS: u32 = 0x800;
const BLOCK_CHARACTERS: u32 = 0x100;
/// Behind these 65 536 characters few are in use; they take the long way.
const BLOCKS: u32 = 0x100;

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let short = (0..SHORT_CHARACTERS).map(|code| char::from_u32(code).map(Short::of).unwrap_or_default()).collect();
    let has_case = |code| char::from_u32(code).is_some_and(|one| !one.to_uppercase().eq([one]));
    let block = |block| (block * BLOCK_CHARACTERS..(block + 1) * BLOCK_CHARACTERS).any(has_case);
    Tables { short, blocks: (0..BLOCKS).map(block).collect() }
});

impl Tables {
    fn has_case(&self, character: char) -> bool {
        let block = u32::from(character) / BLOCK_CHARACTERS;
        self.blocks.get(block as usize).copied().unwrap_or(true)
    }
}

impl Short {
    fn of(character: char) -> Short {
        let mut short = Short::default();
        let mut utf8 = [0; LONGEST_CHARACTER];
        for upper in character.to_uppercase() {
            for byte in upper.encode_utf8(&mut utf8).bytes() {
                short.bytes[usize::from(short.length)] = byte;
                short.length += 1;
            }
        }
        short
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Error, through};

    fn cut(bytes: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
        crate::text::cut::tests::pieces(bytes, sizes)
    }

    #[test]
    fn every_character_has_the_upper_case_of_the_standard_library() {
        let all: String = (0..=char::MAX as u32).filter_map(char::from_u32).collect();
        let heard = through(uppercase_unicode(), vec![all.clone().into_bytes()]).unwrap();
        assert!(String::from_utf8(heard).unwrap() == all.to_uppercase());
    }

    #[test]
    fn what_is_no_utf8_is_an_error_that_says_where() {
        for (bytes, at) in
            [(&b"ab\xffcd"[..], 2), (b"\xc3", 0), (b"abc\xe2\x82", 3), (b"\xed\xa0\x80", 0), (b"x\xf4\x90", 1)]
        {
            for size in 1..4 {
                let error = through(uppercase_unicode(), cut(bytes, &[size])).unwrap_err();
                assert_eq!(
                    error.cause_as(),
                    Some(&TextError::InvalidUtf8 { offset: at }),
                    "{bytes:?} by {size}: {error}"
                );
                assert!(matches!(error, Error::Transform { ref name, .. } if name == "uppercase_unicode"));
            }
        }
    }

    proptest! {
        #[test]
        fn text_is_the_same_whatever_the_cuts(text in "\\PC*|[a-zß-ÿŉΐςж中𐐨ﬃ ]*", sizes in prop::collection::vec(1_usize..7, 1..5)) {
            let heard = through(uppercase_unicode(), cut(text.as_bytes(), &sizes)).unwrap();
            prop_assert_eq!(String::from_utf8(heard).unwrap(), text.to_uppercase());
        }

        #[test]
        fn lossy_is_what_the_standard_library_makes_of_it(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0xc0..0xf8_u8, 0x80..0xc0_u8, Just(b'a')], 0..40),
            sizes in prop::collection::vec(1_usize..7, 1..5),
        ) {
            let expected = String::from_utf8_lossy(&bytes).to_uppercase();
            let heard = through(uppercase_unicode().lossy(), cut(&bytes, &sizes)).unwrap();
            prop_assert_eq!(&String::from_utf8(heard).unwrap(), &expected);
            let heard = through(uppercase_unicode().lossy().parallel(2), cut(&bytes, &sizes)).unwrap();
            prop_assert_eq!(String::from_utf8(heard).unwrap(), expected);
        }
    }
}
