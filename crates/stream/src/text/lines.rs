//! [`lines()`] out of bytes, and [`join_lines()`] back.

use std::borrow::Cow;
use std::marker::PhantomData;

use crate::text::TextError;
use crate::text::cut::LineCutter;
use crate::{Cause, Chunk, Flow, Outlet, Transform};

/// Bytes that a line may have, unless said otherwise: what is longer is hardly text, and a line is held in memory whole.
pub const LONGEST_LINE: usize = 1 << 20;

/// Bytes to lines, without their ends (`\n` or `\r\n`). The last line may have no end; after a last end there is no empty line.
///
/// A line that is longer than [allowed](Lines::longest) or no UTF-8 is an error with its number ([`TextError`]).
///
/// ```
/// use phalanx_stream::{Source, lines, pipeline};
///
/// let text = &b"one\r\ntwo\n\nfour"[..];
/// let heard = pipeline(Source::reader("a text", text)).through(lines()).collect_blocking()?;
/// assert_eq!(heard, ["one", "two", "", "four"]);
/// # Ok::<(), phalanx_stream::Error>(())
/// ```
pub fn lines() -> Lines<String> {
    Lines { cutter: LineCutter::new(LONGEST_LINE), item: PhantomData }
}

/// See [`lines()`].
#[derive(Debug)]
pub struct Lines<T> {
    cutter: LineCutter,
    item: PhantomData<fn() -> T>,
}

impl<T> Lines<T> {
    /// Bytes that a line may have. Default: [`LONGEST_LINE`].
    pub fn longest(mut self, bytes: usize) -> Lines<T> {
        self.cutter.set_longest(bytes);
        self
    }
}

impl Lines<String> {
    /// Lines as bytes, whatever they contain.
    pub fn bytes(self) -> Lines<Vec<u8>> {
        Lines { cutter: self.cutter, item: PhantomData }
    }
}

impl Transform for Lines<String> {
    type In = Chunk;
    type Out = String;

    fn name(&self) -> Cow<'static, str> {
        "lines".into()
    }

    fn transform(&mut self, chunk: Chunk, out: &mut Outlet<'_, String>) -> Result<Flow, Cause> {
        self.cutter.take(chunk);
        self.resume(out)
    }

    fn resume(&mut self, out: &mut Outlet<'_, String>) -> Result<Flow, Cause> {
        self.cutter.cut(out, text)
    }

    fn flush(&mut self, out: &mut Outlet<'_, String>) -> Result<Flow, Cause> {
        self.cutter.last(out, text)
    }
}

impl Transform for Lines<Vec<u8>> {
    type In = Chunk;
    type Out = Vec<u8>;

    fn name(&self) -> Cow<'static, str> {
        "lines".into()
    }

    fn transform(&mut self, chunk: Chunk, out: &mut Outlet<'_, Vec<u8>>) -> Result<Flow, Cause> {
        self.cutter.take(chunk);
        self.resume(out)
    }

    fn resume(&mut self, out: &mut Outlet<'_, Vec<u8>>) -> Result<Flow, Cause> {
        self.cutter.cut(out, bytes)
    }

    fn flush(&mut self, out: &mut Outlet<'_, Vec<u8>>) -> Result<Flow, Cause> {
        self.cutter.last(out, bytes)
    }
}

fn text(number: u64, line: &[u8], out: &mut Outlet<'_, String>) -> Result<(), Cause> {
    let text = std::str::from_utf8(line).map_err(|_| TextError::InvalidLine { line: number })?;
    out.push(text.to_owned());
    Ok(())
}

fn bytes(_: u64, line: &[u8], out: &mut Outlet<'_, Vec<u8>>) -> Result<(), Cause> {
    out.push(line.to_vec());
    Ok(())
}

/// Lines to bytes: each with `\n` behind it. They go on together, up to 64 KiB, unless each shall go [at once](JoinLines::at_once).
///
/// ```
/// use phalanx_stream::{Source, join_lines, lines, map, pipeline};
///
/// let numbered = pipeline(Source::iter(["one", "two"])).through(join_lines()).collect_blocking()?;
/// assert_eq!(*numbered[0], *b"one\ntwo\n");
/// # Ok::<(), phalanx_stream::Error>(())
/// ```
pub fn join_lines<T: AsRef<[u8]>>() -> JoinLines<T> {
    JoinLines { held: Held::default(), item: PhantomData }
}

/// See [`join_lines()`].
#[derive(Debug)]
pub struct JoinLines<T> {
    held: Held,
    item: PhantomData<fn(T)>,
}

impl<T> JoinLines<T> {
    /// Each line goes on at once, for somebody who waits for it.
    pub fn at_once(mut self) -> JoinLines<T> {
        self.held.most = 0;
        self
    }
}

impl<T: AsRef<[u8]> + Send + 'static> Transform for JoinLines<T> {
    type In = T;
    type Out = Chunk;

    fn name(&self) -> Cow<'static, str> {
        "join_lines".into()
    }

    fn transform(&mut self, line: T, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        self.held.bytes.extend_from_slice(line.as_ref());
        self.held.bytes.push(b'\n');
        self.held.pass_on_if_enough(out);
        Ok(Flow::Next)
    }

    fn flush(&mut self, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        self.held.pass_on(out);
        Ok(Flow::Next)
    }
}

/// Bytes that wait for more, so that small items do not become small writes.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) bytes: Vec<u8>,
    pub(crate) most: usize,
}

impl Default for Held {
    fn default() -> Held {
        Held { bytes: Vec::new(), most: 64 << 10 }
    }
}

impl Held {
    pub(crate) fn pass_on_if_enough(&mut self, out: &mut Outlet<'_, Chunk>) {
        if self.bytes.len() >= self.most {
            self.pass_on(out);
        }
    }

    pub(crate) fn pass_on(&mut self, out: &mut Outlet<'_, Chunk>) {
        let room = self.bytes.capacity();
        out.push(Chunk::from(std::mem::replace(&mut self.bytes, Vec::with_capacity(room))));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::cut::tests::pieces;
    use crate::{Error, Source, Stage, pipeline};

    fn cut<S: Stage<In = Chunk>>(stage: S, bytes: &[u8], sizes: &[usize]) -> Result<Vec<S::Out>, Error> {
        let chunks = pieces(bytes, sizes).into_iter().map(Chunk::from);
        pipeline(Source::iter(chunks)).through(stage).collect_blocking()
    }

    #[test]
    fn a_line_that_is_too_long_is_an_error_with_its_number() {
        for text in [&b"12345\r\n123456\n"[..], b"12345\n123456", b"\n12345\r6", b"12345\n12345\r"] {
            for size in 1..9 {
                let error = cut(lines().longest(5), text, &[size]).unwrap_err();
                assert_eq!(error.cause_as(), Some(&TextError::LineTooLong { line: 2, limit: 5 }), "{text:?} by {size}");
            }
        }
    }

    #[test]
    fn a_line_that_is_no_utf8_is_an_error_unless_bytes_are_wanted() {
        let text = b"one\ntw\xff\n";
        let error = cut(lines(), text, &[2]).unwrap_err();
        assert_eq!(error.cause_as(), Some(&TextError::InvalidLine { line: 2 }));
        assert_eq!(cut(lines().bytes(), text, &[2]).unwrap(), [&b"one"[..], b"tw\xff"]);
    }

    #[test]
    fn many_short_lines_do_not_come_all_at_once() {
        let mut transform = lines();
        let (mut given, buffers) = (Vec::new(), crate::Buffers::new(1, 1));
        let mut out = Outlet::new(&mut given, 10, &buffers);
        let flow = transform.transform(Chunk::from("\n".repeat(1000)), &mut out).unwrap();
        assert_eq!((flow, out.is_full()), (Flow::Again, true));
        assert!(given.len() <= 10);
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_standard_library_whatever_the_cuts(
            text in "[a-c\\n\\r é]*", sizes in prop::collection::vec(1_usize..9, 1..5)
        ) {
            prop_assert_eq!(cut(lines(), text.as_bytes(), &sizes).unwrap(), text.lines().collect::<Vec<_>>());
        }

        #[test]
        fn joined_they_are_the_text_again(text in "([a-c ]*\\n)*", sizes in prop::collection::vec(1_usize..9, 1..5)) {
            let chunks = pieces(text.as_bytes(), &sizes).into_iter().map(Chunk::from);
            let joined = pipeline(Source::iter(chunks)).through(lines()).through(join_lines()).collect_blocking().unwrap();
            let joined: Vec<u8> = joined.iter().flat_map(|chunk| chunk.to_vec()).collect();
            prop_assert_eq!(String::from_utf8(joined).unwrap(), text);
        }
    }
}
