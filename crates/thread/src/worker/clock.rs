//! Timers for code of any runtime: one thread keeps them, started by the first.

use std::future::pending;
use std::pin::Pin;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::time::Sleep;

use crate::sync::lock;

static CLOCK: Mutex<Option<Handle>> = Mutex::new(None);

/// Ready after this time; `None` if the system gives no thread to keep it.
pub(crate) fn sleep(duration: Duration) -> Option<Pin<Box<Sleep>>> {
    let mut clock = lock(&CLOCK);
    if clock.is_none() {
        let runtime = Builder::new_current_thread().enable_time().build().ok()?;
        let handle = runtime.handle().clone();
        thread::Builder::new().name("phalanx-clock".into()).spawn(move || runtime.block_on(pending::<()>())).ok()?;
        *clock = Some(handle);
    }
    // A timer belongs to the runtime in which it is made, and wakes whoever polls it.
    let _inside = clock.as_ref()?.enter();
    Some(Box::pin(tokio::time::sleep(duration)))
}
