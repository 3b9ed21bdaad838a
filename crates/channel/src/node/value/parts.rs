//! What a value is made of, for `serde`: names of properties, elements of typed arrays, a value as its bytes.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{Deserializer, Error as _, IntoDeserializer, Visitor};

use super::Value;
use super::from_value::visit_number;
use super::serde_impls::{LOSSLESS, Problem};
use crate::node::advanced;

/// An element of a typed array: a number, or an integer.
pub(super) struct Element<'e>(pub(super) &'e Value);

impl<'de> IntoDeserializer<'de, Problem> for Element<'_> {
    type Deserializer = NumberDeserializer;

    fn into_deserializer(self) -> NumberDeserializer {
        NumberDeserializer(self.0.clone())
    }
}

pub(super) struct NumberDeserializer(Value);

impl<'de> Deserializer<'de> for NumberDeserializer {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.0 {
            Value::Number(number) => visit_number(*number, visitor),
            Value::BigInt(integer) => {
                match (u64::try_from(u128::try_from(integer).unwrap_or(u128::MAX)), i128::try_from(integer)) {
                    (Ok(integer), _) => visitor.visit_u64(integer),
                    (_, Ok(integer)) => visitor.visit_i128(integer),
                    _ => Err(Problem::custom("an element of more than 128 bits")),
                }
            }
            _ => visitor.visit_unit(),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// A property's name. For a map with numbers as keys it is read as one, as `serde_json` does it.
pub(super) struct Key<'a>(pub(super) &'a str);

impl<'a> IntoDeserializer<'a, Problem> for Key<'a> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! keys {
    ($($method:ident $visit:ident $type:ty;)*) => {
        $(fn $method<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Problem> {
            match self.0.parse::<$type>() {
                Ok(key) => visitor.$visit(key),
                Err(_) => visitor.visit_borrowed_str(self.0),
            }
        })*
    };
}

impl<'a> Deserializer<'a> for Key<'a> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_borrowed_str(self.0)
    }

    keys! {
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
        deserialize_i128 visit_i128 i128;
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
        deserialize_u128 visit_u128 u128;
        deserialize_bool visit_bool bool;
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(self, name: &'static str, visitor: V) -> Result<V::Value, Problem> {
        if name == LOSSLESS {
            return visitor.visit_newtype_struct(Encoded(advanced::encode(&self.0.into())?));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_enum(BorrowedStrDeserializer::new(self.0))
    }

    serde::forward_to_deserialize_any! {
        <W: Visitor<'a>>
        f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// Gives a [`Value`] its bytes, from which it makes itself whole.
pub(super) struct Encoded(pub(super) Vec<u8>);

impl<'de> Deserializer<'de> for Encoded {
    type Error = Problem;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_byte_buf(self.0)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
