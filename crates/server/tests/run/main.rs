//! `phalanx run`, the real binary with real programs.

#![allow(clippy::unwrap_used)]

mod app;
mod book;
mod http;
mod page;
mod wire_faults;
