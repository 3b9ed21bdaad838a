//! What Node's serializations gave, as far as two ways to split the same stream can be compared.

use phalanx_channel::node::{Error, Value};

/// Small, so that inputs reach it.
pub const LARGEST_MESSAGE: usize = 4096;

/// What a decoder gave, as far as it must not depend on the split.
#[derive(Debug, PartialEq)]
pub enum Taken {
    /// As text, because NaN is not equal to itself.
    Value(String),
    Refused,
    TooLarge,
}

/// How a serialization writes one value and reads it.
pub struct Codec {
    pub write: fn(&Value) -> Result<Vec<u8>, Error>,
    pub read: fn(&[u8]) -> Result<Value, Error>,
}

impl Codec {
    /// What was read can be written, and is read again as what was written. (JSON writes -0 as 0, as Node does, so the
    /// first reading is not compared.)
    fn keeps(&self, value: &Value) {
        let written =
            (self.write)(value).unwrap_or_else(|error| panic!("{value:?} was read and cannot be written: {error}"));
        let again = (self.read)(&written).unwrap_or_else(|error| panic!("{value:?} cannot be read again: {error}"));
        assert_eq!(Ok(&written), (self.write)(&again).as_ref().map_err(drop), "{value:?} came back as {again:?}");
    }
}

/// Notes what was taken; whether more may be there.
pub fn note(taken: Result<Option<Value>, Error>, codec: &Codec, into: &mut Vec<Taken>) -> bool {
    let (noted, more) = match taken {
        Ok(None) => return false,
        Ok(Some(value)) => {
            codec.keeps(&value);
            (Taken::Value(format!("{value:?}")), true)
        }
        Err(Error::TooLarge { .. }) => (Taken::TooLarge, false),
        Err(_) => (Taken::Refused, true),
    };
    into.push(noted);
    more
}
