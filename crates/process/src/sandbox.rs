//! [`Sandbox`]: what a process of a role denies itself before it runs what it does not trust.

use serde::{Deserialize, Serialize};

/// How much a process is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Sandbox {
    /// Nothing is denied: the process may do what the user may.
    None,
    /// No network, no programs; files as the user may.
    NoNetwork,
    /// Only its memory, its processor and the descriptors that it was given: no files, no network, no programs, no signals.
    #[default]
    Full,
}
