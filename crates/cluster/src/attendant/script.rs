//! [`Script`]: the program that hears what Node workers send to their primary, in the place of the application's own.
//!
//! ```text
//!   worker: process.send(x) ──► { worker: 3, instance: 0, message: x } ──► script: process.on('message', …)
//!   worker: process.on('message') ◄── { worker: 3, message: y } ◄── script: process.send(…)
//!                                     without `worker`: to all of them
//! ```

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use phalanx_channel::node::{NodeChannel, Value};
use phalanx_process::{Command, ForkNode, Signal};

use super::node::Hall;
use crate::{Place, WorkerId};

/// First wait before a script that ended is started again; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A script that lived this long has proven itself.
const SOUND_LIFE: Duration = Duration::from_secs(10);

/// The script, running or about to be.
pub(super) struct Script {
    channel: RefCell<Option<NodeChannel<Value, Value>>>,
}

/// Whether the script was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Yes,
    /// It does not run, or does not read: the message is lost.
    No,
}

impl Script {
    /// Starts it, and again whenever it ends. Must be called inside a `LocalSet`.
    pub(super) fn start(file: PathBuf, hall: &Rc<Hall>) -> Rc<Script> {
        let script = Rc::new(Script { channel: RefCell::default() });
        tokio::task::spawn_local(keep(Rc::downgrade(&script), file, Rc::clone(hall)));
        script
    }

    /// Hands it what a worker sent.
    pub(super) fn tell(&self, worker: WorkerId, place: Place, message: Value) -> Told {
        let told = Value::object([
            ("worker", Value::from(worker.get())),
            ("instance", Value::from(u32::from(place.0))),
            ("message", message),
        ]);
        match self.channel.borrow().as_ref().map(|channel| channel.try_send(&told)) {
            Some(Ok(())) => Told::Yes,
            _ => Told::No,
        }
    }
}

async fn keep(script: Weak<Script>, file: PathBuf, hall: Rc<Hall>) {
    let mut wait = FIRST_WAIT;
    loop {
        let began = Instant::now();
        match run(&script, &file, &hall).await {
            None => return,
            Some(how) => tracing::warn!("the primary script {} {how}; it is started again", file.display()),
        }
        if began.elapsed() >= SOUND_LIFE {
            wait = FIRST_WAIT;
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Runs it once: how it ended. `None` when nobody wants it any more.
async fn run(script: &Weak<Script>, file: &Path, hall: &Hall) -> Option<String> {
    let fork = ForkNode::new(file).command(Command::die_with_parent);
    let (child, channel) = match fork.spawn::<Value, Value>().await {
        Ok(started) => started,
        Err(error) => return Some(format!("cannot be started: {error}")),
    };
    script.upgrade()?.channel.replace(Some(channel.clone()));
    let hear = async {
        // Its end is the end of the channel, or follows it.
        while let Ok(Some(incoming)) = channel.recv().await {
            pass_on(&incoming.value, hall);
        }
    };
    hear.await;
    script.upgrade()?.channel.replace(None);
    // A script that closed its channel and lives on hears nothing any more.
    let _ = child.kill(Signal::Terminate);
    Some(match child.exited().await {
        Ok(status) => format!("ended: {status}"),
        Err(error) => format!("is lost: {error}"),
    })
}

/// To one worker, or to all. One that does not read goes without.
fn pass_on(told: &Value, hall: &Hall) {
    let Some(message) = told.get("message") else { return };
    match told.get("worker").and_then(Value::as_f64) {
        Some(worker) => drop(hall.send(WorkerId::new(worker as u32), message)),
        None => hall.send_to_all(message),
    }
}
