//! [`ExitValue`]: what the body of a worker may return.

use std::convert::Infallible;
use std::fmt::Display;

use crate::worker::event::WorkerError;
use crate::worker::outcome::Ended;

/// The exit code after an error, and after `terminate`.
pub(crate) const FAILURE: i32 = 1;

/// What the body of a worker may return: anything that says an exit code.
///
/// | returned | exit code | error |
/// |---|---|---|
/// | `()` | 0 | |
/// | an `i32` or `u8` | that number | |
/// | `Ok(value)` | what the value says | |
/// | nothing, it never ends by itself (`!`) | | |
/// | `Err(error)` | 1 | the text of the error, as [`WorkerEvent::Error`](crate::WorkerEvent::Error) |
pub trait ExitValue {
    /// The exit code; `Err` is the text of an error.
    fn exit_code(self) -> Result<i32, String>;
}

impl ExitValue for () {
    fn exit_code(self) -> Result<i32, String> {
        Ok(0)
    }
}

impl ExitValue for i32 {
    fn exit_code(self) -> Result<i32, String> {
        Ok(self)
    }
}

impl ExitValue for u8 {
    fn exit_code(self) -> Result<i32, String> {
        Ok(i32::from(self))
    }
}

impl ExitValue for Infallible {
    fn exit_code(self) -> Result<i32, String> {
        match self {}
    }
}

/// A body that ends in [`exit`](crate::WorkerScope::exit) or `loop {}`. The type `!` cannot be named here yet; what a
/// function that never returns returns can.
impl ExitValue for <fn() -> ! as Returns>::Type {
    fn exit_code(self) -> Result<i32, String> {
        self
    }
}

/// What a function returns.
pub trait Returns {
    /// That type.
    type Type;
}

impl<T> Returns for fn() -> T {
    type Type = T;
}

impl<T: ExitValue, E: Display> ExitValue for Result<T, E> {
    fn exit_code(self) -> Result<i32, String> {
        match self {
            Ok(value) => value.exit_code(),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Ended {
    pub(crate) fn with_code(code: i32) -> Ended {
        Ended { code, error: None }
    }

    pub(crate) fn with_error(error: WorkerError) -> Ended {
        Ended { code: FAILURE, error: Some(error) }
    }
}
