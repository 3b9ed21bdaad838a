//! `phalanx run`, the real binary with real programs.

#![allow(clippy::unwrap_used)]

mod app;
mod apps;
mod background;
mod book;
mod flags;
mod http;
mod page;
mod refusals;
mod reloads;
mod site;
mod wire_faults;
