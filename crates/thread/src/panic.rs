//! Panics of jobs become values.
//!
//! Where a panic happened is known only to the panic hook. So the first pool installs one, which is quiet for jobs (the
//! error value says it all) and hands every other panic to the hook that was there before. A hook that the program sets
//! later takes its place: then panics of jobs are printed as that hook likes, and their location is unknown to us.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::pool::JobError;

thread_local! {
    static INSIDE_A_JOB: Cell<bool> = const { Cell::new(false) };
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Makes panics of jobs quiet and their location known; once per process.
pub(crate) fn install_hook() {
    static INSTALLED: Once = Once::new();
    // Setting a hook while panicking would abort; a pool that is built in a destructor then goes without.
    if std::thread::panicking() {
        return;
    }
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |information| {
            if INSIDE_A_JOB.try_with(Cell::get).unwrap_or(false) {
                let location = information.location().map(ToString::to_string);
                let _ = LOCATION.try_with(|noted| noted.replace(location));
            } else {
                previous(information);
            }
        }));
    });
}

/// Runs `job` on this thread; a panic of it is [`JobError::Panicked`] with its text and place, and is not printed.
///
/// ```
/// use phalanx_thread::{JobError, catch_panic};
///
/// let caught = catch_panic(|| panic!("too much"));
/// assert!(matches!(caught, Err(JobError::Panicked { message, .. }) if message == "too much"));
/// ```
pub fn catch_panic<T>(job: impl FnOnce() -> T) -> Result<T, JobError> {
    install_hook();
    catch(job)
}

/// Runs a job; a panic is an error.
pub(crate) fn catch<T>(job: impl FnOnce() -> T) -> Result<T, JobError> {
    let outer = INSIDE_A_JOB.replace(true);
    LOCATION.take();
    // The job is gone after a panic, so nobody sees what it left half done, except what it shares; that is its own
    // affair, as with a thread that panics.
    let result = panic::catch_unwind(AssertUnwindSafe(job));
    let result = result.map_err(|payload| {
        let message = message_of(&*payload);
        let location = LOCATION.take();
        discard(payload);
        JobError::Panicked { message, location }
    });
    INSIDE_A_JOB.set(outer);
    result
}

/// Drops something of the user's whose destructor may panic; the thread goes on.
pub(crate) fn discard<T>(value: T) {
    let outer = INSIDE_A_JOB.replace(true);
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(value))) {
        // Its destructor may panic in turn, and so on for ever: leak it, unless it is one of the usual texts.
        if !(second.is::<&str>() || second.is::<String>()) {
            std::mem::forget(second);
        }
    }
    INSIDE_A_JOB.set(outer);
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "a panic without a text".to_owned(),
    }
}
