//! `phalanx run`, the real binary with real programs.

#![allow(clippy::unwrap_used)]

mod book;
mod page;
