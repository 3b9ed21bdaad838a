//! The layer of messages: bodies of raw bytes, as every program on the same broker sees them.
//!
//! ```text
//!   send ──► queue ──► consume(prefetch) ──► Delivery ── ack ──────────► gone
//!                        ▲                        ├───── nack(requeue) ─► back, now or later
//!                        └────────────────────────┘      reject ────────► dead-letter queue, or gone
//! ```

mod body;
mod delivery;
mod options;

pub use body::{Message, MessageId};
pub use delivery::{Consumer, Delivery, Requeue, Settle};
pub use options::{ConsumeOptions, QueueOptions, QueueStats};
