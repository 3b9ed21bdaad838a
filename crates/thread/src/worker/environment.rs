//! Environment data: values that every worker finds when it starts.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use crate::sync::lock;

/// Values by name. Shared until somebody changes his.
pub(crate) type Environment = Arc<HashMap<String, Arc<dyn Any + Send + Sync>>>;

static OF_THE_PROCESS: LazyLock<Mutex<Environment>> = LazyLock::new(Mutex::default);

thread_local! {
    /// What this worker found when it started, and has changed since.
    static OF_THIS_WORKER: RefCell<Option<Environment>> = const { RefCell::new(None) };
}

/// Sets a value that workers started from now on find as [`environment_data`]. Returns whether it replaced one.
///
/// A worker sees what was set when it was started: later changes do not reach it. What a worker sets is seen by itself
/// and by the workers that it starts; what any other thread sets is seen by all threads that are no workers.
///
/// ```
/// use phalanx_thread::{environment_data, remove_environment_data, set_environment_data};
///
/// set_environment_data("width", 800_u32);
/// assert_eq!(environment_data::<u32>("width").as_deref(), Some(&800));
/// assert!(environment_data::<String>("width").is_none()); // another type
/// assert!(remove_environment_data("width"));
/// ```
pub fn set_environment_data<T: Any + Send + Sync>(key: impl Into<String>, value: T) -> bool {
    let (key, value) = (key.into(), Arc::new(value) as Arc<dyn Any + Send + Sync>);
    // The old value is dropped when nothing is locked any more.
    change(|environment| Arc::make_mut(environment).insert(key.clone(), Arc::clone(&value))).is_some()
}

/// The value of this name, if there is one of this type. See [`set_environment_data`].
pub fn environment_data<T: Any + Send + Sync>(key: &str) -> Option<Arc<T>> {
    snapshot().get(key).cloned()?.downcast().ok()
}

/// Removes a value; says whether there was one. See [`set_environment_data`].
pub fn remove_environment_data(key: &str) -> bool {
    change(|environment| Arc::make_mut(environment).remove(key)).is_some()
}

fn change<R>(change: impl Fn(&mut Environment) -> R) -> R {
    let own = OF_THIS_WORKER.try_with(|own| own.borrow_mut().as_mut().map(&change));
    own.ok().flatten().unwrap_or_else(|| change(&mut lock(&OF_THE_PROCESS)))
}

/// What a worker that is started now finds.
pub(crate) fn snapshot() -> Environment {
    let own = OF_THIS_WORKER.try_with(|own| own.borrow().clone());
    own.ok().flatten().unwrap_or_else(|| Arc::clone(&lock(&OF_THE_PROCESS)))
}

/// A worker starts with this.
pub(crate) fn adopt(environment: Environment) {
    OF_THIS_WORKER.set(Some(environment));
}
