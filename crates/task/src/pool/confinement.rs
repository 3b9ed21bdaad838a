//! A stand-in until `phalanx_process` tells what is truly active.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Sandbox;

/// What a process is truly denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// What was asked for.
    pub level: Sandbox,
    /// What of it is not active, and why.
    pub missing: Vec<String>,
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.level)
    }
}
