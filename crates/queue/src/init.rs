//! [`init_with`]: the first line of `main` of a program with queues.

use std::sync::atomic::{AtomicBool, Ordering};

use phalanx_task::{InitError, Registry};

/// Whether this executable plays the owner's role when it is started in it.
static KNOWS_ROLES: AtomicBool = AtomicBool::new(false);

/// [`phalanx_task::init_with`], and lets this program be the owner of an embedded queue. **The first line of `main`, before any thread
/// starts.**
///
/// The first program that opens an embedded queue starts its owner: this same executable once more, detached, shared by all programs
/// of the machine that use the folder, and gone 5 s after the last of them. In such a process this never returns.
///
/// Errors: those of [`phalanx_task::init_with`].
pub fn init_with(registry: Registry) -> Result<(), InitError> {
    init()?;
    phalanx_task::init_with(registry)
}

/// As [`init_with`], for a program that has messages and no tasks of its own.
pub fn init() -> Result<(), InitError> {
    phalanx_process::init().map_err(InitError::Process)?;
    #[cfg(feature = "embedded")]
    if let Some(role) = phalanx_process::take_role(crate::embedded::ROLE) {
        crate::embedded::play(role);
    }
    KNOWS_ROLES.store(true, Ordering::Release);
    Ok(())
}

/// Whether an owner may be started.
#[cfg(feature = "embedded")]
pub(crate) fn may_start_owners() -> bool {
    KNOWS_ROLES.load(Ordering::Acquire)
}
