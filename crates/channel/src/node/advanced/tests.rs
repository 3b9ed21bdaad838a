use super::*;
use crate::node::value::{RegExp, SparseArray};
use crate::node::{BigInt, ErrorValue, Label, MAX_NESTING};

fn nested(levels: usize) -> Value {
    (0..levels).fold(Value::Null, |inside, _| Value::Array(vec![inside]))
}

fn payload(bytes: &[u8]) -> Vec<u8> {
    [&[0xFF, 0x0F], bytes].concat()
}

#[test]
fn a_message_split_at_any_byte_is_whole_again() {
    let mut bytes = Vec::new();
    let values = [Value::object([("a", "é€😀")]), Value::Null, Value::buffer([0; 20])];
    for value in &values {
        frame(&encode(value).unwrap(), &mut bytes).unwrap();
    }
    for at in 0..=bytes.len() {
        let mut decoder = Decoder::new(100);
        decoder.push(&bytes[..at]);
        let mut seen: Vec<Value> = std::iter::from_fn(|| decoder.take().unwrap()).collect();
        decoder.push(&bytes[at..]);
        seen.extend(std::iter::from_fn(|| decoder.take().unwrap()));
        assert_eq!(seen, values, "split at {at}");
    }
}

#[test]
fn a_length_beyond_the_limit_ends_it_before_anything_is_kept() {
    let mut decoder = Decoder::new(10);
    decoder.push(&[0, 0, 0, 11]);
    for _ in 0..1000 {
        assert!(matches!(decoder.take(), Err(Error::TooLarge { bytes: 11, limit: 10 })));
        decoder.push(&[0; 1000]);
    }
    let mut decoder = Decoder::new(usize::MAX);
    decoder.push(&[0xFF; 8]);
    assert!(matches!(decoder.take(), Err(Error::TooLarge { bytes: 0xFFFF_FFFF, .. })));
}

#[test]
fn a_broken_message_is_an_error_and_the_next_one_a_message() {
    let mut decoder = Decoder::new(100);
    for broken in [&b""[..], b"\xFF", b"\xFF\x10_", b"\xFF\x09_", b"{}", b"\xFF\x0F", b"\xFF\x0F__"] {
        let mut bytes = Vec::new();
        frame(broken, &mut bytes).unwrap();
        frame(&payload(b"T"), &mut bytes).unwrap();
        decoder.push(&bytes);
        assert!(matches!(decoder.take(), Err(Error::Malformed(_))), "{broken:?}");
        assert_eq!(decoder.take().unwrap(), Some(Value::Bool(true)));
    }
}

#[test]
fn versions_13_to_15_are_read() {
    for version in [13, 14, 15] {
        assert_eq!(decode(&[0xFF, version, b'0']).unwrap(), Value::Null);
    }
}

#[test]
fn lengths_that_lie_reserve_nothing_and_are_errors() {
    let largest = [0xFF, 0xFF, 0xFF, 0xFF, 0x0F];
    for letter in [&b"A"[..], b"\"", b"c", b"S", b"B", b"Z", b"\\\0\x0A", b"\\\0\x05"] {
        assert!(matches!(decode(&payload(&[letter, &largest].concat())), Err(Error::Malformed(_))), "{letter:?}");
    }
    // An array that is nearly empty for its length is legal.
    let sparse = decode(&payload(&[b"a", &largest[..], b"I\x0E0@\x01", &largest].concat())).unwrap();
    assert_eq!(sparse, Value::Sparse(SparseArray { length: u32::MAX, entries: vec![("7".into(), Value::Null)] }));
    assert!(serde_json::to_string(&sparse).is_err());
    // As is a buffer that may grow.
    assert!(decode(&payload(&[b"~\x00", &largest[..]].concat())).is_ok());
}

#[test]
fn what_does_not_add_up_is_an_error() {
    for bytes in [
        &b"o\"\x01aT{\x02"[..],   // two properties announced, one there
        b"A\x01T$\x00\x02",       // another length at the end
        b"A\x01T$\x01\x01",       // a named property that is not there
        b"a\x01@\x01\x01",        // an entry that is not there
        b";TT:\x01",              // half an entry
        b"'T,\x02",               // a member that is not there
        b"oTT{\x01",              // a name that is none
        b"^\x00",                 // a reference without objects
        b"A\x01^\x01$\x00\x01",   // a reference to what comes later
        b"c\x03abc",              // half a unit
        b"\\\0\x03\x01a",         // half an element
        b"\\\0\x0E\x00",          // an unknown typed array
        b"\\\x02",                // an unknown object of Node
        b"r!.",                   // an unknown part of an error
        b"I\x80\x80\x80\x80\x10", // 33 bits
        b"!",
        b"-",
        b"{\x00",
        b"~\x02\x01ab",
        b"N1234567",
    ] {
        assert!(matches!(decode(&payload(bytes)), Err(Error::Malformed(_))), "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn every_prefix_of_a_message_is_an_error() {
    let value = Value::Array(vec![
        Value::object([("a", 1)]),
        Value::Map(vec![(1.5.into(), "é€".into())]),
        Value::Set(vec![Value::Date(0.0)]),
        Value::Error(Box::new(ErrorValue {
            message: Some("m".into()),
            cause: Some(Value::Null),
            ..Default::default()
        })),
        BigInt::from(-1i64).into(),
        Value::RegExp(Box::new(RegExp { source: "a".into(), flags: 3 })),
        Value::ArrayBuffer(vec![1, 2]),
        Value::buffer([3, 4]),
    ]);
    let bytes = encode(&value).unwrap();
    assert_eq!(decode(&bytes).unwrap(), value);
    for end in 0..bytes.len() {
        assert!(matches!(decode(&bytes[..end]), Err(Error::Malformed(_))), "{end}");
    }
}

#[test]
fn deep_nesting_is_an_error_on_a_small_stack() {
    let run = || {
        let deepest = nested(MAX_NESTING);
        let bytes = encode(&deepest).unwrap();
        assert_eq!(decode(&bytes).unwrap(), deepest);
        assert_eq!(deepest.deserialize::<Value>().unwrap(), deepest);
        assert_eq!(Value::from_serialize(&deepest).unwrap(), deepest);
        assert!(serde_json::to_string(&deepest).is_ok());
        deepest.deserialize::<serde::de::IgnoredAny>().unwrap();
        assert!(matches!(encode(&nested(MAX_NESTING + 1)), Err(Error::TooDeep)));
        assert!(serde_json::to_string(&nested(MAX_NESTING + 1)).is_err());
        for (opening, count) in
            [(&b"A\x01"[..], 2_000_000), (b"o\"\x01a", 1_000_000), (b"'", MAX_NESTING + 1), (b";", 1_000_000)]
        {
            assert!(matches!(decode(&payload(&opening.repeat(count))), Err(Error::TooDeep | Error::Malformed(_))));
        }
        for opening in [&b"r\x63"[..], b"\\\x01", b";T", b"A\x01"] {
            assert!(matches!(
                decode(&payload(&opening.repeat(MAX_NESTING + 1))),
                Err(Error::TooDeep | Error::Malformed(_))
            ));
        }
    };
    std::thread::Builder::new().stack_size(512 * 1024).spawn(run).unwrap().join().unwrap();
}

#[test]
fn labels_are_written_as_references_and_read_again() {
    let shared = Value::Shared(Label(9), Box::new(Value::object([("a", 1)])));
    let value = Value::Array(vec![shared, Value::Reference(Label(9)), Value::Reference(Label(9))]);
    let bytes = encode(&value).unwrap();
    assert!(bytes.windows(4).any(|bytes| bytes == b"^\x01^\x01"));
    let object = Value::Shared(Label(1), Box::new(Value::object([("a", 1)])));
    assert_eq!(
        decode(&bytes).unwrap(),
        Value::Array(vec![object, Value::Reference(Label(1)), Value::Reference(Label(1))])
    );

    let me = Value::Shared(Label(0), Box::new(Value::Object(vec![("me".into(), Value::Reference(Label(0)))])));
    assert_eq!(encode(&me).unwrap(), payload(b"o\"\x02me^\x00{\x01"));
    assert_eq!(decode(&encode(&me).unwrap()).unwrap(), me);
}

#[test]
fn labels_that_cannot_be_written_are_errors() {
    let shared = |label, value| Value::Shared(Label(label), Box::new(value));
    for value in [
        Value::Reference(Label(0)),
        Value::Array(vec![Value::Reference(Label(1)), shared(1, Value::Set(Vec::new()))]),
        Value::Array(vec![shared(1, Value::Set(Vec::new())), shared(1, Value::Set(Vec::new()))]),
        shared(1, Value::Null),
        shared(1, shared(2, Value::Set(Vec::new()))),
        Value::Boxed(Box::new(Value::Set(Vec::new()))),
    ] {
        assert!(matches!(encode(&value), Err(Error::Encode(_))), "{value:?}");
    }
}

#[test]
fn an_array_in_the_sparse_form_becomes_a_list_again() {
    assert_eq!(
        decode(&payload(b"a\x03I\x00I\x02I\x04I\x06@\x02\x03")).unwrap(),
        Value::Array(vec![1.into(), Value::Hole, 3.into()])
    );
    // In another order, or with names, it is none.
    for bytes in [&b"a\x02I\x02TI\x00T@\x02\x02"[..], b"a\x02I\x00T\"\x01kT@\x02\x02", b"a\x02I\x04T@\x01\x02"] {
        let value = decode(&payload(bytes)).unwrap();
        assert!(matches!(value, Value::Sparse(_)), "{value:?}");
        assert_eq!(decode(&encode(&value).unwrap()).unwrap(), value);
    }
}

#[test]
fn padding_and_counts_of_objects_are_passed_over() {
    assert_eq!(decode(&payload(b"\0\0o\0\"\x01a\0\0?\x05c\x02\xE9\0\0{\x01")).unwrap(), Value::object([("a", "é")]));
}

#[test]
fn half_a_character_becomes_the_replacement_character() {
    assert_eq!(decode(&payload(b"c\x04\x3D\xD8a\0")).unwrap(), "\u{fffd}a".into());
    assert_eq!(decode(&payload(b"S\x02\xFFa")).unwrap(), "\u{fffd}a".into());
}
