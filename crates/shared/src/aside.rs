//! Blobs inside of serialised values: small ones among the bytes, large ones beside them.
//!
//! ```text
//!   put(4096, || serialise(value)) ──► bytes with "blob 0", "blob 1" in them, and [blob 0, blob 1]
//!   take([blob 0, blob 1], || deserialise(bytes)) ──► the value, with the very same blobs
//! ```
//!
//! A serialiser has no place for what shall not go through it. So while [`put`] or [`take`] runs, the blobs of that thread are in
//! a list beside it. Without them a blob is bytes like any other.

use std::cell::RefCell;
use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Blob;

thread_local! {
    /// What lies beside the value that this thread serialises or deserialises now.
    static BESIDE: RefCell<Beside> = const { RefCell::new(Beside::Nothing) };
}

enum Beside {
    Nothing,
    Put { longest_inline: usize, blobs: Vec<Blob> },
    Take { blobs: Vec<Option<Blob>> },
}

/// Most bytes that are reserved because a length says so, before they have come.
const TRUSTED_LENGTH: usize = 64 * 1024;

/// Serialises with the blobs of more than `longest_inline` bytes put aside; gives them, in the order in which they were met.
pub fn put<R>(longest_inline: usize, serialise: impl FnOnce() -> R) -> (R, Vec<Blob>) {
    let (result, beside) = with(Beside::Put { longest_inline, blobs: Vec::new() }, serialise);
    match beside {
        Beside::Put { blobs, .. } => (result, blobs),
        Beside::Nothing | Beside::Take { .. } => (result, Vec::new()),
    }
}

/// Deserialises a value whose large blobs came beside it. Each may be in it once.
pub fn take<R>(blobs: Vec<Blob>, deserialise: impl FnOnce() -> R) -> R {
    with(Beside::Take { blobs: blobs.into_iter().map(Some).collect() }, deserialise).0
}

/// Runs `work` with `beside` in place; puts back what was there before, also after a panic.
fn with<R>(beside: Beside, work: impl FnOnce() -> R) -> (R, Beside) {
    struct Before(Beside);
    impl Drop for Before {
        fn drop(&mut self) {
            BESIDE.with_borrow_mut(|place| std::mem::swap(place, &mut self.0));
        }
    }
    let mut before = Before(BESIDE.replace(beside));
    let result = work();
    let ours = BESIDE.replace(std::mem::replace(&mut before.0, Beside::Nothing));
    std::mem::forget(before);
    (result, ours)
}

/// As it stands among the bytes.
#[derive(Serialize)]
enum Written<'b> {
    Inline(#[serde(serialize_with = "as_bytes")] &'b [u8]),
    Beside(u32),
}

fn as_bytes<S: Serializer>(bytes: &&[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

#[derive(Deserialize)]
enum Read {
    Inline(Owned),
    Beside(u32),
}

struct Owned(Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_bytes(self);
        }
        let number = BESIDE.with_borrow_mut(|beside| match beside {
            Beside::Put { longest_inline, blobs } if self.len() > *longest_inline => {
                blobs.push(self.clone());
                Some(blobs.len() as u32 - 1)
            }
            _ => None,
        });
        match number {
            Some(number) => Written::Beside(number).serialize(serializer),
            None => Written::Inline(self).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Blob, D::Error> {
        if deserializer.is_human_readable() {
            return Owned::deserialize(deserializer).map(|owned| Blob::from(owned.0));
        }
        match Read::deserialize(deserializer)? {
            Read::Inline(owned) => Ok(Blob::from(owned.0)),
            Read::Beside(number) => BESIDE
                .with_borrow_mut(|beside| match beside {
                    Beside::Take { blobs } => blobs.get_mut(number as usize).and_then(Option::take),
                    _ => None,
                })
                .ok_or_else(|| D::Error::custom(format_args!("blob {number} did not come with the value"))),
        }
    }
}

impl<'de> Deserialize<'de> for Owned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Owned, D::Error> {
        struct AnyBytes;
        impl<'de> Visitor<'de> for AnyBytes {
            type Value = Owned;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Owned, E> {
                Ok(Owned(bytes.to_vec()))
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Owned, E> {
                Ok(Owned(bytes))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Owned, A::Error> {
                let mut bytes = Vec::with_capacity(sequence.size_hint().unwrap_or(0).min(TRUSTED_LENGTH));
                while let Some(byte) = sequence.next_element()? {
                    bytes.push(byte);
                }
                Ok(Owned(bytes))
            }
        }
        deserializer.deserialize_byte_buf(AnyBytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(len: usize) -> Blob {
        Blob::from((0..len).map(|n| n as u8).collect::<Vec<_>>())
    }

    #[test]
    fn large_blobs_go_beside_and_come_back_as_the_very_same_bytes() {
        let value = (1_u8, blob(10), vec![blob(100), blob(11)], "text".to_owned());
        let (bytes, blobs) = put(10, || postcard::to_stdvec(&value).unwrap());
        assert_eq!(blobs.iter().map(Blob::len).collect::<Vec<_>>(), [100, 11]);
        assert!(bytes.len() < 40);
        let address = blobs[0].as_ptr();
        let back: (u8, Blob, Vec<Blob>, String) = take(blobs, || postcard::from_bytes(&bytes).unwrap());
        assert_eq!(back.2[0].as_ptr(), address);
        assert_eq!(back, value);
    }

    #[test]
    fn without_a_place_beside_it_a_blob_is_bytes() {
        let bytes = postcard::to_stdvec(&blob(100_000)).unwrap();
        assert_eq!(postcard::from_bytes::<Blob>(&bytes).unwrap(), blob(100_000));
        let text = serde_json::to_string(&blob(3)).unwrap();
        assert_eq!(text, "[0,1,2]");
        assert_eq!(serde_json::from_str::<Blob>(&text).unwrap(), blob(3));
    }

    #[test]
    fn a_blob_that_is_missing_or_wanted_twice_is_an_error() {
        let (bytes, blobs) = put(0, || postcard::to_stdvec(&blob(1)).unwrap());
        assert!(postcard::from_bytes::<Blob>(&bytes).is_err());
        assert!(take(Vec::new(), || postcard::from_bytes::<Blob>(&bytes)).is_err());
        let twice = [&bytes[..], &bytes[..]].concat();
        assert!(take(blobs, || postcard::from_bytes::<(Blob, Blob)>(&twice)).is_err());
    }

    #[test]
    fn values_inside_of_values_do_not_mix_their_blobs() {
        let ((inner, inner_blobs), outer_blobs) = put(0, || {
            let before = postcard::to_stdvec(&blob(1)).unwrap();
            let inner = put(0, || postcard::to_stdvec(&blob(2)).unwrap());
            assert!(std::panic::catch_unwind(|| put(0, || panic!("a task"))).is_err());
            let after = postcard::to_stdvec(&blob(3)).unwrap();
            assert_eq!((before.last(), after.last()), (Some(&0), Some(&1)));
            inner
        });
        assert_eq!(inner.last(), Some(&0));
        assert_eq!((inner_blobs.len(), outer_blobs.len()), (1, 2));
    }
}
