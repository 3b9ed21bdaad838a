//! [`Value`] itself as a `serde` type: as `JSON.stringify` writes it for formats meant to be read, lossless for others.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{self, Serialize, SerializeMap, SerializeSeq, Serializer};

use super::scope::Scope;
use super::to_value::{from_integer, from_unsigned};
use super::{SparseArray, Value, View, ViewKind, date};
use crate::node::{Error, advanced};

/// The name of the newtype in which a value travels through `serde`. Our own two formats know it and pass the value on
/// whole; all others pass it by.
pub(super) const LOSSLESS: &str = "$phalanx::node::Value";

/// Longest array that is filled up with `null` where JSON knows no holes.
const LONGEST_FILLED_ARRAY: u32 = 1_000_000;

/// Why `serde` stopped.
#[derive(Debug)]
pub(super) enum Problem {
    Text(String),
    Whole(Error),
}

impl Problem {
    pub(super) fn into_error(self, kind: fn(String) -> Error) -> Error {
        match self {
            Problem::Text(why) => kind(why),
            Problem::Whole(error) => error,
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        Problem::Whole(error)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Text(why) => f.write_str(why),
            Problem::Whole(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Problem {}

impl ser::Error for Problem {
    fn custom<T: fmt::Display>(why: T) -> Problem {
        Problem::Text(why.to_string())
    }
}

impl de::Error for Problem {
    fn custom<T: fmt::Display>(why: T) -> Problem {
        Problem::Text(why.to_string())
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(LOSSLESS, &Form(self))
    }
}

struct Form<'a>(&'a Value);

impl Serialize for Form<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let scope = Scope::of(self.0).map_err(ser::Error::custom)?;
            return Json { value: self.0, scope: &scope }.serialize(serializer);
        }
        serializer.serialize_bytes(&advanced::encode(self.0).map_err(ser::Error::custom)?)
    }
}

/// What `JSON.stringify` makes of a value.
struct Json<'a> {
    value: &'a Value,
    scope: &'a Scope<'a>,
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (value, _step) = self.scope.enter(self.value).map_err(ser::Error::custom)?;
        match value {
            Value::Array(items) => self.items(items, serializer),
            Value::Sparse(array) => self.sparse(array, serializer),
            Value::Object(properties) => self.properties(properties, serializer),
            _ => flat(value, serializer),
        }
    }
}

impl<'a> Json<'a> {
    fn items<S: Serializer>(&self, items: &'a [Value], serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(items.len()))?;
        for value in items {
            seq.serialize_element(&Json { value, scope: self.scope })?;
        }
        seq.end()
    }

    fn sparse<S: Serializer>(&self, array: &'a SparseArray, serializer: S) -> Result<S::Ok, S::Error> {
        let (length, entries) = (array.length, array.entries.len());
        if length > LONGEST_FILLED_ARRAY {
            let why = format!("an array of length {length} with {entries} entries is too sparse for JSON");
            return Err(ser::Error::custom(why));
        }
        let mut filled = vec![&Value::Hole; length as usize];
        for (key, value) in &array.entries {
            if let Some(place) = key.parse().ok().and_then(|index: usize| filled.get_mut(index)) {
                *place = value;
            }
        }
        let mut seq = serializer.serialize_seq(Some(filled.len()))?;
        for value in filled {
            seq.serialize_element(&Json { value, scope: self.scope })?;
        }
        seq.end()
    }

    fn properties<S: Serializer>(&self, properties: &'a [(String, Value)], serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in properties.iter().filter(|(_, value)| !matches!(value, Value::Undefined)) {
            map.serialize_entry(key, &Json { value, scope: self.scope })?;
        }
        map.end()
    }
}

/// What has nothing inside, or nothing that JSON would show. (Apart, so that nesting needs little of the stack.)
fn flat<S: Serializer>(value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Value::Bool(value) => serializer.serialize_bool(*value),
        Value::Number(number) => serialize_number(*number, serializer),
        Value::BigInt(integer) => match (i128::try_from(integer), u128::try_from(integer)) {
            (Ok(integer), _) => match i64::try_from(integer) {
                Ok(integer) => serializer.serialize_i64(integer),
                Err(_) => serializer.serialize_i128(integer),
            },
            (_, Ok(integer)) => serializer.serialize_u128(integer),
            _ => Err(ser::Error::custom("a BigInt of more than 128 bits has no form in JSON")),
        },
        Value::String(text) => serializer.serialize_str(text),
        Value::Date(milliseconds) => match date::iso_text(*milliseconds) {
            Some(text) => serializer.serialize_str(&text),
            None => serializer.serialize_unit(),
        },
        Value::View(view) if view.kind() == ViewKind::Buffer => {
            let mut map = serializer.serialize_map(Some(2))?;
            map.serialize_entry("type", "Buffer")?;
            map.serialize_entry("data", view.bytes())?;
            map.end()
        }
        Value::View(view) if view.kind() != ViewKind::DataView => {
            let mut map = serializer.serialize_map(None)?;
            for (index, value) in view.elements().enumerate() {
                map.serialize_entry(&index, &value)?;
            }
            map.end()
        }
        Value::View(_)
        | Value::ArrayBuffer(_)
        | Value::ResizableBuffer(_)
        | Value::RegExp(_)
        | Value::Map(_)
        | Value::Set(_)
        | Value::Error(_) => serializer.serialize_map(Some(0))?.end(),
        // Undefined, null and holes; there is nothing else.
        _ => serializer.serialize_unit(),
    }
}

/// Without a fraction it is written as an integer, as JavaScript does it.
fn serialize_number<S: Serializer>(number: f64, serializer: S) -> Result<S::Ok, S::Error> {
    if number.is_finite() && number.fract() == 0.0 && number.abs() < 1e18 {
        serializer.serialize_i64(number as i64)
    } else if number.is_finite() {
        serializer.serialize_f64(number)
    } else {
        serializer.serialize_unit()
    }
}

impl View {
    /// The elements as JavaScript sees them: numbers, or big integers.
    pub(super) fn elements(&self) -> impl Iterator<Item = Value> + '_ {
        self.bytes().chunks_exact(self.kind().element_bytes()).map(|bytes| element(self.kind(), bytes))
    }
}

fn element(kind: ViewKind, bytes: &[u8]) -> Value {
    // Each chunk has the size of an element, so that no part of this is missing.
    let word = bytes.iter().rev().fold(0u64, |word, &byte| word << 8 | u64::from(byte));
    let number = match kind {
        ViewKind::Int8Array => f64::from(word as u8 as i8),
        ViewKind::Int16Array => f64::from(word as u16 as i16),
        ViewKind::Int32Array => f64::from(word as u32 as i32),
        ViewKind::Float16Array => half(word as u16),
        ViewKind::Float32Array => f64::from(f32::from_bits(word as u32)),
        ViewKind::Float64Array => f64::from_bits(word),
        ViewKind::BigInt64Array => return from_integer((word as i64).into()),
        ViewKind::BigUint64Array => return from_unsigned(word.into()),
        _ => word as f64,
    };
    Value::Number(number)
}

/// A floating-point number of 16 bits.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_newtype_struct(LOSSLESS, Outer)
    }
}

/// Looks whether the value comes whole, as bytes, or in the words of a format like JSON.
struct Outer;

impl<'de> Visitor<'de> for Outer {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value of JavaScript")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(Plain)
        } else {
            deserializer.deserialize_byte_buf(Bytes)
        }
    }
}

struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes of a value of JavaScript")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Value, E> {
        advanced::decode(bytes).map_err(E::custom)
    }
}

struct Plain;

impl<'de> Visitor<'de> for Plain {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value of JavaScript")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(from_integer(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(from_integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(from_unsigned(value.into()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(from_unsigned(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::buffer(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut properties = Vec::new();
        while let Some(key) = map.next_key()? {
            properties.push((key, map.next_value_seed(Inner)?));
        }
        Ok(Value::Object(properties))
    }
}

/// A value inside another one of the same format.
struct Inner;

impl<'de> de::DeserializeSeed<'de> for Inner {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(Plain)
    }
}
