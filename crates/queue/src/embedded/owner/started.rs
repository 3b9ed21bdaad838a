//! [`Started`]: what an owner that is started on demand says to the client that started it.

use serde::{Deserialize, Serialize};

use crate::Error;

/// How the start of an owner went.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Started {
    /// It listens.
    Listens,
    /// Another one owns the folder. This one has ended.
    Other,
    /// It cannot be the owner.
    Failed(Error),
}

/// Name of the descriptor through which it is said: one postcard value, then the end.
pub(crate) const REPORT: &str = "report";
