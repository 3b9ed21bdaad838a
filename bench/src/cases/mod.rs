//! The cases, and what they have in common: rounds in turn, one sample per server and round, medians.

mod cores;
pub(crate) mod gate;
pub(crate) mod hello;
pub(crate) mod image;
pub(crate) mod ipc;
pub(crate) mod memory;
pub(crate) mod overload;
pub(crate) mod process;
pub(crate) mod queue;
mod results;
pub(crate) mod run;
mod sample;
mod settings;
pub(crate) mod spawn;
pub(crate) mod stream;
pub(crate) mod task;
pub(crate) mod thread;
pub(crate) mod upload;

pub(crate) use sample::{Sample, closed_loop, of_samples};
pub(crate) use settings::Settings;

/// The contenders of one round: each round begins with another one, so that no server always follows the same rival.
pub(crate) fn in_turn<T: Copy>(contenders: &[T], round: usize) -> impl Iterator<Item = T> {
    let count = contenders.len();
    (0..count).map(move |position| contenders[(position + round) % count])
}

/// Says on standard error what is being measured.
pub(crate) fn progress(text: &str) {
    eprintln!("bench: {text}");
}
