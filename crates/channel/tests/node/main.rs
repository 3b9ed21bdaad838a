//! The Node wire: against byte dumps of real Node processes, against a socket that does as it likes, and against Node itself
//! (`PHALANX_NODES` names the folder with the versions of `tests/node`; without it, the `node` on the path is used).

#![cfg(feature = "node")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod against_node;
mod against_socket;
mod as_child;
mod dumps;
mod peers;
mod round_trip;
mod values;
