//! What the programs share that measure by themselves (`phalanx-bench-ipc`, `phalanx-bench-task`, `phalanx-bench-thread`):
//! when counting begins and ends, how long things took, on which core a side runs, and why there is no figure.

#![forbid(unsafe_code)]

mod failure;
mod meter;
mod pin;
mod times;

pub use failure::{During, Failure};
pub use meter::{Meter, Report, Schedule};
pub use pin::{become_pinned, stay_on, stay_on_with};
pub use times::Times;
