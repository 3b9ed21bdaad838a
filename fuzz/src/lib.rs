//! What the fuzz targets share: [`Script`], the way in which an input reaches a socket or a pipeline.
//!
//! ```text
//!   input ──▶ Script { steps, stream } ──▶ socket ──▶ decoder ──▶ messages, an error or the end
//!                 pieces and descriptors ─┘                        never a crash, a leak, a wait without end
//! ```
//!
//! Every target promises the same: what comes out does not depend on how the bytes were split; nothing is taken for what was
//! only announced (`-malloc_limit_mb`); no descriptor stays open; the end is always reached. `cargo xtask fuzz` builds the
//! targets and runs them; what it finds belongs into the tests of the crate, under the name of the promise.

pub mod bytes;
pub mod channel;
pub mod counting;
pub mod decoder;
pub mod descriptors;
pub mod effort;
pub mod node;
pub mod picture;
pub mod script;
pub mod sealed;
pub mod stream;
pub mod watch;

pub use script::{Carried, Script, Step};
