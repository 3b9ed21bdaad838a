//! `phalanx image`: pictures become smaller ones, a file or a folder, on all cores and within a bound of memory.
//!
//! ```text
//!   what was typed ─▶ Order ─▶ items ─▶ hands, one for each core: place in the room ─▶ read ─▶ plan ─▶ make ─▶ write
//!   (arguments)       (order)  (folder)  (make, room)                                              │
//!                                                       a line for people or machines, a bar ◀────┘ (report)
//! ```
//!
//! Pictures are made side by side, one by each hand. Where there are fewer pictures than threads, each hand may use several for its picture: large
//! JPEG files with restart markers are decoded by them.
//!
//! No job processes and no sandbox: who names a file trusts it as much as any viewer does. Decoders are the same as the server's.

mod arguments;
mod folder;
mod make;
mod order;
mod report;
mod room;

pub(crate) use arguments::ImageArguments;

use std::collections::HashSet;
use std::io::{self, IsTerminal};
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use phalanx::image::Scratch;
use phalanx::thread::ThreadPool;

use crate::ending::Ending;
use crate::interruption;
use folder::Found;
use make::{Maker, Trouble};
use order::{Errand, Item, Order, Target};
use report::Report;

/// Runs the whole command.
pub(crate) fn run(arguments: &ImageArguments) -> Result<(), Ending> {
    let order = Order::new(arguments)?;
    let is_given_up = Arc::new(AtomicBool::new(false));
    interruption::watch("image", || {}).map_err(Ending::failed)?;
    let guard = interruption::running({
        let is_given_up = is_given_up.clone();
        move |_signal| is_given_up.store(true, Ordering::Relaxed)
    });
    let outcome = match &order.errand {
        Errand::One(item) => one(&order, item, &is_given_up),
        Errand::Folder { from, to, depth } => all(&order, folder::look_through(from, to, *depth), &is_given_up),
    };
    drop(guard);
    match interruption::came() {
        Some(ending) => Err(ending),
        None => outcome,
    }
}

fn one(order: &Order, item: &Item, is_given_up: &AtomicBool) -> Result<(), Ending> {
    if matches!(item.to, Target::Standard) && io::stdout().is_terminal() {
        return Err(Ending::usage("a picture is nothing for a terminal: name OUT or redirect"));
    }
    let maker = Maker::new(order, NonZero::<usize>::MIN, HashSet::new(), is_given_up);
    let outcome = maker.make(item, &mut Scratch::new());
    if matches!(outcome, Err(Trouble::ReaderGone)) {
        return Err(Ending::reader_gone());
    }
    report::tell_one(order, item, outcome)
}

/// All pictures of a folder, each by whatever hand is free.
fn all(order: &Order, found: Found, is_given_up: &AtomicBool) -> Result<(), Ending> {
    let Found { items, skipped, refused, inputs } = found;
    let report = Report::new(order.told, items.len() + refused.len(), skipped);
    for (path, why) in refused {
        report.failed(&path.display(), &why);
    }
    let hands = NonZero::new(order.threads.min(items.len())).unwrap_or(NonZero::<usize>::MIN);
    let maker = Maker::new(order, hands, inputs, is_given_up);
    let items = Mutex::new(items.into_iter());
    let hand = |scratch: &mut Scratch| {
        while !is_given_up.load(Ordering::Relaxed) {
            let next = items.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(item) = next else { break };
            if !report.outcome(&item, maker.make(&item, scratch)) {
                is_given_up.store(true, Ordering::Relaxed);
            }
        }
    };
    let pool = ThreadPool::builder()
        .name("image")
        .threads(hands.get())
        .build()
        .map_err(|error| Ending::failed(error.to_string()))?;
    let worked = pool.scope(|scope| {
        for _ in 0..hands.get() {
            scope.spawn(|cx| cx.with_scratch(hand));
        }
    });
    worked.map_err(|error| Ending::failed(format!("a thread failed: {error}")))?;
    report.end()
}
