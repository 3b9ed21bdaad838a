//! Views of every width against a plain vector of bytes: the same values, the same refusals, whatever is done in which
//! order.

#![allow(clippy::unwrap_used)]

use phalanx_shared::{Error, SharedBuffer};
use proptest::prelude::*;

const MOST_BYTES: usize = 96;

/// What is done with one element.
#[derive(Debug, Clone, Copy)]
enum Operation {
    Load,
    Store,
    Add,
    Sub,
    And,
    Or,
    Xor,
    Exchange,
    CompareExchange,
}

const OPERATIONS: [Operation; 9] = [
    Operation::Load,
    Operation::Store,
    Operation::Add,
    Operation::Sub,
    Operation::And,
    Operation::Or,
    Operation::Xor,
    Operation::Exchange,
    Operation::CompareExchange,
];

#[derive(Debug, Clone, Copy)]
enum Integer {
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
}

const INTEGERS: [Integer; 8] =
    [Integer::U8, Integer::U16, Integer::U32, Integer::U64, Integer::I8, Integer::I16, Integer::I32, Integer::I64];

#[derive(Debug, Clone)]
enum Step {
    Grow { to: usize },
    Read { offset: usize, count: usize },
    Write { offset: usize, bytes: Vec<u8> },
    Element { integer: Integer, byte_offset: usize, count: Option<usize>, index: usize, what: Operation, value: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let place = 0..MOST_BYTES + 8;
    let element = (
        prop::sample::select(&INTEGERS[..]),
        place.clone(),
        prop::option::of(0..20usize),
        prop_oneof![9 => 0..20usize, 1 => any::<usize>()],
        prop::sample::select(&OPERATIONS[..]),
        prop_oneof![any::<u64>(), 0..3u64],
    )
        .prop_map(|(integer, byte_offset, count, index, what, value)| Step::Element {
            integer,
            byte_offset,
            count,
            index,
            what,
            value,
        });
    let step = prop_oneof![
        1 => place.clone().prop_map(|to| Step::Grow { to }),
        1 => (place.clone(), 0..30usize).prop_map(|(offset, count)| Step::Read { offset, count }),
        1 => (place, prop::collection::vec(any::<u8>(), 0..30))
            .prop_map(|(offset, bytes)| Step::Write { offset, bytes }),
        6 => element,
    ];
    prop::collection::vec(step, 1..60)
}

/// What the element became, and what was returned; `None` where it must be refused.
macro_rules! element {
    ($integer:ty, $buffer:expr, $model:expr, $offset:expr, $count:expr, $index:expr, $what:expr, $value:expr) => {{
        const BYTES: usize = size_of::<$integer>();
        let (buffer, model): (&SharedBuffer, &mut Vec<u8>) = ($buffer, $model);
        let value = $value as $integer;
        let view = match $count {
            Some(count) => buffer.view_of::<$integer>($offset, count),
            None => buffer.view_at::<$integer>($offset),
        };
        let end = $offset + $count.unwrap_or(0) * BYTES;
        prop_assert_eq!(view.is_ok(), ($offset as usize).is_multiple_of(BYTES) && end <= model.len(), "{:?}", view);
        if let Ok(view) = view {
            let len = $count.unwrap_or((model.len() - $offset) / BYTES);
            prop_assert_eq!(view.len(), len);
            let outcome = match $what {
                Operation::Load => view.load($index),
                Operation::Store => view.store($index, value).map(|()| value),
                Operation::Add => view.add($index, value),
                Operation::Sub => view.sub($index, value),
                Operation::And => view.and($index, value),
                Operation::Or => view.or($index, value),
                Operation::Xor => view.xor($index, value),
                Operation::Exchange => view.exchange($index, value),
                Operation::CompareExchange => view.compare_exchange($index, value, value.wrapping_add(1)),
            };
            if $index < len {
                let place = &mut model[$offset + $index * BYTES..][..BYTES];
                let old = <$integer>::from_ne_bytes((&*place).try_into().unwrap());
                let (new, returned) = match $what {
                    Operation::Load => (old, old),
                    Operation::Store => (value, value),
                    Operation::Add => (old.wrapping_add(value), old),
                    Operation::Sub => (old.wrapping_sub(value), old),
                    Operation::And => (old & value, old),
                    Operation::Or => (old | value, old),
                    Operation::Xor => (old ^ value, old),
                    Operation::Exchange => (value, old),
                    Operation::CompareExchange => (if old == value { value.wrapping_add(1) } else { old }, old),
                };
                place.copy_from_slice(&new.to_ne_bytes());
                prop_assert_eq!(outcome.unwrap(), returned);
            } else {
                let refused = matches!(outcome, Err(Error::OutOfBounds { index, count: 1, len: said })
                    if index == $index && said == len);
                prop_assert!(refused, "{:?}", outcome);
            }
        }
    }};
}

fn run(step: &Step, buffer: &SharedBuffer, model: &mut Vec<u8>) -> Result<(), TestCaseError> {
    match step {
        Step::Grow { to } => {
            let grown = buffer.grow(*to);
            prop_assert_eq!(grown.is_ok(), (model.len()..=MOST_BYTES).contains(to), "{:?}", grown);
            if grown.is_ok() {
                model.resize(*to, 0);
            }
        }
        Step::Read { offset, count } => {
            let mut bytes = vec![0xaa; *count];
            let read = buffer.read(*offset, &mut bytes);
            prop_assert_eq!(read.is_ok(), offset + count <= model.len());
            if read.is_ok() {
                prop_assert_eq!(&bytes[..], &model[*offset..offset + count]);
            }
        }
        Step::Write { offset, bytes } => {
            let written = buffer.write(*offset, bytes);
            prop_assert_eq!(written.is_ok(), offset + bytes.len() <= model.len());
            if written.is_ok() {
                model[*offset..offset + bytes.len()].copy_from_slice(bytes);
            }
        }
        Step::Element { integer, byte_offset, count, index, what, value } => match integer {
            Integer::U8 => element!(u8, buffer, model, *byte_offset, *count, *index, *what, *value),
            Integer::U16 => element!(u16, buffer, model, *byte_offset, *count, *index, *what, *value),
            Integer::U32 => element!(u32, buffer, model, *byte_offset, *count, *index, *what, *value),
            Integer::U64 => element!(u64, buffer, model, *byte_offset, *count, *index, *what, *value),
            Integer::I8 => element!(i8, buffer, model, *byte_offset, *count, *index, *what, *value),
            Integer::I16 => element!(i16, buffer, model, *byte_offset, *count, *index, *what, *value),
            Integer::I32 => element!(i32, buffer, model, *byte_offset, *count, *index, *what, *value),
            Integer::I64 => element!(i64, buffer, model, *byte_offset, *count, *index, *what, *value),
        },
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_buffer_does_what_a_vector_of_bytes_does(first in 0..MOST_BYTES, steps in steps()) {
        let ours = SharedBuffer::growable(first, MOST_BYTES).unwrap();
        // Every second step goes through another mapping, as in another process.
        let theirs = SharedBuffer::from_descriptor(ours.descriptor().unwrap()).unwrap();
        let mut model = vec![0; first];
        for (number, step) in steps.iter().enumerate() {
            run(step, if number % 2 == 0 { &ours } else { &theirs }, &mut model)?;
            prop_assert_eq!(theirs.len(), model.len());
        }
        let mut all = vec![0; model.len()];
        theirs.read(0, &mut all).unwrap();
        prop_assert_eq!(all, model);
    }
}
