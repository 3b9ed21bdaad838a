//! Any value comes back from bytes as it was.

use phalanx_channel::node::{BigInt, ErrorClass, ErrorValue, RegExp, Value, View, ViewKind, advanced, json};
use proptest::collection::vec;
use proptest::prelude::*;

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Undefined),
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_filter("equal to itself", |number| !number.is_nan()).prop_map(Value::Number),
        any::<i128>().prop_map(|integer| BigInt::from(integer).into()),
        ".{0,12}".prop_map(Value::String),
        any::<i32>().prop_map(|time| Value::Date(time.into())),
        vec(any::<u8>(), 0..20).prop_map(Value::ArrayBuffer),
        vec(any::<u8>(), 0..20).prop_map(Value::buffer),
        vec(any::<u16>(), 0..9).prop_map(|words| {
            let bytes = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            Value::View(View::new(ViewKind::Uint16Array, bytes).unwrap())
        }),
        (".{0,5}", 0u32..512).prop_map(|(source, flags)| Value::RegExp(Box::new(RegExp { source, flags }))),
        ".{0,5}".prop_map(|text| Value::Boxed(Box::new(text.into()))),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            vec(prop_oneof![4 => inner.clone(), 1 => Just(Value::Hole)], 0..6).prop_map(Value::Array),
            vec((".{0,6}", inner.clone()), 0..6).prop_map(Value::Object),
            vec((inner.clone(), inner.clone()), 0..4).prop_map(Value::Map),
            vec(inner.clone(), 0..4).prop_map(Value::Set),
            (proptest::option::of(".{0,5}"), proptest::option::of(inner.clone())).prop_map(|(message, cause)| {
                let class = ErrorClass::TypeError;
                Value::Error(Box::new(ErrorValue { class, message, stack: None, cause }))
            }),
            inner.prop_map(|inner| Value::Native(Box::new(inner))),
        ]
    })
}

/// What JSON can say.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i32>().prop_map(Value::from),
        (-1e6..1e6f64).prop_filter("has a fraction", |number| number.fract() != 0.0).prop_map(Value::Number),
        ".{0,12}".prop_map(Value::String),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::Array),
            vec((".{0,6}", inner), 0..6).prop_map(Value::Object),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_survives_the_advanced_serialization(value in value(), pieces in vec(1usize..40, 1..20)) {
        let mut bytes = Vec::new();
        advanced::frame(&advanced::encode(&value).unwrap(), &mut bytes).unwrap();
        let mut decoder = advanced::Decoder::new(1 << 20);
        let (mut rest, mut pieces, mut seen) = (&bytes[..], pieces.iter().cycle(), None);
        while !rest.is_empty() {
            prop_assert!(seen.is_none());
            let (piece, after) = rest.split_at((*pieces.next().unwrap()).min(rest.len()));
            decoder.push(piece);
            seen = decoder.take().unwrap();
            rest = after;
        }
        prop_assert_eq!(seen, Some(value));
    }

    #[test]
    fn any_value_survives_serde(value in value()) {
        prop_assert_eq!(&Value::from_serialize(&value).unwrap(), &value);
        prop_assert_eq!(&value.deserialize::<Value>().unwrap(), &value);
        let inside = Value::from_serialize(&(1, Some(&value))).unwrap();
        prop_assert_eq!(inside.deserialize::<(u8, Value)>().unwrap().1, value);
    }

    #[test]
    fn what_json_can_say_survives_the_json_serialization(value in json_value()) {
        let line = json::encode(&value).unwrap();
        prop_assert_eq!(json::decode::<Value>(&line[..line.len() - 1]).unwrap(), value.clone());
        let theirs: serde_json::Value = serde_json::from_slice(&line).unwrap();
        prop_assert_eq!(Value::from_serialize(&theirs).unwrap().deserialize::<serde_json::Value>().unwrap(), theirs);
    }

    #[test]
    fn no_bytes_make_the_decoders_panic(bytes in vec(any::<u8>(), 0..200)) {
        let message = [&[0xFF, 0x0F], &bytes[..]].concat();
        if let Ok(value) = advanced::decode(&message) {
            // What was read can be written.
            prop_assert!(advanced::encode(&value).is_ok(), "{:?}", value);
            let _ = (serde_json::to_string(&value), value.deserialize::<Value>(), value.deserialize::<Vec<String>>());
        }
        let mut decoder = json::Decoder::new(100);
        decoder.push(&bytes);
        for _ in 0..bytes.len() + 1 {
            let _ = decoder.take();
        }
    }
}
