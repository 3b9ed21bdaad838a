//! Any `serde` type becomes a [`Value`].

use serde::Serialize;
use serde::ser;

use super::encoded::Encoded;
use super::serde_impls::LOSSLESS;
use super::{BigInt, Value};
use crate::node::advanced;
use crate::node::value::serde_impls::Problem;

/// Largest distance from zero up to which each integer is a number of JavaScript (`Number.MAX_SAFE_INTEGER` + 1).
const EXACT_INTEGERS: u128 = 1 << 53;

/// The number, or the [`BigInt`] if a number would not be exact.
pub(super) fn from_integer(integer: i128) -> Value {
    if integer.unsigned_abs() <= EXACT_INTEGERS { Value::Number(integer as f64) } else { BigInt::from(integer).into() }
}

/// As [`from_integer`].
pub(super) fn from_unsigned(integer: u128) -> Value {
    if integer <= EXACT_INTEGERS { Value::Number(integer as f64) } else { BigInt::from(integer).into() }
}

#[derive(Clone, Copy)]
pub(super) struct ValueSerializer(());

impl ValueSerializer {
    pub(super) fn new() -> ValueSerializer {
        ValueSerializer(())
    }
}

/// The object `{ name: content }` in which a variant travels; without a name the content itself.
fn named(variant: Option<&'static str>, content: Value) -> Value {
    match variant {
        Some(name) => Value::Object(vec![(name.to_owned(), content)]),
        None => content,
    }
}

impl ser::Serializer for ValueSerializer {
    type Ok = Value;
    type Error = Problem;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Items;
    type SerializeMap = Entries;
    type SerializeStruct = Properties;
    type SerializeStructVariant = Properties;

    fn serialize_bool(self, value: bool) -> Result<Value, Problem> {
        Ok(Value::Bool(value))
    }

    fn serialize_i8(self, value: i8) -> Result<Value, Problem> {
        Ok(Value::Number(value.into()))
    }

    fn serialize_i16(self, value: i16) -> Result<Value, Problem> {
        Ok(Value::Number(value.into()))
    }

    fn serialize_i32(self, value: i32) -> Result<Value, Problem> {
        Ok(Value::Number(value.into()))
    }

    fn serialize_i64(self, value: i64) -> Result<Value, Problem> {
        Ok(from_integer(value.into()))
    }

    fn serialize_i128(self, value: i128) -> Result<Value, Problem> {
        Ok(from_integer(value))
    }

    fn serialize_u8(self, value: u8) -> Result<Value, Problem> {
        Ok(Value::Number(value.into()))
    }

    fn serialize_u16(self, value: u16) -> Result<Value, Problem> {
        Ok(Value::Number(value.into()))
    }

    fn serialize_u32(self, value: u32) -> Result<Value, Problem> {
        Ok(Value::Number(value.into()))
    }

    fn serialize_u64(self, value: u64) -> Result<Value, Problem> {
        Ok(from_unsigned(value.into()))
    }

    fn serialize_u128(self, value: u128) -> Result<Value, Problem> {
        Ok(from_unsigned(value))
    }

    fn serialize_f32(self, value: f32) -> Result<Value, Problem> {
        Ok(Value::Number(value.into()))
    }

    fn serialize_f64(self, value: f64) -> Result<Value, Problem> {
        Ok(Value::Number(value))
    }

    fn serialize_char(self, value: char) -> Result<Value, Problem> {
        Ok(Value::String(value.into()))
    }

    fn serialize_str(self, value: &str) -> Result<Value, Problem> {
        Ok(Value::String(value.to_owned()))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<Value, Problem> {
        Ok(Value::buffer(value))
    }

    fn serialize_none(self) -> Result<Value, Problem> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, Problem> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, Problem> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, Problem> {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Value, Problem> {
        Ok(Value::String(variant.to_owned()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<Value, Problem> {
        if name == LOSSLESS {
            return Ok(advanced::decode(&value.serialize(Encoded)?)?);
        }
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, Problem> {
        Ok(named(Some(variant), value.serialize(self)?))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Items, Problem> {
        Ok(Items { variant: None, items: Vec::with_capacity(length.unwrap_or(0).min(1024)) })
    }

    fn serialize_tuple(self, length: usize) -> Result<Items, Problem> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Items, Problem> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items, Problem> {
        Ok(Items { variant: Some(variant), items: Vec::new() })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Entries, Problem> {
        Ok(Entries { entries: Vec::new(), key: None })
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Properties, Problem> {
        Ok(Properties { variant: None, properties: Vec::with_capacity(length) })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Properties, Problem> {
        Ok(Properties { variant: Some(variant), properties: Vec::with_capacity(length) })
    }
}

pub(super) struct Items {
    variant: Option<&'static str>,
    items: Vec<Value>,
}

impl Items {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Problem> {
        self.items.push(value.serialize(ValueSerializer(()))?);
        Ok(())
    }

    fn finish(self) -> Value {
        named(self.variant, Value::Array(self.items))
    }
}

impl ser::SerializeSeq for Items {
    type Ok = Value;
    type Error = Problem;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Problem> {
        self.push(value)
    }

    fn end(self) -> Result<Value, Problem> {
        Ok(self.finish())
    }
}

impl ser::SerializeTuple for Items {
    type Ok = Value;
    type Error = Problem;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Problem> {
        self.push(value)
    }

    fn end(self) -> Result<Value, Problem> {
        Ok(self.finish())
    }
}

impl ser::SerializeTupleStruct for Items {
    type Ok = Value;
    type Error = Problem;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Problem> {
        self.push(value)
    }

    fn end(self) -> Result<Value, Problem> {
        Ok(self.finish())
    }
}

impl ser::SerializeTupleVariant for Items {
    type Ok = Value;
    type Error = Problem;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Problem> {
        self.push(value)
    }

    fn end(self) -> Result<Value, Problem> {
        Ok(self.finish())
    }
}

pub(super) struct Entries {
    entries: Vec<(Value, Value)>,
    key: Option<Value>,
}

impl ser::SerializeMap for Entries {
    type Ok = Value;
    type Error = Problem;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Problem> {
        self.key = Some(key.serialize(ValueSerializer(()))?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Problem> {
        let key = self.key.take().ok_or_else(|| <Problem as ser::Error>::custom("a value of a map without its key"))?;
        self.entries.push((key, value.serialize(ValueSerializer(()))?));
        Ok(())
    }

    fn end(self) -> Result<Value, Problem> {
        if self.entries.iter().any(|(key, _)| property_name(key).is_none()) {
            return Ok(Value::Map(self.entries));
        }
        let properties = self.entries.into_iter();
        Ok(Value::Object(properties.filter_map(|(key, value)| Some((property_name(&key)?, value))).collect()))
    }
}

/// The property that stands for this key, if one can: the same keys that `serde_json` takes.
fn property_name(key: &Value) -> Option<String> {
    match key {
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) if number.fract() == 0.0 => Some(format!("{number:.0}")),
        Value::BigInt(integer) => {
            let signed = i128::try_from(integer).ok().map(|integer| integer.to_string());
            signed.or_else(|| u128::try_from(integer).ok().map(|integer| integer.to_string()))
        }
        _ => None,
    }
}

pub(super) struct Properties {
    variant: Option<&'static str>,
    properties: Vec<(String, Value)>,
}

impl Properties {
    fn push<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Problem> {
        self.properties.push((key.to_owned(), value.serialize(ValueSerializer(()))?));
        Ok(())
    }

    fn finish(self) -> Value {
        named(self.variant, Value::Object(self.properties))
    }
}

impl ser::SerializeStruct for Properties {
    type Ok = Value;
    type Error = Problem;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Problem> {
        self.push(key, value)
    }

    fn end(self) -> Result<Value, Problem> {
        Ok(self.finish())
    }
}

impl ser::SerializeStructVariant for Properties {
    type Ok = Value;
    type Error = Problem;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Problem> {
        self.push(key, value)
    }

    fn end(self) -> Result<Value, Problem> {
        Ok(self.finish())
    }
}
