//! Why a measurement gave no figure.

use std::fmt::{self, Display};

/// What was attempted, and what came back.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// A failure that says `what`.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl std::error::Error for Failure {}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what was attempted when it failed.
pub trait During<T> {
    /// As it was, or with `attempt` in words: "cannot ATTEMPT: …".
    fn during(self, attempt: &str) -> Result<T, Failure>;
}

impl<T, E: Display> During<T> for Result<T, E> {
    fn during(self, attempt: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure(format!("cannot {attempt}: {error}")))
    }
}
