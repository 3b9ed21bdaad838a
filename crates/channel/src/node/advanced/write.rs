//! A [`Value`] becomes bytes, without recursion: what is open stands on a stack of its own.

use std::collections::HashMap;
use std::slice;

use super::tag;
use crate::node::{BigInt, Error, ErrorClass, ErrorValue, Label, MAX_NESTING, Value, View};

/// The bytes of a message, without its length.
///
/// Errors: [`Error::TooDeep`]; [`Error::Encode`] if a label is given twice, refers to what comes later or to nothing, or if
/// a part has more than 4 GiB.
pub fn encode(value: &Value) -> Result<Vec<u8>, Error> {
    encode_part(value, None)
}

/// As [`encode`], for a part of a larger value: an object outside of it is written where it is first referred to.
pub(in crate::node) fn encode_part<'a>(
    value: &'a Value,
    outside: Option<&'a HashMap<Label, &'a Value>>,
) -> Result<Vec<u8>, Error> {
    let bytes = vec![tag::VERSION, tag::WRITTEN_VERSION];
    let mut writer = Writer { bytes, labels: HashMap::new(), objects: 0, outside };
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut next = Some(value);
    loop {
        let begun = match next {
            Some(value) => writer.begin(value)?,
            None => None,
        };
        match begun {
            Some(_) if open.len() >= MAX_NESTING => return Err(Error::TooDeep),
            Some(object) => open.push(object),
            None => {}
        }
        let Some(object) = open.last_mut() else { return Ok(writer.bytes) };
        next = writer.next(object)?;
        if next.is_none() {
            open.pop();
        }
    }
}

struct Writer<'a> {
    bytes: Vec<u8>,
    /// The number on the wire of each labelled object.
    labels: HashMap<Label, u32>,
    /// Objects so far: the number of the next one.
    objects: u32,
    /// Labelled objects that may stand outside of what is written.
    outside: Option<&'a HashMap<Label, &'a Value>>,
}

/// An object of which not all is written: what is left of its content.
enum Open<'a> {
    Object(Properties<'a>),
    Sparse { entries: Properties<'a>, length: u32 },
    Dense { items: slice::Iter<'a, Value>, length: u32 },
    Set { items: slice::Iter<'a, Value>, count: u32 },
    Map { entries: slice::Iter<'a, (Value, Value)>, value: Option<&'a Value>, count: u32 },
    Error(Option<&'a Value>),
    Native(Option<&'a Value>),
}

struct Properties<'a> {
    rest: slice::Iter<'a, (String, Value)>,
    count: u32,
}

impl<'a> Properties<'a> {
    fn new(properties: &'a [(String, Value)]) -> Result<Properties<'a>, Error> {
        Ok(Properties { rest: properties.iter(), count: count(properties.len())? })
    }
}

impl<'a> Writer<'a> {
    /// Writes the value, or its beginning if others stand inside.
    fn begin(&mut self, value: &'a Value) -> Result<Option<Open<'a>>, Error> {
        match value {
            // Outside of an array a hole is what one reads there.
            Value::Undefined | Value::Hole => self.bytes.push(tag::UNDEFINED),
            Value::Null => self.bytes.push(tag::NULL),
            Value::Bool(true) => self.bytes.push(tag::TRUE),
            Value::Bool(false) => self.bytes.push(tag::FALSE),
            Value::Number(number) => self.number(*number),
            Value::BigInt(integer) => {
                self.bytes.push(tag::BIGINT);
                self.bigint(integer)?;
            }
            Value::String(text) => self.string(text)?,
            Value::Reference(label) => {
                match (self.labels.get(label), self.outside.and_then(|outside| outside.get(label))) {
                    (Some(&number), _) => self.tagged(tag::REFERENCE, number),
                    (None, Some(object)) => return self.begin_labelled(*label, object),
                    (None, None) => return Err(encode_error(format!("nothing before has the label {}", label.0))),
                }
            }
            Value::Shared(label, object) => match self.labels.get(label) {
                Some(&number) if self.outside.is_some() => self.tagged(tag::REFERENCE, number),
                Some(_) => return Err(encode_error(format!("the label {} is given twice", label.0))),
                None => return self.begin_labelled(*label, object),
            },
            _ => return self.begin_object(value),
        }
        Ok(None)
    }

    fn begin_labelled(&mut self, label: Label, object: &'a Value) -> Result<Option<Open<'a>>, Error> {
        if !is_object(object) {
            return Err(encode_error(format!("the label {} stands before no object", label.0)));
        }
        self.labels.insert(label, self.objects);
        self.begin_object(object)
    }

    fn begin_object(&mut self, value: &'a Value) -> Result<Option<Open<'a>>, Error> {
        self.objects += 1;
        let open = match value {
            Value::Array(items) => {
                let length = count(items.len())?;
                self.tagged(tag::DENSE, length);
                Open::Dense { items: items.iter(), length }
            }
            Value::Sparse(array) => {
                self.tagged(tag::SPARSE, array.length);
                Open::Sparse { entries: Properties::new(&array.entries)?, length: array.length }
            }
            Value::Object(properties) => {
                self.bytes.push(tag::OBJECT);
                Open::Object(Properties::new(properties)?)
            }
            Value::Map(entries) => {
                self.bytes.push(tag::MAP);
                Open::Map { entries: entries.iter(), value: None, count: count(entries.len().saturating_mul(2))? }
            }
            Value::Set(items) => {
                self.bytes.push(tag::SET);
                Open::Set { items: items.iter(), count: count(items.len())? }
            }
            Value::Error(error) => self.begin_error(error)?,
            Value::Native(inner) => {
                self.tagged(tag::HOST, tag::host::NATIVE);
                Open::Native(Some(inner))
            }
            _ => {
                self.flat_object(value)?;
                return Ok(None);
            }
        };
        Ok(Some(open))
    }

    /// Objects with nothing inside.
    fn flat_object(&mut self, value: &Value) -> Result<(), Error> {
        match value {
            Value::Date(milliseconds) => self.double(tag::DATE, *milliseconds),
            Value::RegExp(pattern) => {
                self.bytes.push(tag::REGEXP);
                self.string(&pattern.source)?;
                self.varint(pattern.flags);
            }
            Value::ArrayBuffer(bytes) => {
                self.tagged(tag::ARRAY_BUFFER, count(bytes.len())?);
                self.bytes.extend_from_slice(bytes);
            }
            Value::ResizableBuffer(buffer) => {
                let length = count(buffer.bytes.len())?;
                if buffer.max_byte_length < length {
                    return Err(encode_error("a resizable buffer longer than its largest length".into()));
                }
                self.tagged(tag::RESIZABLE_BUFFER, length);
                self.varint(buffer.max_byte_length);
                self.bytes.extend_from_slice(&buffer.bytes);
            }
            Value::View(view) => self.view(view)?,
            Value::Boxed(inner) => self.boxed(inner)?,
            _ => return Err(encode_error("a label or a primitive where an object belongs".into())),
        }
        Ok(())
    }

    fn begin_error(&mut self, error: &'a ErrorValue) -> Result<Open<'a>, Error> {
        self.bytes.push(tag::ERROR);
        match error.class {
            ErrorClass::Error => {}
            ErrorClass::EvalError => self.bytes.push(tag::error::EVAL),
            ErrorClass::RangeError => self.bytes.push(tag::error::RANGE),
            ErrorClass::ReferenceError => self.bytes.push(tag::error::REFERENCE),
            ErrorClass::SyntaxError => self.bytes.push(tag::error::SYNTAX),
            ErrorClass::TypeError => self.bytes.push(tag::error::TYPE),
            ErrorClass::UriError => self.bytes.push(tag::error::URI),
        }
        if let Some(message) = &error.message {
            self.bytes.push(tag::error::MESSAGE);
            self.string(message)?;
        }
        // Node 18 and 20 write the cause first and read any order; later versions write and read this one only.
        if let Some(stack) = &error.stack {
            self.bytes.push(tag::error::STACK);
            self.string(stack)?;
        }
        if error.cause.is_some() {
            self.bytes.push(tag::error::CAUSE);
        }
        Ok(Open::Error(error.cause.as_ref()))
    }

    /// Writes as far as the next value inside; nothing if that was the end.
    fn next(&mut self, open: &mut Open<'a>) -> Result<Option<&'a Value>, Error> {
        match open {
            Open::Object(properties) => {
                let value = self.property(properties)?;
                if value.is_none() {
                    self.tagged(tag::OBJECT_END, properties.count);
                }
                Ok(value)
            }
            Open::Sparse { entries, length } => {
                let value = self.property(entries)?;
                if value.is_none() {
                    self.tagged(tag::SPARSE_END, entries.count);
                    self.varint(*length);
                }
                Ok(value)
            }
            Open::Dense { items, length } => {
                for item in items {
                    match item {
                        Value::Hole => self.bytes.push(tag::HOLE),
                        item => return Ok(Some(item)),
                    }
                }
                self.tagged(tag::DENSE_END, 0);
                self.varint(*length);
                Ok(None)
            }
            Open::Set { items, count } => {
                let item = items.next();
                if item.is_none() {
                    self.tagged(tag::SET_END, *count);
                }
                Ok(item)
            }
            Open::Map { entries, value, count } => {
                if let Some(value) = value.take() {
                    return Ok(Some(value));
                }
                let Some((key, its_value)) = entries.next() else {
                    self.tagged(tag::MAP_END, *count);
                    return Ok(None);
                };
                *value = Some(its_value);
                Ok(Some(key))
            }
            Open::Error(cause) => {
                let cause = cause.take();
                if cause.is_none() {
                    self.bytes.push(tag::error::END);
                }
                Ok(cause)
            }
            Open::Native(inner) => Ok(inner.take()),
        }
    }

    /// Writes the name of the next property.
    fn property(&mut self, properties: &mut Properties<'a>) -> Result<Option<&'a Value>, Error> {
        let Some((name, value)) = properties.rest.next() else { return Ok(None) };
        match index(name) {
            Some(index) => self.number(index.into()),
            None => self.string(name)?,
        }
        Ok(Some(value))
    }

    fn view(&mut self, view: &View) -> Result<(), Error> {
        self.tagged(tag::HOST, tag::host::VIEW);
        self.varint(view.kind() as u32);
        self.varint(count(view.bytes().len())?);
        self.bytes.extend_from_slice(view.bytes());
        Ok(())
    }

    fn boxed(&mut self, inner: &Value) -> Result<(), Error> {
        match inner {
            Value::Bool(true) => self.bytes.push(tag::TRUE_OBJECT),
            Value::Bool(false) => self.bytes.push(tag::FALSE_OBJECT),
            Value::Number(number) => self.double(tag::NUMBER_OBJECT, *number),
            Value::BigInt(integer) => {
                self.bytes.push(tag::BIGINT_OBJECT);
                self.bigint(integer)?;
            }
            Value::String(text) => {
                self.bytes.push(tag::STRING_OBJECT);
                self.string(text)?;
            }
            _ => return Err(encode_error("a box around something else than a primitive".into())),
        }
        Ok(())
    }

    fn number(&mut self, number: f64) {
        let integer = number as i32;
        if f64::from(integer).to_bits() == number.to_bits() {
            self.tagged(tag::INT32, ((integer << 1) ^ (integer >> 31)) as u32);
        } else {
            self.double(tag::DOUBLE, number);
        }
    }

    fn double(&mut self, tag: u8, number: f64) {
        self.bytes.push(tag);
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    fn bigint(&mut self, integer: &BigInt) -> Result<(), Error> {
        // 2³⁰ bits are what V8 allows.
        let bytes = integer.words().len().checked_mul(8).filter(|&bytes| bytes <= 1 << 27);
        let bytes = bytes.ok_or_else(|| encode_error("a BigInt of more than 2³⁰ bits".into()))?;
        self.varint(count(bytes << 1)? | u32::from(integer.is_negative()));
        for word in integer.words() {
            self.bytes.extend_from_slice(&word.to_le_bytes());
        }
        Ok(())
    }

    fn string(&mut self, text: &str) -> Result<(), Error> {
        let (tag, text) = if text.is_ascii() { (tag::LATIN1, text) } else { (tag::UTF8, text) };
        self.tagged(tag, count(text.len())?);
        self.bytes.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn tagged(&mut self, tag: u8, number: u32) {
        self.bytes.push(tag);
        self.varint(number);
    }

    fn varint(&mut self, mut number: u32) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }
}

/// Does it take a number on the wire?
fn is_object(value: &Value) -> bool {
    !matches!(
        value,
        Value::Undefined
            | Value::Hole
            | Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::BigInt(_)
            | Value::String(_)
            | Value::Shared(..)
            | Value::Reference(_)
    )
}

/// A name that JavaScript takes for an index: decimal, without leading zeros.
fn index(name: &str) -> Option<i32> {
    let first = name.as_bytes().first()?;
    let canonical = first.is_ascii_digit() && (*first != b'0' || name.len() == 1) && name.len() <= 10;
    if canonical { name.parse().ok() } else { None }
}

fn count(count: usize) -> Result<u32, Error> {
    u32::try_from(count).map_err(|_| encode_error(format!("a part of {count} bytes or values, 4 GiB are possible")))
}

fn encode_error(why: String) -> Error {
    Error::Encode(why)
}
