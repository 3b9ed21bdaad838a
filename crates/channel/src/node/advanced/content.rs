//! [`Content`]: what an object holds while it is read.

use crate::node::value::SparseArray;
use crate::node::{ErrorValue, Value};

pub(super) enum Content {
    Object { properties: Vec<(String, Value)>, key: Option<String> },
    Dense { items: Vec<Value>, length: u32, named: Vec<(Key, Value)>, key: Option<Key> },
    Sparse { entries: Vec<(Key, Value)>, length: u32, key: Option<Key> },
    Map { entries: Vec<(Value, Value)>, key: Option<Value> },
    Set(Vec<Value>),
    Error(Box<ErrorValue>),
    Native(Option<Value>),
}

pub(super) enum Key {
    Index(u32),
    Name(String),
}

impl Key {
    pub(super) fn into_name(self) -> String {
        match self {
            Key::Index(index) => index.to_string(),
            Key::Name(name) => name,
        }
    }
}

impl Content {
    /// Takes in the value that [`Reader::next`] has asked for.
    pub(super) fn give(&mut self, value: Value) {
        match self {
            Content::Object { properties, key } => properties.extend(key.take().map(|key| (key, value))),
            Content::Dense { items, length, named, key } => match key.take() {
                Some(key) => named.push((key, value)),
                None => {
                    debug_assert!(items.len() < *length as usize);
                    items.push(value);
                }
            },
            Content::Sparse { entries, key, .. } => entries.extend(key.take().map(|key| (key, value))),
            Content::Map { entries, key } => match key.take() {
                Some(key) => entries.push((key, value)),
                None => *key = Some(value),
            },
            Content::Set(items) => items.push(value),
            Content::Error(error) => error.cause = Some(value),
            Content::Native(inner) => *inner = Some(value),
        }
    }

    pub(super) fn close(self) -> Value {
        match self {
            Content::Object { properties, .. } => Value::Object(properties),
            Content::Dense { items, named, .. } if named.is_empty() => Value::Array(items),
            Content::Dense { items, length, named, .. } => {
                let items = items.into_iter().enumerate().filter(|(_, item)| *item != Value::Hole);
                let items = items.map(|(index, item)| (index.to_string(), item));
                let entries = items.chain(named.into_iter().map(|(key, value)| (key.into_name(), value))).collect();
                Value::Sparse(SparseArray { length, entries })
            }
            Content::Sparse { entries, length, .. } => close_sparse(entries, length),
            Content::Map { entries, .. } => Value::Map(entries),
            Content::Set(items) => Value::Set(items),
            Content::Error(error) => Value::Error(error),
            Content::Native(inner) => Value::Native(Box::new(inner.unwrap_or_default())),
        }
    }
}

/// Any array that a Node process received and passes on comes in the sparse form. What is a list becomes one again, unless
/// that would take much more room than its entries.
fn close_sparse(entries: Vec<(Key, Value)>, length: u32) -> Value {
    let mut next = 0;
    let in_order = entries.iter().all(|(key, _)| match *key {
        Key::Index(index) if index >= next && index < length => {
            next = index + 1;
            true
        }
        _ => false,
    });
    if !in_order || length as usize > 4 * entries.len() + 64 {
        let entries = entries.into_iter().map(|(key, value)| (key.into_name(), value)).collect();
        return Value::Sparse(SparseArray { length, entries });
    }
    let mut items = Vec::with_capacity(length as usize);
    for (key, value) in entries {
        if let Key::Index(index) = key {
            items.resize(index as usize, Value::Hole);
            items.push(value);
        }
    }
    items.resize(length as usize, Value::Hole);
    Value::Array(items)
}
