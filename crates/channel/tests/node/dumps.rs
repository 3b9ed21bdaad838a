//! What Node 18, 20, 22 and 24 write for `process.send({ v: EXPRESSION })`.

use phalanx_channel::node::{
    BigInt, ErrorClass, ErrorValue, Label, RegExp, ResizableBuffer, SparseArray, Value, View, ViewKind, advanced,
};

/// An expression of JavaScript, the bytes of `{ v: … }` (all versions write one of these), and its value here.
pub(crate) struct Row {
    pub(crate) expression: &'static str,
    dumps: &'static [&'static str],
    pub(crate) value: Value,
}

fn row(expression: &'static str, dumps: &'static [&'static str], value: impl Into<Value>) -> Row {
    Row { expression, dumps, value: value.into() }
}

fn view(kind: ViewKind, bytes: &[u8]) -> View {
    View::new(kind, bytes.to_vec()).unwrap()
}

fn error(class: ErrorClass, message: Option<&str>, stack: Option<&str>, cause: Option<Value>) -> Value {
    let (message, stack) = (message.map(str::to_owned), stack.map(str::to_owned));
    Value::Error(Box::new(ErrorValue { class, message, stack, cause }))
}

fn shared(label: u32, value: Value) -> Value {
    Value::Shared(Label(label), Box::new(value))
}

fn boxed(value: impl Into<Value>) -> Value {
    Value::Boxed(Box::new(value.into()))
}

fn properties(entries: &[(&str, Value)]) -> Vec<(String, Value)> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = primitives();
    rows.extend(containers());
    rows.extend(objects());
    rows.extend(views());
    rows.extend(errors());
    rows
}

fn primitives() -> Vec<Row> {
    vec![
        row("undefined", &["ff0f6f2201765f7b01"], Value::Undefined),
        row("null", &["ff0f6f220176307b01"], Value::Null),
        row("true", &["ff0f6f220176547b01"], true),
        row("false", &["ff0f6f220176467b01"], false),
        row("1", &["ff0f6f22017649027b01"], 1),
        row("-1", &["ff0f6f22017649017b01"], -1),
        row("300", &["ff0f6f22017649d8047b01"], 300),
        row("2147483647", &["ff0f6f22017649feffffff0f7b01"], i32::MAX),
        row("2147483648", &["ff0f6f2201764e000000000000e0417b01"], 2_147_483_648.0),
        row("-2147483648", &["ff0f6f22017649ffffffff0f7b01"], i32::MIN),
        row("NaN", &["ff0f6f2201764e000000000000f87f7b01"], f64::NAN),
        row("-0", &["ff0f6f2201764e00000000000000807b01"], -0.0),
        row("1.5", &["ff0f6f2201764e000000000000f83f7b01"], 1.5),
        row("Infinity", &["ff0f6f2201764e000000000000f07f7b01"], f64::INFINITY),
        row("0n", &["ff0f6f2201765a007b01"], BigInt::from(0u64)),
        row("1n", &["ff0f6f2201765a1001000000000000007b01"], BigInt::from(1u64)),
        row("-1n", &["ff0f6f2201765a1101000000000000007b01"], BigInt::from(-1i64)),
        row("2n**64n", &["ff0f6f2201765a20000000000000000001000000000000007b01"], BigInt::from(1u128 << 64)),
        row("-(2n**70n)", &["ff0f6f2201765a21000000000000000040000000000000007b01"], BigInt::from(-1i128 << 70)),
        row("''", &["ff0f6f22017622007b01"], ""),
        row("'abc'", &["ff0f6f22017622036162637b01"], "abc"),
        row("'\\u00e9'", &["ff0f6f2201762201e97b01"], "é"),
        row("'\\u20ac'", &["ff0f6f2201766302ac207b01"], "€"),
        row("'\\ud83d\\ude00'", &["ff0f6f22017663043dd800de7b01"], "😀"),
    ]
}

fn containers() -> Vec<Row> {
    let empty = || Value::Object(Vec::new());
    let me = Value::Object(properties(&[("me", Value::Reference(Label(1)))]));
    let itself = (Value::Reference(Label(1)), Value::Reference(Label(1)));
    vec![
        row("{}", &["ff0f6f2201766f7b007b01"], empty()),
        row(
            "{a:1,1:'a'}",
            &["ff0f6f2201766f490222016122016149027b027b01"],
            Value::Object(properties(&[("1", "a".into()), ("a", 1.into())])),
        ),
        row(
            "{'\\u00e9':1,'\\u20ac':2}",
            &["ff0f6f2201766f2201e949026302ac2049047b027b01"],
            Value::object([("é", 1), ("€", 2)]),
        ),
        row("[]", &["ff0f6f22017641002400007b01"], Vec::new()),
        row("[1,'x']", &["ff0f6f220176410249022201782400027b01"], vec![1.into(), "x".into()]),
        row("[1,,3]", &["ff0f6f220176610349004902490449064002037b01"], vec![1.into(), Value::Hole, 3.into()]),
        row(
            "[[1,2],[3]]",
            &["ff0f6f2201764102410249024904240002410149062400012400027b01"],
            vec![vec![1.into(), 2.into()].into(), vec![3.into()].into()],
        ),
        row(
            "Object.assign([1],{k:2})",
            &["ff0f6f2201764101490222016b49042401017b01"],
            Value::Sparse(SparseArray { length: 1, entries: properties(&[("0", 1.into()), ("k", 2.into())]) }),
        ),
        row(
            "Object.assign(new Array(5000),{7:1})",
            &["ff0f6f220176618827490e4902400188277b01"],
            Value::Sparse(SparseArray { length: 5000, entries: properties(&[("7", 1.into())]) }),
        ),
        row(
            "(()=>{const o={};return [o,o]})()",
            &["ff0f6f22017641026f7b005e022400027b01"],
            vec![shared(2, empty()), Value::Reference(Label(2))],
        ),
        row("(()=>{const o={};o.me=o;return o})()", &["ff0f6f2201766f22026d655e017b017b01"], shared(1, me)),
        row(
            "(()=>{const a=[];a.push(a);return a})()",
            &["ff0f6f22017641015e012400017b01"],
            shared(1, vec![Value::Reference(Label(1))].into()),
        ),
        row(
            "new Map([[1,'a'],[{},null]])",
            &["ff0f6f2201763b49022201616f7b00303a047b01"],
            Value::Map(vec![(1.into(), "a".into()), (empty(), Value::Null)]),
        ),
        row(
            "(()=>{const m=new Map();m.set(m,m);return m})()",
            &["ff0f6f2201763b5e015e013a027b01"],
            shared(1, Value::Map(vec![itself])),
        ),
        row("new Set([1,'x'])", &["ff0f6f2201762749022201782c027b01"], Value::Set(vec![1.into(), "x".into()])),
    ]
}

fn objects() -> Vec<Row> {
    let pattern = |source: &str, flags| Value::RegExp(Box::new(RegExp { source: source.into(), flags }));
    vec![
        row("new Date(1000)", &["ff0f6f220176440000000000408f407b01"], Value::Date(1000.0)),
        row("new Date(NaN)", &["ff0f6f22017644000000000000f87f7b01"], Value::Date(f64::NAN)),
        row("new Boolean(true)", &["ff0f6f220176797b01"], boxed(true)),
        row("new Boolean(false)", &["ff0f6f220176787b01"], boxed(false)),
        row("new Number(1.5)", &["ff0f6f2201766e000000000000f83f7b01"], boxed(1.5)),
        row("new String('s')", &["ff0f6f220176732201737b01"], boxed("s")),
        row("Object(5n)", &["ff0f6f2201767a1005000000000000007b01"], boxed(BigInt::from(5u64))),
        row("/a+/gi", &["ff0f6f220176522202612b037b01"], pattern("a+", 3)),
        row("/\\u20ac/u", &["ff0f6f2201765222065c7532306163107b01"], pattern("\\u20ac", 16)),
        row("new Uint8Array([1,2,3]).buffer", &["ff0f6f22017642030102037b01"], Value::ArrayBuffer(vec![1, 2, 3])),
    ]
}

/// What not all versions know.
pub(crate) fn newer_rows() -> Vec<Row> {
    let buffer = ResizableBuffer { bytes: vec![0, 0], max_byte_length: 8 };
    vec![
        row(
            "new ArrayBuffer(2,{maxByteLength:8})", // from Node 20 on
            &["ff0f6f2201767e020800007b01"],
            Value::ResizableBuffer(Box::new(buffer)),
        ),
        row("new Float16Array([1.5])", &["ff0f6f2201765c000d02003e7b01"], view(ViewKind::Float16Array, &[0, 0x3E])), // 24
    ]
}

/// What cannot be written in the form in which it came.
fn read_only_rows() -> Vec<Row> {
    vec![
        row("'\\ud83d'", &["ff0f6f22017663023dd87b01"], "\u{fffd}"),
        row(
            "new MessageChannel().port1",
            &["ff0f6f2201765c016f7b007b01"],
            Value::Native(Box::new(Value::Object(Vec::new()))),
        ),
    ]
}

fn views() -> Vec<Row> {
    use ViewKind::*;
    vec![
        row("new Int8Array([-1])", &["ff0f6f2201765c000001ff7b01"], view(Int8Array, &[255])),
        row("new Uint8Array([255])", &["ff0f6f2201765c000101ff7b01"], view(Uint8Array, &[255])),
        row("new Uint8ClampedArray([7])", &["ff0f6f2201765c000201077b01"], view(Uint8ClampedArray, &[7])),
        row("new Int16Array([-2])", &["ff0f6f2201765c000302feff7b01"], view(Int16Array, &[254, 255])),
        row("new Uint16Array([513])", &["ff0f6f2201765c00040201027b01"], view(Uint16Array, &[1, 2])),
        row("new Int32Array([-3])", &["ff0f6f2201765c000504fdffffff7b01"], view(Int32Array, &(-3i32).to_le_bytes())),
        row("new Uint32Array([67305985])", &["ff0f6f2201765c000604010203047b01"], view(Uint32Array, &[1, 2, 3, 4])),
        row(
            "new Float32Array([1.5])",
            &["ff0f6f2201765c0007040000c03f7b01"],
            view(Float32Array, &1.5f32.to_le_bytes()),
        ),
        row(
            "new Float64Array([-2.5])",
            &["ff0f6f2201765c00080800000000000004c07b01"],
            view(Float64Array, &(-2.5f64).to_le_bytes()),
        ),
        row("new DataView(new ArrayBuffer(3),1)", &["ff0f6f2201765c00090200007b01"], view(DataView, &[0, 0])),
        row("Buffer.from('hi')", &["ff0f6f2201765c000a0268697b01"], Value::buffer(*b"hi")),
        row("Buffer.from('hello').subarray(1,3)", &["ff0f6f2201765c000a02656c7b01"], Value::buffer(*b"el")),
        row("new BigInt64Array([-1n])", &["ff0f6f2201765c000b08ffffffffffffffff7b01"], view(BigInt64Array, &[255; 8])),
        row(
            "new BigUint64Array([5n])",
            &["ff0f6f2201765c000c0805000000000000007b01"],
            view(BigUint64Array, &5u64.to_le_bytes()),
        ),
        row(
            "(()=>{const b=Buffer.from('z');return [b,b]})()",
            &["ff0f6f22017641025c000a017a5e022400027b01"],
            vec![shared(2, Value::buffer(*b"z")), Value::Reference(Label(2))],
        ),
    ]
}

fn errors() -> Vec<Row> {
    use ErrorClass::*;
    let cause = Value::object([("a", 1)]);
    let plain = |class| error(class, Some("m"), Some("s"), None);
    vec![
        row("Object.assign(new Error('m'),{stack:'s'})", &["ff0f6f220176726d22016d732201732e7b01"], plain(Error)),
        row(
            "Object.assign(new RangeError('m',{cause:{a:1}}),{stack:'s'})",
            &[
                "ff0f6f22017672526d22016d73220173636f22016149027b012e7b01", // Node 22 and 24, which read nothing else
                "ff0f6f22017672526d22016d636f22016149027b01732201732e7b01", // Node 18 and 20
            ],
            error(RangeError, Some("m"), Some("s"), Some(cause)),
        ),
        row(
            "(()=>{const e=new TypeError('t');e.stack=undefined;return e})()",
            &["ff0f6f22017672546d2201742e7b01"],
            error(TypeError, Some("t"), None, None),
        ),
        row(
            "Object.assign(new EvalError('m'),{stack:'s'})",
            &["ff0f6f22017672456d22016d732201732e7b01"],
            plain(EvalError),
        ),
        row(
            "Object.assign(new ReferenceError('m'),{stack:'s'})",
            &["ff0f6f22017672466d22016d732201732e7b01"],
            plain(ReferenceError),
        ),
        row(
            "Object.assign(new SyntaxError('m'),{stack:'s'})",
            &["ff0f6f22017672536d22016d732201732e7b01"],
            plain(SyntaxError),
        ),
        row(
            "Object.assign(new URIError('m'),{stack:'s'})",
            &["ff0f6f22017672556d22016d732201732e7b01"],
            plain(UriError),
        ),
        row(
            "(()=>{const e=new Error();e.stack='s';delete e.message;return e})()",
            &["ff0f6f22017672732201732e7b01"],
            error(Error, None, Some("s"), None),
        ),
    ]
}

/// As the text of its parts: NaN is not equal to itself.
pub(crate) fn text(value: &Value) -> String {
    format!("{value:?}")
}

fn bytes(dump: &str) -> Vec<u8> {
    (0..dump.len()).step_by(2).map(|at| u8::from_str_radix(&dump[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn every_dump_of_a_real_node_is_read() {
    for row in rows().into_iter().chain(newer_rows()).chain(read_only_rows()) {
        for dump in row.dumps {
            let message = advanced::decode(&bytes(dump)).unwrap();
            let value = message.get("v").unwrap();
            assert_eq!(text(value), text(&row.value), "{} is {dump}", row.expression);
        }
    }
}

#[test]
fn every_value_is_written_as_node_writes_it() {
    // Except for strings beyond ASCII, which are written as UTF-8, and arrays with holes or names, for which Node has two forms.
    for row in rows().into_iter().chain(newer_rows()) {
        let message = Value::Object(vec![("v".to_owned(), row.value.clone())]);
        let written = advanced::encode(&message).unwrap();
        let excepted = ["\\ud83d", "\\u00e9", "'\\u20ac'", "[1,,3]", "assign([1]"];
        if !excepted.iter().any(|part| row.expression.contains(part)) {
            assert_eq!(written, bytes(row.dumps[0]), "{}", row.expression);
        }
        let read = advanced::decode(&written).unwrap();
        assert_eq!(text(read.get("v").unwrap()), text(&row.value), "{}", row.expression);
    }
}

#[test]
fn every_prefix_of_a_dump_is_an_error() {
    for row in rows() {
        let message = bytes(row.dumps[0]);
        for end in 0..message.len() {
            assert!(advanced::decode(&message[..end]).is_err(), "{} to byte {end}", row.expression);
        }
    }
}

#[test]
fn a_dump_with_one_wrong_byte_is_an_error_or_can_be_written_again() {
    for row in rows().into_iter().chain(newer_rows()).chain(read_only_rows()) {
        let dump = bytes(row.dumps[0]);
        for at in 0..dump.len() {
            for byte in 0..=u8::MAX {
                let mut message = dump.clone();
                message[at] = byte;
                if let Ok(value) = advanced::decode(&message) {
                    let again = advanced::encode(&value).and_then(|message| advanced::decode(&message));
                    // Labels are numbered anew where a form was written that has other numbers.
                    assert_eq!(text(&again.unwrap()).len(), text(&value).len(), "{message:02x?}");
                    let _ = (serde_json::to_string(&value), value.deserialize::<Value>());
                }
            }
        }
    }
}
