//! What an embedded queue costs at least: one process that owns an SQLite file, a socket, group commit; nothing else.
//!
//! ```text
//! 32 clients ──socket──▶ listener thread: reads all that came ──▶ claims are answered from memory
//!                              │
//!                              └──▶ writer thread: one transaction for all that waits, WAL, synchronous=FULL ──▶ answers
//! ```
//!
//! Three operations, each with an answer: enqueue (confirmed when durable), claim, finish (with the result; confirmed when
//! durable). No leases that end, no retries, no limits, no priorities, no checks of what a client says.

pub(crate) mod client;
pub(crate) mod owner;
pub(crate) mod wire;
