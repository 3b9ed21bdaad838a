//! [`Trouble`]: why a row of the table could not be carried to its end.

use std::fmt;

/// Anything but a kept promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// What is to be tortured does not exist yet. A failure: the promise is not kept.
    NotAvailable(String),
    /// A promise is broken.
    Broken(String),
    /// This machine, or who runs us, cannot do it. Says nothing about the promise.
    CannotTry(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::NotAvailable(words) => write!(f, "not available: {words}"),
            Trouble::Broken(words) => write!(f, "{words}"),
            Trouble::CannotTry(words) => write!(f, "cannot be tried here: {words}"),
        }
    }
}

/// An error of our own machine while `doing`.
pub(crate) fn cannot(doing: &str) -> impl FnOnce(std::io::Error) -> Trouble {
    move |error| Trouble::CannotTry(format!("{doing}: {error}"))
}
