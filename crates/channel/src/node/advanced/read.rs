//! Bytes become a [`Value`], without recursion: what is open stands on a stack of its own.

use std::collections::HashSet;

use super::content::{Content, Key};
use super::tag;
use crate::node::error::malformed;
use crate::node::value::{RegExp, ResizableBuffer};
use crate::node::{BigInt, Error, ErrorClass, ErrorValue, Label, MAX_NESTING, Value, View, ViewKind};

/// The value that a message holds (its bytes without the length).
///
/// Errors: [`Error::Malformed`], [`Error::TooDeep`].
pub fn decode(message: &[u8]) -> Result<Value, Error> {
    let (value, referenced) = Reader::new(message, &HashSet::new())?.message()?;
    if referenced.is_empty() {
        return Ok(value);
    }
    // Now that it is known which objects are referred to, they get their labels.
    drop(value);
    Ok(Reader::new(message, &referenced)?.message()?.0)
}

struct Reader<'a> {
    rest: &'a [u8],
    /// Objects so far: the number of the next one.
    objects: u32,
    /// The objects that get a label.
    labelled: &'a HashSet<u32>,
    referenced: HashSet<u32>,
}

/// An object whose end has not come.
struct Open {
    number: u32,
    content: Content,
}

/// What the next letter has begun.
enum Begun {
    Whole(Value),
    Open(Open),
}

/// What an open object needs.
enum Next {
    Value,
    Nothing,
}

impl<'a> Reader<'a> {
    fn new(message: &'a [u8], labelled: &'a HashSet<u32>) -> Result<Reader<'a>, Error> {
        let [tag::VERSION, version, rest @ ..] = message else {
            return Err(malformed("it does not begin with the byte FF and a version"));
        };
        if !(tag::OLDEST_VERSION..=tag::WRITTEN_VERSION).contains(version) {
            let (from, to) = (tag::OLDEST_VERSION, tag::WRITTEN_VERSION);
            return Err(malformed(format!("version {version} of the format, known are {from} to {to}")));
        }
        Ok(Reader { rest, objects: 0, labelled, referenced: HashSet::new() })
    }

    fn message(mut self) -> Result<(Value, HashSet<u32>), Error> {
        let mut open: Vec<Open> = Vec::new();
        loop {
            let next = match open.last_mut() {
                Some(object) => self.next(&mut object.content)?,
                None => Next::Value,
            };
            let value = match next {
                Next::Value => match self.begin()? {
                    Begun::Whole(value) => value,
                    Begun::Open(_) if open.len() >= MAX_NESTING => return Err(Error::TooDeep),
                    Begun::Open(object) => {
                        open.push(object);
                        continue;
                    }
                },
                Next::Nothing => match open.pop() {
                    Some(object) => self.label(object.number, object.content.close()),
                    None => return Err(malformed("an end without a beginning")),
                },
            };
            match open.last_mut() {
                Some(object) => object.content.give(value),
                None if self.rest.is_empty() => return Ok((value, self.referenced)),
                None => return Err(malformed(format!("{} bytes after its end", self.rest.len()))),
            }
        }
    }

    /// Reads as far as the next value inside, or the end.
    fn next(&mut self, content: &mut Content) -> Result<Next, Error> {
        match content {
            Content::Object { properties, key } => {
                if self.ends_with(tag::OBJECT_END)? {
                    self.expect_count("properties", properties.len())?;
                    return Ok(Next::Nothing);
                }
                *key = Some(self.key()?.into_name());
            }
            Content::Dense { items, length, named, key } => {
                while items.len() < *length as usize {
                    if !self.ends_with(tag::HOLE)? {
                        return Ok(Next::Value);
                    }
                    items.push(Value::Hole);
                }
                if self.ends_with(tag::DENSE_END)? {
                    self.expect_count("named properties", named.len())?;
                    self.expect_count("elements", *length as usize)?;
                    return Ok(Next::Nothing);
                }
                *key = Some(self.key()?);
            }
            Content::Sparse { entries, length, key } => {
                if self.ends_with(tag::SPARSE_END)? {
                    self.expect_count("entries", entries.len())?;
                    self.expect_count("elements", *length as usize)?;
                    return Ok(Next::Nothing);
                }
                *key = Some(self.key()?);
            }
            Content::Map { entries, key } => {
                if key.is_none() && self.ends_with(tag::MAP_END)? {
                    self.expect_count("keys and values", 2 * entries.len())?;
                    return Ok(Next::Nothing);
                }
            }
            Content::Set(items) => {
                if self.ends_with(tag::SET_END)? {
                    self.expect_count("members", items.len())?;
                    return Ok(Next::Nothing);
                }
            }
            Content::Error(error) => loop {
                match self.byte()? {
                    tag::error::MESSAGE => error.message = Some(self.string()?),
                    tag::error::STACK => error.stack = Some(self.string()?),
                    tag::error::CAUSE => break,
                    tag::error::END => return Ok(Next::Nothing),
                    part => return Err(unknown("part of an error", part)),
                }
            },
            Content::Native(Some(_)) => return Ok(Next::Nothing),
            Content::Native(None) => {}
        }
        Ok(Next::Value)
    }

    /// Reads a letter and, unless something stands inside, the rest of the value.
    fn begin(&mut self) -> Result<Begun, Error> {
        let value = match self.tag()? {
            tag::UNDEFINED => Value::Undefined,
            tag::NULL => Value::Null,
            tag::TRUE => Value::Bool(true),
            tag::FALSE => Value::Bool(false),
            tag::INT32 => Value::Number(self.zigzag()?.into()),
            tag::UINT32 => Value::Number(self.varint()?.into()),
            tag::DOUBLE => Value::Number(self.double()?),
            tag::BIGINT => Value::BigInt(self.bigint()?),
            letter @ (tag::LATIN1 | tag::UTF16 | tag::UTF8) => Value::String(self.text(letter)?),
            tag::REFERENCE => {
                let number = self.varint()?;
                if number >= self.objects {
                    return Err(malformed(format!("a reference to object {number}, there are {}", self.objects)));
                }
                self.referenced.insert(number);
                Value::Reference(Label(number))
            }
            letter => return self.begin_object(letter),
        };
        Ok(Begun::Whole(value))
    }

    fn begin_object(&mut self, letter: u8) -> Result<Begun, Error> {
        let number = self.objects;
        self.objects += 1;
        let open = |content| Ok(Begun::Open(Open { number, content }));
        let value = match letter {
            tag::OBJECT => return open(Content::Object { properties: Vec::new(), key: None }),
            tag::DENSE => {
                let length = self.varint()?;
                // Each element has at least one byte: an array that cannot be there is refused at once.
                if length as usize > self.rest.len() {
                    return Err(cut_off());
                }
                return open(Content::Dense { items: Vec::new(), length, named: Vec::new(), key: None });
            }
            tag::SPARSE => {
                let length = self.varint()?;
                return open(Content::Sparse { entries: Vec::new(), length, key: None });
            }
            tag::MAP => return open(Content::Map { entries: Vec::new(), key: None }),
            tag::SET => return open(Content::Set(Vec::new())),
            tag::ERROR => {
                let class = self.error_class();
                return open(Content::Error(Box::new(ErrorValue { class, ..ErrorValue::default() })));
            }
            tag::HOST => match self.varint()? {
                tag::host::NATIVE => return open(Content::Native(None)),
                tag::host::VIEW => Value::View(self.view()?),
                kind => return Err(malformed(format!("an object of Node of the unknown kind {kind}"))),
            },
            tag::DATE => Value::Date(self.double()?),
            tag::TRUE_OBJECT => Value::Boxed(Box::new(Value::Bool(true))),
            tag::FALSE_OBJECT => Value::Boxed(Box::new(Value::Bool(false))),
            tag::NUMBER_OBJECT => Value::Boxed(Box::new(Value::Number(self.double()?))),
            tag::BIGINT_OBJECT => Value::Boxed(Box::new(Value::BigInt(self.bigint()?))),
            tag::STRING_OBJECT => Value::Boxed(Box::new(Value::String(self.string()?))),
            tag::REGEXP => {
                let source = self.string()?;
                Value::RegExp(Box::new(RegExp { source, flags: self.varint()? }))
            }
            tag::ARRAY_BUFFER => {
                let length = self.varint()?;
                Value::ArrayBuffer(self.bytes(length)?.to_vec())
            }
            tag::RESIZABLE_BUFFER => {
                let (length, max_byte_length) = (self.varint()?, self.varint()?);
                if max_byte_length < length {
                    return Err(malformed("a resizable buffer longer than its largest length"));
                }
                Value::ResizableBuffer(Box::new(ResizableBuffer {
                    bytes: self.bytes(length)?.to_vec(),
                    max_byte_length,
                }))
            }
            letter => return Err(unknown("kind of value", letter)),
        };
        Ok(Begun::Whole(self.label(number, value)))
    }

    fn label(&self, number: u32, value: Value) -> Value {
        if self.labelled.contains(&number) { Value::Shared(Label(number), Box::new(value)) } else { value }
    }

    fn error_class(&mut self) -> ErrorClass {
        let class = match self.rest.first() {
            Some(&tag::error::EVAL) => ErrorClass::EvalError,
            Some(&tag::error::RANGE) => ErrorClass::RangeError,
            Some(&tag::error::REFERENCE) => ErrorClass::ReferenceError,
            Some(&tag::error::SYNTAX) => ErrorClass::SyntaxError,
            Some(&tag::error::TYPE) => ErrorClass::TypeError,
            Some(&tag::error::URI) => ErrorClass::UriError,
            _ => return ErrorClass::Error,
        };
        self.rest = &self.rest[1..];
        class
    }

    fn view(&mut self) -> Result<View, Error> {
        let number = self.varint()?;
        let kind = ViewKind::from_wire(number);
        let kind = kind.ok_or_else(|| malformed(format!("a typed array of the unknown kind {number}")))?;
        let length = self.varint()?;
        View::new(kind, self.bytes(length)?.to_vec())
    }

    fn bigint(&mut self) -> Result<BigInt, Error> {
        let field = self.varint()?;
        let bytes = self.bytes(field >> 1)?;
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |word, &byte| word << 8 | u64::from(byte));
        Ok(BigInt::from_words(field & 1 == 1, bytes.chunks(8).map(word).collect()))
    }

    /// The name of a property.
    fn key(&mut self) -> Result<Key, Error> {
        let number = match self.tag()? {
            tag::UINT32 => return Ok(Key::Index(self.varint()?)),
            tag::INT32 => f64::from(self.zigzag()?),
            tag::DOUBLE => self.double()?,
            letter => return Ok(Key::Name(self.text(letter)?)),
        };
        let index = number as u32;
        if f64::from(index) == number { Ok(Key::Index(index)) } else { Ok(Key::Name(number.to_string())) }
    }

    fn string(&mut self) -> Result<String, Error> {
        let letter = self.tag()?;
        self.text(letter)
    }

    fn text(&mut self, letter: u8) -> Result<String, Error> {
        if !matches!(letter, tag::LATIN1 | tag::UTF16 | tag::UTF8) {
            return Err(malformed(format!("{letter:#04x} where a string belongs")));
        }
        let length = self.varint()?;
        let bytes = self.bytes(length)?;
        match letter {
            tag::LATIN1 if !bytes.is_ascii() => Ok(bytes.iter().copied().map(char::from).collect()),
            tag::UTF16 => {
                let (units, []) = bytes.as_chunks::<2>() else {
                    return Err(malformed(format!("a string of two-byte units in {length} bytes")));
                };
                let units = units.iter().map(|&unit| u16::from_le_bytes(unit));
                let halves_replaced = char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER));
                Ok(halves_replaced.collect())
            }
            _ => Ok(String::from_utf8_lossy(bytes).into_owned()),
        }
    }

    /// The next letter; what only pads is passed over.
    fn tag(&mut self) -> Result<u8, Error> {
        loop {
            match self.byte()? {
                tag::PADDING => {}
                tag::OBJECT_COUNT => drop(self.varint()?),
                letter => return Ok(letter),
            }
        }
    }

    /// Takes the letter if it is the next one.
    fn ends_with(&mut self, letter: u8) -> Result<bool, Error> {
        while let [tag::PADDING, rest @ ..] = self.rest {
            self.rest = rest;
        }
        match self.rest {
            [] => Err(cut_off()),
            [next, rest @ ..] if *next == letter => {
                self.rest = rest;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn expect_count(&mut self, what: &str, count: usize) -> Result<(), Error> {
        let said = self.varint()?;
        if said as usize == count {
            return Ok(());
        }
        Err(malformed(format!("{said} {what} are announced and {count} are there")))
    }

    fn byte(&mut self) -> Result<u8, Error> {
        let (&byte, rest) = self.rest.split_first().ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(byte)
    }

    /// The one place where a length is checked, before anything is reserved for it.
    fn bytes(&mut self, count: u32) -> Result<&'a [u8], Error> {
        let (bytes, rest) = self.rest.split_at_checked(count as usize).ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn double(&mut self) -> Result<f64, Error> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(f64::from_le_bytes(*bytes))
    }

    fn zigzag(&mut self) -> Result<i32, Error> {
        let number = self.varint()?;
        Ok((number >> 1) as i32 ^ -((number & 1) as i32))
    }

    fn varint(&mut self) -> Result<u32, Error> {
        let mut number = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            let bits = u32::from(byte & 0x7F);
            if shift == 28 && bits > 0xF {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(malformed("a number of more than 32 bits"))
    }
}

fn cut_off() -> Error {
    malformed("it ends too early")
}

fn unknown(what: &str, letter: u8) -> Error {
    malformed(format!("the unknown {what} {letter:#04x}"))
}
