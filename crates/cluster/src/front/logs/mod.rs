//! What the workers write: line by line, with the worker's number, into one place.

mod settings;

pub use settings::Logs;
