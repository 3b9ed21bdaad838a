//! Clients that know exactly what became of each of their requests.
//!
//! ```text
//! Load ──▶ threads, each a Client (new connections, keep-alive, …) ──▶ Wire (one socket) ──▶ Outcome
//!   └──────────────── Tally: how often what; Timeline: answers in each 10 ms ◀────────────────┘
//! ```
//!
//! Each request carries an id of its own, in its path and in a header. The server answers it with its pid and its
//! generation, so an answer to another request, or a second one, is noticed.

mod client;
mod http2;
mod load;
mod outcome;
mod tally;
mod timeline;
mod websocket;
mod wire;

pub(crate) use client::Mode;
pub(crate) use load::{Load, Plan, ask, ask_often};
pub(crate) use outcome::Outcome;
pub(crate) use tally::Tally;
pub(crate) use wire::{Target, Wire};
