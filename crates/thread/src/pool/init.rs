//! What each thread prepares before its first job, and lends to its jobs.

use std::any::Any;
use std::any::TypeId;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::panic;

type Prepared = Box<dyn Any>;

/// Makes the state of a thread.
#[derive(Clone)]
pub(crate) struct Init(Arc<dyn Fn() -> Result<Prepared, String> + Send + Sync>);

impl Init {
    pub(crate) fn new<S: 'static, E: fmt::Display>(init: impl Fn() -> Result<S, E> + Send + Sync + 'static) -> Init {
        Init(Arc::new(move || match init() {
            Ok(state) => Ok(Box::new(state)),
            Err(error) => Err(error.to_string()),
        }))
    }

    /// Makes the state of this thread; a panic is an error.
    pub(crate) fn prepare(&self) -> Result<(), Arc<str>> {
        let made = panic::catch(|| (self.0)());
        let state = made.map_err(|panicked| format!("init: {panicked}"))?.map_err(|error| format!("init: {error}"))?;
        STATE.with_borrow_mut(|place| place.replace(state));
        Ok(())
    }
}

impl fmt::Debug for Init {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Init")
    }
}

thread_local! {
    static STATE: RefCell<Option<Prepared>> = const { RefCell::new(None) };
    static SCRATCH: RefCell<HashMap<TypeId, Box<dyn Any>>> = RefCell::new(HashMap::new());
}

/// Whether this thread lent its state to a job that panicked.
pub(crate) fn is_lost() -> bool {
    STATE.with_borrow(Option::is_none)
}

/// Drops what the thread holds; its destructors are foreign code, and a panic in those of a thread that ends would
/// take the whole process.
pub(crate) fn discard() {
    panic::discard(STATE.take());
    panic::discard(SCRATCH.take());
}

/// Lends the state, if it is an `S` and not lent already.
pub(crate) fn with_state<S: 'static, R>(job: impl FnOnce(&mut S) -> R) -> Option<R> {
    let state = STATE.with_borrow_mut(|place| place.take_if(|state| state.is::<S>()))?;
    let mut state = state.downcast::<S>().ok()?;
    let result = job(&mut state);
    STATE.with_borrow_mut(|place| place.replace(state));
    Some(result)
}

/// Lends `job` a value that belongs to this thread: made by `Default` the first time, reused later with the same type. Of a
/// thread that is no pool's too. A value whose user panicked is thrown away; inside, a second call with the same type gets a
/// fresh one.
///
/// ```
/// let grow = || phalanx_thread::with_scratch(|buffer: &mut Vec<u8>| {
///     buffer.push(0);
///     buffer.len()
/// });
/// assert_eq!((grow(), grow()), (1, 2));
/// ```
pub fn with_scratch<S: Default + 'static, R>(job: impl FnOnce(&mut S) -> R) -> R {
    let taken = SCRATCH.with_borrow_mut(|scratch| scratch.remove(&TypeId::of::<S>()));
    let mut scratch = taken.and_then(|any| any.downcast::<S>().ok()).unwrap_or_default();
    let result = job(&mut scratch);
    let replaced = SCRATCH.with_borrow_mut(|all| all.insert(TypeId::of::<S>(), scratch));
    drop(replaced);
    result
}
