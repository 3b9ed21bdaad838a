//! [`Value`]: what JavaScript can send, as a tree.

mod bigint;
mod date;
mod encoded;
mod from_value;
mod parts;
mod scope;
mod serde_impls;
mod to_value;
mod view;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use bigint::{BigInt, OutOfRange};
pub use view::{View, ViewKind};

use super::Error;

/// Any message of Node's structured clone: everything that JSON has, and what JSON cannot say.
///
/// ```
/// use phalanx_channel::node::Value;
///
/// let value = Value::from_serialize(&("sum", [1, 2, 3]))?;
/// assert_eq!(value, Value::Array(vec!["sum".into(), Value::Array(vec![1.into(), 2.into(), 3.into()])]));
/// assert_eq!(value.deserialize::<(String, Vec<u8>)>()?, ("sum".to_owned(), vec![1, 2, 3]));
/// # Ok::<(), phalanx_channel::node::Error>(())
/// ```
///
/// A member of type `Value` in a struct of yours carries anything, whatever surrounds it.
///
/// In `json` a value takes the form that `JSON.stringify` gives it: undefined members vanish, NaN becomes null, a date a
/// string, a `Map` an empty object. Only a [`BigInt`], at which `JSON.stringify` fails, is written as a number.
///
/// A string of JavaScript may contain half a character (a surrogate without its other half); here it becomes U+FFFD.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub enum Value {
    /// `undefined`.
    #[default]
    Undefined,
    /// A place of an array that was never written to. Only inside [`Value::Array`].
    Hole,
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number; JavaScript has only this kind.
    Number(f64),
    /// An integer of any size.
    BigInt(BigInt),
    /// A string.
    String(String),
    /// An array without named properties.
    Array(Vec<Value>),
    /// An array with named properties, or one that is nearly empty for its length.
    Sparse(SparseArray),
    /// A plain object: its properties in their order. [`Value::get`] finds one by name.
    Object(Vec<(String, Value)>),
    /// A `Date`: milliseconds since 1970 in UTC; NaN for an invalid one.
    Date(f64),
    /// A `RegExp`.
    RegExp(Box<RegExp>),
    /// A `Map`, in its order.
    Map(Vec<(Value, Value)>),
    /// A `Set`, in its order.
    Set(Vec<Value>),
    /// An `ArrayBuffer` of fixed length.
    ArrayBuffer(Vec<u8>),
    /// An `ArrayBuffer` that can be resized.
    ResizableBuffer(Box<ResizableBuffer>),
    /// A `Buffer`, a typed array or a `DataView`: bytes and how they are looked at.
    View(View),
    /// An `Error` of one of the built-in classes.
    Error(Box<ErrorValue>),
    /// `new Boolean(…)`, `new Number(…)`, `new String(…)` or `Object(1n)` around what is inside.
    Boxed(Box<Value>),
    /// An object of Node's own that has no form on the wire; what could be copied of it is inside.
    Native(Box<Value>),
    /// An object that [`Value::Reference`] refers to by this label. Inside one message each label is given once.
    Shared(Label, Box<Value>),
    /// Once more the object with this label: the same one, not an equal one. It may be the object in which it stands.
    Reference(Label),
}

/// The name of an object inside one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(pub u32);

/// An array that is no list.
#[derive(Debug, Clone, PartialEq)]
pub struct SparseArray {
    /// Its `length`.
    pub length: u32,
    /// Elements (by their index in decimal) and named properties, in their order.
    pub entries: Vec<(String, Value)>,
}

/// A regular expression of JavaScript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegExp {
    /// The text between the slashes.
    pub source: String,
    /// The flags as V8 numbers them: g 1, i 2, m 4, y 8, u 16, s 32, l 64, d 128, v 256.
    pub flags: u32,
}

/// An `ArrayBuffer` with a largest length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResizableBuffer {
    /// Its content.
    pub bytes: Vec<u8>,
    /// Its `maxByteLength`, at least the length of the content.
    pub max_byte_length: u32,
}

/// An error of JavaScript.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ErrorValue {
    /// Its class.
    pub class: ErrorClass,
    /// Its message, if it has one.
    pub message: Option<String>,
    /// Its stack trace, if it has one.
    pub stack: Option<String>,
    /// Its cause, if it has one.
    pub cause: Option<Value>,
}

/// The built-in classes of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names are those of JavaScript")]
pub enum ErrorClass {
    #[default]
    Error,
    EvalError,
    RangeError,
    ReferenceError,
    SyntaxError,
    TypeError,
    UriError,
}

impl ErrorClass {
    /// The name of the class in JavaScript.
    pub fn name(self) -> &'static str {
        match self {
            ErrorClass::Error => "Error",
            ErrorClass::EvalError => "EvalError",
            ErrorClass::RangeError => "RangeError",
            ErrorClass::ReferenceError => "ReferenceError",
            ErrorClass::SyntaxError => "SyntaxError",
            ErrorClass::TypeError => "TypeError",
            ErrorClass::UriError => "URIError",
        }
    }
}

impl Value {
    /// The value as which any `serde` type goes to Node: what its JSON would be, but with bytes as a `Buffer`, integers
    /// beyond 2⁵³ as a [`BigInt`], and a map whose keys are no strings as a `Map`.
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Value, Error> {
        value.serialize(to_value::ValueSerializer::new()).map_err(|why| why.into_error(Error::Encode))
    }

    /// The `serde` type of which this is the form. A shared object is copied wherever it is referred to.
    ///
    /// Errors: [`Error::Unexpected`] if it is none of that type, if it contains itself, or if copies of shared objects
    /// would make it grow beyond a million values.
    pub fn deserialize<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let scope = scope::Scope::of(self)?;
        T::deserialize(from_value::ValueDeserializer::new(self, &scope))
            .map_err(|why| why.into_error(Error::Unexpected))
    }

    /// The property of this name, if this is an object that has it.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            // The last one wins, as in JavaScript.
            Value::Object(properties) => properties.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value),
            Value::Shared(_, value) | Value::Native(value) => value.get(name),
            _ => None,
        }
    }

    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if this is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The bytes of a `Buffer`, a typed array, a `DataView` or an `ArrayBuffer`.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::View(view) => Some(view.bytes()),
            Value::ArrayBuffer(bytes) => Some(bytes),
            Value::ResizableBuffer(buffer) => Some(&buffer.bytes),
            _ => None,
        }
    }

    /// An object with these properties.
    pub fn object<K: Into<String>, V: Into<Value>>(properties: impl IntoIterator<Item = (K, V)>) -> Value {
        Value::Object(properties.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }

    /// A `Buffer`.
    pub fn buffer(bytes: impl Into<Vec<u8>>) -> Value {
        Value::View(View::buffer(bytes.into()))
    }

    /// The values directly inside, in the order in which they stand on the wire.
    fn children(&self) -> Box<dyn Iterator<Item = &Value> + '_> {
        match self {
            Value::Array(items) | Value::Set(items) => Box::new(items.iter()),
            Value::Object(properties) => Box::new(properties.iter().map(|(_, value)| value)),
            Value::Sparse(array) => Box::new(array.entries.iter().map(|(_, value)| value)),
            Value::Map(entries) => Box::new(entries.iter().flat_map(|(key, value)| [key, value])),
            Value::Error(error) => Box::new(error.cause.iter()),
            Value::Boxed(inner) | Value::Native(inner) | Value::Shared(_, inner) => {
                Box::new(std::iter::once(inner.as_ref()))
            }
            _ => Box::new(std::iter::empty()),
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Value {
        Value::Number(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Value {
        Value::Number(value.into())
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Value {
        Value::Number(value.into())
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Value {
        Value::String(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Value {
        Value::String(value)
    }
}

impl From<BigInt> for Value {
    fn from(value: BigInt) -> Value {
        Value::BigInt(value)
    }
}

impl From<View> for Value {
    fn from(value: View) -> Value {
        Value::View(value)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Value {
        Value::Array(items)
    }
}
