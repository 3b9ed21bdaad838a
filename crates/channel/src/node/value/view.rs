//! [`View`]: a `Buffer`, a typed array or a `DataView`.

use crate::node::Error;
use crate::node::error::malformed;

/// How the bytes of a [`View`] are looked at. The numbers are those of Node's wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names are those of JavaScript")]
#[repr(u8)]
pub enum ViewKind {
    Int8Array = 0,
    Uint8Array = 1,
    Uint8ClampedArray = 2,
    Int16Array = 3,
    Uint16Array = 4,
    Int32Array = 5,
    Uint32Array = 6,
    Float32Array = 7,
    Float64Array = 8,
    DataView = 9,
    /// Node's own: a `Uint8Array` with more methods.
    Buffer = 10,
    BigInt64Array = 11,
    BigUint64Array = 12,
    /// Known to Node 24 and later only.
    Float16Array = 13,
}

impl ViewKind {
    const ALL: [ViewKind; 14] = [
        ViewKind::Int8Array,
        ViewKind::Uint8Array,
        ViewKind::Uint8ClampedArray,
        ViewKind::Int16Array,
        ViewKind::Uint16Array,
        ViewKind::Int32Array,
        ViewKind::Uint32Array,
        ViewKind::Float32Array,
        ViewKind::Float64Array,
        ViewKind::DataView,
        ViewKind::Buffer,
        ViewKind::BigInt64Array,
        ViewKind::BigUint64Array,
        ViewKind::Float16Array,
    ];

    /// The kind with this number on the wire.
    pub(crate) fn from_wire(number: u32) -> Option<ViewKind> {
        ViewKind::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// Bytes of one element.
    pub fn element_bytes(self) -> usize {
        match self {
            ViewKind::Int8Array
            | ViewKind::Uint8Array
            | ViewKind::Uint8ClampedArray
            | ViewKind::DataView
            | ViewKind::Buffer => 1,
            ViewKind::Int16Array | ViewKind::Uint16Array | ViewKind::Float16Array => 2,
            ViewKind::Int32Array | ViewKind::Uint32Array | ViewKind::Float32Array => 4,
            ViewKind::Float64Array | ViewKind::BigInt64Array | ViewKind::BigUint64Array => 8,
        }
    }
}

/// Bytes and how JavaScript looks at them. The bytes are in the order of this machine, as in JavaScript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    kind: ViewKind,
    bytes: Vec<u8>,
}

impl View {
    /// A view of these bytes.
    ///
    /// Errors: their number is no multiple of an element's size.
    pub fn new(kind: ViewKind, bytes: Vec<u8>) -> Result<View, Error> {
        if !bytes.len().is_multiple_of(kind.element_bytes()) {
            let (count, each) = (bytes.len(), kind.element_bytes());
            return Err(malformed(format!("a {kind:?} of {count} bytes, each element has {each}")));
        }
        Ok(View { kind, bytes })
    }

    /// A `Buffer`.
    pub fn buffer(bytes: Vec<u8>) -> View {
        View { kind: ViewKind::Buffer, bytes }
    }

    /// How the bytes are looked at.
    pub fn kind(&self) -> ViewKind {
        self.kind
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, without a copy.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
