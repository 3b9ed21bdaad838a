//! [`init_with`]: the first line of `main` of a program with tasks.

use std::fmt;
use std::sync::OnceLock;

use crate::{Registry, RegistryError, job};

/// The tasks of this program.
static REGISTRY: OnceLock<Registry> = OnceLock::new();

/// Why the program cannot start.
#[derive(Debug)]
#[non_exhaustive]
pub enum InitError {
    /// The registry makes no sense.
    Registry(RegistryError),
    /// The process cannot play its role.
    Process(phalanx_process::Error),
}

/// [`phalanx_process::init`], and names the tasks of this program. **The first line of `main`, before any thread starts.**
///
/// In a job process it runs tasks and never returns. Errors: a registry with two tasks of one name or a bad name; those of
/// `init`. A second call keeps the first registry.
pub fn init_with(registry: Registry) -> Result<(), InitError> {
    phalanx_process::init().map_err(InitError::Process)?;
    let registry = registry.checked().map_err(InitError::Registry)?;
    let registry = REGISTRY.get_or_init(|| registry);
    if let Some(role) = phalanx_process::take_role(job::ROLE) {
        job::serve(role, registry);
    }
    Ok(())
}

/// The tasks that [`init_with`] was given, if it was called.
pub fn registered() -> Option<&'static Registry> {
    REGISTRY.get()
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InitError::Registry(error) => error.fmt(f),
            InitError::Process(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for InitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            InitError::Registry(error) => Some(error),
            InitError::Process(error) => Some(error),
        }
    }
}
