//! The profile as pprof reads it: a `Profile` of `profile.proto`, in gzip.
//!
//! It names every function itself, so that whoever looks at it needs no program beside it.

use std::collections::HashMap;
use std::io::Write;
use std::time::UNIX_EPOCH;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::HeapProfile;

/// Numbers of the fields in `profile.proto`, as far as they are written.
mod field {
    pub(super) mod profile {
        pub(in super::super) const SAMPLE_TYPE: u64 = 1;
        pub(in super::super) const SAMPLE: u64 = 2;
        pub(in super::super) const MAPPING: u64 = 3;
        pub(in super::super) const LOCATION: u64 = 4;
        pub(in super::super) const FUNCTION: u64 = 5;
        pub(in super::super) const STRING_TABLE: u64 = 6;
        pub(in super::super) const TIME_NANOS: u64 = 9;
        pub(in super::super) const PERIOD_TYPE: u64 = 11;
        pub(in super::super) const PERIOD: u64 = 12;
        pub(in super::super) const DEFAULT_SAMPLE_TYPE: u64 = 14;
    }
    pub(super) mod value_type {
        pub(in super::super) const TYPE: u64 = 1;
        pub(in super::super) const UNIT: u64 = 2;
    }
    pub(super) mod sample {
        pub(in super::super) const LOCATION_ID: u64 = 1;
        pub(in super::super) const VALUE: u64 = 2;
    }
    pub(super) mod mapping {
        pub(in super::super) const ID: u64 = 1;
        pub(in super::super) const MEMORY_START: u64 = 2;
        pub(in super::super) const MEMORY_LIMIT: u64 = 3;
        pub(in super::super) const FILE_OFFSET: u64 = 4;
        pub(in super::super) const FILENAME: u64 = 5;
        pub(in super::super) const HAS_FUNCTIONS: u64 = 7;
    }
    pub(super) mod location {
        pub(in super::super) const ID: u64 = 1;
        pub(in super::super) const MAPPING_ID: u64 = 2;
        pub(in super::super) const ADDRESS: u64 = 3;
        pub(in super::super) const LINE: u64 = 4;
    }
    pub(super) mod line {
        pub(in super::super) const FUNCTION_ID: u64 = 1;
        pub(in super::super) const LINE: u64 = 2;
    }
    pub(super) mod function {
        pub(in super::super) const ID: u64 = 1;
        pub(in super::super) const NAME: u64 = 2;
        pub(in super::super) const FILENAME: u64 = 4;
    }
}
use field::{function, line, location, mapping, profile, sample, value_type};

impl HeapProfile {
    /// The profile as `go tool pprof` and its kin read it: gzipped protobuf with the names of the functions in it. It has the
    /// values `inuse_objects` and `inuse_space` (shown if nothing else is asked for).
    pub fn to_pprof(&self) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        // A vector takes all that is written.
        let _ = gzip.write_all(&self.to_protobuf().0);
        gzip.finish().unwrap_or_default()
    }

    fn to_protobuf(&self) -> Message {
        let mut strings = Strings::default();
        // The empty string is the first.
        strings.index("");
        let mut out = Message::default();
        for (kind, unit) in [("inuse_objects", "count"), ("inuse_space", "bytes")] {
            out.message(profile::SAMPLE_TYPE, &value_type_of(&mut strings, kind, unit));
        }
        for stack in &self.stacks {
            let mut its = Message::default();
            its.numbers(sample::LOCATION_ID, stack.places.iter().map(|place| *place as u64 + 1));
            its.numbers(sample::VALUE, [stack.objects, stack.bytes]);
            out.message(profile::SAMPLE, &its);
        }
        for (module, id) in self.modules.0.iter().zip(1..) {
            let mut its = Message::default();
            its.number(mapping::ID, id);
            its.number(mapping::MEMORY_START, module.from);
            its.number(mapping::MEMORY_LIMIT, module.to);
            its.number(mapping::FILE_OFFSET, module.offset);
            its.number(mapping::FILENAME, strings.index(&module.path));
            its.number(mapping::HAS_FUNCTIONS, 1);
            out.message(profile::MAPPING, &its);
        }
        let mut functions: HashMap<(&str, &str), u64> = HashMap::new();
        for (place, id) in self.places.iter().zip(1..) {
            let mut its = Message::default();
            its.number(location::ID, id);
            its.number(location::MAPPING_ID, place.module.map_or(0, |module| module as u64 + 1));
            its.number(location::ADDRESS, place.address);
            for at in &place.lines {
                let next = functions.len() as u64 + 1;
                let function = *functions.entry((&at.function, &at.file)).or_insert(next);
                let mut this = Message::default();
                this.number(line::FUNCTION_ID, function);
                this.number(line::LINE, at.line.into());
                its.message(location::LINE, &this);
            }
            out.message(profile::LOCATION, &its);
        }
        for ((name, file), id) in functions {
            let mut its = Message::default();
            its.number(function::ID, id);
            its.number(function::NAME, strings.index(name));
            its.number(function::FILENAME, strings.index(file));
            out.message(profile::FUNCTION, &its);
        }
        let taken = self.taken.duration_since(UNIX_EPOCH).unwrap_or_default();
        out.number(profile::TIME_NANOS, taken.as_nanos() as u64);
        out.message(profile::PERIOD_TYPE, &value_type_of(&mut strings, "space", "bytes"));
        out.number(profile::PERIOD, self.interval);
        out.number(profile::DEFAULT_SAMPLE_TYPE, strings.index("inuse_space"));
        for text in &strings.order {
            out.bytes(profile::STRING_TABLE, text.as_bytes());
        }
        out
    }
}

fn value_type_of(strings: &mut Strings, kind: &str, unit: &str) -> Message {
    let mut its = Message::default();
    its.number(value_type::TYPE, strings.index(kind));
    its.number(value_type::UNIT, strings.index(unit));
    its
}

/// Each string once.
#[derive(Default)]
struct Strings {
    order: Vec<String>,
    known: HashMap<String, u64>,
}

impl Strings {
    fn index(&mut self, text: &str) -> u64 {
        if let Some(index) = self.known.get(text) {
            return *index;
        }
        let index = self.order.len() as u64;
        self.order.push(text.to_owned());
        self.known.insert(text.to_owned(), index);
        index
    }
}

/// A message of protobuf.
#[derive(Default)]
struct Message(Vec<u8>);

/// How a field is written.
const VARINT: u64 = 0;
const LENGTH_DELIMITED: u64 = 2;

impl Message {
    /// 0 is what is not written.
    fn number(&mut self, field: u64, value: u64) {
        if value != 0 {
            self.varint(field << 3 | VARINT);
            self.varint(value);
        }
    }

    fn numbers(&mut self, field: u64, values: impl IntoIterator<Item = u64>) {
        let mut packed = Message::default();
        values.into_iter().for_each(|value| packed.varint(value));
        self.bytes(field, &packed.0);
    }

    fn message(&mut self, field: u64, message: &Message) {
        self.bytes(field, &message.0);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | LENGTH_DELIMITED);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}
