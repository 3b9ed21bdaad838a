//! [`ndjson()`] and [`to_ndjson()`]: one JSON value a line.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::text::TextError;
use crate::text::cut::{LineCutter, within_limit, without_return};
use crate::text::lines::{Held, LONGEST_LINE};
use crate::{Cause, Chunk, Flow, Outlet, ParallelTransform, Pipe, Stage, Transform};

/// Lines of JSON to values. Empty lines are passed over. What is no JSON, does not fit the type, or is longer than
/// [allowed](Ndjson::longest) is an error with the number of its line ([`TextError`]).
///
/// ```
/// use phalanx_stream::{Source, ndjson, pipeline};
/// use serde::Deserialize;
///
/// #[derive(Deserialize, PartialEq, Debug)]
/// struct Visit {
///     page: String,
///     seconds: f64,
/// }
///
/// let text = &br#"{"page": "/", "seconds": 1.5}"#[..];
/// let visits = pipeline(Source::reader("a log", text)).through(ndjson::<Visit>()).collect_blocking()?;
/// assert_eq!(visits, [Visit { page: "/".to_owned(), seconds: 1.5 }]);
/// # Ok::<(), phalanx_stream::Error>(())
/// ```
pub fn ndjson<T: DeserializeOwned>() -> Ndjson<T> {
    Ndjson { cutter: LineCutter::new(LONGEST_LINE), longest: LONGEST_LINE, item: PhantomData }
}

/// See [`ndjson()`].
#[derive(Debug)]
pub struct Ndjson<T> {
    cutter: LineCutter,
    longest: usize,
    item: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + Send + 'static> Ndjson<T> {
    /// Bytes that a line may have. Default: [`LONGEST_LINE`].
    pub fn longest(mut self, bytes: usize) -> Ndjson<T> {
        self.longest = bytes;
        self.cutter.set_longest(bytes);
        self
    }

    /// Reads the values of so many chunks at a time, in order.
    pub fn parallel(self, permits: usize) -> impl Stage<In = Chunk, Out = T> {
        InParallel { longest: self.longest, permits: permits.max(1), item: PhantomData }
    }
}

const NAME: &str = "ndjson";

impl<T: DeserializeOwned + Send + 'static> Transform for Ndjson<T> {
    type In = Chunk;
    type Out = T;

    fn name(&self) -> Cow<'static, str> {
        NAME.into()
    }

    fn transform(&mut self, chunk: Chunk, out: &mut Outlet<'_, T>) -> Result<Flow, Cause> {
        self.cutter.take(chunk);
        self.resume(out)
    }

    fn resume(&mut self, out: &mut Outlet<'_, T>) -> Result<Flow, Cause> {
        self.cutter.cut(out, value)
    }

    fn flush(&mut self, out: &mut Outlet<'_, T>) -> Result<Flow, Cause> {
        self.cutter.last(out, value)
    }
}

fn value<T: DeserializeOwned + 'static>(line: u64, text: &[u8], out: &mut Outlet<'_, T>) -> Result<(), Cause> {
    let text = if line == 1 { text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text) } else { text };
    if text.trim_ascii().is_empty() {
        return Ok(());
    }
    let value = serde_json::from_slice(text).map_err(|error| malformed(line, &error))?;
    out.push(value);
    Ok(())
}

/// Some programs begin their texts with it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What serde_json says, with the number of our line: it has seen only one.
fn malformed(line: u64, error: &serde_json::Error) -> TextError {
    let said = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let why = said.strip_suffix(&place).unwrap_or(&said);
    TextError::Malformed { line, why: format!("column {}: {why}", error.column()) }
}

struct InParallel<T> {
    longest: usize,
    permits: usize,
    item: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + Send + 'static> Stage for InParallel<T> {
    type In = Chunk;
    type Out = T;

    fn attach(self, pipe: Pipe<Chunk>) -> Pipe<T> {
        let cutting = WholeLines { begun: Vec::new(), lines: 0, longest: self.longest };
        pipe.serial(cutting)
            .mark(2 * self.permits)
            .spread(Values { longest: self.longest, item: PhantomData }, self.permits)
    }
}

/// Whole lines, with how many were in front of them.
struct Sheet {
    lines_before: u64,
    chunk: Chunk,
}

/// Cuts behind the last end of a line in each chunk.
struct WholeLines {
    begun: Vec<u8>,
    lines: u64,
    longest: usize,
}

impl WholeLines {
    fn give(&mut self, chunk: Chunk, out: &mut Outlet<'_, Sheet>) {
        if !chunk.is_empty() {
            let lines_before = self.lines;
            self.lines += memchr::memchr_iter(b'\n', &chunk).count() as u64;
            out.push(Sheet { lines_before, chunk });
        }
    }

    fn within_limit(&self) -> Result<(), TextError> {
        // A return at its end may belong to the end of the line.
        let line = self.begun.strip_suffix(b"\n").unwrap_or(&self.begun);
        within_limit(without_return(line), self.lines + 1, self.longest)?;
        Ok(())
    }
}

impl Transform for WholeLines {
    type In = Chunk;
    type Out = Sheet;

    fn name(&self) -> Cow<'static, str> {
        NAME.into()
    }

    fn transform(&mut self, mut chunk: Chunk, out: &mut Outlet<'_, Sheet>) -> Result<Flow, Cause> {
        if !self.begun.is_empty() {
            let end = memchr::memchr(b'\n', &chunk).map(|at| at + 1);
            let belongs = end.unwrap_or(chunk.len());
            self.begun.extend_from_slice(&chunk[..belongs]);
            chunk.advance(belongs);
            self.within_limit()?;
            if end.is_none() {
                return Ok(Flow::Next);
            }
            let whole = std::mem::take(&mut self.begun);
            self.give(Chunk::from(whole), out);
        }
        let whole = memchr::memrchr(b'\n', &chunk).map_or(0, |at| at + 1);
        self.begun.extend_from_slice(&chunk[whole..]);
        chunk.truncate(whole);
        self.give(chunk, out);
        self.within_limit()?;
        Ok(Flow::Next)
    }

    fn flush(&mut self, out: &mut Outlet<'_, Sheet>) -> Result<Flow, Cause> {
        let whole = std::mem::take(&mut self.begun);
        self.give(Chunk::from(whole), out);
        Ok(Flow::Next)
    }
}

struct Values<T> {
    longest: usize,
    item: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + Send + 'static> ParallelTransform for Values<T> {
    type In = Sheet;
    type Out = T;

    fn name(&self) -> Cow<'static, str> {
        NAME.into()
    }

    fn apply(&self, _: u64, sheet: Sheet, out: &mut Outlet<'_, T>) -> Result<(), Cause> {
        let mut lines = sheet.lines_before;
        for line in sheet.chunk.split_inclusive(|byte| *byte == b'\n') {
            lines += 1;
            let text = line.strip_suffix(b"\n").map_or(line, without_return);
            value(lines, within_limit(text, lines, self.longest)?, out)?;
        }
        Ok(())
    }
}

/// Values to lines of JSON. They go on together, up to 64 KiB, unless each shall go [at once](ToNdjson::at_once).
///
/// ```
/// use phalanx_stream::{Source, pipeline, to_ndjson};
///
/// let text = pipeline(Source::iter([("a", 1), ("b", 2)])).through(to_ndjson()).collect_blocking()?;
/// assert_eq!(*text[0], *b"[\"a\",1]\n[\"b\",2]\n");
/// # Ok::<(), phalanx_stream::Error>(())
/// ```
pub fn to_ndjson<T: Serialize>() -> ToNdjson<T> {
    ToNdjson { held: Held::default(), item: PhantomData }
}

/// See [`to_ndjson()`].
#[derive(Debug)]
pub struct ToNdjson<T> {
    held: Held,
    item: PhantomData<fn(T)>,
}

impl<T> ToNdjson<T> {
    /// Each line goes on at once, for somebody who waits for it.
    pub fn at_once(mut self) -> ToNdjson<T> {
        self.held.most = 0;
        self
    }
}

impl<T: Serialize + Send + 'static> Transform for ToNdjson<T> {
    type In = T;
    type Out = Chunk;

    fn name(&self) -> Cow<'static, str> {
        "to_ndjson".into()
    }

    fn transform(&mut self, item: T, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        serde_json::to_writer(&mut self.held.bytes, &item)?;
        self.held.bytes.push(b'\n');
        self.held.pass_on_if_enough(out);
        Ok(Flow::Next)
    }

    fn flush(&mut self, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        self.held.pass_on(out);
        Ok(Flow::Next)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::text::cut::tests::pieces;
    use crate::{Error, Source, pipeline};

    fn cut<T: Send + 'static>(
        stage: impl Stage<In = Chunk, Out = T>,
        bytes: &[u8],
        sizes: &[usize],
    ) -> Result<Vec<T>, Error> {
        let chunks = pieces(bytes, sizes).into_iter().map(Chunk::from);
        pipeline(Source::iter(chunks)).through(stage).collect_blocking()
    }

    #[test]
    fn an_error_says_in_which_line() {
        let cases: [(&[u8], u64); 5] =
            [(b"1\n2\n\n{\n5", 4), (b"1\n\"x\"", 2), (b"1\n2\xff\n", 2), (b"\n\n\n 1 1\n", 4), (b"[1]\n", 1)];
        for (text, line) in cases {
            for size in 1..9 {
                for error in [cut(ndjson::<u64>(), text, &[size]), cut(ndjson().parallel(2), text, &[size])] {
                    let error = error.unwrap_err();
                    let cause = error.cause_as::<TextError>();
                    assert!(
                        matches!(cause, Some(TextError::Malformed { line: at, .. }) if *at == line),
                        "{size}: {error}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_an_error_with_its_number() {
        for size in 1..12 {
            let text = b"12345\r\n\r\n123456\n1";
            for error in
                [cut(ndjson::<u64>().longest(5), text, &[size]), cut(ndjson().longest(5).parallel(2), text, &[size])]
            {
                let error = error.unwrap_err();
                assert_eq!(error.cause_as(), Some(&TextError::LineTooLong { line: 3, limit: 5 }), "{size}: {error}");
            }
        }
    }

    #[test]
    fn a_byte_order_mark_and_empty_lines_are_passed_over() {
        assert_eq!(cut(ndjson::<u64>(), b"\xef\xbb\xbf1\r\n \n2", &[1]).unwrap(), [1, 2]);
        assert_eq!(cut(ndjson::<u64>().parallel(2), b"\xef\xbb\xbf1\r\n \n2", &[1]).unwrap(), [1, 2]);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC*|[\"\\\\\n\r]*".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map(".*", inner, 0..3).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn values_come_back_whatever_the_cuts(
            values in prop::collection::vec(json(), 0..8), sizes in prop::collection::vec(1_usize..30, 1..5)
        ) {
            let text = pipeline(Source::iter(values.clone())).through(to_ndjson()).collect_blocking().unwrap();
            let text: Vec<u8> = text.iter().flat_map(|chunk| chunk.to_vec()).collect();
            prop_assert_eq!(&cut(ndjson::<Value>(), &text, &sizes).unwrap(), &values);
            prop_assert_eq!(&cut(ndjson::<Value>().parallel(2), &text, &sizes).unwrap(), &values);
        }
    }
}
