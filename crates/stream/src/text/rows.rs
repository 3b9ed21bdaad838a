//! [`csv()`] and [`to_csv()`]: rows of separated values.

use std::borrow::Cow;
use std::io;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use csv::{ByteRecord, ErrorKind, WriterBuilder};
use csv_core::{ReadRecordResult, ReaderBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::text::TextError;
use crate::text::lines::{Held, LONGEST_LINE};
use crate::{Cause, Chunk, Flow, Outlet, Transform};

/// Rows of comma-separated values, with the names of the columns in the first, to values. Fields in quotes may contain
/// commas, quotes (doubled) and ends of lines. Empty lines are passed over.
///
/// A row that does not fit the type, has another number of fields than the first, or is longer than [allowed](Csv::longest),
/// and a quote that is never closed, are errors with the line where the row begins ([`TextError`]).
///
/// ```
/// use phalanx_stream::{Source, csv, pipeline};
/// use serde::Deserialize;
///
/// #[derive(Deserialize, PartialEq, Debug)]
/// struct City {
///     name: String,
///     people: u64,
/// }
///
/// let text = &b"people,name\r\n11000,\"Vaduz,\nLiechtenstein\"\r\n"[..];
/// let cities = pipeline(Source::reader("cities.csv", text)).through(csv::<City>()).collect_blocking()?;
/// assert_eq!(cities, [City { name: "Vaduz,\nLiechtenstein".to_owned(), people: 11_000 }]);
/// # Ok::<(), phalanx_stream::Error>(())
/// ```
pub fn csv<T: DeserializeOwned>() -> Csv<T> {
    Csv {
        core: csv_core::Reader::new(),
        rest: Chunk::default(),
        mark: Vec::new(),
        row: Row::default(),
        names: Names::First,
        longest: LONGEST_LINE,
        item: PhantomData,
    }
}

/// See [`csv()`].
#[derive(Debug)]
pub struct Csv<T> {
    core: csv_core::Reader,
    rest: Chunk,
    /// What may be the beginning of a byte order mark.
    mark: Vec<u8>,
    row: Row,
    names: Names,
    longest: usize,
    item: PhantomData<fn() -> T>,
}

/// The row under way.
#[derive(Debug)]
struct Row {
    fields: Vec<u8>,
    filled: usize,
    ends: Vec<usize>,
    ended: usize,
    /// Ends of lines that have passed, those of this row included.
    lines: u64,
    /// The line where it begins, if it has begun.
    begun: Option<u64>,
    /// How many fields a row has.
    width: Option<usize>,
    /// For the use of its memory again.
    record: ByteRecord,
}

impl Default for Row {
    fn default() -> Row {
        Row {
            fields: vec![0; 1024],
            filled: 0,
            ends: vec![0; 64],
            ended: 0,
            lines: 0,
            begun: None,
            width: None,
            record: ByteRecord::new(),
        }
    }
}

#[derive(Debug)]
enum Names {
    /// The first row has them.
    First,
    Known(ByteRecord),
    None,
}

/// Some programs begin their texts with it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl<T: DeserializeOwned + Send + 'static> Csv<T> {
    /// What separates fields. Default: a comma.
    pub fn delimiter(mut self, byte: u8) -> Csv<T> {
        self.core = ReaderBuilder::new().delimiter(byte).build();
        self
    }

    /// The first row is a row like all others; `T` is a tuple, or a struct whose fields are in the order of the columns.
    pub fn without_names(mut self) -> Csv<T> {
        self.names = Names::None;
        self
    }

    /// Bytes that a row may have, without its quotes. Default: [`LONGEST_LINE`].
    pub fn longest(mut self, bytes: usize) -> Csv<T> {
        self.longest = bytes;
        self
    }

    /// Reads what there is; says whether it has come to the end of a row, and how much was read.
    fn read(&mut self, input: &[u8]) -> Result<(bool, usize), TextError> {
        let row = &mut self.row;
        let mut read = 0;
        if row.begun.is_none() {
            let ends = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
            let (count, lines) =
                ends.fold((0, 0), |(count, lines), byte| (count + 1, lines + u64::from(*byte == b'\n')));
            read = count;
            row.lines += lines;
            if read == input.len() {
                return Ok((false, read));
            }
            row.begun = Some(row.lines + 1);
        }
        let begun = row.begun.unwrap_or_default();
        while read < input.len() {
            let (fields, ends) = (&mut row.fields[row.filled..], &mut row.ends[row.ended..]);
            let (came, taken, filled, ended) = self.core.read_record(&input[read..], fields, ends);
            row.lines += memchr::memchr_iter(b'\n', &input[read..read + taken]).count() as u64;
            read += taken;
            row.filled += filled;
            row.ended += ended;
            if row.filled > self.longest || row.ended > self.longest.saturating_add(1) {
                return Err(TextError::LineTooLong { line: begun, limit: self.longest });
            }
            match came {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => row.fields.resize(row.fields.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => row.ends.resize(row.ends.len() * 2, 0),
                ReadRecordResult::Record => return Ok((true, read)),
                ReadRecordResult::End => return Ok((false, read)),
            }
        }
        Ok((false, read))
    }

    /// The row is whole.
    fn give(&mut self, out: &mut Outlet<'_, T>) -> Result<(), TextError> {
        let row = &mut self.row;
        let line = row.begun.take().unwrap_or_default();
        let ends = &row.ends[..row.ended];
        let width = *row.width.get_or_insert(ends.len());
        if ends.len() != width {
            let why = format!("the row has {} fields, the first has {width}", ends.len());
            return Err(TextError::Malformed { line, why });
        }
        row.record.clear();
        let mut from = 0;
        for end in ends {
            row.record.push_field(&row.fields[from..*end]);
            from = *end;
        }
        (row.filled, row.ended) = (0, 0);
        let names = match &self.names {
            Names::First => {
                self.names = Names::Known(row.record.clone());
                return Ok(());
            }
            Names::Known(names) => Some(names),
            Names::None => None,
        };
        out.push(row.record.deserialize(names).map_err(|error| malformed(line, &error, names))?);
        Ok(())
    }

    /// Passes over a byte order mark, though it be cut; what is none is given back.
    fn without_mark(&mut self, chunk: Chunk) -> Chunk {
        if self.row.lines > 0 || self.row.begun.is_some() || self.row.width.is_some() {
            return chunk;
        }
        self.mark.extend_from_slice(&chunk);
        if BYTE_ORDER_MARK.starts_with(&self.mark) && self.mark.len() < BYTE_ORDER_MARK.len() {
            return Chunk::default();
        }
        let mut all = Chunk::from(std::mem::take(&mut self.mark));
        if all.starts_with(BYTE_ORDER_MARK) {
            all.advance(BYTE_ORDER_MARK.len());
        }
        all
    }
}

/// What serde said, with the name of the column.
fn malformed(line: u64, error: &csv::Error, names: Option<&ByteRecord>) -> TextError {
    let ErrorKind::Deserialize { err, .. } = error.kind() else {
        return TextError::Malformed { line, why: error.to_string() };
    };
    let field = err.field().and_then(|field| usize::try_from(field).ok());
    let name = field.and_then(|field| names?.get(field)).map(String::from_utf8_lossy);
    let why = match (field, name) {
        (_, Some(name)) => format!("column `{name}`: {}", err.kind()),
        (Some(field), None) => format!("field {}: {}", field + 1, err.kind()),
        (None, None) => err.kind().to_string(),
    };
    TextError::Malformed { line, why }
}

impl<T: DeserializeOwned + Send + 'static> Transform for Csv<T> {
    type In = Chunk;
    type Out = T;

    fn name(&self) -> Cow<'static, str> {
        "csv".into()
    }

    fn transform(&mut self, chunk: Chunk, out: &mut Outlet<'_, T>) -> Result<Flow, Cause> {
        self.rest = self.without_mark(chunk);
        self.resume(out)
    }

    fn resume(&mut self, out: &mut Outlet<'_, T>) -> Result<Flow, Cause> {
        let mut rest = std::mem::take(&mut self.rest);
        while !rest.is_empty() {
            if out.is_full() {
                self.rest = rest;
                return Ok(Flow::Again);
            }
            let (is_whole, read) = self.read(&rest)?;
            rest.advance(read);
            if is_whole {
                self.give(out)?;
            }
        }
        Ok(Flow::Next)
    }

    fn flush(&mut self, out: &mut Outlet<'_, T>) -> Result<Flow, Cause> {
        // The beginning of a byte order mark, and no more: then it is none.
        let begun = std::mem::take(&mut self.mark);
        let mut begun = &begun[..];
        while !begun.is_empty() {
            let (_, read) = self.read(begun)?;
            begun = &begun[read..];
        }
        let Some(line) = self.row.begun else { return Ok(Flow::Next) };
        // The end of a line ends the last row, unless a quote is open.
        match self.read(b"\n")? {
            (true, _) => self.give(out)?,
            (false, _) => {
                let why = "a quote is not closed before the end".to_owned();
                return Err(TextError::Malformed { line, why }.into());
            }
        }
        Ok(Flow::Next)
    }
}

/// Values to rows of comma-separated values, the names of the columns first. They go on together, up to 64 KiB, unless each shall go
/// [at once](ToCsv::at_once).
///
/// ```
/// use phalanx_stream::{Source, pipeline, to_csv};
/// use serde::Serialize;
///
/// #[derive(Serialize)]
/// struct City {
///     name: &'static str,
///     people: u64,
/// }
///
/// let cities = Source::iter([City { name: "Vaduz, FL", people: 11_000 }]);
/// let text = pipeline(cities).through(to_csv()).collect_blocking()?;
/// assert_eq!(*text[0], *b"name,people\n\"Vaduz, FL\",11000\n");
/// # Ok::<(), phalanx_stream::Error>(())
/// ```
pub fn to_csv<T: Serialize>() -> ToCsv<T> {
    ToCsv {
        format: WriterBuilder::new(),
        writer: None,
        held: Shared::default(),
        most: Held::default().most,
        item: PhantomData,
    }
}

/// See [`to_csv()`].
#[derive(Debug)]
pub struct ToCsv<T> {
    format: WriterBuilder,
    writer: Option<csv::Writer<Shared>>,
    held: Shared,
    most: usize,
    item: PhantomData<fn(T)>,
}

/// The bytes that the writer has made: it keeps its end of it.
#[derive(Debug, Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn with<R>(&self, work: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|held| held.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<T> ToCsv<T> {
    /// What separates fields. Default: a comma.
    pub fn delimiter(mut self, byte: u8) -> ToCsv<T> {
        self.format.delimiter(byte);
        self
    }

    /// No row with the names of the columns.
    pub fn without_names(mut self) -> ToCsv<T> {
        self.format.has_headers(false);
        self
    }

    /// Each row goes on at once, for somebody who waits for it.
    pub fn at_once(mut self) -> ToCsv<T> {
        self.most = 0;
        self
    }

    fn pass_on(&mut self, out: &mut Outlet<'_, Chunk>) -> Result<(), Cause> {
        if let Some(writer) = &mut self.writer {
            writer.flush()?;
        }
        out.push(Chunk::from(self.held.with(std::mem::take)));
        Ok(())
    }
}

impl<T: Serialize + Send + 'static> Transform for ToCsv<T> {
    type In = T;
    type Out = Chunk;

    fn name(&self) -> Cow<'static, str> {
        "to_csv".into()
    }

    fn transform(&mut self, item: T, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        let writer = self.writer.get_or_insert_with(|| self.format.from_writer(self.held.clone()));
        writer.serialize(item)?;
        if self.most == 0 || self.held.with(|held| held.len()) >= self.most {
            self.pass_on(out)?;
        }
        Ok(Flow::Next)
    }

    fn flush(&mut self, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        self.pass_on(out)?;
        Ok(Flow::Next)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::cut::tests::pieces;
    use crate::{Error, Source, pipeline};

    fn cut<T: DeserializeOwned + Send + 'static>(rows: Csv<T>, bytes: &[u8], sizes: &[usize]) -> Result<Vec<T>, Error> {
        let chunks = pieces(bytes, sizes).into_iter().map(Chunk::from);
        pipeline(Source::iter(chunks)).through(rows).collect_blocking()
    }

    #[test]
    fn an_error_says_in_which_line_the_row_begins() {
        let cases: [(&str, u64, &str); 5] = [
            ("a,b\r\n1,2\r\n\r\n3,x\r\n", 4, "column `b`: invalid digit found in string"),
            ("a,b\n1,2\n3\n", 3, "the row has 1 fields, the first has 2"),
            ("a,b\n1,2\n\n3,\"4\n5\n", 4, "a quote is not closed before the end"),
            ("a,b\n1,\"2\n\"\n", 2, "column `b`: invalid digit found in string"),
            ("a,c\n1,2", 2, "missing field `b`"),
        ];
        #[derive(serde::Deserialize, Debug)]
        #[expect(dead_code, reason = "only errors are looked at")]
        struct Both {
            a: u64,
            b: u64,
        }
        for (text, line, why) in cases {
            for size in 1..9 {
                let error = cut(csv::<Both>(), text.as_bytes(), &[size]).unwrap_err();
                let expected = TextError::Malformed { line, why: why.to_owned() };
                assert_eq!(error.cause_as(), Some(&expected), "{text:?} by {size}: {error}");
            }
        }
    }

    #[test]
    fn a_row_that_is_too_long_is_an_error_with_its_line() {
        for text in ["a\n123456\n", "a\n\"12345\n\"", "a\n,,,,,,,,", "a\n123456789012345"] {
            for size in 1..9 {
                let error = cut(csv::<(String,)>().longest(5), text.as_bytes(), &[size]).unwrap_err();
                assert_eq!(
                    error.cause_as(),
                    Some(&TextError::LineTooLong { line: 2, limit: 5 }),
                    "{text:?} by {size}: {error}"
                );
            }
        }
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_wherever_it_is_cut() {
        for size in 1..5 {
            let rows: Vec<(String,)> = cut(csv().without_names(), b"\xef\xbb\xbfab\n", &[size]).unwrap();
            assert_eq!(rows, [("ab".to_owned(),)]);
            let rows: Vec<(Vec<u8>,)> = cut(csv().without_names(), b"\xef", &[size]).unwrap_or_default();
            assert!(rows.len() <= 1);
        }
    }

    proptest! {
        #[test]
        fn rows_come_back_whatever_the_cuts(
            rows in prop::collection::vec((any::<i32>(), "[a,\"\r\né ]*", prop::option::of("[a\n;\"]+")), 0..8),
            sizes in prop::collection::vec(1_usize..30, 1..5),
            delimiter in prop_oneof![Just(b','), Just(b';'), Just(b'\t')],
        ) {
            let text = pipeline(Source::iter(rows.clone())).through(to_csv().delimiter(delimiter)).collect_blocking().unwrap();
            let text: Vec<u8> = text.iter().flat_map(|chunk| chunk.to_vec()).collect();
            let again = csv::<(i32, String, Option<String>)>().delimiter(delimiter).without_names();
            prop_assert_eq!(cut(again, &text, &sizes).unwrap(), rows);
        }
    }
}
