//! The letters of the format, one for each kind of value, as V8 numbers them (`src/objects/value-serializer.cc`).

pub(super) const VERSION: u8 = 0xFF;
/// The version that is written: all Node versions from 18 on write and read it.
pub(super) const WRITTEN_VERSION: u8 = 15;
/// The oldest version whose content has the same form.
pub(super) const OLDEST_VERSION: u8 = 13;

pub(super) const PADDING: u8 = 0;
pub(super) const OBJECT_COUNT: u8 = b'?';
pub(super) const HOLE: u8 = b'-';
pub(super) const UNDEFINED: u8 = b'_';
pub(super) const NULL: u8 = b'0';
pub(super) const TRUE: u8 = b'T';
pub(super) const FALSE: u8 = b'F';
pub(super) const INT32: u8 = b'I';
pub(super) const UINT32: u8 = b'U';
pub(super) const DOUBLE: u8 = b'N';
pub(super) const BIGINT: u8 = b'Z';
pub(super) const LATIN1: u8 = b'"';
pub(super) const UTF16: u8 = b'c';
pub(super) const UTF8: u8 = b'S';
pub(super) const REFERENCE: u8 = b'^';
pub(super) const OBJECT: u8 = b'o';
pub(super) const OBJECT_END: u8 = b'{';
pub(super) const DENSE: u8 = b'A';
pub(super) const DENSE_END: u8 = b'$';
pub(super) const SPARSE: u8 = b'a';
pub(super) const SPARSE_END: u8 = b'@';
pub(super) const DATE: u8 = b'D';
pub(super) const TRUE_OBJECT: u8 = b'y';
pub(super) const FALSE_OBJECT: u8 = b'x';
pub(super) const NUMBER_OBJECT: u8 = b'n';
pub(super) const BIGINT_OBJECT: u8 = b'z';
pub(super) const STRING_OBJECT: u8 = b's';
pub(super) const REGEXP: u8 = b'R';
pub(super) const MAP: u8 = b';';
pub(super) const MAP_END: u8 = b':';
pub(super) const SET: u8 = b'\'';
pub(super) const SET_END: u8 = b',';
pub(super) const ARRAY_BUFFER: u8 = b'B';
pub(super) const RESIZABLE_BUFFER: u8 = b'~';
pub(super) const ERROR: u8 = b'r';
pub(super) const HOST: u8 = b'\\';

/// The parts of an error.
pub(super) mod error {
    pub(in super::super) const EVAL: u8 = b'E';
    pub(in super::super) const RANGE: u8 = b'R';
    pub(in super::super) const REFERENCE: u8 = b'F';
    pub(in super::super) const SYNTAX: u8 = b'S';
    pub(in super::super) const TYPE: u8 = b'T';
    pub(in super::super) const URI: u8 = b'U';
    pub(in super::super) const MESSAGE: u8 = b'm';
    pub(in super::super) const CAUSE: u8 = b'c';
    pub(in super::super) const STACK: u8 = b's';
    pub(in super::super) const END: u8 = b'.';
}

/// What follows [`HOST`]: Node's own serializer.
pub(super) mod host {
    pub(in super::super) const VIEW: u32 = 0;
    pub(in super::super) const NATIVE: u32 = 1;
}
