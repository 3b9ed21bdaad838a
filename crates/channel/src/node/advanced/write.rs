//! A [`Value`] becomes bytes.

use std::collections::HashMap;

use super::tag;
use crate::node::{BigInt, Error, ErrorClass, ErrorValue, Label, MAX_NESTING, Value, View};

/// The bytes of a message, without its length.
///
/// Errors: [`Error::TooDeep`]; [`Error::Encode`] if a label is given twice, refers to what comes later or to nothing, or if
/// a part has more than 4 GiB.
pub fn encode(value: &Value) -> Result<Vec<u8>, Error> {
    let mut writer = Writer { bytes: vec![tag::VERSION, tag::WRITTEN_VERSION], labels: HashMap::new(), objects: 0 };
    writer.value(value, 0)?;
    Ok(writer.bytes)
}

struct Writer {
    bytes: Vec<u8>,
    /// The number on the wire of each labelled object.
    labels: HashMap<Label, u32>,
    /// Objects so far: the number of the next one.
    objects: u32,
}

impl Writer {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
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
                let number = self.labels.get(label).copied();
                let number = number.ok_or_else(|| encode_error(format!("nothing before has the label {}", label.0)))?;
                self.bytes.push(tag::REFERENCE);
                self.varint(number);
            }
            Value::Shared(label, object) => {
                if matches!(**object, Value::Shared(..) | Value::Reference(_)) || !is_object(object) {
                    return Err(encode_error(format!("the label {} stands before no object", label.0)));
                }
                if self.labels.insert(*label, self.objects).is_some() {
                    return Err(encode_error(format!("the label {} is given twice", label.0)));
                }
                self.object(object, depth)?;
            }
            _ => self.object(value, depth)?,
        }
        Ok(())
    }

    fn object(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        self.objects += 1;
        let depth = depth + 1;
        match value {
            Value::Array(items) => {
                self.nested(depth)?;
                let length = count(items.len())?;
                self.tagged(tag::DENSE, length);
                for item in items {
                    match item {
                        Value::Hole => self.bytes.push(tag::HOLE),
                        item => self.value(item, depth)?,
                    }
                }
                self.tagged(tag::DENSE_END, 0);
                self.varint(length);
            }
            Value::Sparse(array) => {
                self.nested(depth)?;
                self.tagged(tag::SPARSE, array.length);
                let entries = self.properties(&array.entries, depth)?;
                self.tagged(tag::SPARSE_END, entries);
                self.varint(array.length);
            }
            Value::Object(properties) => {
                self.nested(depth)?;
                self.bytes.push(tag::OBJECT);
                let entries = self.properties(properties, depth)?;
                self.tagged(tag::OBJECT_END, entries);
            }
            Value::Map(entries) => {
                self.nested(depth)?;
                self.bytes.push(tag::MAP);
                for (key, value) in entries {
                    self.value(key, depth)?;
                    self.value(value, depth)?;
                }
                self.tagged(tag::MAP_END, count(entries.len().saturating_mul(2))?);
            }
            Value::Set(items) => {
                self.nested(depth)?;
                self.bytes.push(tag::SET);
                for item in items {
                    self.value(item, depth)?;
                }
                self.tagged(tag::SET_END, count(items.len())?);
            }
            Value::Error(error) => self.error(error, depth)?,
            Value::Native(inner) => {
                self.nested(depth)?;
                self.tagged(tag::HOST, tag::host::NATIVE);
                self.value(inner, depth)?;
            }
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

    fn nested(&self, depth: usize) -> Result<(), Error> {
        if depth > MAX_NESTING { Err(Error::TooDeep) } else { Ok(()) }
    }

    /// Names and values, and how many.
    fn properties(&mut self, properties: &[(String, Value)], depth: usize) -> Result<u32, Error> {
        for (name, value) in properties {
            match index(name) {
                Some(index) => self.number(index.into()),
                None => self.string(name)?,
            }
            self.value(value, depth)?;
        }
        count(properties.len())
    }

    fn error(&mut self, error: &ErrorValue, depth: usize) -> Result<(), Error> {
        self.nested(depth)?;
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
        // V8 before version 12 (Node 18 and 20) expects the cause before the stack.
        if let Some(cause) = &error.cause {
            self.bytes.push(tag::error::CAUSE);
            self.value(cause, depth)?;
        }
        if let Some(stack) = &error.stack {
            self.bytes.push(tag::error::STACK);
            self.string(stack)?;
        }
        self.bytes.push(tag::error::END);
        Ok(())
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
