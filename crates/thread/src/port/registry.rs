//! The names under which broadcast channels find each other, and who has joined each.

use std::any::Any;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, LazyLock, Mutex};

use crate::port::queue::Queue;
use crate::sync::lock;

/// All names in use in this process. A name is here as long as somebody has joined under it.
static NAMES: LazyLock<Mutex<HashMap<String, Arc<dyn Any + Send + Sync>>>> = LazyLock::new(Mutex::default);

/// Everybody who has joined under one name.
pub(crate) struct Hub<T> {
    members: Mutex<Members<T>>,
}

/// Replaced whole when somebody comes or goes, so that a post goes through it without the lock.
type Members<T> = Arc<[Arc<Queue<Parcel<T>>>]>;

/// A value on its way to one member.
pub(crate) struct Parcel<T> {
    pub(crate) value: T,
    /// Values before it that were dropped because this member read too slowly.
    pub(crate) missed: u64,
}

/// There are channels of this name for values of another type.
pub(crate) struct OtherType;

impl<T: Send + 'static> Hub<T> {
    pub(crate) fn members(&self) -> Members<T> {
        Arc::clone(&lock(&self.members))
    }
}

pub(crate) fn join<T: Send + 'static>(name: &str, member: &Arc<Queue<Parcel<T>>>) -> Result<Arc<Hub<T>>, OtherType> {
    let mut names = lock(&NAMES);
    let hub = match names.entry(name.to_owned()) {
        Entry::Occupied(taken) => Arc::clone(taken.get()).downcast::<Hub<T>>().map_err(|_| OtherType)?,
        Entry::Vacant(free) => {
            let hub = Arc::new(Hub::<T> { members: Mutex::new(Arc::new([])) });
            free.insert(Arc::clone(&hub) as Arc<dyn Any + Send + Sync>);
            hub
        }
    };
    let mut members = lock(&hub.members);
    *members = members.iter().chain([member]).cloned().collect();
    drop(members);
    Ok(hub)
}

/// Takes a member off; with the last one the name is free again. A second call does nothing.
pub(crate) fn leave<T: Send + 'static>(name: &str, hub: &Arc<Hub<T>>, member: &Arc<Queue<Parcel<T>>>) {
    let mut names = lock(&NAMES);
    let mut members = lock(&hub.members);
    if !members.iter().any(|other| Arc::ptr_eq(other, member)) {
        return;
    }
    *members = members.iter().filter(|other| !Arc::ptr_eq(other, member)).cloned().collect();
    if members.is_empty() {
        names.remove(name);
    }
}

#[cfg(test)]
pub(crate) fn is_in_use(name: &str) -> bool {
    lock(&NAMES).contains_key(name)
}
