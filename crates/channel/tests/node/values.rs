//! Types of Rust on one side, values of JavaScript on the other.

use std::collections::{BTreeMap, HashMap};

use phalanx_channel::node::{BigInt, Error, Label, Value, View, ViewKind};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Nothing,
    One(u8),
    Two(i64, String),
    Named { x: f32, y: Option<bool> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    shapes: Vec<Shape>,
    numbers: (i8, u16, i32, u64, i64, f64, char),
    large: (u64, i64, u128),
    by_number: BTreeMap<u32, String>,
    by_shape: HashMap<bool, u8>,
    nothing: (),
    missing: Option<u8>,
}

fn everything() -> Everything {
    Everything {
        shapes: vec![Shape::Nothing, Shape::One(1), Shape::Two(-2, "é".into()), Shape::Named { x: 0.5, y: None }],
        numbers: (-1, 2, -3, 4, -5, 6.5, '€'),
        large: (u64::MAX, i64::MIN, u128::MAX),
        by_number: BTreeMap::from([(7, "seven".into())]),
        by_shape: HashMap::from([(true, 1)]),
        nothing: (),
        missing: None,
    }
}

#[test]
fn a_type_comes_back_from_its_value_and_reads_as_its_json() {
    let value = Value::from_serialize(&everything()).unwrap();
    assert_eq!(value.deserialize::<Everything>().unwrap(), everything());
    assert_eq!(serde_json::to_string(&value).unwrap(), serde_json::to_string(&everything()).unwrap());
}

#[test]
fn integers_beyond_the_numbers_of_javascript_are_big_integers() {
    let exact = Value::from_serialize(&(1u64 << 53)).unwrap();
    assert_eq!(exact, Value::Number(9_007_199_254_740_992.0));
    let beyond = Value::from_serialize(&((1u64 << 53) + 1)).unwrap();
    assert_eq!(beyond, BigInt::from((1u64 << 53) + 1).into());
    assert_eq!(beyond.deserialize::<u64>().unwrap(), (1 << 53) + 1);
    assert!(matches!(beyond.deserialize::<u8>(), Err(Error::Unexpected(_))));
}

#[test]
fn a_value_inside_a_type_stays_what_it_is() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Message {
        when: Value,
        rest: Vec<Value>,
    }
    let map = Value::Map(vec![(Value::Null, Value::Set(vec![1.into()]))]);
    let message = Message { when: Value::Date(1000.0), rest: vec![map, Value::Undefined, Value::buffer(*b"hi")] };
    let value = Value::from_serialize(&message).unwrap();
    assert_eq!(value.get("when"), Some(&Value::Date(1000.0)));
    assert_eq!(value.deserialize::<Message>().unwrap(), message);
    // Formats that nobody reads keep all of it, too.
    let bytes = postcard::to_allocvec(&message).unwrap();
    assert_eq!(postcard::from_bytes::<Message>(&bytes).unwrap(), message);
}

#[test]
fn json_is_what_javascript_makes_of_it() {
    let array = |items: Vec<Value>| Value::Array(items);
    let view = View::new(ViewKind::Int16Array, vec![1, 0, 255, 255]).unwrap();
    for (value, json) in [
        (Value::Object(vec![("a".into(), Value::Undefined), ("b".into(), 1.into())]), r#"{"b":1}"#),
        (array(vec![Value::Undefined, Value::Hole, f64::NAN.into(), (-0.0).into()]), "[null,null,null,0]"),
        (array(vec![1.0.into(), 1.5.into(), 1e15.into(), (-1e-7).into()]), "[1,1.5,1000000000000000,-1e-7]"),
        (Value::Date(1000.0), r#""1970-01-01T00:00:01.000Z""#),
        (Value::Date(f64::NAN), "null"),
        (Value::Map(vec![(1.into(), 2.into())]), "{}"),
        (Value::buffer(*b"hi"), r#"{"type":"Buffer","data":[104,105]}"#),
        (view.into(), r#"{"0":1,"1":-1}"#),
        (Value::Boxed(Box::new("s".into())), r#""s""#),
        (BigInt::from(-1i128 << 100).into(), "-1267650600228229401496703205376"),
    ] {
        assert_eq!(serde_json::to_string(&value).unwrap(), json);
    }
}

#[test]
fn bytes_dates_and_undefined_become_what_a_type_wants() {
    assert_eq!(Value::buffer(*b"hi").deserialize::<Vec<u8>>().unwrap(), b"hi");
    assert_eq!(Value::ArrayBuffer(vec![1]).deserialize::<Vec<u8>>().unwrap(), [1]);
    let floats = View::new(ViewKind::Float64Array, 2.5f64.to_le_bytes().to_vec()).unwrap();
    assert_eq!(Value::View(floats).deserialize::<Vec<f64>>().unwrap(), [2.5]);
    let integers = View::new(ViewKind::BigUint64Array, vec![255; 8]).unwrap();
    assert_eq!(Value::View(integers).deserialize::<Vec<u64>>().unwrap(), [u64::MAX]);
    assert_eq!(Value::Date(1000.0).deserialize::<String>().unwrap(), "1970-01-01T00:00:01.000Z");
    assert_eq!(Value::Date(1000.0).deserialize::<f64>().unwrap(), 1000.0);
    assert_eq!(Value::Undefined.deserialize::<Option<u8>>().unwrap(), None);
    assert_eq!(Value::from(-0.0).deserialize::<u8>().unwrap(), 0);
    #[derive(Debug, PartialEq, Deserialize)]
    struct Defaults {
        #[serde(default)]
        a: u8,
    }
    let value = Value::Object(vec![("a".into(), Value::Undefined)]);
    assert_eq!(value.deserialize::<Defaults>().unwrap(), Defaults { a: 0 });
}

fn shared(label: u32, value: Value) -> Value {
    Value::Shared(Label(label), Box::new(value))
}

#[test]
fn a_shared_object_is_copied_and_a_cycle_is_an_error() {
    let pair = Value::Array(vec![shared(1, Value::object([("a", 1)])), Value::Reference(Label(1))]);
    assert_eq!(serde_json::to_string(&pair).unwrap(), r#"[{"a":1},{"a":1}]"#);
    let typed: Vec<HashMap<String, u8>> = pair.deserialize().unwrap();
    assert_eq!(typed[0], typed[1]);

    let cycle = shared(1, Value::Array(vec![Value::Reference(Label(1))]));
    assert!(matches!(cycle.deserialize::<serde_json::Value>(), Err(Error::Unexpected(_))));
    assert!(serde_json::to_string(&cycle).is_err());
    assert_eq!(cycle.deserialize::<Value>().unwrap(), shared(0, Value::Array(vec![Value::Reference(Label(0))])));
}

#[test]
fn a_part_that_refers_to_its_surroundings_is_whole_by_itself() {
    let pair = Value::Array(vec![
        shared(7, Value::object([("a", 1)])),
        Value::Array(vec![Value::Reference(Label(7)), Value::Reference(Label(7))]),
    ]);
    let parts: Vec<Value> = pair.deserialize().unwrap();
    assert_eq!(parts[0], Value::object([("a", 1)]));
    assert_eq!(parts[1], Value::Array(vec![shared(1, Value::object([("a", 1)])), Value::Reference(Label(1))]));
}

#[test]
fn few_references_cannot_ask_for_copies_without_end() {
    // Each level holds the one before twice: 2^60 values.
    let mut levels = vec![shared(0, Value::Array(Vec::new()))];
    for level in 1..60 {
        let twice = vec![Value::Reference(Label(level - 1)), Value::Reference(Label(level - 1))];
        levels.push(shared(level, Value::Array(twice)));
    }
    let bomb = Value::Array(levels);
    assert!(matches!(bomb.deserialize::<serde_json::Value>(), Err(Error::Unexpected(_))));
    assert!(serde_json::to_string(&bomb).is_err());
}

#[test]
fn a_chain_of_references_is_too_deep_on_a_small_stack() {
    let chain = |length: u32| {
        let links = (1..length).map(|link| shared(link, Value::Array(vec![Value::Reference(Label(link - 1))])));
        Value::Array([shared(0, Value::Array(Vec::new()))].into_iter().chain(links).collect())
    };
    let run = move || {
        for length in [1_000, 100_000] {
            let chain = chain(length);
            assert!(chain.deserialize::<serde_json::Value>().is_err());
            assert!(serde_json::to_string(&chain).is_err());
            assert!(matches!(chain.deserialize::<Vec<Value>>(), Err(Error::TooDeep)));
        }
    };
    std::thread::Builder::new().stack_size(512 * 1024).spawn(run).unwrap().join().unwrap();
}
