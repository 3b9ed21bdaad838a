//! [`Encoded`]: the serializer to which a [`Value`](super::Value) gives its bytes.

use std::fmt::Display;

use serde::Serialize;
use serde::ser::{self, Impossible};

use super::serde_impls::Problem;

/// Takes the bytes of a [`Value`], which offers them to whoever is not meant for human eyes.
pub(super) struct Encoded;

macro_rules! refuse {
    ($($method:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(fn $method(self, $($argument: $type),*) -> Result<$result, Problem> {
            $(let _ = $argument;)*
            Err(no_bytes())
        })*
    };
}

fn no_bytes() -> Problem {
    ser::Error::custom("a value did not offer its bytes")
}

impl ser::Serializer for Encoded {
    type Ok = Vec<u8>;
    type Error = Problem;
    type SerializeSeq = Impossible<Vec<u8>, Problem>;
    type SerializeTuple = Impossible<Vec<u8>, Problem>;
    type SerializeTupleStruct = Impossible<Vec<u8>, Problem>;
    type SerializeTupleVariant = Impossible<Vec<u8>, Problem>;
    type SerializeMap = Impossible<Vec<u8>, Problem>;
    type SerializeStruct = Impossible<Vec<u8>, Problem>;
    type SerializeStructVariant = Impossible<Vec<u8>, Problem>;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<Vec<u8>, Problem> {
        Ok(value.to_vec())
    }

    refuse! {
        serialize_bool(value: bool) -> Vec<u8>;
        serialize_i8(value: i8) -> Vec<u8>;
        serialize_i16(value: i16) -> Vec<u8>;
        serialize_i32(value: i32) -> Vec<u8>;
        serialize_i64(value: i64) -> Vec<u8>;
        serialize_u8(value: u8) -> Vec<u8>;
        serialize_u16(value: u16) -> Vec<u8>;
        serialize_u32(value: u32) -> Vec<u8>;
        serialize_u64(value: u64) -> Vec<u8>;
        serialize_f32(value: f32) -> Vec<u8>;
        serialize_f64(value: f64) -> Vec<u8>;
        serialize_char(value: char) -> Vec<u8>;
        serialize_str(value: &str) -> Vec<u8>;
        serialize_none() -> Vec<u8>;
        serialize_unit() -> Vec<u8>;
        serialize_unit_struct(name: &'static str) -> Vec<u8>;
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str) -> Vec<u8>;
        serialize_seq(length: Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(length: usize) -> Self::SerializeTuple;
        serialize_tuple_struct(name: &'static str, length: usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, length: usize)
            -> Self::SerializeTupleVariant;
        serialize_map(length: Option<usize>) -> Self::SerializeMap;
        serialize_struct(name: &'static str, length: usize) -> Self::SerializeStruct;
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, length: usize)
            -> Self::SerializeStructVariant;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<Vec<u8>, Problem> {
        Err(no_bytes())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Result<Vec<u8>, Problem> {
        Err(no_bytes())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Vec<u8>, Problem> {
        Err(no_bytes())
    }

    fn collect_str<T: Display + ?Sized>(self, _: &T) -> Result<Vec<u8>, Problem> {
        Err(no_bytes())
    }
}
