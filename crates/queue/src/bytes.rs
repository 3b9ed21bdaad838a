//! Bytes as one piece: serde takes a `Vec<u8>` apart byte by byte, which costs more than all else that happens to a large payload.
//! What stands on the wire is the same. `#[serde(with = "crate::bytes")]`.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserializer, Serializer};

/// Room that is made for bytes that were only announced: 1 MiB.
const ANNOUNCED: usize = 1 << 20;

pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    deserializer.deserialize_byte_buf(Bytes)
}

struct Bytes;

impl<'de> Visitor<'de> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }

    /// As formats for people have them.
    fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<Vec<u8>, A::Error> {
        let mut all = Vec::with_capacity(bytes.size_hint().unwrap_or(0).min(ANNOUNCED));
        while let Some(byte) = bytes.next_element()? {
            all.push(byte);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Whole {
        #[serde(with = "crate::bytes")]
        bytes: Vec<u8>,
    }

    #[test]
    fn what_stands_on_the_wire_is_what_stood_there_byte_by_byte() {
        for length in [0, 1, 127, 128, 70_000] {
            let bytes = vec![7_u8; length];
            let written = postcard::to_stdvec(&Whole { bytes: bytes.clone() }).unwrap();
            assert_eq!(written, postcard::to_stdvec(&bytes).unwrap());
            assert_eq!(postcard::from_bytes::<Whole>(&written), Ok(Whole { bytes }));
        }
        assert!(postcard::from_bytes::<Whole>(&[200, 1, 7]).is_err());
    }
}
