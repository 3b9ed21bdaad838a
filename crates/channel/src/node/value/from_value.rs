//! A [`Value`] becomes any `serde` type.

use serde::de::value::{BorrowedStrDeserializer, MapDeserializer, SeqDeserializer, StringDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, Unexpected, Visitor};

use super::parts::{Element, Encoded, Key};
use super::scope::Scope;
use super::serde_impls::{LOSSLESS, Problem};
use super::{Value, date};

#[derive(Clone, Copy)]
pub(super) struct ValueDeserializer<'s, 'a> {
    value: &'a Value,
    scope: &'s Scope<'a>,
}

impl<'s, 'a> ValueDeserializer<'s, 'a> {
    pub(super) fn new(value: &'a Value, scope: &'s Scope<'a>) -> ValueDeserializer<'s, 'a> {
        ValueDeserializer { value, scope }
    }

    fn at(self, value: &'a Value) -> ValueDeserializer<'s, 'a> {
        ValueDeserializer { value, scope: self.scope }
    }

    fn visit<V: Visitor<'a>>(self, value: &'a Value, visitor: V) -> Result<V::Value, Problem> {
        match value {
            Value::Array(items) | Value::Set(items) => self.visit_items(items, visitor),
            Value::Object(properties) => self.visit_properties(properties, visitor),
            Value::Sparse(array) => self.visit_properties(&array.entries, visitor),
            Value::Map(entries) => self.visit_entries(entries, visitor),
            _ => self.visit_flat(value, visitor),
        }
    }

    /// What has nothing inside that could have something inside. (Apart, so that nesting needs little of the stack.)
    fn visit_flat<V: Visitor<'a>>(self, value: &'a Value, visitor: V) -> Result<V::Value, Problem> {
        match value {
            Value::Undefined | Value::Hole | Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) | Value::Date(number) => visit_number(*number, visitor),
            Value::BigInt(integer) => match (i128::try_from(integer), u128::try_from(integer)) {
                (Ok(integer), _) => match (u64::try_from(integer), i64::try_from(integer)) {
                    (Ok(integer), _) => visitor.visit_u64(integer),
                    (_, Ok(integer)) => visitor.visit_i64(integer),
                    _ => visitor.visit_i128(integer),
                },
                (_, Ok(integer)) => visitor.visit_u128(integer),
                _ => Err(Problem::custom("a BigInt of more than 128 bits")),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::ArrayBuffer(bytes) => visitor.visit_borrowed_bytes(bytes),
            Value::ResizableBuffer(buffer) => visitor.visit_borrowed_bytes(&buffer.bytes),
            Value::View(view) => visitor.visit_borrowed_bytes(view.bytes()),
            Value::RegExp(pattern) => {
                let text = [("source", Text(&pattern.source))];
                visitor.visit_map(MapDeserializer::new(text.into_iter()))
            }
            Value::Error(error) => {
                let members = [
                    ("name", Some(error.class.name())),
                    ("message", error.message.as_deref()),
                    ("stack", error.stack.as_deref()),
                ];
                let members = members.into_iter().filter_map(|(name, text)| Some((name, Text(text?))));
                visitor.visit_map(MapDeserializer::new(members))
            }
            // `enter` has looked through wrappers, and `visit` has taken containers.
            _ => Err(Problem::custom("a wrapper inside a wrapper")),
        }
    }

    fn visit_items<V: Visitor<'a>>(self, items: &'a [Value], visitor: V) -> Result<V::Value, Problem> {
        let mut seq = SeqDeserializer::new(items.iter().map(|item| self.at(item)));
        let result = visitor.visit_seq(&mut seq)?;
        seq.end()?;
        Ok(result)
    }

    fn visit_entries<V: Visitor<'a>>(self, entries: &'a [(Value, Value)], visitor: V) -> Result<V::Value, Problem> {
        let entries = entries.iter().map(|(key, value)| (self.at(key), self.at(value)));
        let mut map = MapDeserializer::new(entries);
        let result = visitor.visit_map(&mut map)?;
        map.end()?;
        Ok(result)
    }

    /// Members that are undefined are not there, as in JSON.
    fn visit_properties<V: Visitor<'a>>(
        self,
        properties: &'a [(String, Value)],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let properties = properties.iter().filter(|(_, value)| !matches!(value, Value::Undefined));
        let mut map = MapDeserializer::new(properties.map(|(key, value)| (Key(key), self.at(value))));
        let result = visitor.visit_map(&mut map)?;
        map.end()?;
        Ok(result)
    }
}

/// Whole numbers are offered as integers, as `serde_json` does it for numbers without a point.
pub(super) fn visit_number<'de, V: Visitor<'de>>(number: f64, visitor: V) -> Result<V::Value, Problem> {
    if number.fract() != 0.0 || number.abs() >= 2f64.powi(63) || (number == 0.0 && number.is_sign_negative()) {
        visitor.visit_f64(number)
    } else if number >= 0.0 {
        visitor.visit_u64(number as u64)
    } else {
        visitor.visit_i64(number as i64)
    }
}

/// A member of an object that is only text.
struct Text<'a>(&'a str);

impl<'a> IntoDeserializer<'a, Problem> for Text<'a> {
    type Deserializer = BorrowedStrDeserializer<'a, Problem>;

    fn into_deserializer(self) -> Self::Deserializer {
        BorrowedStrDeserializer::new(self.0)
    }
}

impl<'s, 'a> IntoDeserializer<'a, Problem> for ValueDeserializer<'s, 'a> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! integers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Problem> {
            self.deserialize_integer(visitor)
        })*
    };
}

impl<'a> ValueDeserializer<'_, 'a> {
    fn deserialize_integer<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.scope.enter(self.value)? {
            (Value::Number(0.0), _step) => visitor.visit_u64(0), // minus zero as well
            (value, _step) => self.visit(value, visitor),
        }
    }
}

impl<'a> Deserializer<'a> for ValueDeserializer<'_, 'a> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Problem> {
        let (value, _step) = self.scope.enter(self.value)?;
        self.visit(value, visitor)
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.value {
            Value::Undefined | Value::Hole | Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    /// A date is its ISO text for a type that wants text, so that one type serves both serializations.
    fn deserialize_str<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.scope.enter(self.value)? {
            (Value::Date(milliseconds), _step) => match date::iso_text(*milliseconds) {
                Some(text) => visitor.visit_string(text),
                None => visitor.visit_unit(),
            },
            (value, _step) => self.visit(value, visitor),
        }
    }

    fn deserialize_string<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_str(visitor)
    }

    fn deserialize_seq<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.scope.enter(self.value)? {
            (Value::View(view), _step) => {
                let items: Vec<Value> = view.elements().collect();
                // No element contains a reference, so that each is a scope of its own.
                let items = items.iter().map(Element);
                visitor.visit_seq(SeqDeserializer::<_, Problem>::new(items))
            }
            (Value::ArrayBuffer(bytes), _step) => visitor.visit_seq(SeqDeserializer::new(bytes.iter().copied())),
            (Value::ResizableBuffer(buffer), _step) => {
                visitor.visit_seq(SeqDeserializer::new(buffer.bytes.iter().copied()))
            }
            (value, _step) => self.visit(value, visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'a>>(self, _: usize, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(self, name: &'static str, visitor: V) -> Result<V::Value, Problem> {
        if name == LOSSLESS {
            return visitor.visit_newtype_struct(Encoded(self.scope.encode(self.value)?));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        match self.scope.enter(self.value)? {
            (Value::String(variant), _step) => visitor.visit_enum(BorrowedStrDeserializer::new(variant)),
            (Value::Object(properties), _step) if properties.len() == 1 => {
                let (variant, content) = &properties[0];
                visitor.visit_enum(Variant { variant, content: self.at(content) })
            }
            (Value::Object(_), _step) => Err(Problem::invalid_value(Unexpected::Map, &"an object of one property")),
            _ => Err(Problem::custom("a variant is a string, or an object of one property")),
        }
    }

    serde::forward_to_deserialize_any! {
        <W: Visitor<'a>>
        bool f32 f64 char bytes byte_buf unit unit_struct map struct identifier ignored_any
    }
}

struct Variant<'s, 'a> {
    variant: &'a str,
    content: ValueDeserializer<'s, 'a>,
}

impl<'s, 'a> EnumAccess<'a> for Variant<'s, 'a> {
    type Error = Problem;
    type Variant = ValueDeserializer<'s, 'a>;

    fn variant_seed<V: DeserializeSeed<'a>>(self, seed: V) -> Result<(V::Value, Self::Variant), Problem> {
        let variant: StringDeserializer<Problem> = self.variant.to_owned().into_deserializer();
        Ok((seed.deserialize(variant)?, self.content))
    }
}

impl<'a> de::VariantAccess<'a> for ValueDeserializer<'_, 'a> {
    type Error = Problem;

    fn unit_variant(self) -> Result<(), Problem> {
        de::Deserialize::deserialize(self)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'a>>(self, seed: T) -> Result<T::Value, Problem> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'a>>(self, _: usize, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'a>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_any(visitor)
    }
}
